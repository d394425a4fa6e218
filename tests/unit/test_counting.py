"""The counter: what a text costs, what makes it dear, how it gets cheaper."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.service.counting import Alphabet, cleaned, count, in_latin_letters, marked
from gateway.settings.load import load
from gateway.sms.segments import fits_gsm
from gateway.verdicts import Refused
from tests.running import ACCOUNT, write_config


@pytest.mark.parametrize(
    ("text", "alphabet", "segments", "left"),
    [
        ("", Alphabet.GSM7, 0, 160),
        ("x" * 160, Alphabet.GSM7, 1, 0),
        ("x" * 161, Alphabet.GSM7, 2, 145),
        ("x" * 159 + "€", Alphabet.GSM7, 2, 145),  # the euro takes two
        ("я" * 70, Alphabet.UCS2, 1, 0),
        ("я" * 71, Alphabet.UCS2, 2, 63),
        ("😀", Alphabet.UCS2, 1, 68),
        ("я" * 66 + "😀" + "я" * 3, Alphabet.UCS2, 2, 62),  # the pair is not torn: one unit of the first is lost
    ],
)
def test_what_is_left(text: str, alphabet: Alphabet, segments: int, left: int) -> None:
    found = count(text)
    assert (found.alphabet, len(found.parts), found.left) == (alphabet, segments, left)


def test_culprits_are_named_where_they_stand_first() -> None:
    found = count("5 “ok” – 😀 “no”")
    assert [(c.char, c.name, c.at) for c in found.culprits] == [
        ("“", "left double quotation mark", 3),
        ("”", "right double quotation mark", 6),
        ("–", "en dash", 8),
        ("😀", "grinning face", 10),
    ]
    assert list(marked("a–b😀")) == [("a", False), ("–", True), ("b", False), ("😀", True)]


def test_ways_to_be_shorter() -> None:
    found = count("Температура в щитовой – 41°, включён резервный вентилятор. Проверьте её скорее! 😀")
    assert [(way.way, way.segments) for way in found.shorter] == [("transliterate", 1)]
    dear = "x" * 80 + "–"
    assert [(way.way, way.text, way.segments) for way in count(dear).shorter] == [
        ("clean", "x" * 80 + "-", 1),
        ("transliterate", "x" * 80 + "-", 1),
    ]
    assert count("short").shorter == ()


def test_as_an_account_s_text_is_treated(tmp_path: Path) -> None:
    tidy = {**ACCOUNT, "text": {"transliterate": "always", "scheme": "icao"}, "limits": {"max_segments": 1}}
    loaded = load(write_config(tmp_path, accounts=[tidy]))
    found = count("Щука", loaded, "test_user")
    assert (found.text, found.alphabet) == ("Shchuka", Alphabet.GSM7)
    assert [note.what for note in found.notes] == ["written in Latin letters"]
    assert count(" ", loaded, "test_user").alphabet is Alphabet.GSM7
    with pytest.raises(Refused, match="too_many_segments"):
        count("x" * 161, loaded, "test_user")
    with pytest.raises(Refused, match="credentials_wrong"):
        count("x", loaded, "nobody")


@given(st.text(max_size=300))
def test_the_parts_are_the_text_and_the_pieces_too(text: str) -> None:
    found = count(text)
    assert "".join(found.parts) == text
    assert 0 <= found.left <= found.single
    pieces = list(marked(text))
    assert "".join(piece for piece, _ in pieces) == text
    assert {culprit.char for culprit in found.culprits} == {
        char for piece, is_dear in pieces if is_dear for char in piece
    }
    assert fits_gsm(in_latin_letters(text))
    assert cleaned(cleaned(text)) == cleaned(text)
