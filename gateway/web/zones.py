"""The clock on the visitor's wall: his browser tells its time zone in a cookie (``static/console.js``)."""

from __future__ import annotations

from datetime import tzinfo

from fastapi import Request

from gateway.strict import zone

COOKIE = "zone"


def told_zone(request: Request) -> str:
    """As the browser says, whether we know it or not."""
    return request.cookies.get(COOKIE, "")[:64]


def zone_of(request: Request) -> tzinfo | None:
    """None: it has not said so, or what we do not know. The clock of the gateway's machine counts then."""
    told = told_zone(request)
    try:
        return zone(told) if told else None
    except ValueError:
        return None
