"""What an HTTP answer means that does not speak the provider's language: the web server in front has answered."""

from __future__ import annotations

import base64
import html
import json
import re
from collections.abc import Iterator
from functools import lru_cache
from urllib.parse import quote, quote_plus
from xml.sax import saxutils

from gateway.model import Deferred, Outcome, Rejected, Response, Scope, Uncertain
from gateway.sms.numbers import mask
from gateway.verdicts import PROVIDER_UNKNOWN_ANSWER, Refusal

_NOT_REACHED = frozenset({301, 302, 303, 307, 308, 401, 403, 404, 405, 407, 410})
"""The script has not run: the address or the permission is wrong."""
_LATER = frozenset({408, 425, 429, 503})


_LOOKED_AT = 20_000
"""Characters of an answer of which 200 are shown."""


def unreadable(response: Response, said: str) -> Outcome:
    """``said`` are the provider's words, short and without secrets. What may have been taken is ``Uncertain``; words
    that nobody knows are a refusal that somebody must look at."""
    if response.status in _LATER:
        return Deferred(Scope.ROUTE, f"HTTP {response.status}")
    if response.status in _NOT_REACHED:
        return Deferred(Scope.PROVIDER, f"HTTP {response.status}: the address or the permission is wrong")
    if response.status >= 500 or not response.text or response.text.startswith("<"):
        return Uncertain(f"HTTP {response.status}, {said or 'empty answer'}")
    return Rejected(Refusal(PROVIDER_UNKNOWN_ANSWER, {"code": 0, "text": said}), alert=True)


def quoted(answer: str, secrets: tuple[str, ...], numbers: tuple[str, ...] = ()) -> str:
    """The provider's words on one line, cut, without secrets and with numbers masked."""
    answer = hidden(answer[:_LOOKED_AT], secrets)
    for number in numbers:
        answer = answer.replace(number, mask(number))
    return " ".join(answer.split())[:200]


def hidden(words: str, secrets: tuple[str, ...]) -> str:
    """Without the secrets, however the provider spells what it repeats of the request."""
    return _pattern(secrets).sub("***", words) if any(secrets) else words


@lru_cache(maxsize=256)
def _pattern(secrets: tuple[str, ...]) -> re.Pattern[str]:
    found = {spelling for secret in secrets if secret for spelling in _spellings(secret)}
    return re.compile("|".join(map(re.escape, sorted(found, key=len, reverse=True))), re.IGNORECASE)


def _spellings(secret: str) -> Iterator[str]:
    raw = secret.encode("utf-8", "surrogatepass")
    yield from (secret, quote(raw, safe=""), quote_plus(raw), json.dumps(secret)[1:-1], html.escape(secret))
    yield from (json.dumps(secret, ensure_ascii=False)[1:-1], saxutils.escape(secret), repr(secret)[1:-1], raw.hex())
    for before in range(3):  # base64, also of "user:password": three ways, by what stands before it
        coded = base64.b64encode(b"\0" * before + raw).decode()[(0, 2, 3)[before] :].rstrip("=")
        coded = coded[: (before + len(raw)) * 8 // 6 - (0, 2, 3)[before]]  # the last sign depends on what follows
        if len(coded) > 5:
            yield from (coded, coded.replace("+", "-").replace("/", "_"))
