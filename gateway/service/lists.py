"""Lists of numbers and stop-lists, as operators see and change them. Those of the accounts file are shown, and cannot
be changed here. Every change is written into the audit."""

from __future__ import annotations

import asyncio
import time
from bisect import bisect_right
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection

from gateway.service.accounts import Provisioned, Unknown
from gateway.service.audit import entry
from gateway.settings.load import Configuration
from gateway.sms import sheets
from gateway.sms.numbers import mask
from gateway.sms.sheets import Line, Sheet, Unreadable
from gateway.spool import accounts, audit, lists
from gateway.spool.audit import Look
from gateway.spool.lists import EVERYBODY, STOP
from gateway.spool.store import Store

__all__ = ["EVERYBODY", "STOP", "BadName", "Line", "ListEntry", "Lists", "Page", "Put", "Sheet", "Unreadable"]

PAGE = 100
_EXPORTED_AT_ONCE = 5_000
MAX_NAME = 64


class BadName(ValueError):
    """A list cannot be called so."""


@dataclass(frozen=True, slots=True)
class ListEntry:
    """One list, or a stop-list, which has no name."""

    account: str
    """Empty: of all accounts."""
    name: str
    count: int
    provisioned: bool
    changed_at: float | None


@dataclass(frozen=True, slots=True)
class Page:
    """Some of its numbers, in order."""

    numbers: tuple[str, ...]
    next: str | None
    """Ask for those after this one; None: there are no more."""


@dataclass(frozen=True, slots=True)
class Put:
    """What a list has become."""

    count: int
    added: int


class Lists:
    """``configuration`` is asked for each time: it is replaced as a whole on a reload."""

    def __init__(
        self, store: Store, configuration: Callable[[], Configuration], clock: Callable[[], float] = time.time
    ) -> None:
        self._store = store
        self._configuration = configuration
        self._clock = clock

    # ── looking ──────────────────────────────────────────────────────────────────────────────

    async def listed(self) -> list[ListEntry]:
        """All, stop-lists included."""
        found = [
            ListEntry(one.account, one.name, one.count, False, one.changed_at)
            for one in await self._store.read(lists.listed)
        ]
        for account in self._configuration().accounts:
            found += [ListEntry(account.login, name, len(given), True, None) for name, given in account.lists.items()]
            if account.stop_list:
                found.append(ListEntry(account.login, STOP, len(account.stop_list), True, None))
        return sorted(found, key=lambda one: (one.account, one.name, one.provisioned))

    async def page(self, account: str, name: str, *, after: str = "", search: str = "", limit: int = PAGE) -> Page:
        """Numbers in order, those that begin as ``search`` does. Raises ``Unknown``."""
        prefix = "".join(char for char in search if char.isdigit())
        if (given := self._of_file(account, name)) is not None:
            mine = [number for number in given if number.startswith(prefix)]
            start = bisect_right(mine, after)
            numbers: Sequence[str] = mine[start : start + limit + 1]
        else:
            found = await self._store.read(lambda c: _page(c, account, name, after, prefix, limit + 1))
            if found is None:
                raise Unknown(f"{account}/{name}")
            numbers = found
        shown = tuple(numbers[:limit])
        return Page(shown, shown[-1] if len(numbers) > limit else None)

    async def exported(self, account: str, name: str, who: str) -> AsyncIterator[tuple[str, ...]]:
        """All of its numbers, some at a time, for ``who``: that is written down first. Of a stop-list those of the
        accounts file, too. Raises ``Unknown``."""
        fixed = self._stops_of_file(account) if name == STOP else frozenset()
        found = await self._first(account, name)
        look = self._look(who, "export", account, name, ())
        await self._store.write(lambda connection: audit.note(connection, look))
        yield tuple(sorted(fixed))
        yield tuple(number for number in found.numbers if number not in fixed)
        while found.next is not None:
            found = await self.page(account, name, after=found.next, limit=_EXPORTED_AT_ONCE)
            yield tuple(number for number in found.numbers if number not in fixed)

    async def _first(self, account: str, name: str) -> Page:
        """A stop-list on which nobody has been put is empty, where there is such an account."""
        try:
            return await self.page(account, name, limit=_EXPORTED_AT_ONCE)
        except Unknown:
            if name != STOP or (account != EVERYBODY and not self._configuration().directory.knows(account)):
                raise
            return Page((), None)

    def _stops_of_file(self, account: str) -> frozenset[str]:
        found = self._configuration().directory.accounts.get(account)
        return found.stop_list if found is not None else frozenset()

    def _of_file(self, account: str, name: str) -> list[str] | None:
        """The list of the accounts file; None: it has none, or the name is that of a stop-list."""
        found = self._configuration().directory.accounts.get(account)
        given = found.lists.get(name) if found is not None and name != STOP else None
        return None if given is None else sorted(set(given))

    # ── changing ─────────────────────────────────────────────────────────────────────────────

    async def read(self, raw: bytes, country: str = "") -> Sheet:
        """A table of numbers, in a thread. Raises ``Unreadable``."""
        return await asyncio.to_thread(sheets.read, raw, country)

    async def put(
        self, account: str, name: str, numbers: Collection[str], who: str, *, replace: bool = False, what: str = "add"
    ) -> Put:
        """Add E.164 numbers, or have just these; all of them or none. Raises ``Unknown`` for an account that is none,
        ``Provisioned`` and ``BadName``."""
        self._check(account, name)
        if name != STOP and (not name.strip() or name != name.strip() or len(name) > MAX_NAME or not _is_plain(name)):
            raise BadName(name)

        look = self._look(who, what, account, name, numbers)

        def transaction(connection: Connection) -> Put:
            self._check_account(connection, account)
            found, added = lists.put(connection, account, name, numbers, self._clock(), replace=replace)
            audit.note(connection, look)
            return Put(found.count, added)

        return await self._store.write(transaction)

    async def take_out(self, account: str, name: str, numbers: Collection[str], who: str) -> int:
        """How many there were. Raises ``Unknown`` and ``Provisioned``."""
        self._check(account, name)

        look = self._look(who, "remove", account, name, numbers)

        def transaction(connection: Connection) -> int:
            if lists.find(connection, account, name) is None:
                raise Unknown(f"{account}/{name}")
            removed = lists.take_out(connection, account, name, numbers, self._clock())
            audit.note(connection, look)
            return removed

        return await self._store.write(transaction)

    async def drop(self, account: str, name: str, who: str) -> None:
        """The whole list. Raises ``Unknown`` and ``Provisioned``."""
        self._check(account, name)

        look = self._look(who, "drop", account, name, ())

        def transaction(connection: Connection) -> None:
            if not lists.drop(connection, account, name):
                raise Unknown(f"{account}/{name}")
            audit.note(connection, look)

        await self._store.write(transaction)

    def _check(self, account: str, name: str) -> None:
        if self._of_file(account, name) is not None:
            raise Provisioned(f"{account}/{name}")
        if account == EVERYBODY and name != STOP:
            raise Unknown(account)

    def _check_account(self, connection: Connection, account: str) -> None:
        known = account == EVERYBODY or self._configuration().directory.knows(account)
        if not known and accounts.one(connection, account) is None:
            raise Unknown(account)

    def _look(self, who: str, what: str, account: str, name: str, numbers: Collection[str]) -> Look:
        kind = "stop" if name == STOP else "list"
        place = account if name == STOP else f"{account}/{name}"
        one = mask(next(iter(numbers))) if len(numbers) == 1 else f"{len(numbers)} numbers" if numbers else ""
        return entry(self._clock(), who, f"{kind}.{what}", " ".join(filter(None, (place, one))))


def _page(connection: Connection, account: str, name: str, after: str, prefix: str, limit: int) -> list[str] | None:
    found = lists.find(connection, account, name)
    return None if found is None else lists.page(connection, found.id, after=after, prefix=prefix, limit=limit)


def _is_plain(name: str) -> bool:
    """It stands in subjects between semicolons, and in addresses of pages."""
    return name.isprintable() and not set(name) & set(";/?#\\")
