"""Statements of the hot path, compiled once. SQLAlchemy's own way through ``execute`` takes as long for each row, and
several times as long for each statement, as SQLite needs to run it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any
from weakref import WeakKeyDictionary

from sqlalchemy import Connection, Dialect, Insert, Update

_Bind = tuple[str, Callable[[Any], Any] | None]


class Many:
    """An INSERT or UPDATE for several rows at a time. Its types (JSON, sealed texts) are those of the statement."""

    def __init__(self, statement: Insert | Update) -> None:
        self._statement = statement
        self._made: WeakKeyDictionary[Dialect, dict[tuple[str, ...], _Made]] = WeakKeyDictionary()

    def __call__(self, connection: Connection, rows: Sequence[Mapping[str, Any]]) -> None:
        """Run it once for each row; all of them have the same keys."""
        dialect, keys = connection.dialect, tuple(rows[0])
        known = self._made.setdefault(dialect, {})
        if (made := known.get(keys)) is None:
            made = known[keys] = _Made(self._statement, dialect, keys)
        connection.exec_driver_sql(made.sql, [made.values(row) for row in rows])


class _Made:
    """For one dialect and one set of keys."""

    def __init__(self, statement: Insert | Update, dialect: Dialect, keys: tuple[str, ...]) -> None:
        compiled: Any = statement.compile(dialect=dialect, column_keys=list(keys))
        self.sql = str(compiled)
        names: Sequence[str] = compiled.positiontup
        kinds = {name: compiled.binds[name].type.dialect_impl(dialect) for name in names}
        self._binds: list[_Bind] = [(name, kinds[name].bind_processor(dialect)) for name in names]
        self._constants = {name: compiled.binds[name].value for name in names if not compiled.binds[name].required}

    def values(self, row: Mapping[str, Any]) -> tuple[Any, ...]:
        """A row as the driver wants it."""
        if self._constants:
            row = {**self._constants, **row}
        return tuple([row[name] if process is None else process(row[name]) for name, process in self._binds])
