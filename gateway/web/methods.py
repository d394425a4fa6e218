"""What HTTP says of methods: HEAD is answered as GET without the body, and who asks by another one is told which
there are (RFC 9110 §9.3.2, §15.5.6)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress

from fastapi import APIRouter, Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send


class _Enough(Exception):
    """The headers are out; the body, perhaps an endless one, is not wanted."""


class Head:
    """HEAD, wherever GET is. Routes see GET, and ``only_head`` tells those that a look would use up."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] != "http" or scope["method"] != "HEAD":
            await self._app(scope, receive, send)
            return

        async def headers_only(message: Message) -> None:
            await send(message)
            if message["type"] == "http.response.start":
                await send({"type": "http.response.body", "body": b""})
                raise _Enough

        scope["state"]["only_head"] = True
        with suppress(_Enough):
            await self._app({**scope, "method": "GET"}, receive, headers_only)


def only_head(request: Request) -> bool:
    """Whether nobody will read the page."""
    return bool(getattr(request.state, "only_head", False))


def allowed(path: str, routers: Iterable[tuple[str, Sequence[APIRouter]]]) -> str:
    """``Allow`` of a path; ``routers`` by the prefix under which they are."""
    methods: set[str] = set()
    for prefix, found in routers:
        if path.startswith(prefix):
            rest = path.removeprefix(prefix)
            for router in found:
                for route in router.routes:
                    if route.path_regex.match(rest):  # type: ignore[attr-defined]
                        methods |= route.methods  # type: ignore[attr-defined]
    return ", ".join(sorted(methods | {"HEAD"} if "GET" in methods else methods))
