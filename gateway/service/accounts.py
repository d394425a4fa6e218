"""Accounts, as operators see and change them. Those of the file are shown and cannot be changed here; those of the
store are what this is for. Every change is written into the audit by the transaction that makes it."""

from __future__ import annotations

import asyncio
import json
import secrets
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from argon2 import PasswordHasher
from sqlalchemy import Connection

from gateway.policy.accounts import key_digest
from gateway.policy.caps import MICRO, periods
from gateway.service.audit import entry
from gateway.service.roster import content_of
from gateway.settings.accounts import AccountSettings
from gateway.settings.checked_accounts import AccountFaults, checked_account
from gateway.settings.load import Configuration
from gateway.spool import accounts, audit, budget, lists
from gateway.spool.accounts import Key, Stored
from gateway.spool.store import Store

__all__ = ["AccountFaults", "Accounts", "Entry", "Key", "Limit", "Listed", "Provisioned", "Taken", "Unknown"]

T = TypeVar("T")

PAGE = 100
_NOT_IN_LOGINS = frozenset(';:,/\\?#"<>')
"""They separate fields in mails, and parts of addresses."""
_SHOWN = '; : , / \\ ? # " < >'
_ELSEWHERE = ("login", "enabled", "password", "password_file", "password_hash", "api_keys", "lists", "stop_list")
"""Keys of an account's section that are no settings here: they have verbs of their own."""
_READABLE = "abcdefghjkmnpqrstuvwxyz23456789"


class Unknown(LookupError):
    """There is no such account, or it has no such key."""


class Provisioned(Exception):
    """The accounts file has it: change it there."""


class Taken(Exception):
    """Another account has this login or this API key."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One account."""

    login: str
    enabled: bool
    provisioned: bool
    """By the accounts file."""
    shadowed: bool
    """The store has one of this login, too; it is not used."""
    fault: str
    """Why it cannot be used; empty: it can."""
    settings: Mapping[str, Any]
    """As in ``accounts.yaml``, without secrets."""
    has_password: bool
    keys: tuple[Key, ...]
    changed_at: float | None


@dataclass(frozen=True, slots=True)
class Listed:
    """Some accounts."""

    accounts: tuple[Entry, ...]
    next: str | None
    """Ask for those after this login; None: there are no more."""


@dataclass(frozen=True, slots=True)
class Limit:
    """A cap, and what has been used up of it."""

    name: str
    """As in ``limits``."""
    used: float
    limit: float


class Accounts:
    """``configuration`` is asked for each time: it is replaced as a whole on a reload."""

    def __init__(
        self, store: Store, configuration: Callable[[], Configuration], clock: Callable[[], float] = time.time
    ) -> None:
        self._store = store
        self._configuration = configuration
        self._clock = clock
        self._hasher = PasswordHasher()

    # ── looking ──────────────────────────────────────────────────────────────────────────────

    async def listed(
        self, *, after: str = "", search: str = "", only: Collection[str] | None = None, limit: int = PAGE
    ) -> Listed:
        """By login, those after that one whose login contains ``search``. ``only``: no others."""
        stored, keys = await self._store.read(lambda c: _page(c, after, search, only, limit + 1))
        found = [
            one
            for one in self._entries(stored, keys)
            if one.login > after and search.lower() in one.login.lower() and (only is None or one.login in only)
        ]
        shown = tuple(found[:limit])
        return Listed(shown, shown[-1].login if len(found) > limit else None)

    async def one(self, login: str) -> Entry:
        """Raises ``Unknown``."""
        stored, keys = await self._store.read(lambda c: (accounts.one(c, login), accounts.keys(c, [login])))
        found = [one for one in self._entries([stored] if stored else [], keys) if one.login == login]
        if not found:
            raise Unknown(login)
        return found[0]

    def _entries(self, stored: list[Stored], keys: list[Key]) -> list[Entry]:
        configuration = self._configuration()
        mine: dict[str, list[Key]] = {}
        for key in keys:
            mine.setdefault(key.account, []).append(key)
        shadowed = {one.login for one in stored}
        found = {one.login: _provisioned(one, one.login in shadowed) for one in configuration.accounts}
        for one in stored:
            found.setdefault(one.login, _entry(one, tuple(mine.get(one.login, ())), configuration))
        return [found[login] for login in sorted(found)]

    async def limits(self, logins: Collection[str]) -> dict[str, list[Limit]]:
        """What of each one's caps is used up in this hour and this day (UTC)."""
        directory = self._configuration().directory.accounts
        found = {login: directory[login] for login in logins if login in directory}
        hour, day = periods(self._clock())
        asked = [hour, day, f"{day} segments", f"{day} spend"]
        used = await self._store.read(lambda c: budget.used(c, list(found), asked))
        return {
            login: [
                Limit(name, used.get((login, period), 0) / unit, float(limit))
                for name, period, limit, unit in (
                    ("per_hour", hour, account.per_hour, 1),
                    ("per_day", day, account.per_day, 1),
                    ("segments_per_day", f"{day} segments", account.segments_per_day, 1),
                    ("spend_per_day", f"{day} spend", account.caps.spend_per_day, MICRO),
                )
                if limit is not None
            ]
            for login, account in found.items()
        }

    # ── changing ─────────────────────────────────────────────────────────────────────────────

    def checked(self, login: str, settings: Mapping[str, Any]) -> AccountSettings:
        """Raises ``AccountFaults``: each with its key, its value and its fix."""
        faults: list[tuple[tuple[str, ...], str]] = [
            ((key,), "does not belong to the settings; it has a verb of its own")
            for key in _ELSEWHERE
            if key in settings
        ]
        if "secret_file" in _section(settings, "webhook"):
            faults.append((("webhook", "secret_file"), "is for accounts.yaml; give the secret itself"))
        if login in ("", "-") or login != login.strip() or not login.isprintable() or set(login) & _NOT_IN_LOGINS:
            faults.append((("login",), f'"{login[:30]}": letters, digits and signs, but none of {_SHOWN}'))
        if faults:
            raise AccountFaults(tuple(faults))
        return checked_account({"login": login, **settings}, self._configuration().settings)

    async def add(self, login: str, settings: Mapping[str, Any], who: str, *, enabled: bool = True) -> None:
        """A new one, without credentials. Raises ``AccountFaults`` and ``Taken``."""
        checked = self.checked(login, settings)
        if self._is_provisioned(login):
            raise Taken(login)

        look = entry(self._clock(), who, "account.add", login)

        def transaction(connection: Connection) -> None:
            if not accounts.add(connection, login, settings, enabled, self._clock()):
                raise Taken(login)
            self._check_numbers(connection, checked)
            audit.note(connection, look)

        await self._write(transaction)

    async def change(self, login: str, settings: Mapping[str, Any], who: str) -> None:
        """Replace its settings. A webhook keeps its secret where none is given. Raises ``AccountFaults``, ``Unknown``
        and ``Provisioned``."""
        self._check_changeable(login)
        look = entry(self._clock(), who, "account.change", login)

        def transaction(connection: Connection) -> None:
            accounts.bump(connection)
            before = accounts.one(connection, login)
            if before is None:
                raise Unknown(login)
            kept = with_secret_of(before.settings, settings)
            self._check_numbers(connection, self.checked(login, kept))
            accounts.change(connection, login, self._clock(), settings=kept)
            audit.note(connection, look)

        await self._write(transaction)

    async def switch(self, login: str, enabled: bool, who: str) -> None:
        """Activate or deactivate email2sms for it: its mails are FORBIDDEN; what is queued goes out. Raises
        ``Unknown`` and ``Provisioned``."""
        await self._change(login, who, "account.enable" if enabled else "account.disable", enabled=enabled)

    async def set_password(self, login: str, password: str | None, who: str) -> str:
        """Its new password, made up where none is given. Only its hash is kept. Raises ``Unknown`` and
        ``Provisioned``."""
        chosen = password or "".join(secrets.choice(_READABLE) for _ in range(8))
        hashed = await asyncio.to_thread(self._hasher.hash, chosen)
        await self._change(login, who, "account.password", password_hash=hashed)
        return chosen

    async def remove_password(self, login: str, who: str) -> None:
        """It can use its API keys only. Raises ``Unknown`` and ``Provisioned``."""
        await self._change(login, who, "account.password", password_hash=None)

    async def remove(self, login: str, who: str) -> None:
        """With its keys, lists and stop-list; what is queued goes out. Raises ``Unknown`` and ``Provisioned``."""
        self._check_changeable(login, but_shadowed=True)
        look = entry(self._clock(), who, "account.remove", login)

        def transaction(connection: Connection) -> None:
            if not accounts.remove(connection, login):
                raise Unknown(login)
            if not self._is_provisioned(login):
                lists.drop(connection, login)
            audit.note(connection, look)

        await self._write(transaction)

    async def _change(self, login: str, who: str, what: str, **values: Any) -> None:
        self._check_changeable(login)
        look = entry(self._clock(), who, what, login)

        def transaction(connection: Connection) -> None:
            if not accounts.change(connection, login, self._clock(), **values):
                raise Unknown(login)
            audit.note(connection, look)

        await self._write(transaction)

    # ── API keys ─────────────────────────────────────────────────────────────────────────────

    async def add_key(self, login: str, name: str, who: str, key: str | None = None) -> tuple[Key, str]:
        """A key of that name, made up where none is given, and the key itself: it is not kept, only its digest. Raises
        ``Unknown``, ``Provisioned`` and ``Taken``."""
        self._check_changeable(login)
        chosen = key or secrets.token_hex(16)
        look = entry(self._clock(), who, "key.add", f"{login}/{name}")

        def transaction(connection: Connection) -> Key:
            if not accounts.change(connection, login, self._clock()):
                raise Unknown(login)
            self._check_key(connection, chosen)
            added = accounts.add_key(connection, login, name, shown_prefix(chosen), key_digest(chosen), self._clock())
            audit.note(connection, look)
            return next(one for one in accounts.keys(connection, [login]) if one.id == added)

        return await self._write(transaction), chosen

    async def switch_key(self, login: str, key_id: int, active: bool, who: str) -> Key:
        """Activate or deactivate it. Raises ``Unknown`` and ``Provisioned``."""
        self._check_changeable(login)
        look = entry(self._clock(), who, "key.enable" if active else "key.disable", login)

        def transaction(connection: Connection) -> Key:
            if (found := accounts.switch_key(connection, login, key_id, active)) is None:
                raise Unknown(f"{login}/{key_id}")
            audit.note(connection, replace(look, subject=f"{login}/{found.name}"))
            return found

        return await self._write(transaction)

    async def revoke_key(self, login: str, key_id: int, who: str) -> None:
        """For ever. Raises ``Unknown`` and ``Provisioned``."""
        self._check_changeable(login)
        look = entry(self._clock(), who, "key.revoke", login)

        def transaction(connection: Connection) -> None:
            if (found := accounts.revoke_key(connection, login, key_id)) is None:
                raise Unknown(f"{login}/{key_id}")
            audit.note(connection, replace(look, subject=f"{login}/{found.name}"))

        await self._write(transaction)

    # ── what may not be ──────────────────────────────────────────────────────────────────────

    def _is_provisioned(self, login: str) -> bool:
        return any(one.login == login for one in self._configuration().accounts)

    def _check_changeable(self, login: str, *, but_shadowed: bool = False) -> None:
        if self._is_provisioned(login) and not but_shadowed:
            raise Provisioned(login)

    def _check_key(self, connection: Connection, key: str) -> None:
        owners = {digest for one in self._configuration().accounts for digest in map(key_digest, one.api_keys)}
        if key_digest(key) in owners or accounts.owner(connection, key_digest(key)) is not None:
            raise Taken("key")

    def _check_numbers(self, connection: Connection, settings: AccountSettings) -> None:
        check_numbers(connection, settings, self._configuration())

    async def _write(self, transaction: Callable[[Connection], T]) -> T:
        return await self._store.write(transaction)


def _page(
    connection: Connection, after: str, search: str, only: Collection[str] | None, limit: int
) -> tuple[list[Stored], list[Key]]:
    stored = accounts.page(connection, after, search, only, limit)
    return stored, accounts.keys(connection, [one.login for one in stored])


def check_numbers(connection: Connection, settings: AccountSettings, configuration: Configuration) -> None:
    """SMS to a number of ours belong to one account. Raises ``AccountFaults``."""
    if settings.incoming is None:
        return
    theirs = {one.login: one.incoming.numbers for one in configuration.accounts if one.incoming}
    for stored in accounts.having(connection, "incoming"):
        found = tuple(map(str, _section(stored.settings, "incoming").get("numbers", ())))
        theirs[stored.login] = (*theirs.get(stored.login, ()), *found)
    for login, numbers in theirs.items():
        if login != settings.login and (twice := set(numbers) & set(settings.incoming.numbers)):
            fault = f'"{min(twice)}" is of account {login}; take it out'
            raise AccountFaults(((("incoming", "numbers"), fault),))


def shown_prefix(key: str) -> str:
    """As much of a key as tells it from others, and never much of it."""
    return key[: min(6, len(key) // 4)]


def with_secret_of(before: Mapping[str, Any], settings: Mapping[str, Any]) -> dict[str, Any]:
    """``settings`` as JSON; a webhook without a secret gets the one that was there."""
    kept: dict[str, Any] = json.loads(json.dumps(settings, default=str))
    secret = _section(before, "webhook").get("secret")
    if secret and isinstance(kept.get("webhook"), dict):
        kept["webhook"].setdefault("secret", secret)
    return kept


def without_secrets(settings: Mapping[str, Any]) -> dict[str, Any]:
    """For people and programs to see."""
    shown = {key: value for key, value in settings.items() if key not in _ELSEWHERE}
    if isinstance(shown.get("webhook"), Mapping):
        shown["webhook"] = {key: value for key, value in shown["webhook"].items() if not key.startswith("secret")}
    return shown


def _section(settings: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = settings.get(name)
    return found if isinstance(found, Mapping) else {}


def _provisioned(one: AccountSettings, shadowed: bool) -> Entry:
    written = without_secrets(one.model_dump(mode="json", exclude_unset=True))
    keys = tuple(Key(0, one.login, "", shown_prefix(key), True, 0.0, key_digest(key)) for key in one.api_keys)
    password = bool(one.password or one.password_hash)
    return Entry(one.login, one.enabled, True, shadowed, "", written, password, keys, None)


def _entry(one: Stored, keys: tuple[Key, ...], configuration: Configuration) -> Entry:
    fault = ""
    if one.login not in configuration.directory.accounts:  # or it has been made within the last second
        try:
            checked_account(content_of(one), configuration.settings)
        except AccountFaults as faults:
            fault = str(faults)
    settings = without_secrets(one.settings)
    return Entry(one.login, one.enabled, False, False, fault, settings, bool(one.password_hash), keys, one.changed_at)
