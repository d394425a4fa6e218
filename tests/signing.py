"""DKIM keys and signatures for tests."""

from __future__ import annotations

import subprocess
from functools import cache
from typing import Any

import dkim

from tests.names import quoted


@cache
def key(bits: int = 1024) -> bytes:
    """A private RSA key, PEM."""
    command = ["openssl", "genrsa", "-traditional", str(bits)]
    return subprocess.run(command, check=True, capture_output=True).stdout


@cache
def record(bits: int = 1024, more: str = "") -> str:
    """The public key as a TXT record."""
    command = ["openssl", "rsa", "-pubout"]
    pem = subprocess.run(command, check=True, capture_output=True, input=key(bits)).stdout.decode()
    return quoted(f"v=DKIM1; {more}k=rsa; p={''.join(pem.splitlines()[1:-1])}")


FIELDS = ("from", "to", "subject", "content-type", "date", "message-id")


def signed(
    mail: bytes, domain: str = "bank.example", *, fields: tuple[str, ...] = FIELDS, bits: int = 1024, **more: Any
) -> bytes:
    """The mail with a signature on top, by the selector s1."""
    names = [name.encode() for name in fields]
    more = {"canonicalize": (b"relaxed", b"relaxed"), **more}
    return bytes(dkim.sign(mail, b"s1", domain.encode(), key(bits), include_headers=names, **more)) + mail
