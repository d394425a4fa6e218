"""A listener: its socket, its sessions, its end."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import ssl
from pathlib import Path

from gateway.service.intake import Intake
from gateway.settings.schema import ListenerSettings, host_and_port
from gateway.smtp.limits import Connections
from gateway.smtp.session import Session, Terms

BACKLOG = 1024
SWEEP_S = 1.0

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

        if self.settings.bind.startswith("unix:"):
            path = self.settings.bind.removeprefix("unix:")
            _remove_stale(Path(path))
            self._server = await loop.create_unix_server(session, path, backlog=BACKLOG, ssl=implicit)
            os.chmod(path, int(self.settings.socket_mode, 8))  # noqa: PTH101
        else:
            host, port = host_and_port(self.settings.bind)
            self._server = await loop.create_server(session, host, port, backlog=BACKLOG, ssl=implicit)
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
        sessions = [session for session in self._connections.sessions if isinstance(session, Session)]
        for session in sessions:
            session.drain()
        tasks = [session.task for session in sessions if session.task is not None]
        if tasks:
            await asyncio.wait(tasks, timeout=grace_s)
        for session in sessions:
            session.abort()
        if self._sweeper is not None:
            self._sweeper.cancel()
        if self.settings.bind.startswith("unix:"):
            _remove_stale(Path(self.settings.bind.removeprefix("unix:")))


def _remove_stale(path: Path) -> None:
    """A socket file that nobody listens on is left from a crash; one that somebody does listen on is in use."""
    if not path.is_socket():
        return
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            path.unlink()
