"""Where providers report to: ``…/NAME/TOKEN``, by any method."""

from __future__ import annotations

from urllib.parse import unquote

from aiohttp import web

from gateway.model import Callback
from gateway.service.callbacks import Callbacks

MAX_BYTES = 262_144
_CALLBACKS = web.AppKey("callbacks", Callbacks)


def application(callbacks: Callbacks) -> web.Application:
    """Nothing else is to be found there."""
    app = web.Application(client_max_size=MAX_BYTES)
    app[_CALLBACKS] = callbacks
    app.router.add_route("*", "/{path:.*}", _report)
    return app


async def _report(request: web.Request) -> web.Response:
    *_, name, token = ["", *map(unquote, request.rel_url.raw_path.strip("/").split("/"))]
    query = request.rel_url.raw_query_string
    callback = Callback(
        method=request.method,
        url=f"?{query}" if query else "",
        query=tuple(request.query.items()),
        headers={key.lower(): value for key, value in request.headers.items()},
        body=await request.read(),
    )
    answer = await request.app[_CALLBACKS].take(name, token, callback)
    return web.Response(status=answer.status, body=answer.body, headers=dict(answer.headers))
