"""``/tokens``: what programs show here."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field

from gateway.policy.permissions import Scope, Visitor
from gateway.service.tokens import Token
from gateway.web.api.people import moment
from gateway.web.needs import Services, needs
from gateway.web.problems import Problem, problems

router = APIRouter(tags=["tokens"])


class TokenShown(BaseModel):
    """A token, without its secret: that is stored nowhere."""

    id: str
    name: str
    login: str | None = Field(description="Whose it is: it may never more than he. null: the house's.")
    scopes: list[Scope]
    accounts: list[str] | None = Field(description="Only what belongs to these is shown; null: all.")
    created_at: datetime | None
    expires_at: datetime | None
    used_at: datetime | None = Field(description="To the minute.")


class Tokens(BaseModel):
    """All of them: there are no further pages."""

    items: list[TokenShown]
    next: str | None = None


class TokenAsked(BaseModel):
    """A new one."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(min_length=1, max_length=80)
    scopes: list[Scope] = Field(min_length=1, description="None that the caller has not.")
    accounts: list[str] | None = Field(None, description="null: all that the caller sees.")
    days: int | None = Field(None, ge=1, le=3650, description="null: until it is revoked.")


class TokenMade(TokenShown):
    """And its secret, shown once."""

    token: str


def _shown(token: Token) -> TokenShown:
    return TokenShown(
        id=token.id,
        name=token.name,
        login=token.login,
        scopes=sorted(token.scopes),
        accounts=None if token.accounts is None else sorted(token.accounts),
        created_at=moment(token.created_at),
        expires_at=moment(token.expires_at),
        used_at=moment(token.used_at),
    )


def _owner(request: Request, visitor: Visitor) -> str | None:
    """Whose tokens these are: one's own. Programs manage tokens only if they may manage all."""
    user = request.state.visit.user
    if user is None and not visitor.may(Scope.ADMIN):
        raise Problem(403, "This is for people, or needs: admin")
    return None if user is None else str(user.login)


@router.get("/tokens", responses=problems())
async def list_tokens(request: Request, console: Services, visitor: Annotated[Visitor, needs()]) -> Tokens:
    """Who may manage people sees all, others their own."""
    owner = _owner(request, visitor)
    found = await console.tokens.listed(None if visitor.may(Scope.ADMIN) else owner)
    return Tokens(items=[_shown(token) for token in found])


@router.post("/tokens", status_code=201, responses=problems())
async def create_token(
    asked: TokenAsked, request: Request, console: Services, visitor: Annotated[Visitor, needs()]
) -> TokenMade:
    """Belongs to the caller, and may no more than he; a program makes tokens of the house."""
    owner = _owner(request, visitor)
    if missing := [scope.value for scope in asked.scopes if not visitor.may(scope)]:
        raise Problem(403, f"{visitor.login} may not: {', '.join(missing)}")
    accounts = visitor.accounts
    if asked.accounts is not None:
        if hidden := [account for account in asked.accounts if not visitor.sees(account)]:
            raise Problem(403, f"{visitor.login} does not see: {', '.join(hidden)}"[:200])
        accounts = frozenset(asked.accounts)
    token, secret = await console.tokens.create(
        asked.name,
        frozenset(asked.scopes),
        visitor.login,
        login=owner,
        accounts=accounts,
        lasting_s=asked.days * 86400.0 if asked.days is not None else None,
    )
    return TokenMade(**_shown(token).model_dump(), token=secret)


@router.delete("/tokens/{token}", status_code=204, responses=problems(404))
async def revoke_token(token: str, request: Request, console: Services, visitor: Annotated[Visitor, needs()]) -> None:
    """At once."""
    owner = _owner(request, visitor)
    if not await console.tokens.revoke(token, visitor.login, None if visitor.may(Scope.ADMIN) else owner):
        raise Problem(404, "There is no such token, or it is not yours.")
