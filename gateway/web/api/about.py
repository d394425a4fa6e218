"""``GET /about``."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter
from pydantic import BaseModel

from gateway import __version__
from gateway.policy.permissions import Scope, Visitor
from gateway.web.needs import needs
from gateway.web.problems import problems

router = APIRouter(tags=["about"])


class About(BaseModel):
    """The gateway, and who asks."""

    version: str
    login: str
    scopes: list[Scope]


@router.get("/about", responses=problems())
async def about(visitor: Annotated[Visitor, needs()]) -> About:
    """Which version answers, and what this token may do."""
    return About(version=__version__, login=visitor.login, scopes=sorted(visitor.scopes))
