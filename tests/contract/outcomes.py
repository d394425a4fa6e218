"""What the drivers' tests share: tables of answers and what they mean, a clock, a sandbox behind HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import yaml
from aiohttp.test_utils import TestServer

from gateway.model import Deferred, Outcome, Rejected, Submitted, Uncertain
from gateway.providers.http import HttpUpstream
from gateway.sandbox.platform import Platform
from gateway.sandbox.web import application

Row = dict[str, Any]
TABLES = Path(__file__).parents[1] / "providers"


def rows(table: str) -> list[Row]:
    """Of ``tests/providers``."""
    loaded: list[Row] = yaml.safe_load((TABLES / table).read_text("utf-8"))
    return loaded


def means(outcome: Outcome, row: Row) -> None:
    """The outcome is what the row says. ``id``, ``code``, ``scope`` and ``after_s`` are of their kinds."""
    match outcome:
        case Submitted(provider_id=provider_id, remark=remark, cost=cost):
            assert (row["outcome"], row["id"], row.get("cost", "")) == ("submitted", provider_id, cost)
            assert bool(remark) == (provider_id is None)
        case Rejected(refusal=refusal, alert=alert):
            assert (row["outcome"], row["code"], row.get("alert", False)) == ("rejected", refusal.code, alert)
        case Deferred(scope=scope, after_s=after_s):
            assert (row["outcome"], row["scope"], row.get("after_s")) == ("deferred", scope.value, after_s)
        case Uncertain():
            assert row["outcome"] == "uncertain"


class Clock:
    """Stands until it is moved."""

    now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


@asynccontextmanager
async def sandbox_upstream(platform: Platform, made: Callable[[str], HttpUpstream]) -> AsyncIterator[HttpUpstream]:
    """An account at the platform, over real HTTP; ``made`` of the sandbox's address."""
    server = TestServer(application(platform))
    await server.start_server()
    opened = made(str(server.make_url("")).rstrip("/"))
    yield opened
    await opened.close()
    await server.close()
