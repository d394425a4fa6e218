"""A secret in every spelling that a program might write it in, and where in some bytes one of them stands."""

from __future__ import annotations

import base64
import html
import json
from collections.abc import Iterator, Mapping
from urllib.parse import quote, quote_plus

CHARSETS = ("utf-8", "cp1251", "koi8-r", "cp866", "iso8859-5", "utf-16-le", "utf-16-be")


def spellings(secret: str) -> Iterator[tuple[str, bytes]]:
    """Names and bytes, in lower case: letter case is not looked at."""
    for charset in CHARSETS:
        try:
            raw = secret.encode(charset)
        except UnicodeEncodeError:
            continue
        yield charset, raw.lower()
        yield f"{charset} reversed", raw[::-1].lower()
        yield f"{charset} hex", raw.hex().encode()
        yield f"{charset} escaped", repr(raw)[2:-1].lower().encode()
        yield f"{charset} url", quote(raw, safe="").lower().encode()
        yield f"{charset} form", quote_plus(raw).lower().encode()
        yield f"{charset} quoted-printable", "".join(_qp(octet) for octet in raw).lower().encode()
        for shift in range(3):  # base64 of whatever stands before it
            coded = base64.b64encode(b"\0" * shift + raw)[(0, 2, 3)[shift] : -4]
            yield f"{charset} base64+{shift}", coded.lower()
            yield f"{charset} base64url+{shift}", coded.replace(b"+", b"-").replace(b"/", b"_").lower()
    yield "json", json.dumps(secret)[1:-1].lower().encode()
    yield "python", secret.encode("unicode_escape").lower()
    yield "html", html.escape(secret).lower().encode()
    yield "html numbers", "".join(c if c.isascii() else f"&#{ord(c)};" for c in secret).lower().encode()
    yield "utf-8 as latin-1", secret.encode().decode("latin-1").lower().encode()
    if not secret.isascii():
        yield "other case", secret.swapcase().encode()


def _qp(octet: int) -> str:
    return chr(octet) if 33 <= octet <= 126 and octet != 61 else f"={octet:02X}"


def leaks(secrets: Mapping[str, str], where: Mapping[str, bytes]) -> list[str]:
    """``password of main as utf-8 base64+1 in log: …``: one line for each leak, none is the aim."""
    found = []
    needles = {name: dict(spellings(secret)) for name, secret in secrets.items()}
    for place, content in where.items():
        folded = content.lower()
        unfolded = folded.replace(b"=\r\n", b"").replace(b"=\n", b"")  # quoted-printable breaks lines
        for name, spelled in needles.items():
            for spelling, needle in spelled.items():
                at = folded.find(needle)
                if at >= 0 or (len(unfolded) < len(folded) and needle in unfolded):
                    around = content[max(0, at - 120) : at + 20]
                    found.append(f"{name} as {spelling} in {place}: …{around!r}")
                    break
    return found
