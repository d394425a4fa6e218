"""The SMPP codec: what is written is read again, in whatever pieces it comes, and garbage never hangs."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.smpp import pdu
from gateway.smpp.pdu import (
    BYTE,
    OCTETS,
    RESPONSE,
    Bind,
    Command,
    Garbage,
    Malformed,
    Message,
    Nothing,
    Pdu,
    Query,
    Reader,
    Taken,
    Tlv,
    Unreadable,
    encode,
)

TLVS = st.lists(st.builds(Tlv, st.integers(0, 0xFFFF), st.binary(max_size=300)), max_size=4).map(tuple)


def strings(size: int) -> st.SearchStrategy[str]:
    return st.text(st.characters(min_codepoint=1, max_codepoint=255), max_size=size - 1)


def bodies(kind: type[Any]) -> st.SearchStrategy[Any]:
    values: dict[str, st.SearchStrategy[Any]] = {}
    for name, size in pdu._LAYOUTS[kind]:
        if name == "tlvs":
            values[name] = TLVS
        else:
            kinds = {BYTE: st.integers(0, 255), OCTETS: st.binary(max_size=254)}
            values[name] = kinds[size] if size in kinds else strings(size)
    return st.builds(kind, **values)


PDUS = st.sampled_from(sorted(pdu._BODIES.items())).flatmap(
    lambda row: st.builds(Pdu, st.just(row[0]), st.integers(1, 0x7FFFFFFF), bodies(row[1]), st.integers(0, 0xFFFFFFFF))
)


def read(*chunks: bytes) -> list[Pdu]:
    reader, found = Reader(), []
    for chunk in chunks:
        reader.feed(chunk)
        found += list(reader.pdus())
    return found


@given(st.lists(PDUS, min_size=1, max_size=4), st.data())
def test_what_is_written_is_read_again_in_any_pieces(sent: list[Pdu], data: st.DataObject) -> None:
    raw = b"".join(map(encode, sent))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(raw)), max_size=6)))
    chunks = [raw[a:b] for a, b in zip([0, *cuts], [*cuts, len(raw)], strict=True)]
    assert read(*chunks) == sent
    assert read(*(raw[i : i + 1] for i in range(len(raw)))) == sent


@given(st.binary(max_size=400))
def test_garbage_ends_and_never_hangs(raw: bytes) -> None:
    try:
        for item in read(raw):
            assert isinstance(item, Pdu)
    except Garbage:
        pass


@given(PDUS, st.data())
def test_a_damaged_body_is_unreadable_or_something_else_but_no_exception(sent: Pdu, data: st.DataObject) -> None:
    raw = bytearray(encode(sent))
    for _ in range(3):
        if len(raw) > 16:
            raw[data.draw(st.integers(16, len(raw) - 1))] = data.draw(st.integers(0, 255))
    (item,) = read(bytes(raw))
    assert (item.command, item.sequence) == (sent.command, sent.sequence)


@pytest.mark.parametrize("length", [0, 15, 65_537, 0xFFFFFFFF])
def test_a_length_that_cannot_be_is_garbage_after_what_was_whole(length: int) -> None:
    good = Pdu(Command.ENQUIRE_LINK, 1)
    reader = Reader()
    reader.feed(encode(good) + length.to_bytes(4, "big") + b"\0" * 12)
    found = reader.pdus()
    assert next(found) == good
    with pytest.raises(Garbage):
        next(found)


def test_a_known_exchange_octet_by_octet() -> None:
    """SMPP v3.4 issue 1.2, §3.2.2 has such a bind as its example."""
    raw = bytes.fromhex(
        "0000002f 00000002 00000000 00000001 534d50503354455354 00 7365637265743038 00"
        "5355424d495431 00 50 01 01 00".replace(" ", "")
    )
    (item,) = read(raw)
    assert item == Pdu(2, 1, Bind("SMPP3TEST", "secret08", "SUBMIT1", 0x50, 1, 1))
    assert encode(item) == raw
    assert "secret08" not in repr(item)


def test_a_refusal_may_come_without_a_body() -> None:
    raw = bytes.fromhex("00000010 80000004 00000058 00000007".replace(" ", ""))
    assert read(raw) == [Pdu(Command.SUBMIT_SM | RESPONSE, 7, Taken(), 0x58)]


def test_an_unknown_command_is_handed_on() -> None:
    assert read(encode(Pdu(0x103, 9, Unreadable(b"abc")))) == [Pdu(0x103, 9, Unreadable(b"abc"))]


@pytest.mark.parametrize(
    "body",
    [
        Bind("x" * 65, "p"),
        Bind("corp", "1" * 65),
        Bind("c\0", "p"),
        Message(source="Б"),
        Message(short_message=b"x" * 255),
        Message(data_coding=256),
        Message(tlvs=(Tlv(0x424, b"x" * 65_500),)),
        Message(tlvs=(Tlv(0x424, b"x" * 65_536),)),
        Query("1" * 65),
    ],
    ids=lambda body: repr(body)[:40],
)
def test_what_does_not_fit_is_not_written(body: Any) -> None:
    with pytest.raises(Malformed):
        encode(Pdu(1, 1, body))


def test_every_layout_names_its_fields_in_their_order() -> None:
    for kind, layout in pdu._LAYOUTS.items():
        assert [name for name, _ in layout] == [field.name for field in fields(kind)]
    assert pdu._LAYOUTS[Nothing] == ()
