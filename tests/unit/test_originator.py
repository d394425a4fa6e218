"""Sender names that handsets can show."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.sms.originator import is_wellformed


@pytest.mark.parametrize(
    "name",
    [
        "My Bank",  # seed 000
        "A",
        "Elevenchars",
        "A&B-C_d+e!.",
        "24x7",
        "1",
        "900",
        "79101234567",
        "+79101234567",
        "1" * 15,
        "+" + "1" * 15,
    ],
)
def test_good(name: str) -> None:
    assert is_wellformed(name)


@pytest.mark.parametrize(
    "name",
    [
        "",
        " ",
        "...",
        "+",
        "&-_!",
        "Twelve chars",
        "1" * 16,
        "+" + "1" * 16,
        "++79101234567",
        "1234567890 12",
        "Банк",
        "Bаnk",  # a Cyrillic а
        "My Bank\n",
        "My\nBank",
        "My\tBank",
        "My;Bank",
        "Bank,Other",
        "<script>",
        "Café",
        "My\u00a0Bank",
        "١٢٣",
        "😀",
    ],
    ids=ascii,
)
def test_bad(name: str) -> None:
    assert not is_wellformed(name)


@given(st.text(max_size=20))
def test_whatever_is_good_is_short_and_ascii(name: str) -> None:
    if is_wellformed(name):
        assert name.isascii()
        assert name.isprintable()
        assert any(char.isalnum() for char in name)
        assert len(name) <= (16 if name.removeprefix("+").isdigit() else 11)
