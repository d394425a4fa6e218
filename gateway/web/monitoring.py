"""``/metrics`` for Prometheus, ``/livez`` and ``/readyz`` for who restarts and balances."""

from __future__ import annotations

from dataclasses import asdict

from aiohttp import web

from gateway.service.gauges import CONTENT_TYPE_LATEST, Page
from gateway.service.health import Health

_PAGE: web.AppKey[Page] = web.AppKey("page", Page)
_HEALTH: web.AppKey[Health] = web.AppKey("health", Health)


def application(page: Page, health: Health) -> web.Application:
    """The site of ``metrics.bind``."""
    app = web.Application()
    app[_PAGE], app[_HEALTH] = page, health
    app.add_routes([web.get("/metrics", _metrics), web.get("/livez", _livez), web.get("/readyz", _readyz)])
    return app


async def _metrics(request: web.Request) -> web.Response:
    return web.Response(body=await request.app[_PAGE].read(), headers={"Content-Type": CONTENT_TYPE_LATEST})


async def _livez(_request: web.Request) -> web.Response:
    """Whoever reads this knows that the loop turns."""
    return web.Response(text="ok\n")


async def _readyz(request: web.Request) -> web.Response:
    """One line; each check and the providers, as JSON, for ``?verbose``."""
    health = request.app[_HEALTH]
    found = await health.ready()
    status = 200 if found.ready else 503
    if "verbose" not in request.query:
        return web.Response(text=found.line + "\n", status=status)
    checks = [asdict(check) for check in found.checks]
    providers = [asdict(provider) for provider in await health.providers()]
    return web.json_response({"ready": found.ready, "checks": checks, "providers": providers}, status=status)
