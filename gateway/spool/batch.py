"""Group commit: everything that waits at one moment shares one transaction."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Sequence
from itertools import accumulate
from typing import Generic, TypeVar

from sqlalchemy import Connection

from gateway.spool.engine import Database, is_away

Item = TypeVar("Item")
Result = TypeVar("Result")

MAX_BATCH = 500
"""Keeps one transaction short enough that the next one waits a few milliseconds at most."""
BRIEF = 50
"""Rows, each with what belongs to it: some milliseconds."""


class Batch(Generic[Item, Result]):
    """Collects items while the last batch commits, then writes all of them at once.

    ``flush(connection, items)`` returns one result for each item. When a batch fails, its items are tried
    one by one, so that a poisonous one spoils nobody else's, and one that lost a race sees the winner. A fault
    of the database itself (locked, full, away) is nobody's poison: all fail at once, for each further try would
    wait for the lock again. ``reads``: it only looks, beside whatever is being written. ``rows``: how many an item has.
    """

    def __init__(
        self,
        database: Database,
        flush: Callable[[Connection, Sequence[Item]], Sequence[Result]],
        *,
        reads: bool = False,
        rows: Callable[[Item], int] = lambda item: 1,
    ) -> None:
        self._database = database
        self._reads = reads
        self._flush = flush
        self._rows = rows
        self._waiting: list[tuple[Item, asyncio.Future[Result]]] = []
        self._task: asyncio.Task[None] | None = None

    async def __call__(self, item: Item) -> Result:
        """The item's result, after the commit. A caller that is cancelled does not cancel the write."""
        future: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, future))
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._drain())
        return await future

    async def _drain(self) -> None:
        while self._waiting:
            await self._commit([])

    async def _commit(self, batch: list[tuple[Item, asyncio.Future[Result]]]) -> None:
        """An empty ``batch`` is filled when its transaction begins: what comes until then does not wait for another. Or
        a single item of one that failed."""
        alone = bool(batch)
        brief = sum(self._rows(item) for item, _ in batch or self._waiting) <= BRIEF

        def flush(connection: Connection) -> Sequence[Result]:
            self._fill(batch, BRIEF if brief else math.inf)
            return self._flush(connection, [item for item, _ in batch])

        try:
            if self._reads:
                results = await self._database.read(flush)
            else:
                results = await self._database.write(flush, brief=brief)
        except Exception as error:
            self._fill(batch, math.inf)  # it may not have come to it
            if alone or is_away(error):
                for _, future in batch:
                    _fail(future, error)
                return
            for single in batch:
                await self._commit([single])
            return
        for (_, future), result in zip(batch, results, strict=True):
            if not future.done():
                future.set_result(result)

    def _fill(self, batch: list[tuple[Item, asyncio.Future[Result]]], most_rows: float) -> None:
        if not batch:
            rows = accumulate(self._rows(item) for item, _ in self._waiting[:MAX_BATCH])
            count = max(1, sum(so_far <= most_rows for so_far in rows))
            batch += self._waiting[:count]
            del self._waiting[:count]


def _fail(future: asyncio.Future[Result], error: Exception) -> None:
    if not future.done():
        future.set_exception(error)
