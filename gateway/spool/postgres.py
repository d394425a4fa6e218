"""PostgreSQL: any number of processes on any number of machines share the store."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

import asyncpg
import structlog
from sqlalchemy import URL, Connection
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import create_async_engine

from gateway.spool.sealing import Sealing

T = TypeVar("T")

log = structlog.get_logger()

CONNECT_S = 5.0
STATEMENT_S = 5.0
"""With the time for giving up, a silent server costs a client some twelve seconds until its 451."""
AFTER_FAULT_S = 2.0

_SESSION = {
    "application_name": "email2sms",
    # A process that is frozen in a transaction must not keep its rows from the others for ever.
    "idle_in_transaction_session_timeout": "10000",
    "lock_timeout": "4000",
    "statement_timeout": "5000",
    "tcp_keepalives_idle": "30",
    "tcp_keepalives_interval": "5",
    "tcp_keepalives_count": "3",
    "synchronous_commit": "on",  # whatever the server's default: 250 means on the disk
}


class PostgresDatabase:
    """A pool of connections. One that breaks is replaced; the transaction that it was in fails."""

    def __init__(self, url: URL, key: Sealing | None = None) -> None:
        mode = url.query.get("sslmode")
        if mode is not None:  # as libpq spells it; asyncpg's own name is "ssl"
            url = url.difference_update_query(["sslmode"]).update_query_dict({"ssl": mode})
        self._engine = create_async_engine(
            url.set(drivername="postgresql+asyncpg"),
            hide_parameters=True,  # an error goes into the log; texts and numbers do not
            pool_size=6,
            max_overflow=4,
            pool_timeout=CONNECT_S,
            pool_use_lifo=True,
            connect_args={"timeout": CONNECT_S, "command_timeout": STATEMENT_S, "server_settings": _SESSION},
        )
        self._engine.dialect.sealing = key  # type: ignore[attr-defined]  # for the types of ``sealing``

    async def open(self, *, exclusive: bool) -> None:
        """Nothing is exclusive here. Raises what ``is_away`` knows when there is no server."""
        async with self._engine.connect():
            pass

    async def write(self, transaction: Callable[[Connection], T], *, brief: bool = False) -> T:
        """READ COMMITTED; what must not change meanwhile is locked by the statements themselves."""
        async with self._engine.begin() as connection:
            return await connection.run_sync(transaction)

    async def read(self, transaction: Callable[[Connection], T], *, brief: bool = False) -> T:
        """The same, on another connection."""
        return await self.write(transaction)

    @property
    def inode(self) -> None:
        """None: there is no file."""

    def has_room(self, size: int) -> bool:
        """The server says so itself when it comes to that."""
        return True

    def spend_reserve(self) -> None:
        """There is none."""

    def keep_reserve(self) -> None:
        """The server's disk is not ours."""

    async def scrub(self) -> None:
        """The server's VACUUM does that in its own time."""

    async def watch(self, heard: Callable[[str], None]) -> None:
        """LISTEN, again and again when the server goes away. What is not heard is found a second later."""

        while True:
            try:
                async with self._engine.connect() as connection:
                    await _listen((await connection.get_raw_connection()).driver_connection, heard)
            except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, DBAPIError) as error:
                log.warning("store.not_listening", why=type(error).__name__)
            await asyncio.sleep(AFTER_FAULT_S)

    async def close(self) -> None:
        """Disconnect."""
        await self._engine.dispose()


async def _listen(connection: asyncpg.Connection, heard: Callable[[str], None]) -> None:
    lost = asyncio.Event()
    connection.add_termination_listener(lambda _: lost.set())
    await connection.add_listener("email2sms", lambda _connection, _pid, _channel, provider: heard(provider))
    await lost.wait()
