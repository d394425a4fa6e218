"""The MIME tree of a mail, for people."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.mail.outline import LEFT_OUT, MADE_OF, MAX_NOTED, noted, outline
from gateway.mail.read import open_mail, read
from gateway.model import Note
from gateway.verdicts import Refused

CORPUS = Path(__file__).parents[1] / "corpus"


def test_the_part_that_is_read_is_marked() -> None:
    parts = outline(open_mail((CORPUS / "41-outlook-mixed-related-alternative" / "mail.eml").read_bytes()).message)
    assert [(part.depth, part.type) for part in parts][:4] == [
        (0, "multipart/mixed"),
        (1, "multipart/related"),
        (2, "multipart/alternative"),
        (3, "text/plain"),
    ]
    assert [part.type for part in parts if part.is_text] == ["text/plain"]


def test_names_and_charsets_are_as_declared() -> None:
    raw = (
        b"From: a@b.example\r\nContent-Type: multipart/mixed; boundary=x\r\n\r\n"
        b"--x\r\nContent-Type: text/plain; charset=koi8-r\r\nContent-Transfer-Encoding: 8bit\r\n\r\n\xf0\xd2\r\n"
        b"--x\r\nContent-Type: application/pdf; name*=utf-8''%D0%BF.pdf\r\n"
        b"Content-Transfer-Encoding: base64\r\n\r\nAAAA\r\n--x--\r\n"
    )
    _, text, pdf = outline(open_mail(raw).message)
    assert (text.charset, text.encoding, text.is_text, text.characters > 0) == ("koi8-r", "8bit", True, True)
    assert (pdf.type, pdf.name, pdf.encoding, pdf.is_text) == ("application/pdf", "п.pdf", "base64", False)


@pytest.mark.parametrize("path", sorted(CORPUS.glob("*/mail.eml")), ids=lambda path: path.parent.name)
def test_no_mail_breaks_it(path: Path) -> None:
    try:
        message = open_mail(path.read_bytes()).message
    except Refused:
        return
    parts = outline(message)
    assert parts[0].depth == 0
    assert all(part.type.isprintable() and part.name.isprintable() for part in parts)
    assert sum(part.is_text for part in parts) <= 1


def notes_of(raw: bytes) -> list[Note]:
    try:
        return list(read(open_mail(raw), "windows-1251").notes)
    except Refused as refused:
        return list(refused.notes)


def tree_of(raw: bytes) -> Note:
    (found,) = (note for note in notes_of(raw) if note.what == MADE_OF)
    return found


def multipart(*parts: str, boundary: str = "x", kind: str = "mixed") -> bytes:
    inner = "".join(f"--{boundary}\r\n{part}\r\n" for part in parts)
    head = f'From: a@b.example\r\nContent-Type: multipart/{kind}; boundary="{boundary}"\r\n\r\n'
    return f"{head}{inner}--{boundary}--\r\n".encode()


def test_the_trail_has_the_tree_and_no_name_of_a_file() -> None:
    raw = multipart(
        "Content-Type: text/html; charset=utf-8\r\n\r\n<p>Hi</p>",
        "Content-Type: application/pdf; name=secret-plan.pdf\r\nContent-Transfer-Encoding: base64\r\n\r\nAAAA",
    )
    note = tree_of(raw)
    assert note.values == {
        "0": "multipart/mixed",
        "1": "text/html; charset=utf-8; bytes=9; read",
        "2": "application/pdf; encoding=base64; bytes=4",
    }
    assert "secret-plan" not in repr(notes_of(raw))


@pytest.mark.parametrize("path", sorted(CORPUS.glob("*/mail.eml")), ids=lambda path: path.parent.name)
def test_what_is_noted_is_what_explain_shows(path: Path) -> None:
    raw = path.read_bytes()
    trees = [note for note in notes_of(raw) if note.what == MADE_OF]
    try:
        message = open_mail(raw).message
    except Refused:
        assert not trees
        return
    assert bool(trees) == message.is_multipart() or message.get_content_type().endswith("pkcs7-mime")
    if trees and message.is_multipart():
        shown = [(part.depth, part.type, part.characters, part.is_text) for part in outline(message)]
        again = [(part.depth, part.type, part.characters, part.is_text) for part in noted(trees[0].values)]
        assert again == shown[:MAX_NOTED]


def test_a_mail_that_cannot_be_read_has_its_tree_in_the_trail_too() -> None:
    raw = multipart("Content-Type: image/png\r\n\r\nx", "Content-Type: audio/ogg\r\n\r\nx")
    with pytest.raises(Refused):
        read(open_mail(raw), "windows-1251")
    assert list(tree_of(raw).values) == ["0", "1", "2"]


def test_what_a_stranger_declares_is_bounded_and_masked() -> None:
    many = tree_of(multipart(*["Content-Type: text/plain\r\n\r\nx"] * 80))
    assert (len(many.values), many.values[LEFT_OUT]) == (MAX_NOTED + 1, 51)
    assert len(noted(many.values)) == MAX_NOTED
    odd = tree_of(
        multipart(
            "Content-Type: x/79101234567\r\n\r\nx",
            'Content-Type: text/plain; charset="my password"\r\n\r\nx',
            f"Content-Type: text/{'y' * 500}\r\nContent-Transfer-Encoding: a b\r\n\r\nx",
        )
    )
    assert "79101234567" not in repr(odd)
    assert "my password" not in repr(odd)
    assert all(len(str(line)) < 300 for line in odd.values.values())


def test_a_mail_of_one_part_costs_no_note() -> None:
    assert not [note for note in notes_of(b"From: a@b.example\r\n\r\nHi") if note.what == MADE_OF]


def test_a_tree_of_nonsense_is_none() -> None:
    assert noted({"why": "x", "1.": "y", "0": "text/plain; bytes=many; charset; read"})[0].characters == 0
    assert noted({}) == ()
