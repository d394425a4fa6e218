"""The look of the console: kept in the browser."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from fastapi.responses import RedirectResponse

from gateway.web.cookies import inside
from gateway.web.rendering import THEMES
from gateway.web.wording import LANGUAGES

router = APIRouter()
_YEAR_S = 365 * 86400


@router.get("/look")
async def look(
    theme: Annotated[str | None, Query()] = None,
    language: Annotated[str | None, Query()] = None,
    back: Annotated[str, Query()] = "/",
) -> RedirectResponse:
    """Light or dark, and the language."""
    answer = RedirectResponse(inside(back), 303)
    if theme in THEMES:
        answer.set_cookie("theme", theme, max_age=_YEAR_S, samesite="lax", httponly=True)
    if language in LANGUAGES:
        answer.set_cookie("language", language, max_age=_YEAR_S, samesite="lax", httponly=True)
    return answer
