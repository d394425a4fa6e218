"""The session's cookie, and where somebody goes who has come in."""

from __future__ import annotations

from urllib.parse import urlsplit

from fastapi import Request
from fastapi.responses import Response

from gateway.web.console import Console

NAME = "email2sms"


def is_https(request: Request, console: Console) -> bool:
    """Whether the browser speaks HTTPS, to us or to a proxy in front."""
    if request.url.scheme == "https":
        return True
    public = urlsplit(console.configuration().console_url)
    return public.scheme == "https" and request.headers.get("Host") == public.netloc


def name(request: Request, console: Console, of: str = NAME) -> str:
    """``__Host-`` ties a cookie to this host and to HTTPS: neither a neighbour nor plain HTTP can set it."""
    return f"__Host-{of}" if is_https(request, console) else of


def give(request: Request, console: Console, answer: Response, secret: str, lasting_s: float, of: str = NAME) -> None:
    """Not for scripts, and not with other sites' requests but for links that lead here."""
    answer.set_cookie(
        name(request, console, of),
        secret,
        max_age=round(lasting_s),
        path="/",
        secure=is_https(request, console),
        httponly=True,
        samesite="lax",
    )


def take(request: Request, console: Console, answer: Response, of: str = NAME) -> None:
    """It is gone."""
    answer.delete_cookie(name(request, console, of), path="/", secure=is_https(request, console), httponly=True)


def inside(target: str) -> str:
    """A page of ours; an address elsewhere becomes the first page."""
    is_ours = target.startswith("/") and not target.startswith(("//", "/\\")) and target.isprintable()
    return target if is_ours else "/"
