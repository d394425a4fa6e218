"""Numbers, originators, segments."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.sms import numbers, originator
from gateway.sms.segments import Alphabet, segment
from gateway.verdicts import Refused


@pytest.mark.parametrize(
    ("typed", "digits"),
    [
        ("79101234567", "79101234567"),
        ("+79101234567", "79101234567"),
        (" +7 (910) 123-45-67 ", "79101234567"),
        ("380501234567", "380501234567"),
        ("4915112345678", "4915112345678"),
        ("77012345678", "77012345678"),
    ],
)
def test_numbers(typed: str, digits: str) -> None:
    assert numbers.parse(typed) == digits


@pytest.mark.parametrize(
    ("typed", "reason"),
    [
        ("7921123456", "number_too_short"),  # seed 004's own example
        ("791012345678", "number_too_long"),
        ("7910123456789012", "number_too_long"),
        ("79991234567x", "number_not_a_number"),
        ("", "number_not_a_number"),
        ("٧٩١٠١٢٣٤٥٦٧", "number_not_a_number"),
        ("79101234567;rm", "number_not_a_number"),
        ("00000000000", "number_not_a_number"),
        ("71111111111", "number_unknown_range"),
    ],
)
def test_no_numbers(typed: str, reason: str) -> None:
    with pytest.raises(Refused) as caught:
        numbers.parse(typed)
    assert caught.value.refusal.reason.key == reason
    assert typed == "" or typed not in str(caught.value.refusal.values)


def test_one_digit_is_missing() -> None:
    with pytest.raises(Refused) as caught:
        numbers.parse("7921123456")
    assert caught.value.refusal.values["missing"] == 1


@pytest.mark.parametrize(
    ("number", "masked"), [("79101234567", "7910***4567"), ("1234567", "***"), ("secretlogin", "se***")]
)
def test_mask(number: str, masked: str) -> None:
    assert numbers.mask(number) == masked


@pytest.mark.parametrize(
    ("name", "good"),
    [
        ("My Bank", True),
        ("A&B-C_d+e!.", True),
        ("Elevenchars", True),
        ("Twelve chars", False),
        ("123456789012345", True),
        ("1234567890123456", False),
        ("+79101234567", True),
        ("Банк", False),
        ("", False),
        ("a\nb", False),
        ("a;b", False),
    ],
)
def test_originator(name: str, good: bool) -> None:
    assert originator.is_wellformed(name) is good


@pytest.mark.parametrize(
    ("text", "alphabet", "count"),
    [
        ("", Alphabet.GSM7, 0),
        ("a" * 160, Alphabet.GSM7, 1),
        ("a" * 161, Alphabet.GSM7, 2),
        ("a" * 306, Alphabet.GSM7, 2),
        ("a" * 307, Alphabet.GSM7, 3),
        ("€" * 80, Alphabet.GSM7, 1),
        ("€" * 81, Alphabet.GSM7, 2),
        ("a" * 152 + "€" + "a" * 8, Alphabet.GSM7, 2),
        ("ы" * 70, Alphabet.UCS2, 1),
        ("ы" * 71, Alphabet.UCS2, 2),
        ("ы" * 134, Alphabet.UCS2, 2),
        ("ы" * 135, Alphabet.UCS2, 3),
        ("😀" * 35, Alphabet.UCS2, 1),
        ("😀" * 36, Alphabet.UCS2, 2),
        ("[]{}\\~^|", Alphabet.GSM7, 1),
        ("Ёлка", Alphabet.UCS2, 1),
        ("`", Alphabet.UCS2, 1),
    ],
)
def test_segments(text: str, alphabet: Alphabet, count: int) -> None:
    result = segment(text)
    assert (result.alphabet, len(result.segments)) == (alphabet, count)


def test_the_culprits_are_named() -> None:
    assert segment("Hello — «мир»").culprits == "—«мир»"


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=700))
def test_segments_lose_and_tear_nothing(text: str) -> None:
    result = segment(text)
    assert "".join(result.segments) == text
    if result.alphabet is Alphabet.UCS2:
        limit = 70 if len(result.segments) == 1 else 67
        assert all(len(part.encode("utf-16-be")) // 2 <= limit for part in result.segments)
