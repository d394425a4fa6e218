"""Queue ids: short, sortable by time, easy to read out on the telephone."""

from __future__ import annotations

import secrets

_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
"""Crockford's base 32: no I, L, O, U."""


def queue_id(now: float) -> str:
    """13 characters: 40 bits of milliseconds (35 years from 2026), 25 bits of chance."""
    value = (int(now * 1000) & (1 << 40) - 1) << 25 | secrets.randbits(25)
    return "".join(_ALPHABET[value >> shift & 31] for shift in range(60, -1, -5))
