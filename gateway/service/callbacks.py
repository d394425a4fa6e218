"""A provider reports: whose it is, what it says, on the disk before the provider hears that it was heard."""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from dataclasses import dataclass, replace

import structlog

from gateway.model import Callback, Response
from gateway.providers import Unsupported, Upstream
from gateway.service.receipts import Receipts
from gateway.verdicts import AUTH, Refused

log = structlog.get_logger()

NOT_FOUND = Response(404, b"")
"""The same for an unknown name, a wrong token and a provider that has nothing to say."""
FORBIDDEN = Response(403, b"")
NOT_UNDERSTOOD = Response(400, b"")
LATER = Response(503, b"")
"""The provider will say it again."""


@dataclass(frozen=True, slots=True)
class Reporter:
    """A provider that may report."""

    name: str
    upstream: Upstream
    url: str
    """As the provider sees it: ``…/NAME/TOKEN``."""


class Callbacks:
    """All providers that may report, by the last two parts of their addresses: what stands before is the proxy's."""

    def __init__(self, reporters: Mapping[str, Reporter], receipts: Receipts) -> None:
        self._reporters = reporters
        self._receipts = receipts

    async def take(self, name: str, token: str, callback: Callback) -> Response:
        """What to answer. ``callback.url`` is only the query of the address."""
        reporter = self._reporters.get(name)
        wanted = reporter.url.rpartition("/")[2] if reporter else ""
        if reporter is None or not hmac.compare_digest(wanted.encode(), token.encode()):
            log.warning("callback.unknown")
            return NOT_FOUND
        try:
            pushed = reporter.upstream.read_callback(replace(callback, url=reporter.url + callback.url))
        except Unsupported:
            return NOT_FOUND
        except Refused as refused:
            reason = refused.refusal.reason
            log.error("callback.refused", provider=reporter.name, reason=reason.key, alert=True)  # noqa: TRY400
            return FORBIDDEN if reason.verdict is AUTH else NOT_UNDERSTOOD
        try:
            await self._receipts.take(reporter.name, pushed)
        except Exception:
            log.exception("callback.fault", provider=reporter.name, alert=True)
            return LATER
        return pushed.answer
