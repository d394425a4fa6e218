"""What an HTTP answer means that does not speak the provider's language: the web server in front has answered."""

from __future__ import annotations

from gateway.model import Deferred, Outcome, Rejected, Response, Scope, Uncertain
from gateway.sms.numbers import mask
from gateway.verdicts import PROVIDER_UNKNOWN_ANSWER, Refusal

_NOT_REACHED = frozenset({301, 302, 303, 307, 308, 401, 403, 404, 405, 407, 410})
"""The script has not run: the address or the permission is wrong."""
_LATER = frozenset({408, 425, 429, 503})


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
    for secret in sorted({*secrets} - {""}, key=len, reverse=True):
        answer = answer.replace(secret, "***")
    for number in numbers:
        answer = answer.replace(number, mask(number))
    return " ".join(answer.split())[:200]
