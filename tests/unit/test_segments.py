"""How many SMS a text takes, and where it is cut."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.sms.segments import LIMITS, Alphabet, count, segment

GSM7_BASIC = (
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿"
    "abcdefghijklmnopqrstuvwxyzäöñüà"
)
"""3GPP TS 23.038 §6.2.1, without the escape."""
GSM7_EXTENSION = "\f^{}\\[~]|€"
"""§6.2.1.1."""


def test_the_whole_alphabet_and_its_extension() -> None:
    assert len(GSM7_BASIC) == 127
    for char in GSM7_BASIC:
        assert (segment(char).alphabet, segment(char).units) == (Alphabet.GSM7, 1), char
    for char in GSM7_EXTENSION:
        assert (segment(char).alphabet, segment(char).units) == (Alphabet.GSM7, 2), char


@pytest.mark.parametrize("char", [*"`çÀáâêîôû«»—–…№’“”•©°\t", "\u00a0", "\x1b", "ы", "Ё", "ї", "中", "😀"], ids=ascii)
def test_what_is_not_in_it_makes_everything_ucs2(char: str) -> None:
    result = segment("Hello" + char)
    assert (result.alphabet, result.culprits) == (Alphabet.UCS2, char)


@pytest.mark.parametrize(
    ("text", "alphabet", "units", "lengths"),
    [
        ("", Alphabet.GSM7, 0, []),
        ("x", Alphabet.GSM7, 1, [1]),
        ("x" * 160, Alphabet.GSM7, 160, [160]),
        ("x" * 161, Alphabet.GSM7, 161, [153, 8]),
        ("x" * 306, Alphabet.GSM7, 306, [153, 153]),
        ("x" * 307, Alphabet.GSM7, 307, [153, 153, 1]),
        ("€" * 80, Alphabet.GSM7, 160, [80]),
        ("€" * 81, Alphabet.GSM7, 162, [76, 5]),
        ("x" * 158 + "€", Alphabet.GSM7, 160, [159]),
        ("x" * 159 + "€", Alphabet.GSM7, 161, [153, 7]),
        ("x" * 152 + "€" + "x" * 20, Alphabet.GSM7, 174, [152, 21]),
        ("x" * 151 + "€" + "x" * 20, Alphabet.GSM7, 173, [152, 20]),
        ("x" * 152 + "€" * 77, Alphabet.GSM7, 306, [152, 76, 1]),
        ("ы" * 70, Alphabet.UCS2, 70, [70]),
        ("ы" * 71, Alphabet.UCS2, 71, [67, 4]),
        ("ы" * 134, Alphabet.UCS2, 134, [67, 67]),
        ("ы" * 135, Alphabet.UCS2, 135, [67, 67, 1]),
        ("ы" + "€" * 69, Alphabet.UCS2, 70, [70]),
        ("😀" * 35, Alphabet.UCS2, 70, [35]),
        ("😀" * 36, Alphabet.UCS2, 72, [33, 3]),
        ("ы" * 68 + "😀", Alphabet.UCS2, 70, [69]),
        ("ы" * 69 + "😀", Alphabet.UCS2, 71, [67, 3]),
        ("ы" * 66 + "😀" + "ы" * 10, Alphabet.UCS2, 78, [66, 11]),
        ("ы" * 65 + "😀" + "ы" * 10, Alphabet.UCS2, 77, [66, 10]),
        ("ы" * 133 + "😀", Alphabet.UCS2, 135, [67, 66, 1]),
        ("ы" * 132 + "😀", Alphabet.UCS2, 134, [67, 66]),
    ],
    ids=lambda value: f"{value[:1]}…{len(value)}" if isinstance(value, str) and len(value) > 9 else None,
)
def test_where_it_is_cut(text: str, alphabet: Alphabet, units: int, lengths: list[int]) -> None:
    result = segment(text)
    assert (result.alphabet, result.units) == (alphabet, units)
    assert [len(part) for part in result.segments] == lengths
    assert count(text) == len(lengths)


def test_the_culprits_are_named_once_and_in_order() -> None:
    assert segment("Hello — «мир» — мир [€]").culprits == "—«мир»"
    assert segment("Hello [€]").culprits == ""


def units_of(text: str, alphabet: Alphabet) -> int:
    """Counted in another way than the code does."""
    if alphabet is Alphabet.UCS2:
        return len(text.encode("utf-16-be")) // 2
    return len(text) + sum(text.count(char) for char in GSM7_EXTENSION)


TEXTS = st.one_of(
    st.text(st.sampled_from(GSM7_BASIC + GSM7_EXTENSION), max_size=700),
    st.text(st.sampled_from("ы😀x€"), max_size=400),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=400),
)


@given(TEXTS)
def test_nothing_is_lost_or_torn_and_every_part_fits(text: str) -> None:
    result = segment(text)
    assert "".join(result.segments) == text
    assert result.units == units_of(text, result.alphabet)
    single, part = LIMITS[result.alphabet]
    limit = single if len(result.segments) <= 1 else part
    sizes = [units_of(piece, result.alphabet) for piece in result.segments]
    assert all(0 < size <= limit for size in sizes)
    assert all(size >= limit - 1 for size in sizes[:-1])  # at most one place is given up, for a pair
    assert (len(sizes) <= 1) is (result.units <= single)


@given(TEXTS)
def test_the_alphabet_is_decided_by_the_characters(text: str) -> None:
    strangers = [char for char in text if char not in GSM7_BASIC + GSM7_EXTENSION]
    result = segment(text)
    assert (result.alphabet is Alphabet.UCS2) is bool(strangers)
    assert set(result.culprits) == set(strangers)
