"""``/me`` and ``/users``: who asks, and who may come in."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from gateway.policy.permissions import Role, Scope, Visitor
from gateway.service.people import LastAdmin, Taken, Unknown, User
from gateway.web.needs import Services, needs
from gateway.web.problems import Problem, problems

router = APIRouter(tags=["people"])

Admin = Annotated[Visitor, needs(Scope.ADMIN)]


def moment(at: float | None) -> datetime | None:
    """RFC 3339, UTC."""
    return None if at is None else datetime.fromtimestamp(at, UTC)


class Me(BaseModel):
    """Who asks."""

    login: str
    scopes: list[Scope]
    accounts: list[str] | None = Field(description="Only what belongs to these is shown; null: all.")
    language: str | None


class Person(BaseModel):
    """A user of the console."""

    login: str
    role: Role
    texts: bool = Field(description="May read what people wrote.")
    accounts: list[str] | None = Field(description="Sees only what belongs to these; null: all.")
    disabled: bool
    has_password: bool
    openid: bool = Field(description="Has signed in with the OpenID provider.")
    created_at: datetime | None
    seen_at: datetime | None = Field(description="When he last signed in.")


class People(BaseModel):
    """All of them: there are no further pages."""

    items: list[Person]
    next: str | None = None


class Invitation(BaseModel):
    """A new user."""

    model_config = ConfigDict(extra="forbid")

    login: str = Field(max_length=200)
    role: Role = Role.VIEWER
    texts: bool = False
    accounts: list[str] | None = None


class Invited(Person):
    """And where he chooses a password."""

    link: str


class Changes(BaseModel):
    """What is left out stays as it is."""

    model_config = ConfigDict(extra="forbid")

    role: Role | None = None
    texts: bool | None = None
    accounts: list[str] | None = Field(None, description="null: all of them; left out: as it is.")
    disabled: bool | None = None


class NewLink(BaseModel):
    """Good once, and for an hour."""

    link: str


def _person(user: User) -> Person:
    return Person(
        login=user.login,
        role=user.role,
        texts=user.texts,
        accounts=None if user.accounts is None else sorted(user.accounts),
        disabled=user.disabled,
        has_password=user.password_hash is not None,
        openid=user.subject is not None,
        created_at=moment(user.created_at),
        seen_at=moment(user.seen_at),
    )


@router.get("/me", responses=problems())
async def who_am_i(visitor: Annotated[Visitor, needs()]) -> Me:
    """Who asks, and what he or this token may."""
    accounts = None if visitor.accounts is None else sorted(visitor.accounts)
    return Me(login=visitor.login, scopes=sorted(visitor.scopes), accounts=accounts, language=visitor.language)


@router.get("/users", responses=problems())
async def list_users(console: Services, visitor: Admin) -> People:
    """Who may come into the console, by login."""
    del visitor
    return People(items=[_person(user) for user in await console.people.all()])


@router.post("/users", status_code=201, responses=problems(409))
async def invite_user(given: Invitation, console: Services, visitor: Admin) -> Invited:
    """A new user. The link, good once and for three days, is where he chooses a password."""
    accounts = None if given.accounts is None else frozenset(given.accounts)
    user = User(given.login, given.role, given.texts, accounts)
    try:
        link = await console.people.invite(user, visitor.login)
    except Taken:
        raise Problem(409, "There is a user of that login.") from None
    except ValueError as fault:
        raise Problem(422, str(fault)) from None
    made = await _found(console, given.login)
    return Invited(**_person(made).model_dump(), link=link)


async def _found(console: Services, login: str) -> User:
    user = await console.people.find(login)
    if user is None:
        raise Problem(404, "There is no such user.")
    return user


@router.get("/users/{login}", responses=problems(404))
async def get_user(login: str, console: Services, visitor: Admin) -> Person:
    """One of them."""
    del visitor
    return _person(await _found(console, login))


@router.patch("/users/{login}", responses=problems(404, 409))
async def change_user(login: str, changes: Changes, console: Services, visitor: Admin) -> Person:
    """What he may. Who is disabled is out at once."""
    given = changes.model_dump(exclude_unset=True)
    if "accounts" in given and given["accounts"] is not None:
        given["accounts"] = frozenset(given["accounts"])
    for name in ("role", "texts", "disabled"):
        if given.get(name, "") is None:
            del given[name]
    user = await _found(console, login)
    try:
        return _person(await console.people.change(user.login, visitor.login, lambda user: replace(user, **given)))
    except Unknown:
        raise Problem(404, "There is no such user.") from None
    except LastAdmin:
        raise Problem(409, "He is the last admin: make another one first.") from None


@router.delete("/users/{login}", status_code=204, responses=problems(404, 409))
async def remove_user(login: str, console: Services, visitor: Admin) -> None:
    """With his sessions and tokens. What he did stays in the audit."""
    user = await _found(console, login)
    try:
        await console.people.remove(user.login, visitor.login)
    except Unknown:
        raise Problem(404, "There is no such user.") from None
    except LastAdmin:
        raise Problem(409, "He is the last admin: make another one first.") from None


@router.post("/users/{login}/link", status_code=201, responses=problems(404))
async def link_user(login: str, console: Services, visitor: Admin) -> NewLink:
    """A link where he chooses a new password: good once and for an hour. It voids the one before."""
    user = await _found(console, login)
    return NewLink(link=await console.people.link(user.login, visitor.login))


@router.delete("/users/{login}/sessions", status_code=204, responses=problems(404))
async def end_sessions(login: str, console: Services, visitor: Admin) -> None:
    """Sign him out everywhere."""
    user = await _found(console, login)
    await console.sessions.end(user.login, visitor.login)
