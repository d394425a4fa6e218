"""AUTH CRAM-MD5 (RFC 2195) for devices that know nothing better. Nothing of it touches a socket.

It spares the wire the password and asks the server to keep it in clear: accounts with ``password_hash`` cannot.
"""

from __future__ import annotations

import re
import secrets

_RESPONSE = re.compile(r"\s*(.+?)\s+([0-9A-Fa-f]{32})\s*")


def challenge(hostname: str, now: float) -> bytes:
    """New for each login: an answer that was heard on the wire opens nothing."""
    return f"<{secrets.token_hex(12)}.{int(now)}@{hostname}>".encode("ascii", "replace")


def response(answer: bytes) -> tuple[str, str]:
    """Login and digest. Raises ``ValueError``."""
    match = _RESPONSE.fullmatch(answer.decode("utf-8"))
    if match is None:
        raise ValueError("no login and digest")
    return match[1], match[2]
