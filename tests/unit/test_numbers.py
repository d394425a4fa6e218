"""Destinations as people type them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.sms import numbers
from gateway.verdicts import NUMBER, Refused


@pytest.mark.parametrize(
    ("typed", "digits"),
    [
        ("79101234567", "79101234567"),
        ("+79101234567", "79101234567"),
        (" +7 (910) 123-45-67 ", "79101234567"),
        ("7.910.123.45.67", "79101234567"),
        ("380501234567", "380501234567"),
        ("4915112345678", "4915112345678"),
        ("77012345678", "77012345678"),
        ("12025550123", "12025550123"),
        ("390612345678", "390612345678"),  # Italy's zero belongs to the number
        # the digit that is dialled inside the country does not
        ("+44 (0)7911 123456", "447911123456"),
        ("4407911123456", "447911123456"),
        ("+7 8 910 123-45-67", "79101234567"),
    ],
)
def test_numbers(typed: str, digits: str) -> None:
    assert numbers.parse(typed) == digits
    assert numbers.is_number(typed)
    assert numbers.parse(digits) == digits


@pytest.mark.parametrize(
    ("typed", "reason", "values"),
    [
        ("7921123456", "number_too_short", {"number": "7921***3456", "digits": 10, "missing": 1}),  # seed 004's own
        ("792112345", "number_too_short", {"number": "79***", "digits": 9, "missing": 2}),
        ("791012345678", "number_too_long", {"number": "7910***5678", "over": 1}),
        ("7910123456789", "number_too_long", {"number": "7910***6789", "over": 2}),
        ("7910123456789012", "number_too_long", {"number": "7910***9012", "over": 1}),
        ("7" * 1000, "number_too_long", {"number": "7777***7777", "over": 985}),
        ("71111111111", "number_unknown_range", {"number": "7111***1111"}),
        ("79991234567x", "number_not_a_number", {"number": "79***"}),
        ("", "number_not_a_number", {"number": "***"}),
        ("+", "number_not_a_number", {"number": "***"}),
        ("++79101234567", "number_not_a_number", {"number": "+7***"}),
        ("٧٩١٠١٢٣٤٥٦٧", "number_not_a_number", None),
        ("７９１０１２３４５６７", "number_not_a_number", None),
        ("79101234567;rm", "number_not_a_number", {"number": "79***"}),
        ("79101234567\n79102345678", "number_not_a_number", {"number": "79***"}),
        ("89101234567", "number_not_a_number", {"number": "8910***4567"}),
        ("0079101234567", "number_not_a_number", {"number": "0079***4567"}),
        ("00000000000", "number_not_a_number", {"number": "0000***0000"}),
        ("112", "emergency_number", {}),
        ("101", "emergency_number", {}),  # the fire brigade of Russia and Ukraine
        ("+7 112", "emergency_number", {}),
        ("+1 911", "emergency_number", {}),
        ("380103", "emergency_number", {}),
        ("123", "number_too_short", None),
    ],
    ids=lambda value: value[:20] if isinstance(value, str) else None,
)
def test_no_numbers(typed: str, reason: str, values: dict[str, str | int] | None) -> None:
    with pytest.raises(Refused) as caught:
        numbers.parse(typed)
    refusal = caught.value.refusal
    assert (refusal.reason.key, refusal.verdict) == (reason, NUMBER)
    assert values is None or refusal.values == values
    assert len(typed) < 4 or typed not in str(refusal.values)
    assert not numbers.is_number(typed)


@given(st.text(max_size=30))
def test_anything_typed_is_a_number_or_refused(typed: str) -> None:
    try:
        digits = numbers.parse(typed)
    except Refused as refused:
        assert refused.refusal.verdict is NUMBER
    else:
        assert digits.isascii()
        assert digits.isdigit()
        assert 7 <= len(digits) <= 15


@given(st.from_regex(r"\+?(7|44|380|1|49|39)[0-9 ()\-.]{6,14}", fullmatch=True))
def test_a_number_has_one_spelling(typed: str) -> None:
    """Stop-lists and duplicates compare spellings."""
    if numbers.is_number(typed):
        digits = numbers.parse(typed)
        assert numbers.parse(digits) == digits
        assert numbers.parse(f"+{digits}") == digits


@pytest.mark.parametrize(
    ("typed", "found"),
    [
        ("79101234567", ["79101234567"]),
        ("79101234567,79102345678", ["79101234567", "79102345678"]),
        (" 79101234567 ;\n79102345678, ", ["79101234567", "79102345678"]),
        ("79101234567 79102345678", ["79101234567", "79102345678"]),
        ("+7 910 123-45-67", ["+7 910 123-45-67"]),
        ("+7 910 123-45-67, +7 (910) 234-56-78", ["+7 910 123-45-67", "+7 (910) 234-56-78"]),
        ("79101234567,12", ["79101234567", "12"]),
        ("79101234567,nobody at all", ["79101234567", "nobody", "at", "all"]),
        ("", []),
        (" ,;\n, ", []),
    ],
)
def test_split(typed: str, found: list[str]) -> None:
    assert numbers.split(typed) == tuple(found)


@pytest.mark.parametrize(
    ("number", "masked"),
    [
        ("79101234567", "7910***4567"),
        ("+7 (910) 123-45-67", "7910***4567"),
        ("1234567890", "1234***7890"),
        ("123456789", "12***"),
        ("12345678", "12***"),
        ("1234567", "***"),
        ("", "***"),
        ("secretlogin", "se***"),
        ("qwerty12345", "qw***"),
    ],
)
def test_mask(number: str, masked: str) -> None:
    assert numbers.mask(number) == masked


@given(st.text(max_size=40))
def test_a_mask_never_shows_it_all(number: str) -> None:
    assert "***" in numbers.mask(number)
    assert len(numbers.mask(number)) <= 11
