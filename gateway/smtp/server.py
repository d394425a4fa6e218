"""A listener: its socket, its sessions, its end."""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from pathlib import Path

from gateway.service.intake import Intake
from gateway.settings.schema import ListenerSettings, host_and_port
from gateway.smtp.connection import Connection, Terms
from gateway.smtp.limits import Connections
from gateway.smtp.session import Session

BACKLOG = 1024
SWEEP_S = 1.0
HANDSHAKE_S = 20.0
CUT_OFF_S = 1.0

# aiosmtpd's DEBUG prints every line of a mail, its INFO every phone number.
logging.getLogger("mail.log").setLevel(logging.WARNING)


class Listener:
    """One door of the configuration."""

    def __init__(self, settings: ListenerSettings, intake: Intake, hostname: str, tls: ssl.SSLContext | None) -> None:
        self.settings = settings
        self._connections = Connections(settings.max_connections, settings.max_connections_per_client)
        self._terms = Terms(settings, intake, hostname, tls, self._connections)
        self._server: asyncio.Server | None = None
        self._sweeper: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Open the socket. Raises ``OSError`` when it cannot be had."""
        loop = asyncio.get_running_loop()
        tls = self.settings.tls
        implicit = self._terms.tls if tls is not None and tls.mode == "implicit" else None

        def session() -> Session:
            return Session(self._terms, loop)

        # A client that opens TLS and stops counts as no connection yet, so it gets less time than others.
        patience_s = min(HANDSHAKE_S, self.settings.command_timeout) if implicit else None
        if self._terms.is_local:
            bound = _local_socket(Path(self.settings.bind.removeprefix("unix:")), int(self.settings.socket_mode, 8))
            self._server = await loop.create_unix_server(
                session, sock=bound, backlog=BACKLOG, ssl=implicit, ssl_handshake_timeout=patience_s
            )
        else:
            host, port = host_and_port(self.settings.bind)
            self._server = await loop.create_server(
                session, host, port, backlog=BACKLOG, ssl=implicit, ssl_handshake_timeout=patience_s
            )
        self._sweeper = asyncio.create_task(self._sweep())

    @property
    def where(self) -> str:
        """As configured; with the real port where that is 0."""
        host, _, port = self.settings.bind.rpartition(":")
        if port != "0" or self._server is None:
            return self.settings.bind
        return f"{host}:{self._server.sockets[0].getsockname()[1]}"

    async def _sweep(self) -> None:
        loop = asyncio.get_running_loop()
        pause_s = min(SWEEP_S, self.settings.command_timeout / 4, self.settings.data_timeout / 4)
        while True:
            await asyncio.sleep(pause_s)
            self._connections.sweep(loop.time())

    async def stop(self, grace_s: float) -> None:
        """No new clients; those in the middle of a mail may finish it."""
        if self._server is None:
            return
        self._server.close()
        self._connections.closed = True
        sessions = [session for session in self._connections.sessions if isinstance(session, Connection)]
        for session in sessions:
            session.drain()
        await _ended(sessions, grace_s)
        for session in sessions:
            session.abort()
        await _ended(sessions, CUT_OFF_S)
        if self._sweeper is not None:
            self._sweeper.cancel()
        if self._terms.is_local:
            _remove_stale(Path(self.settings.bind.removeprefix("unix:")))


async def _ended(sessions: list[Connection], timeout_s: float) -> None:
    tasks = [session.task for session in sessions if session.task is not None and not session.task.done()]
    if tasks:
        await asyncio.wait(tasks, timeout=timeout_s)


def _local_socket(path: Path, mode: int) -> socket.socket:
    """Nobody can connect before ``listen``, so nobody comes in under other permissions. Raises ``OSError``."""
    _remove_stale(path)
    bound = socket.socket(socket.AF_UNIX)
    try:
        bound.bind(str(path))  # asyncio, given the path, would take it from a server that lives
        path.chmod(mode)
    except OSError:
        bound.close()
        raise
    return bound


def _remove_stale(path: Path) -> None:
    """A socket file that nobody listens on is left from a crash; one that somebody does listen on is in use."""
    if not path.is_socket():
        return
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(1)
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            path.unlink()
