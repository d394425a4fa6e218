"""What Outlook, S/MIME and PGP wrap a text in: RTF, winmail.dat, CMS, armour."""

from __future__ import annotations

import contextlib
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.mail import pgp, rtf, smime, tnef
from gateway.verdicts import Refused

HEAD = rb"{\rtf1\ansi\ansicpg1251{\fonttbl{\f0\fcharset204 Arial;}{\f1\fcharset128 MS Gothic;}{\f2 Courier;}}"


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (rb"one\par two\line three", "one\ntwo\nthree"),
        (rb"\'cf\'f0\'e8\'e2\'e5\'f2", "Привет"),
        ("Привет".encode("cp1251"), "Привет"),
        (rb"{\f1 \'83\'65\'83X\'83g}\f0\'ff", "テストя"),
        (rb"{\f2 \'cf}", "П"),
        (rb"\u1055?\u1088\'f0 x", "Пр x"),
        (rb"\uc2\u1055??{\uc0\u1088}!", "Пр!"),
        (rb"\u-10179?\u-8704?", "😀"),
        (rb"\u-10179?", "\ufffd"),
        (rb"shown{\v hidden}\v hidden\v0  shown{\*\anything no {even} this}", "shown shown"),
        (rb"{\pict\bin4 }}}}no}yes", "yes"),
        (rb"{\field{\*\fldinst HYPERLINK http://x}{\fldrslt link}}", "link"),
        (rb"{\header no}{\footer no}a\~b\_c\{\}\\\-", "a\xa0b\u2011c{}\\"),
        (rb"a\cell b\cell\row c\tab d", "a b \nc\td"),
        (rb"{\*\htmltag64 <p>}\htmlrtf {\htmlrtf0 words\htmlrtf\par}\htmlrtf0 {\*\htmltag72 </p>}more", "words\nmore"),
        (b"a\r\nb\0", "ab"),
        (rb"\ldblquote x\rdblquote\emdash\bullet\rtlmark", "“x”—•\u200f"),
        (rb"}}}{{{x", "x"),
        (b"\\", "}"),
    ],
)
def test_rtf(body: bytes, text: str) -> None:
    assert rtf.to_text(HEAD + rb"\pard\f0 " + body + b"}", 0) == text


def test_rtf_without_a_code_page_of_its_own_is_in_the_mails() -> None:
    assert rtf.to_text(rb"{\rtf1 \'cf}", 1251) == "П"
    assert rtf.to_text(rb"{\rtf1 \'e9}", 0) == "é"


@pytest.mark.parametrize("body", [rb"{\rtf1\ansicpg1251 \'98}", rb"{\rtf1\ansicpg99999 \'98}"])
def test_rtf_that_is_not_in_its_charset(body: bytes) -> None:
    with pytest.raises(Refused):
        rtf.to_text(body, 0)


@pytest.mark.parametrize(
    ("packed", "plain"),
    [
        (  # MS-OXRTFCP §4.1.1 and §4.1.2
            "2d0000002b0000004c5a4675f1c5c7a703000a007263706731323542320af32068656c090020627705b06c647d0a800fa0",
            b"{\\rtf1\\ansi\\ansicpg1252\\pard hello world}\r\n",
        ),
        ("1a0000001c0000004c5a4675e2d44b51410004205758595a0d6e7d010eb0", b"{\\rtf1 WXYZWXYZWXYZWXYZWXYZ}"),
        ("0e000000020000004d454c41000000007b7d", b"{}"),
    ],
)
def test_compressed_rtf(packed: str, plain: bytes) -> None:
    assert tnef.decompressed(bytes.fromhex(packed)) == plain


@pytest.mark.parametrize(
    ("packed", "reason"),
    [
        ("2d0000002b0000004c5a4675f1c5c7a803000a00", "no_readable_text"),
        ("00", "no_readable_text"),
        ("1a000000ffffffff4c5a467500000000", "mail_too_complex"),
    ],
)
def test_rtf_that_is_damaged_or_huge(packed: str, reason: str) -> None:
    with pytest.raises(Refused) as caught:
        tnef.decompressed(bytes.fromhex(packed))
    assert caught.value.refusal.reason.key == reason


def attribute(name: int, data: bytes, level: int = 1) -> bytes:
    return struct.pack("<BHHI", level, name, 0, len(data)) + data + b"\0\0"


def of(kind: int, name: int, data: bytes) -> bytes:
    if kind in (0x1E, 0x1F, 0x102):
        return struct.pack("<HHII", kind, name, 1, len(data)) + data + b"\0" * (-len(data) % 4)
    return struct.pack("<HH", kind, name) + data


def winmail(*attributes: bytes) -> bytes:
    return struct.pack("<IH", 0x223E9F78, 1) + attribute(0x9007, struct.pack("<II", 866, 0)) + b"".join(attributes)


def properties(*found: bytes) -> bytes:
    return attribute(0x9003, struct.pack("<I", len(found)) + b"".join(found))


NAMED = struct.pack("<HH16sII", 0x1E, 0x8005, b"", 1, 6) + b"a\0b\0c\0\0\0" + struct.pack("<II", 1, 2) + b"x\0\0\0"
NUMBERED = struct.pack("<HH16sII", 3, 0x8006, b"", 0, 7) + b"\1\0\0\0"
SEVERAL = struct.pack("<HHIHHHH", 0x1002, 0x0E00, 2, 1, 0, 2, 0)


@pytest.mark.parametrize(
    ("data", "body"),
    [
        (winmail(attribute(0x800C, b"text\0")), tnef.Body("text/plain", b"text", 866)),
        (winmail(attribute(0x800C, b"of a file", 2)), None),
        (
            winmail(properties(of(0x1F, 0x1000, "Ж".encode("utf-16-le") + b"\0\0"))),
            tnef.Body("text/plain", b"\x16\x04", 1200),
        ),
        (
            winmail(properties(of(0x102, 0x1013, b"<p>x"), of(3, 0x3FDE, b"\xe3\4\0\0"))),
            tnef.Body("text/html", b"<p>x", 1251),
        ),
        (winmail(properties(NAMED, NUMBERED, SEVERAL, of(0x1E, 0x1000, b"x"))), tnef.Body("text/plain", b"x", 866)),
        (winmail(properties(of(0x1E, 0x1000, b"?"), of(0x102, 0x1009, b"RTF"))), tnef.Body("text/rtf", b"RTF", 866)),
        (winmail(), None),
        (b"", None),
        (b"no TNEF at all", None),
    ],
)
def test_which_body_of_winmail(data: bytes, body: tnef.Body | None) -> None:
    assert tnef.body(data) == body


def test_winmail_of_a_million_attributes() -> None:
    with pytest.raises(Refused):
        tnef.body(winmail(attribute(1, b"") * 100_000))


@given(st.binary(max_size=300))
def test_any_bytes_are_unwrapped_or_refused(data: bytes) -> None:
    for prefix in (
        b"",
        winmail(),
        winmail()[:-6] + struct.pack("<BHHI", 1, 0x9003, 0, 300),
        HEAD,
        b"\x30\x80\x06\x01\x00",
    ):
        with contextlib.suppress(Refused):
            tnef.body(prefix + data)
        with contextlib.suppress(Refused):
            tnef.decompressed(struct.pack("<II4sI", 300, 3000, b"MELA", 0) + data)
        with contextlib.suppress(Refused):
            rtf.to_text(prefix + data, 1251)
        smime.signed(prefix + data)


@pytest.mark.parametrize(
    "data", [b"\x30\x80" * 5000, b"\x30\x84\xff\xff\xff\xff", b"\x30", b"\x24\x80" * 20 + b"\0" * 40]
)
def test_what_is_no_cms(data: bytes) -> None:
    assert smime.signed(data) is None


def test_pgp() -> None:
    armoured = (
        "-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA256\n\ntext\n- -- \nmore\n-----BEGIN PGP SIGNATURE-----\n\nabc\n"
    )
    assert pgp.unsigned(armoured) == "text\n-- \nmore"
    assert pgp.unsigned("He wrote:\n" + armoured) is None
    assert pgp.is_encrypted("\n-----BEGIN PGP MESSAGE-----\n")
    assert not pgp.is_encrypted("about -----BEGIN PGP MESSAGE-----")
