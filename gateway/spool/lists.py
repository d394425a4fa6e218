"""Lists of numbers, and stop-lists, which are lists without a name. Their numbers stay here: a mail that needs some
asks for them (``lookup``), together with the mails of the same moment."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, bindparam, cast, delete, exists, func, literal, select, update
from sqlalchemy.dialects import postgresql, sqlite

from gateway.spool.accounts import bump
from gateway.spool.engine import insert_missing
from gateway.spool.schema import list_numbers, number_lists

STOP = ""
"""The name of a stop-list."""
EVERYBODY = ""
"""The account whose stop-list holds for all."""
_AT_ONCE = 10_000
"""Numbers that one statement names; engines allow some 32,000 values."""


@dataclass(frozen=True, slots=True)
class NumberList:
    """One list."""

    id: int
    account: str
    name: str
    count: int
    changed_at: float


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the admission of one mail asks for: the numbers of a list, or which of some are on stop-lists."""

    list_id: int | None
    stop_lists: tuple[int, ...]
    numbers: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Found:
    """What is there."""

    numbers: tuple[str, ...]
    """Of the list."""
    stopped: frozenset[str]
    """Of the list's, or of those that were asked for."""


def listed(connection: Connection) -> list[NumberList]:
    """All of them, stop-lists included."""
    query = select(number_lists).order_by(number_lists.c.account, number_lists.c.name)
    return [NumberList(**row) for row in connection.execute(query).mappings()]


def find(connection: Connection, account: str, name: str) -> NumberList | None:
    """The list of that name."""
    mine = (number_lists.c.account == account, number_lists.c.name == name)
    row = connection.execute(select(number_lists).where(*mine)).mappings().one_or_none()
    return NumberList(**row) if row is not None else None


def put(
    connection: Connection, account: str, name: str, numbers: Collection[str], now: float, *, replace: bool
) -> tuple[NumberList, int]:
    """Add these E.164 numbers, or have just these. The list as it is then, and how many are new; it is made when there
    is none."""
    row = {"account": account, "name": name, "count": 0, "changed_at": now}
    if connection.execute(insert_missing(connection, number_lists), row).rowcount:
        bump(connection)
    mine = (number_lists.c.account == account, number_lists.c.name == name)
    list_id = connection.execute(select(number_lists.c.id).where(*mine).with_for_update()).scalar_one()
    if replace:
        connection.execute(delete(list_numbers).where(list_numbers.c.list_id == list_id))
    added = _insert(connection, list_id, numbers, now)
    _recount(connection, list_id, now)
    found = find(connection, account, name)
    assert found is not None
    return found, added


def _insert(connection: Connection, list_id: int, numbers: Collection[str], now: float) -> int:
    """One statement for all of them: a fifth of the time of one for each."""
    on_postgres = connection.dialect.name == "postgresql"
    engine: Any = postgresql if on_postgres else sqlite
    given: Any = bindparam("given", json.dumps(sorted(numbers)))
    if on_postgres:
        rows = func.jsonb_array_elements_text(cast(given, postgresql.JSONB)).table_valued("value", name="rows")
        rows = rows.render_derived()
    else:
        rows = func.json_each(given).table_valued("value", name="rows")
    chosen = select(literal(list_id), rows.c.value, literal(now)).where(rows.c.value.is_not(None))
    statement = engine.insert(list_numbers).from_select(["list_id", "number", "added_at"], chosen)
    return int(connection.execute(statement.on_conflict_do_nothing()).rowcount)


def _recount(connection: Connection, list_id: int, now: float) -> int:
    count = connection.execute(
        select(func.count()).select_from(list_numbers).where(list_numbers.c.list_id == list_id)
    ).scalar_one()
    connection.execute(update(number_lists).where(number_lists.c.id == list_id).values(count=count, changed_at=now))
    return int(count)


def take_out(connection: Connection, account: str, name: str, numbers: Collection[str], now: float) -> int:
    """Remove these; how many there were. A stop-list that has become empty costs no mail anything: it is gone."""
    mine = (number_lists.c.account == account, number_lists.c.name == name)
    list_id = connection.execute(select(number_lists.c.id).where(*mine).with_for_update()).scalar_one_or_none()
    if list_id is None:
        return 0
    removed = 0
    for some in _portions(sorted(numbers)):
        gone = delete(list_numbers).where(list_numbers.c.list_id == list_id, list_numbers.c.number.in_(some))
        removed += connection.execute(gone).rowcount
    if not _recount(connection, list_id, now) and name == STOP:
        drop(connection, account, name)
    return removed


def drop(connection: Connection, account: str, name: str | None = None) -> int:
    """Remove a list, or all of the account, stop-list included. How many."""
    mine = [number_lists.c.account == account]
    if name is not None:
        mine.append(number_lists.c.name == name)
    ids = list(connection.execute(select(number_lists.c.id).where(*mine)).scalars())
    if ids:
        bump(connection)
        connection.execute(delete(list_numbers).where(list_numbers.c.list_id.in_(ids)))
        connection.execute(delete(number_lists).where(number_lists.c.id.in_(ids)))
    return len(ids)


def page(connection: Connection, list_id: int, *, after: str = "", prefix: str = "", limit: int = 100) -> list[str]:
    """Numbers in order, after that one, which begin so."""
    mine = [list_numbers.c.list_id == list_id, list_numbers.c.number > max(after, "")]
    if prefix:
        mine.append(list_numbers.c.number >= prefix)
        if end := _after(prefix):
            mine.append(list_numbers.c.number < end)
    query = select(list_numbers.c.number).where(*mine).order_by(list_numbers.c.number).limit(limit)
    return list(connection.execute(query).scalars())


def _after(prefix: str) -> str:
    """The first string of digits behind all that begin so; empty: there is none."""
    kept = prefix.rstrip("9")
    return kept[:-1] + chr(ord(kept[-1]) + 1) if kept else ""


def lookup(connection: Connection, items: Sequence[Wanted]) -> list[Found]:
    """For each what it asks for. All numbers that are asked for are looked for in one statement."""
    stop_lists = {list_id for item in items if item.list_id is None for list_id in item.stop_lists}
    numbers = sorted({number for item in items if item.list_id is None for number in item.numbers})
    on: set[tuple[int, str]] = set()
    for some in _portions(numbers):
        mine = (list_numbers.c.list_id.in_(stop_lists), list_numbers.c.number.in_(some))
        on.update((row.list_id, row.number) for row in connection.execute(select(list_numbers).where(*mine)))
    return [_whole(connection, item) if item.list_id is not None else _stopped(item, on) for item in items]


def _stopped(item: Wanted, on: set[tuple[int, str]]) -> Found:
    stopped = (number for number in item.numbers if any((one, number) in on for one in item.stop_lists))
    return Found((), frozenset(stopped))


def _whole(connection: Connection, item: Wanted) -> Found:
    other = list_numbers.alias()
    mine = list_numbers.c.list_id == item.list_id
    numbers = connection.execute(select(list_numbers.c.number).where(mine).order_by(list_numbers.c.number)).scalars()
    stopped: Iterator[str] = iter(())
    if item.stop_lists:
        is_on = exists().where(other.c.list_id.in_(item.stop_lists), other.c.number == list_numbers.c.number)
        stopped = connection.execute(select(list_numbers.c.number).where(mine, is_on)).scalars()
    return Found(tuple(numbers), frozenset(stopped))


def containing(connection: Connection, number: str) -> list[NumberList]:
    """The lists and stop-lists that this number is on."""
    found = exists().where(list_numbers.c.list_id == number_lists.c.id, list_numbers.c.number == number)
    query = select(number_lists).where(found).order_by(number_lists.c.account, number_lists.c.name)
    return [NumberList(**row) for row in connection.execute(query).mappings()]


def _portions(numbers: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(numbers), _AT_ONCE):
        yield numbers[start : start + _AT_ONCE]
