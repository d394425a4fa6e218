"""Queue ids: short, sortable by time, easy to read out on the telephone."""

from __future__ import annotations

import os

_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
"""Crockford's base 32: no I, L, O, U."""
_PAIRS = [high + low for high in _ALPHABET for low in _ALPHABET]


def queue_id(now: float) -> str:
    """13 characters: 40 bits of milliseconds (35 years from 2026), 25 bits of chance."""
    value = (int(now * 1000) & (1 << 40) - 1) << 25 | int.from_bytes(os.urandom(4)) >> 7
    return _ALPHABET[value >> 60] + "".join([_PAIRS[value >> shift & 1023] for shift in (50, 40, 30, 20, 10, 0)])
