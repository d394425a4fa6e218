"""Texts in PDUs: alphabets, cuts, and the pieces put together again."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.smpp.pdu import Malformed, Message, Tag
from gateway.smpp.text import (
    Alphabet,
    Long,
    Part,
    alphabet_of,
    compose,
    decode_gsm7,
    decode_text,
    taken_apart,
)
from gateway.sms import segments
from gateway.sms.segments import encode as encode_gsm7

CODINGS = {Alphabet.GSM7: 0, Alphabet.LATIN1: 3, Alphabet.UCS2: 8}
PLAIN = {Alphabet.GSM7: 0, Alphabet.UCS2: 8}
TEXTS = st.one_of(
    st.text(st.sampled_from("abc €[]{}@£\n"), max_size=400),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=300),
    st.text(st.sampled_from("Привет 😀"), max_size=300),
)


def composed(text: str, long: Long = Long.UDH, reference: int = 0x1234, *, flash: bool = False) -> list[Message]:
    return compose(Message(), text, PLAIN, long, reference, flash=flash)


def test_gsm7_has_what_the_table_has_and_nothing_else() -> None:
    assert encode_gsm7("@£$ Δ_€[") == bytes([0, 1, 2, 0x20, 0x10, 0x11, 0x1B, 0x65, 0x1B, 0x3C])
    assert decode_gsm7(b"\x00\x1b\x65\x1b\x41\x1b") == "@€A"
    for char in "`бç\xa0":
        with pytest.raises(UnicodeError):
            encode_gsm7(char)


@pytest.mark.parametrize(
    ("text", "codings", "alphabet"),
    [
        ("a@€", CODINGS, Alphabet.GSM7),
        ("`ç", CODINGS, Alphabet.LATIN1),
        ("`ç", PLAIN, Alphabet.UCS2),
        ("ç€", CODINGS, Alphabet.UCS2),
        ("abc", {Alphabet.LATIN1: 0, Alphabet.UCS2: 8}, Alphabet.LATIN1),
        ("Δ", {Alphabet.LATIN1: 0, Alphabet.UCS2: 8}, Alphabet.UCS2),
    ],
)
def test_the_first_alphabet_that_has_every_character(
    text: str, codings: dict[Alphabet, int], alphabet: Alphabet
) -> None:
    assert alphabet_of(text, codings) is alphabet


@pytest.mark.parametrize(
    ("octets", "coding", "text"),
    [
        (b"\x00\x1b\x65", 0, "@€"),
        (b"abc", 1, "abc"),
        (b"\xe7", 3, "ç"),
        ("ёж".encode("iso8859-5"), 6, "ёж"),
        ("ёж".encode("utf-16-be"), 8, "ёж"),
        ("ёж".encode("utf-16-be"), 0x18, "ёж"),  # class 0
        (b"\x00", 0x10, "@"),
        (b"\x00", 0xF0, "@"),
        (b"\xe7", 0xF5, "ç"),  # 8-bit data
        (b"\x04\x51\x04", 8, "ё�"),
    ],
)
def test_octets_become_text_by_their_coding(octets: bytes, coding: int, text: str) -> None:
    assert decode_text(octets, coding, PLAIN) == text


def test_the_provider_s_own_table_goes_first() -> None:
    assert decode_text(b"\xe7", 4, {Alphabet.LATIN1: 4}) == "ç"
    assert decode_text(b"@", 0, {Alphabet.LATIN1: 0}) == "@"


@given(TEXTS, st.sampled_from(list(Long)))
def test_the_parts_make_the_text_again_and_each_is_text_by_itself(text: str, long: Long) -> None:
    messages = composed(text, long)
    pieces = [decode_text(taken_apart(message)[0], message.data_coding, PLAIN) for message in messages]
    assert "".join(pieces) == text
    assert "�" in text or not any("�" in piece for piece in pieces)
    if long is not Long.PAYLOAD:
        counted = segments.segment(text)
        assert pieces == list(counted.segments or [""])
        expected = (
            [None] if len(pieces) == 1 else [Part(part_reference(long), len(pieces), n + 1) for n in range(len(pieces))]
        )
        assert [taken_apart(message)[1] for message in messages] == expected


def part_reference(long: Long) -> int:
    return 0x34 if long is Long.UDH else 0x1234


def test_a_long_text_by_each_way() -> None:
    text = "x" * 161
    by_header = composed(text)
    assert [message.esm_class for message in by_header] == [0x40, 0x40]
    assert by_header[1].short_message == bytes([5, 0, 3, 0x34, 2, 2]) + b"x" * 8
    by_sar = composed(text, Long.SAR)
    assert [(m.esm_class, len(m.short_message), m.tlv(Tag.SAR_SEGMENT_SEQNUM)) for m in by_sar] == [
        (0, 153, b"\1"),
        (0, 8, b"\2"),
    ]
    (by_payload,) = composed(text, Long.PAYLOAD)
    assert (by_payload.short_message, by_payload.tlv(Tag.MESSAGE_PAYLOAD)) == (b"", text.encode())
    assert composed("x" * 160, Long.PAYLOAD)[0].short_message == b"x" * 160


def test_a_flash_sms_says_so_in_its_coding() -> None:
    assert [composed(text, flash=True)[0].data_coding for text in ("a", "б")] == [0x10, 0x18]


def test_a_text_of_more_than_255_parts_is_none() -> None:
    with pytest.raises(Malformed):
        composed("я" * (67 * 255 + 1))


@pytest.mark.parametrize(
    ("header", "part"),
    [
        ("0500031a0302", Part(0x1A, 3, 2)),
        ("060804beef0201", Part(0xBEEF, 2, 1)),
        ("0a0003c80201 05020001".replace(" ", ""), Part(0xC8, 2, 1)),
        ("0500031a0300", None),
        ("0500031a0101", None),
        ("0500031a", None),
        ("00", None),
    ],
)
def test_headers_as_others_write_them(header: str, part: Part | None) -> None:
    octets = bytes.fromhex(header)
    assert taken_apart(Message(esm_class=0x40, short_message=octets + b"x"))[1] == part


@given(st.binary(max_size=60))
def test_no_header_is_an_exception(octets: bytes) -> None:
    taken_apart(Message(esm_class=0x40, short_message=octets))


def test_national_tables_are_named_in_the_header() -> None:
    """Turkish: one part of 155 septets, or several of 149, instead of UCS-2's 70 and 67."""
    (single,) = compose(Message(), "ş" * 155, PLAIN, Long.UDH, 7, flash=False, national=["turkish"])
    assert (single.data_coding, single.esm_class, single.short_message[:4]) == (0, 0x40, bytes((3, 0x25, 1, 1)))
    assert len(single.short_message) == 4 + 155
    first, second = compose(Message(), "ş" * 160, PLAIN, Long.UDH, 7, flash=False, national=["turkish"])
    assert first.short_message[:9] == bytes((8, 0, 3, 7, 2, 1, 0x25, 1, 1))
    assert (len(first.short_message), len(second.short_message)) == (9 + 149, 9 + 11)


def test_without_need_no_table_is_named() -> None:
    for text, long in (("plain", Long.UDH), ("ş", Long.PAYLOAD), ("ы", Long.UDH)):
        (message,) = compose(Message(), text, PLAIN, long, 7, flash=False, national=["turkish"])
        assert message.esm_class == 0
