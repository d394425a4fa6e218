"""What every answer of the console carries, and what becomes of our own faults."""

from __future__ import annotations

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.service.health import cause, is_away
from gateway.web.faults import tell
from gateway.web.problems import Problem

log = structlog.get_logger()

MAX_BODY = 16 * 2**20
"""Bytes of a request; the largest is a mail to explain, or a list of numbers."""
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=()",
}


class _TooLarge(Exception):
    pass


class Shield:
    """The outermost layer."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = False
        is_static = scope["path"].startswith("/static/")
        size = 0

        async def bounded() -> Message:
            nonlocal size
            message = await receive()
            size += len(message.get("body", b""))
            if size > MAX_BODY:
                raise _TooLarge
            return message

        async def shielded(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
                headers.setdefault("Cache-Control", "max-age=3600" if is_static else "no-store")
                if scope["scheme"] == "https":
                    headers.setdefault("Strict-Transport-Security", "max-age=31536000")
            await send(message)

        if int(Headers(scope=scope).get("Content-Length") or 0) > MAX_BODY:
            await _told(scope, 413)(scope, receive, shielded)
            return
        try:
            await self._app(scope, bounded, shielded)
        except _TooLarge:
            if not started:
                await _told(scope, 413)(scope, receive, shielded)
        except Exception as error:
            status = 503 if is_away(error) else 500
            if status == 503:
                log.warning("web.store_away", path=scope["path"], why=cause(error))
            else:
                log.exception("web.fault", method=scope["method"], path=scope["path"], alert=True)
            if not started:
                await _told(scope, status)(scope, receive, shielded)


def _told(scope: Scope, status: int) -> Response:
    try:
        return tell(Request(scope), Problem(status))
    except Exception:
        log.exception("web.fault", method=scope["method"], path=scope["path"], alert=True)
        return PlainTextResponse(f"{Problem(status).title}\n", status)
