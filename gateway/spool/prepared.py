"""Statements of the hot path, compiled once. SQLAlchemy's own way through ``execute`` takes as long for each row, and
several times as long for each statement, as SQLite needs to run it."""

from __future__ import annotations

import sqlite3
from collections import namedtuple
from collections.abc import Callable, Mapping, Sequence
from operator import itemgetter
from typing import Any, cast
from weakref import WeakKeyDictionary

from sqlalchemy import Connection, Dialect, Insert, Select, Update

from gateway.spool.engine import embedded, told


class Query:
    """A SELECT. Its types (JSON, sealed texts) are those of the statement; a list among the values is for an IN."""

    def __init__(self, statement: Select[Any]) -> None:
        self._statement = statement
        self._made: WeakKeyDictionary[Dialect, dict[tuple[int, ...], _Selecting]] = WeakKeyDictionary()

    def __call__(self, connection: Connection, values: Mapping[str, Any]) -> Sequence[Any]:
        """All rows, columns by name."""
        if connection.dialect.name != "sqlite":  # a server takes longer than that
            return connection.execute(self._statement, values).all()
        values = {name: _filled(value) if isinstance(value, list) else value for name, value in values.items()}
        known = self._made.setdefault(connection.dialect, {})
        lengths = tuple([len(value) for value in values.values() if isinstance(value, list)])
        if (made := known.get(lengths)) is None:
            made = known[lengths] = _Selecting(self._statement, connection.dialect, values)
        try:
            found = embedded(connection).execute(made.sql, made.binds(values)).fetchall()
        except sqlite3.Error as error:
            raise told(error) from error
        return made.rows(found)


def _filled(values: list[Any]) -> list[Any]:
    """To a power of two, by its last value: few statements are made for all lengths of an IN."""
    return values + values[-1:] * ((1 << (len(values) - 1).bit_length()) - len(values))


class _Selecting:
    """For one dialect and one set of lengths."""

    def __init__(self, statement: Select[Any], dialect: Dialect, values: Mapping[str, Any]) -> None:
        compiled: Any = statement.compile(dialect=dialect)
        state = compiled.construct_expanded_state(values)
        self.sql: str = state.statement
        ones = {one: (name, nth) for name, all_ in state.parameter_expansion.items() for nth, one in enumerate(all_)}
        self._places = [(*ones.get(one, (one, None)), state.processors.get(one)) for one in state.positiontup]
        self._constants = {name: state.parameters[name] for name, _, _ in self._places if name not in values}
        columns, made = statement.selected_columns, cast(Any, namedtuple)
        self._row: Callable[[Sequence[Any]], Any] = made("Row", [column.key for column in columns])._make
        processes = [column.type.dialect_impl(dialect).result_processor(dialect, None) for column in columns]
        self._processes = [(nth, process) for nth, process in enumerate(processes) if process is not None]

    def binds(self, values: Mapping[str, Any]) -> tuple[Any, ...]:
        """The values as the driver wants them."""
        values, found = {**self._constants, **values}, []
        for name, nth, process in self._places:
            value = values[name] if nth is None else values[name][nth]
            found.append(value if process is None else process(value))
        return tuple(found)

    def rows(self, found: Sequence[Sequence[Any]]) -> list[Any]:
        """What the driver gave, as the statement's types have it."""
        if not self._processes:
            return list(map(self._row, found))
        rows = []
        for values in map(list, found):
            for nth, process in self._processes:
                values[nth] = process(values[nth])
            rows.append(self._row(values))
        return rows


class Many:
    """An INSERT or UPDATE for several rows at a time. Its types (JSON, sealed texts) are those of the statement."""

    def __init__(self, statement: Insert | Update) -> None:
        self._statement = statement
        self._made: WeakKeyDictionary[Dialect, dict[tuple[str, ...], _Writing]] = WeakKeyDictionary()

    def __call__(self, connection: Connection, rows: Sequence[Mapping[str, Any]]) -> None:
        """Run it once for each row; all of them have the same keys."""
        dialect, keys = connection.dialect, tuple(rows[0])
        known = self._made.setdefault(dialect, {})
        if (made := known.get(keys)) is None:
            made = known[keys] = _Writing(self._statement, dialect, keys)
        values = [made.values(row) for row in rows]
        if dialect.name != "sqlite":
            connection.exec_driver_sql(made.sql, values)
            return
        try:
            embedded(connection).executemany(made.sql, values)
        except sqlite3.Error as error:
            raise told(error) from error


class _Writing:
    """For one dialect and one set of keys."""

    def __init__(self, statement: Insert | Update, dialect: Dialect, keys: tuple[str, ...]) -> None:
        compiled: Any = statement.compile(dialect=dialect, column_keys=list(keys))
        self.sql = str(compiled)
        names: Sequence[str] = compiled.positiontup
        kinds = {name: compiled.binds[name].type.dialect_impl(dialect) for name in names}
        processes = [(nth, kinds[name].bind_processor(dialect)) for nth, name in enumerate(names)]
        self._processes = [(nth, process) for nth, process in processes if process is not None]
        self._constants = {name: compiled.binds[name].value for name in names if not compiled.binds[name].required}
        self._in_order = itemgetter(*names)

    def values(self, row: Mapping[str, Any]) -> tuple[Any, ...]:
        """A row as the driver wants it."""
        values = list(self._in_order({**self._constants, **row} if self._constants else row))
        for nth, process in self._processes:
            if (value := values[nth]) is not None:
                values[nth] = process(value)
        return tuple(values)
