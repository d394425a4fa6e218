"""What is settled before a request is looked at: where it comes from, by which door, and who writes it down."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from fastapi import Request
from fastapi.responses import Response
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from gateway.service.audit import DOOR, Doorway
from gateway.settings.values import Network
from gateway.sms.numbers import mask
from gateway.web import cookies
from gateway.web.console import Console
from gateway.web.gate import Visit

_SAFE = {"GET", "HEAD", "OPTIONS"}
_NUMBER = re.compile(r"\+?\d{7,15}")


class Doorstep:
    """The outermost layer. Who the client is, only ``proxies`` may say; who called us stays in ``state.peer``."""

    def __init__(self, app: ASGIApp, proxies: Sequence[Network]) -> None:
        known = [str(network) for network in proxies]
        self._app: Any = ProxyHeadersMiddleware(app, known) if known else app  # type: ignore[arg-type]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] == "http":
            client = scope.get("client")
            scope.setdefault("state", {})["peer"] = client[0] if client else ""
            DOOR.set(Doorway("api" if scope["path"].startswith("/api/") else "console"))
        await self._app(scope, receive, send)


class Recorder:
    """Writes down what people change, before they hear that it is done: whatever the route is, unless its service has
    done so already, or it was ``needs.looked_only``. What was refused is not there. A session that began with the
    request gets its cookie here."""

    def __init__(self, app: ASGIApp, console: Console) -> None:
        self._app = app
        self._console = console

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def recorded(message: Message) -> None:
            if message["type"] == "http.response.start":
                visit = scope["state"].get("visit")
                if visit is not None and scope["method"] not in _SAFE and message["status"] < 400:
                    await self._record(scope, visit)
                if visit is not None and visit.begun:
                    self._remember(scope, visit, MutableHeaders(scope=message))
            await send(message)

        await self._app(scope, receive, recorded)

    def _remember(self, scope: Scope, visit: Visit, headers: MutableHeaders) -> None:
        carrier, settings = Response(), self._console.configuration().settings.console
        assert settings is not None
        cookies.give(Request(scope), self._console, carrier, visit.begun, settings.session_longest)
        headers.append("Set-Cookie", carrier.headers["Set-Cookie"])

    async def _record(self, scope: Scope, visit: Visit) -> None:
        endpoint, door = scope.get("endpoint"), DOOR.get(None)
        if endpoint is None or (door is not None and door.noted) or scope["state"].get("looked_only"):
            return
        what = f"{endpoint.__module__.rpartition('.')[2]}.{endpoint.__name__}"
        subject = " ".join(_masked(str(value)) for value in scope.get("path_params", {}).values())
        await self._console.audit.note(visit.visitor.login, what, subject)


def _masked(value: str) -> str:
    return mask(value) if _NUMBER.fullmatch(value) else value[:100]
