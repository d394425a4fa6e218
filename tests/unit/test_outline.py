"""The MIME tree of a mail, for people."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.mail.outline import outline
from gateway.mail.read import open_mail
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
