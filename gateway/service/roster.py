"""All accounts: those of the file, which are *provisioned*, and those of the store, in one directory. Each process
copies it when the store's revision has changed; mails look only into the copy."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import structlog
from sqlalchemy import Connection

from gateway.policy.accounts import Account, Directory
from gateway.settings.checked_accounts import AccountFaults, checked_account
from gateway.settings.directory import account_of
from gateway.settings.load import Configuration
from gateway.spool import accounts, lists
from gateway.spool.accounts import Key, Stored
from gateway.spool.lists import EVERYBODY, STOP, NumberList
from gateway.spool.store import Store

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class _Known:
    stored: Stored
    account: Account | None
    """None: the settings are not right any more, e.g. since an update."""


@dataclass(frozen=True, slots=True)
class _Copy:
    """What the store said."""

    revision: int = 0
    accounts: Mapping[str, _Known] = field(default_factory=dict)
    keys: tuple[Key, ...] = ()
    lists: tuple[NumberList, ...] = ()


@dataclass(frozen=True, slots=True)
class _Changes:
    """What has become of it since."""

    revision: int
    accounts: tuple[Stored, ...]
    logins: tuple[str, ...]
    """Of all that are left."""
    keys: tuple[Key, ...]
    lists: tuple[NumberList, ...]


class Roster:
    """``look`` is to be called once a second; it gives the configuration with all accounts to ``adopt``."""

    def __init__(
        self, store: Store, configuration: Callable[[], Configuration], adopt: Callable[[Configuration], None]
    ) -> None:
        self._store = store
        self._configuration = configuration
        self._adopt = adopt
        self._copy = _Copy()
        self._shadowed: frozenset[str] = frozenset()

    @property
    def logins(self) -> frozenset[str]:
        """Of the accounts in the store, as of the last look."""
        return frozenset(self._copy.accounts)

    async def look(self) -> None:
        """See whether anything has changed; then take it over as a whole."""
        revision, known = await self._store.read(accounts.revision), self._copy.revision
        if revision == known:
            return
        since = known if revision > known else 0  # a store that was restored
        changes = await self._store.read(lambda connection: _changes(connection, since))
        while True:
            configuration = self._configuration()
            copy, merged = await asyncio.to_thread(self._taken, configuration, changes)
            if configuration is self._configuration():  # no reload meanwhile
                break
        self._copy = copy
        self._adopt(merged)
        self._tell(configuration)

    def _taken(self, configuration: Configuration, changes: _Changes) -> tuple[_Copy, Configuration]:
        fresh = {stored.login: _Known(stored, _account(stored, configuration)) for stored in changes.accounts}
        before = self._copy.accounts
        known = {login: found for login in changes.logins if (found := fresh.get(login) or before.get(login))}
        copy = _Copy(changes.revision, known, changes.keys, changes.lists)
        return copy, _merged(configuration, copy)

    def over(self, configuration: Configuration) -> Configuration:
        """These files, with the accounts of the store as of the last look."""
        copy, now = self._copy, configuration.settings
        if copy.accounts and now is not self._configuration().settings:  # what is right may depend on the others
            known = {
                login: replace(one, account=_account(one.stored, configuration)) for login, one in copy.accounts.items()
            }
            self._copy = copy = replace(copy, accounts=known)
        merged = _merged(configuration, copy)
        self._tell(configuration)
        return merged

    def _tell(self, configuration: Configuration) -> None:
        provisioned = {account.login for account in configuration.accounts}
        shadowed = frozenset(provisioned & self._copy.accounts.keys())
        for login in sorted(shadowed - self._shadowed):
            log.warning("account.shadowed", account=login, why="accounts_file has one of this login; it wins")
        self._shadowed = shadowed


async def whole(configuration: Configuration, store: Store) -> Configuration:
    """With the accounts that are in the store; for the command line."""
    found = [configuration]
    await Roster(store, lambda: configuration, found.append).look()
    return found[-1]


def _changes(connection: Connection, since: int) -> _Changes:
    """The revision first: what is committed meanwhile is read again the next time."""
    return _Changes(
        accounts.revision(connection),
        tuple(accounts.changed(connection, since)),
        tuple(accounts.logins(connection)),
        tuple(accounts.keys(connection)),
        tuple(lists.listed(connection)),
    )


def _account(stored: Stored, configuration: Configuration) -> Account | None:
    try:
        settings = checked_account(content_of(stored), configuration.settings)
    except AccountFaults as faults:
        log.error("account.unusable", account=stored.login, why=str(faults), alert=True)  # noqa: TRY400 (no bug)
        return None
    return replace(account_of(settings, configuration), provisioned=False)


def content_of(stored: Stored) -> dict[str, Any]:
    """As it would stand in ``accounts.yaml``, API keys and lists aside."""
    enabled = {} if stored.enabled else {"enabled": False}
    password = {"password_hash": stored.password_hash} if stored.password_hash else {}
    return {"login": stored.login, **stored.settings, **enabled, **password}


def _merged(configuration: Configuration, copy: _Copy) -> Configuration:
    return replace(configuration, directory=Directory.of(_all(configuration, copy)))


def _all(configuration: Configuration, copy: _Copy) -> Iterator[Account]:
    provisioned = {one.login: one for one in configuration.directory.accounts.values() if one.provisioned}
    theirs = frozenset(key for one in provisioned.values() for key in one.api_keys)
    numbers = frozenset(number for one in provisioned.values() for number in one.incoming_numbers)
    named: dict[str, dict[str, int]] = {}
    stops: dict[str, int] = {}
    for one in copy.lists:
        if one.name == STOP:
            stops[one.account] = one.id
        else:
            named.setdefault(one.account, {})[one.name] = one.id
    keys: dict[str, set[bytes]] = {}
    for key in copy.keys:
        if key.active and key.digest not in theirs:
            keys.setdefault(key.account, set()).add(key.digest)

    def listed(account: Account) -> Account:
        mine = {name: list_id for name, list_id in named.get(account.login, {}).items() if name not in account.lists}
        stop = tuple(stops[login] for login in (EVERYBODY, account.login) if login in stops)
        if mine == account.stored_lists and stop == account.stop_lists:
            return account
        return replace(account, stored_lists=mine, stop_lists=stop)

    yield from map(listed, provisioned.values())
    for login, known in copy.accounts.items():
        account = known.account
        if account is None or login in provisioned:
            continue
        mine = frozenset(keys.get(login, ()))
        if mine != account.api_keys or account.incoming_numbers & numbers:
            account = replace(account, api_keys=mine, incoming_numbers=account.incoming_numbers - numbers)
        yield listed(account)
