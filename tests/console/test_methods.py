"""Methods: HEAD wherever GET is, and ``Allow`` where something else was asked for."""

from __future__ import annotations

import asyncio
from pathlib import Path

import httpx

from gateway.daemon.console import console_of
from gateway.policy.people import User
from tests.browser import CONSOLE, base, link
from tests.running import running

PATHS = (
    *("/", "/messages", "/login", "/livez", "/static/console.css", "/nothing", "/phones", "/audit.csv"),
    *("/api/v1/openapi.json", "/api/v1/about", "/api/v1/nothing", "/api/v1/messages/export"),
)
ALLOWED = {
    ("PUT", "/messages"): "GET, HEAD",
    ("DELETE", "/login"): "GET, HEAD, POST",
    ("POST", "/livez"): "GET, HEAD",
    ("GET", "/messages/x/hold"): "POST",
    ("HEAD", "/logout"): "POST",
    ("PATCH", "/static/console.css"): "GET, HEAD",
    ("PUT", "/api/v1/users/anna"): "DELETE, GET, HEAD, PATCH",
    ("POST", "/api/v1/openapi.json"): "GET, HEAD",
}


async def test_head_is_get_without_the_body(tmp_path: Path) -> None:
    async with running(tmp_path, CONSOLE) as daemon, httpx.AsyncClient(base_url=base(daemon)) as client:
        await client.get(link(daemon))
        for path in PATHS:
            whole, head = await client.get(path), await client.head(path)
            assert (head.status_code, head.content) == (whole.status_code, b""), path
            for name in ("content-type", "content-security-policy", "content-disposition", "cache-control"):
                assert head.headers.get(name) == whole.headers.get(name), (path, name)
        async with asyncio.timeout(5):  # a stream has no end
            stream = await client.head("/api/v1/events")
        assert stream.headers["content-type"].startswith("text/event-stream")
        assert console_of(daemon).feed.listeners == 0


async def test_a_preview_uses_no_link_up(tmp_path: Path) -> None:
    async with running(tmp_path, CONSOLE) as daemon, httpx.AsyncClient(base_url=base(daemon)) as client:
        opened = link(daemon, User("vera"))
        head = await client.head(opened)
        assert (head.status_code, "set-cookie" in head.headers) == (200, False)
        assert (await client.get(opened)).status_code == 303


async def test_who_asks_otherwise_is_told_how(tmp_path: Path) -> None:
    async with running(tmp_path, CONSOLE) as daemon, httpx.AsyncClient(base_url=base(daemon)) as client:
        for (method, path), allowed in ALLOWED.items():
            answer = await client.request(method, path)
            assert (answer.status_code, answer.headers.get("allow")) == (405, allowed), (method, path)
