"""PGP inside the text (RFC 9580 §7): signed text without its armour. Signatures are not checked."""

from __future__ import annotations

import re

_ENCRYPTED = "-----BEGIN PGP MESSAGE-----"
_SIGNED = "-----BEGIN PGP SIGNED MESSAGE-----"
_SIGNATURE = "\n-----BEGIN PGP SIGNATURE-----"
_DASH_ESCAPE = re.compile(r"^- ", re.MULTILINE)


def is_encrypted(text: str) -> bool:
    """Whether the text begins with an encrypted message."""
    return text.lstrip().startswith(_ENCRYPTED)


def unsigned(text: str) -> str | None:
    """What was signed; None for a text that begins otherwise."""
    text = text.lstrip()
    if not text.startswith(_SIGNED):
        return None
    _armour, _, signed = text.partition("\n\n")
    return _DASH_ESCAPE.sub("", signed.partition(_SIGNATURE)[0])
