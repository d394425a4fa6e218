"""``account apply``: a file like ``accounts.yaml`` into the store. What is there already stays as it is, so a second
time changes nothing; what the file does not name is left alone."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from sqlalchemy import Connection

from gateway.policy.accounts import key_digest
from gateway.service.accounts import Taken, check_numbers, shown_prefix, with_secret_of
from gateway.service.audit import entry
from gateway.service.roster import content_of
from gateway.settings.accounts import AccountSettings
from gateway.settings.checked_accounts import AccountFaults, accounts_in, checked_account
from gateway.settings.load import Configuration
from gateway.sms import numbers
from gateway.spool import accounts, audit, lists
from gateway.spool.accounts import Stored
from gateway.spool.lists import STOP
from gateway.spool.store import Store

_APART = frozenset({"login", "enabled", "password", "password_file", "password_hash", "api_keys", "lists", "stop_list"})


@dataclass(frozen=True, slots=True)
class Change:
    """What becomes of one account."""

    login: str
    what: str
    """``add``, ``change`` or ``none``."""
    details: tuple[str, ...] = ()
    """Which keys change, and how, without secrets."""
    shadowed: bool = False
    """The accounts file has one of this login, which wins as long as it is there."""


@dataclass(frozen=True, slots=True)
class _Wanted:
    account: AccountSettings
    settings: Mapping[str, Any]
    password_hash: str | None
    """None: the file gives none, or the one that is stored is right."""


async def apply(
    path: Path,
    store: Store,
    configuration: Configuration,
    who: str,
    *,
    dry_run: bool = False,
    clock: Callable[[], float] = time.time,
) -> list[Change]:
    """All of the file or nothing of it. Raises ``ConfigError`` for faults of the file, ``Taken`` for an API key and
    ``AccountFaults`` for a number that another account has."""
    given = accounts_in(path, configuration.settings)
    stored = {one.login: one for one in await store.read(lambda c: accounts.changed(c, 0))}
    wanted = [
        await asyncio.to_thread(_wanted, account, content, stored.get(account.login)) for account, content in given
    ]
    now = clock()
    look = entry(now, who, "account.apply", "")

    def transaction(connection: Connection) -> list[Change]:
        changes = [_applied(connection, one, configuration, now) for one in wanted]
        for change in changes:
            if change.what != "none":
                audit.note(connection, replace(look, subject=change.login))
        if dry_run:
            raise _Enough(changes)
        return changes

    try:
        return await store.write(transaction)
    except _Enough as enough:
        return enough.changes


class _Enough(Exception):
    """Rolls all of it back."""

    def __init__(self, changes: list[Change]) -> None:
        super().__init__()
        self.changes = changes


def _wanted(account: AccountSettings, content: Mapping[str, Any], before: Stored | None) -> _Wanted:
    settings = {key: value for key, value in content.items() if key not in _APART}
    if account.webhook is not None and isinstance(settings.get("webhook"), dict):
        secret = account.webhook.secret.get_secret_value()
        rest = {key: value for key, value in settings["webhook"].items() if key != "secret_file"}
        settings["webhook"] = {**rest, "secret": secret}
    known = before.password_hash if before is not None else None
    if account.password_hash is not None:
        return _Wanted(account, settings, account.password_hash if account.password_hash != known else None)
    if account.password is None or (known and _fits(known, account.password.get_secret_value())):
        return _Wanted(account, settings, None)
    return _Wanted(account, settings, PasswordHasher().hash(account.password.get_secret_value()))


def _fits(password_hash: str, password: str) -> bool:
    try:
        return PasswordHasher().verify(password_hash, password)
    except (VerificationError, InvalidHashError):
        return False


def _applied(connection: Connection, wanted: _Wanted, configuration: Configuration, now: float) -> Change:
    account, login = wanted.account, wanted.account.login
    before = accounts.one(connection, login)
    details: list[str] = []
    check_numbers(connection, account, configuration)
    if before is None:
        accounts.add(connection, login, wanted.settings, account.enabled, now)
    else:
        details += _differences(before, wanted, configuration)
        if details:
            kept = with_secret_of(before.settings, wanted.settings)
            accounts.change(connection, login, now, settings=kept, enabled=account.enabled)
    if wanted.password_hash is not None:
        accounts.change(connection, login, now, password_hash=wanted.password_hash)
        details.append("password")
    details += _keys(connection, account, configuration, now)
    details += _lists(connection, account, now)
    shadowed = any(one.login == login for one in configuration.accounts)
    return Change(login, "add" if before is None else "change" if details else "none", tuple(details), shadowed)


def _differences(before: Stored, wanted: _Wanted, configuration: Configuration) -> list[str]:
    """The keys whose meaning differs, however they are written."""
    try:
        known: Any = checked_account(content_of(before), configuration.settings)
    except AccountFaults:
        return ["settings"]
    names = [name for name in AccountSettings.model_fields if name not in _APART - {"enabled"}]
    return [name for name in names if getattr(known, name) != getattr(wanted.account, name)]


def _keys(connection: Connection, account: AccountSettings, configuration: Configuration, now: float) -> list[str]:
    """Keys that are missing are added; those that were made in the console stay."""
    others = [one for one in configuration.accounts if one.login != account.login]
    theirs = {key_digest(key): one.login for one in others for key in one.api_keys}
    added = 0
    for key in account.api_keys:
        owner = accounts.owner(connection, key_digest(key)) or theirs.get(key_digest(key))
        if owner is None:
            accounts.bump(connection)
            accounts.add_key(connection, account.login, "from a file", shown_prefix(key), key_digest(key), now)
            added += 1
        elif owner != account.login:
            raise Taken(f"an API key of {account.login} is one of {owner}")
    return [f"api_keys: {added} more"] if added else []


def _lists(connection: Connection, account: AccountSettings, now: float) -> list[str]:
    """Lists become as the file has them; numbers on the stop-list stay there."""
    details = []
    for name, typed in account.lists.items():
        parsed = {numbers.parse(number) for number in typed}
        found = lists.find(connection, account.login, name)
        known = set(lists.page(connection, found.id, limit=found.count)) if found else set()
        if found is None or known != parsed:
            lists.put(connection, account.login, name, parsed, now, replace=True)
            details.append(f"lists.{name}: {len(parsed - known)} more, {len(known - parsed)} less")
    if account.stop_list:
        parsed = {numbers.parse(number) for number in account.stop_list}
        found = lists.find(connection, account.login, STOP)
        known = set(lists.page(connection, found.id, limit=found.count)) if found else set()
        if parsed - known:
            lists.put(connection, account.login, STOP, parsed, now, replace=False)
            details.append(f"stop_list: {len(parsed - known)} more")
    return details
