"""S/MIME that hides the text in a CMS structure (RFC 8551 §3.5.2): what was signed. Signatures are not checked."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

TYPES = frozenset({"application/pkcs7-mime", "application/x-pkcs7-mime"})

_OCTETS, _OCTETS_IN_PIECES, _OID, _EXPLICIT = 0x04, 0x24, 0x06, 0xA0
_SIGNED = bytes.fromhex("2a864886f70d010702")
_MAX_DEPTH = 12


class _Value(NamedTuple):
    """Where a BER value (X.690 §8.1) lies in the data."""

    tag: int
    start: int
    stop: int
    after: int


def signed(data: bytes) -> bytes | None:
    """The MIME entity inside; None for anything that is not signed (encrypted, compressed, damaged)."""
    try:
        content_type, content = _children(data, _value(data, 0), 2)
        if content_type.tag != _OID or data[content_type.start : content_type.stop] != _SIGNED:
            return None
        (signed_data,) = _children(data, content, 1)
        _version, _digests, encapsulated = _children(data, signed_data, 3)
        _inner_type, explicit = _children(data, encapsulated, 2)
        if explicit.tag != _EXPLICIT:
            return None
        (octets,) = _children(data, explicit, 1)
        return b"".join(_pieces(data, octets, 0))
    except (ValueError, IndexError):
        return None


def _pieces(data: bytes, octets: _Value, depth: int) -> Iterator[bytes]:
    if octets.tag == _OCTETS:
        yield data[octets.start : octets.stop]
    elif octets.tag == _OCTETS_IN_PIECES and depth < _MAX_DEPTH:
        for piece in _all_children(data, octets):
            yield from _pieces(data, piece, depth + 1)
    else:
        raise ValueError("no octet string")


def _children(data: bytes, parent: _Value, first: int) -> list[_Value]:
    """The first few; more may follow."""
    found = []
    for child in _all_children(data, parent):
        found.append(child)
        if len(found) == first:
            return found
    raise ValueError("too short")


def _all_children(data: bytes, parent: _Value) -> Iterator[_Value]:
    at = parent.start
    while at < parent.stop:
        child = _value(data, at)
        yield child
        at = child.after


def _value(data: bytes, at: int, depth: int = 0) -> _Value:
    tag, length = data[at], data[at + 1]
    start = at + 2
    if tag & 0x1F == 0x1F or depth > _MAX_DEPTH:
        raise ValueError("not of this format")
    if length == 0x80:  # of indefinite length: ends with two zero octets
        inner = start
        while data[inner : inner + 2] != b"\0\0":
            inner = _value(data, inner, depth + 1).after
        return _Value(tag, start, inner, inner + 2)
    if length > 0x80:
        octets = length & 0x7F
        length = int.from_bytes(data[start : start + octets], "big")
        start += octets
    if start + length > len(data):
        raise ValueError("cut off")
    return _Value(tag, start, start + length, start + length)
