"""Originators: the sender name or number that the handset shows (3GPP TS 23.040 §9.1.2.5)."""

from __future__ import annotations

import re

_ALPHANUMERIC = re.compile(r"(?=.*[A-Za-z0-9])[A-Za-z0-9 .\-_&+!]{1,11}")
"""Letters, digits and what registered names contain in practice (seed 000 has ``My Bank``)."""
_NUMERIC = re.compile(r"\+?[0-9]{1,15}")


def is_wellformed(originator: str) -> bool:
    """At most 15 digits, or at most 11 characters when there is any letter (seeds 002 and 004)."""
    return bool(_NUMERIC.fullmatch(originator) or _ALPHANUMERIC.fullmatch(originator))
