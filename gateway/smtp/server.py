"""A listener: its socket, its sessions, its end."""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gateway.service.intake import Intake
from gateway.service.rejections import At, Door
from gateway.settings.listeners import ListenerSettings
from gateway.settings.notation import host_and_port
from gateway.smtp.connection import Connection, Terms
from gateway.smtp.doorstep import HANDSHAKE_S, Doorstep
from gateway.smtp.limits import Budget, Connections
from gateway.smtp.proxy import Encryption, ProxiedServer
from gateway.smtp.session import Session

BACKLOG = 1024
SWEEP_S = 1.0
CUT_OFF_S = 1.0

# aiosmtpd's DEBUG prints every line of a mail, its INFO every phone number.
logging.getLogger("mail.log").setLevel(logging.WARNING)


class Listener:
    """One door of the configuration."""

    def __init__(
        self,
        settings: ListenerSettings,
        intake: Intake,
        hostname: str,
        tls: ssl.SSLContext | None,
        budget: Budget,
    ) -> None:
        self.settings = settings
        self._connections = Connections(settings.max_connections, settings.max_connections_per_client)
        self._terms = Terms(settings, intake, hostname, tls, self._connections, budget)
        self._servers: list[asyncio.Server | Doorstep | ProxiedServer] = []
        self._sweeper: asyncio.Task[None] | None = None

    async def start(self, bound: list[socket.socket] | None = None) -> None:
        """Take clients at these sockets, or at ``bind``'s own. Raises ``OSError`` when they cannot be had."""
        loop = asyncio.get_running_loop()
        tls = self.settings.tls

        def session(client: str | None = None) -> Session:
            return Session(self._terms, loop, client)

        serve = loop.create_unix_server if self._terms.is_local else loop.create_server
        implicit = self._terms.tls if tls is not None and tls.mode == "implicit" else None
        encryption = Encryption(implicit, min(HANDSHAKE_S, self.settings.command_timeout)) if implicit else None
        for one in bound if bound is not None else bind(self.settings):
            if self.settings.proxy_protocol:
                self._servers.append(ProxiedServer(one, self.settings, session, encryption, self._no_proxy))
            elif implicit is not None:
                self._servers.append(Doorstep(one, self._terms, session))
            else:
                self._servers.append(await serve(session, sock=one, backlog=BACKLOG))
        self._sweeper = asyncio.create_task(self._sweep())

    def _no_proxy(self, proxy: str, why: str) -> None:
        at = At(self.settings.name, proxy)
        self._terms.intake.rejections.note(Door.NO_PROXY.value, at, values={"why": why})

    @property
    def is_open(self) -> bool:
        """Whether it takes clients."""
        return bool(self._servers) and not self._connections.closed

    @property
    def where(self) -> str:
        """As configured; with the real port where that is 0."""
        return where(self.settings, [bound for server in self._servers for bound in server.sockets])

    async def _sweep(self) -> None:
        loop = asyncio.get_running_loop()
        pause_s = min(SWEEP_S, self.settings.command_timeout / 4, self.settings.data_timeout / 4)
        while True:
            await asyncio.sleep(pause_s)
            self._connections.sweep(loop.time())

    async def stop(self, grace_s: float) -> None:
        """No new clients; those in the middle of a mail may finish it."""
        if not self._servers:
            return
        for server in self._servers:
            server.close()
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


def bind(settings: ListenerSettings) -> list[socket.socket]:
    """The sockets of a listener; several where the host has several addresses. Raises ``OSError``."""
    if settings.bind.startswith("unix:"):
        return [_local_socket(Path(settings.bind.removeprefix("unix:")), int(settings.socket_mode, 8))]
    host, port = host_and_port(settings.bind)
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    bound: list[socket.socket] = []
    try:
        for family, address in dict.fromkeys((family, address) for family, _, _, _, address in found):
            one = socket.socket(family, socket.SOCK_STREAM)
            bound.append(one)
            one.setblocking(False)
            one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            one.bind(address)
            one.listen(BACKLOG)  # a port that is in use may show only here
    except OSError:
        release(settings, bound)
        raise
    return bound


def where(settings: ListenerSettings, bound: Sequence[Any]) -> str:
    """As configured; with the real port where that is 0."""
    host, _, port = settings.bind.rpartition(":")
    return settings.bind if port != "0" or not bound else f"{host}:{bound[0].getsockname()[1]}"


def release(settings: ListenerSettings, bound: list[socket.socket]) -> None:
    """Close, and leave no socket file behind."""
    for one in bound:
        one.close()
    if settings.bind.startswith("unix:"):
        _remove_stale(Path(settings.bind.removeprefix("unix:")))


def _local_socket(path: Path, mode: int) -> socket.socket:
    """Nobody can connect before ``listen``, so nobody comes in under other permissions. Raises ``OSError``."""
    _remove_stale(path)
    bound = socket.socket(socket.AF_UNIX)
    try:
        bound.bind(str(path))  # asyncio, given the path, would take it from a server that lives
        path.chmod(mode)
        bound.setblocking(False)
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
