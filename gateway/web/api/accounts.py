"""``/accounts`` and their keys."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Response
from pydantic import BaseModel, ConfigDict, Field, SecretStr, StrictBool

from gateway.policy.permissions import Scope, Visitor
from gateway.service.accounts import Entry, Key, Limit
from gateway.web.needs import Services, needs
from gateway.web.problems import problems
from gateway.web.tenancy import check_sees, check_settings, seen, told

router = APIRouter(tags=["accounts"])

Reads = Annotated[Visitor, needs(Scope.READ)]
Changes = Annotated[Visitor, needs(Scope.READ, Scope.ACCOUNTS)]
Login = Annotated[str, Path(max_length=255)]
KeyId = Annotated[int, Path(ge=1, le=2**53)]


class Body(BaseModel):
    """What is sent; unknown keys are mistakes."""

    model_config = ConfigDict(extra="forbid")


class Used(BaseModel):
    """A cap, and what has been used up of it in this hour or day (UTC)."""

    name: str
    used: float
    limit: float


class KeyShown(BaseModel):
    """An API key; nobody can read it again. ``id`` 0: it is in the accounts file."""

    id: int
    name: str
    prefix: str
    active: bool
    created_at: datetime | None


class AccountShown(BaseModel):
    """An account. ``settings`` as in accounts.yaml, without secrets."""

    login: str
    enabled: bool
    provisioned: bool
    shadowed: bool
    fault: str | None
    password: bool
    settings: dict[str, Any]
    keys: list[KeyShown]
    used: list[Used]
    changed_at: datetime | None


class AccountPage(BaseModel):
    """Some accounts, by login."""

    items: list[AccountShown]
    next: str | None


class NewAccount(Body):
    """An account to be; it has no credentials yet."""

    login: str = Field(min_length=1, max_length=255)
    settings: dict[str, Any] = Field(default_factory=dict)
    enabled: StrictBool = True


class Settings(Body):
    """All settings of an account. A webhook without a secret keeps the one that it has."""

    settings: dict[str, Any]


class NewPassword(Body):
    """None: one is made up."""

    password: SecretStr | None = Field(None, min_length=1, max_length=255)


class Password(BaseModel):
    """The password, where it was made up: it is shown once."""

    password: str | None


class NewKey(Body):
    """What it is for."""

    name: str = Field(min_length=1, max_length=100)


class KeyMade(KeyShown):
    """With the key itself, once."""

    key: str


class KeyList(BaseModel):
    """All keys of an account."""

    items: list[KeyShown]
    next: str | None = None


@router.get("/accounts", responses=problems())
async def accounts(
    console: Services,
    visitor: Reads,
    q: Annotated[str, Query(max_length=255, description="Logins that contain this.")] = "",
    after: Annotated[str, Query(max_length=255)] = "",
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
) -> AccountPage:
    """All accounts, or those that are yours."""
    found = await console.accounts.listed(after=after, search=q, only=visitor.accounts, limit=limit)
    used = await console.accounts.limits([one.login for one in found.accounts])
    return AccountPage(items=[_shown(visitor, one, used.get(one.login, [])) for one in found.accounts], next=found.next)


@router.post("/accounts", status_code=201, responses=problems(409))
async def add_account(console: Services, visitor: Changes, body: NewAccount) -> AccountShown:
    """A new account. The gateway knows it within a second."""
    check_settings(visitor)
    with told():
        await console.accounts.add(body.login, body.settings, visitor.login, enabled=body.enabled)
    return await _one(console, visitor, body.login)


@router.get("/accounts/{login}", responses=problems(404))
async def account(console: Services, visitor: Reads, login: Login) -> AccountShown:
    """One account."""
    check_sees(visitor, login)
    return await _one(console, visitor, login)


@router.put("/accounts/{login}", responses=problems(404, 409))
async def change_account(console: Services, visitor: Changes, login: Login, body: Settings) -> AccountShown:
    """Replace its settings."""
    check_sees(visitor, login)
    check_settings(visitor)
    with told():
        await console.accounts.change(login, body.settings, visitor.login)
    return await _one(console, visitor, login)


@router.delete("/accounts/{login}", status_code=204, response_class=Response, responses=problems(404, 409))
async def remove_account(console: Services, visitor: Changes, login: Login) -> None:
    """Remove it, with its keys and lists. What is queued goes out."""
    check_sees(visitor, login)
    check_settings(visitor)
    with told():
        await console.accounts.remove(login, visitor.login)


@router.post("/accounts/{login}/enable", responses=problems(404, 409))
async def enable_account(console: Services, visitor: Changes, login: Login) -> AccountShown:
    """Activate email2sms for it."""
    check_sees(visitor, login)
    with told():
        await console.accounts.switch(login, True, visitor.login)
    return await _one(console, visitor, login)


@router.post("/accounts/{login}/disable", responses=problems(404, 409))
async def disable_account(console: Services, visitor: Changes, login: Login) -> AccountShown:
    """Deactivate email2sms for it: FORBIDDEN. What is queued goes out."""
    check_sees(visitor, login)
    with told():
        await console.accounts.switch(login, False, visitor.login)
    return await _one(console, visitor, login)


@router.put("/accounts/{login}/password", responses=problems(404, 409))
async def set_password(console: Services, visitor: Changes, login: Login, body: NewPassword) -> Password:
    """A new password; without one it is made up, and answered once."""
    check_sees(visitor, login)
    given = body.password.get_secret_value() if body.password else None
    with told():
        made = await console.accounts.set_password(login, given, visitor.login)
    return Password(password=None if given else made)


@router.delete("/accounts/{login}/password", status_code=204, response_class=Response, responses=problems(404, 409))
async def remove_password(console: Services, visitor: Changes, login: Login) -> None:
    """API keys only, from now on."""
    check_sees(visitor, login)
    with told():
        await console.accounts.remove_password(login, visitor.login)


@router.get("/accounts/{login}/keys", responses=problems(404))
async def keys(console: Services, visitor: Reads, login: Login) -> KeyList:
    """Its API keys, by their first characters."""
    check_sees(visitor, login)
    with told():
        return KeyList(items=[_key(key) for key in (await console.accounts.one(login)).keys])


@router.post("/accounts/{login}/keys", status_code=201, responses=problems(404, 409))
async def add_key(console: Services, visitor: Changes, login: Login, body: NewKey) -> KeyMade:
    """Make a key. It is answered once; only its digest is kept."""
    check_sees(visitor, login)
    with told():
        key, chosen = await console.accounts.add_key(login, body.name, visitor.login)
    return KeyMade(**_key(key).model_dump(), key=chosen)


@router.post("/accounts/{login}/keys/{key_id}/enable", responses=problems(404, 409))
async def enable_key(console: Services, visitor: Changes, login: Login, key_id: KeyId) -> KeyShown:
    """Let it be used again."""
    check_sees(visitor, login)
    with told():
        return _key(await console.accounts.switch_key(login, key_id, True, visitor.login))


@router.post("/accounts/{login}/keys/{key_id}/disable", responses=problems(404, 409))
async def disable_key(console: Services, visitor: Changes, login: Login, key_id: KeyId) -> KeyShown:
    """Let it rest."""
    check_sees(visitor, login)
    with told():
        return _key(await console.accounts.switch_key(login, key_id, False, visitor.login))


@router.delete(
    "/accounts/{login}/keys/{key_id}", status_code=204, response_class=Response, responses=problems(404, 409)
)
async def revoke_key(console: Services, visitor: Changes, login: Login, key_id: KeyId) -> None:
    """Remove it for ever."""
    check_sees(visitor, login)
    with told():
        await console.accounts.revoke_key(login, key_id, visitor.login)


async def _one(console: Services, visitor: Visitor, login: str) -> AccountShown:
    with told():
        found = await console.accounts.one(login)
    return _shown(visitor, found, (await console.accounts.limits([login])).get(login, []))


def _shown(visitor: Visitor, one: Entry, used: list[Limit]) -> AccountShown:
    return AccountShown(
        login=one.login,
        enabled=one.enabled,
        provisioned=one.provisioned,
        shadowed=one.shadowed,
        fault=one.fault or None,
        password=one.has_password,
        settings=seen(visitor, one.settings),
        keys=[_key(key) for key in one.keys],
        used=[Used(name=limit.name, used=limit.used, limit=limit.limit) for limit in used],
        changed_at=moment(one.changed_at),
    )


def _key(key: Key) -> KeyShown:
    at = moment(key.created_at or None)
    return KeyShown(id=key.id, name=key.name, prefix=key.prefix, active=key.active, created_at=at)


def moment(at: float | None) -> datetime | None:
    """UTC."""
    return None if at is None else datetime.fromtimestamp(at, UTC)
