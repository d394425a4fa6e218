"""What an answer means that is not the provider's but its web server's, or nobody's. Shared by the drivers on HTTP."""

from __future__ import annotations

from gateway.model import Deferred, Outcome, Rejected, Response, Scope, Uncertain
from gateway.verdicts import PROVIDER_UNKNOWN_ANSWER, Refusal

_LATER = frozenset({408, 425, 429, 503})
"""The server did not get to it: RFC 9110, RFC 6585."""
_NOT_REACHED = frozenset({301, 302, 303, 307, 308, 401, 403, 404, 405, 407, 410})
"""The script has surely not run: the address or the permission is wrong, until somebody acts."""


def unreadable(response: Response, said: str) -> Outcome:
    """The outcome of an answer without any of the provider's known words. ``said`` is that answer, short, on one
    line, without secrets and numbers."""
    if response.status in _LATER:
        return Deferred(Scope.ROUTE, f"HTTP {response.status}")
    if response.status in _NOT_REACHED:
        return Deferred(Scope.PROVIDER, f"HTTP {response.status}: the address or the permission is wrong")
    answer = response.text
    if response.status >= 500 or not answer or answer.startswith("<"):
        return Uncertain(f"HTTP {response.status}, {said or 'empty answer'}")
    return Rejected(Refusal(PROVIDER_UNKNOWN_ANSWER, {"code": 0, "text": said}), alert=True)
