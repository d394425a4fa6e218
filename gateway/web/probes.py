"""``/livez`` and ``/readyz`` of the console, for who has no ``metrics`` section. They ask nobody who he is, so they say
little: the checks one by one are for ``metrics.bind``."""

from __future__ import annotations

from fastapi import APIRouter
from fastapi.responses import PlainTextResponse

from gateway.web.needs import Services

router = APIRouter()


@router.get("/livez", response_class=PlainTextResponse)
async def livez() -> str:
    """Whoever reads this knows that the loop turns."""
    return "ok\n"


@router.get("/readyz", response_class=PlainTextResponse)
async def readyz(console: Services) -> PlainTextResponse:
    """Whether mail may come."""
    found = await console.health.ready()
    wrong = ", ".join(check.name for check in found.checks if not check.ok)
    return PlainTextResponse(f"{wrong or 'ok'}\n", 503 if wrong else 200)
