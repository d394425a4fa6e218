"""Clients that took this port for another: what they speak, and what they are told."""

from __future__ import annotations

import ssl

HTTP_METHODS = frozenset({"GET", "POST", "HEAD", "PUT", "CONNECT", "OPTIONS", "DELETE", "PATCH", "PRI"})
"""No SMTP command is called so."""
_TLS_HELLO = b"\x16\x03"
SAY_TLS = "421 4.7.0 this is SMTP, which begins in clear: no TLS from the first byte on this port"
SAY_STARTTLS = "421 4.7.0 this is SMTP, which begins in clear: use STARTTLS here, not TLS from the first byte"
SAY_HTTP = "421 4.7.0 this is SMTP, not HTTP"
_NO_TLS = {"HTTP_REQUEST": "HTTP", "WRONG_VERSION_NUMBER": "SMTP without TLS", "HTTPS_PROXY_REQUEST": "HTTP"}
"""How OpenSSL calls first bytes that are no TLS."""


def is_tls(data: bytes) -> bool:
    """A ClientHello, where a command should be."""
    return data.startswith(_TLS_HELLO)


def why_no_handshake(error: OSError) -> tuple[str, str]:
    """What the client speaks, if it is not TLS, and why the handshake failed, in OpenSSL's word."""
    if isinstance(error, ConnectionAbortedError):  # asyncio's word for too slow
        return "SMTP without TLS: it waits for a greeting", "timeout"
    reason = getattr(error, "reason", None) if isinstance(error, ssl.SSLError) else None
    return _NO_TLS.get(str(reason), ""), str(reason or type(error).__name__)
