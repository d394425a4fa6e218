from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
import uvloop


def pytest_asyncio_loop_factories(item: pytest.Item) -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """``serve`` runs on uvloop, the command line on asyncio's own loop. They name lost connections differently."""
    loops: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {"asyncio": asyncio.new_event_loop}
    if item.path.name in ("test_http_upstream.py", "test_smpp.py", "test_smpp_peers.py"):
        loops["uvloop"] = uvloop.new_event_loop
    return loops
