"""The way through the console."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from fastapi import Request

from gateway.policy.permissions import Scope
from gateway.web.needs import console_of


@dataclass(frozen=True, slots=True)
class Entry:
    """A link of the menu; its words are ``navigation.NAME``, its icon ``NAME`` of ``_icons.html``."""

    name: str
    path: str
    group: str
    scope: Scope = Scope.READ


ENTRIES = (
    Entry("overview", "/", "watch"),
    Entry("messages", "/messages", "watch"),
    Entry("live", "/live", "watch"),
    Entry("queue", "/queue", "watch"),
    Entry("rejected", "/rejected", "watch"),
    Entry("reports", "/reports", "watch"),
    Entry("compose", "/compose", "try", Scope.SEND),
    Entry("explain", "/explain", "try"),
    Entry("phones", "/phones", "try"),
    Entry("connect", "/connect", "try"),
    Entry("accounts", "/accounts", "manage"),
    Entry("lists", "/lists", "manage"),
    Entry("providers", "/providers", "manage"),
    Entry("people", "/people", "manage", Scope.ADMIN),
    Entry("audit", "/audit", "manage", Scope.ADMIN),
    Entry("api", "/api", "manage"),
)

OF_THE_HOUSE = ("phones", "providers")
"""Not for who sees only some accounts."""


def entries(request: Request) -> Iterator[tuple[Entry, bool]]:
    """What this visitor finds in the menu, and whether he is there."""
    visitor = request.state.visit.visitor
    there = request.app.state.paths
    path = request.url.path
    for entry in ENTRIES:
        if entry.path not in there or not visitor.may(entry.scope):
            continue
        if entry.name in OF_THE_HOUSE and visitor.accounts is not None:
            continue
        if entry.name == "phones" and console_of(request).phones is None:
            continue
        yield entry, path == entry.path or (entry.path != "/" and path.startswith(f"{entry.path}/"))
