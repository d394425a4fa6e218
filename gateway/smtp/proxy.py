"""Behind a load balancer: the PROXY protocol, version 1 and 2, says who the client really is.

aiosmtpd's parser, fed from the bare socket and with no byte more than the header: what follows may be the client's
TLS, or words that must not be taken for the proxy's. https://www.haproxy.org/download/2.9/doc/proxy-protocol.txt
"""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

import structlog
from aiosmtpd.proxy_protocol import AF, PROTO, V2_CMD, ProxyData, get_proxy

from gateway.policy.accounts import in_networks
from gateway.settings.listeners import ListenerSettings
from gateway.smtp.limits import UNKNOWN

log = structlog.get_logger()

HEADER_LIMIT = 2048
"""Bytes. Version 1 has 107 at most; version 2 may carry a certificate's names, which nobody reads here."""
HEADER_S = 10.0
_AFTER_FAULT_S = 0.2

# It warns of each bad header in words of its own, and so do we.
logging.getLogger("mail.debug").setLevel(logging.CRITICAL)


class BadHeader(Exception):
    """No PROXY header, or none that can be believed."""


class _Exactly:
    """A socket as aiosmtpd's parser reads from it: never beyond the header."""

    def __init__(self, bound: socket.socket) -> None:
        self._socket = bound
        self._left = HEADER_LIMIT

    async def read(self, n: int = 1) -> bytes:
        if n > self._left:
            raise BadHeader("too long")
        self._left -= n
        return await asyncio.get_running_loop().sock_recv(self._socket, n)

    async def readexactly(self, n: int) -> bytes:
        found = b""
        while len(found) < n:
            more = await self.read(n - len(found))
            if not more:
                raise BadHeader("the connection has ended")
            found += more
        return found

    async def readuntil(self, separator: bytes = b"\n") -> bytes:
        """Byte by byte, for a line of a hundred; a longer one is none."""
        found = b""
        while not found.endswith(separator) and len(found) < 107:
            found += await self.readexactly(1)
        return found


async def client_of(bound: socket.socket) -> str:
    """The address that the header on this fresh connection names; ``UNKNOWN`` where it names none: the proxy asks
    for itself, or does not know. Raises ``BadHeader``, ``OSError``."""
    found = await get_proxy(_Exactly(bound))
    if not found.valid:
        raise BadHeader(found.error)
    return _address(found)


def _address(found: ProxyData) -> str:
    is_tcp = found.family in (AF.INET, AF.INET6) and found.protocol == PROTO.STREAM
    if not is_tcp or found.command == V2_CMD.LOCAL:
        return UNKNOWN
    return str(found.src_addr)


@dataclass(frozen=True, slots=True)
class Encryption:
    """TLS from the first byte behind the header."""

    context: ssl.SSLContext
    handshake_timeout: float


class ProxiedServer:
    """Accepts from the listener's proxies only; every session begins with the client's own address."""

    def __init__(
        self,
        bound: socket.socket,
        settings: ListenerSettings,
        session: Callable[[str], asyncio.Protocol],
        implicit: Encryption | None,
        refused: Callable[[str, str], None],
    ) -> None:
        """``refused``: told the proxy's address, and why."""
        self.sockets = [bound]
        self._bound = bound
        self._settings = settings
        self._session = session
        self._implicit = implicit
        self._refused = refused
        self._arriving: set[asyncio.Task[None]] = set()
        self._accepting = asyncio.create_task(self._accept())

    def close(self) -> None:
        """Accept no more, and forget those who have not said yet who they are."""
        self._accepting.cancel()
        for task in self._arriving:
            task.cancel()

    async def _accept(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            while True:
                try:
                    fresh, address = await loop.sock_accept(self._bound)
                except OSError as error:  # e.g. no file descriptors left: the next moment may be better
                    log.warning("smtp.not_accepted", listener=self._settings.name, why=type(error).__name__)
                    await asyncio.sleep(_AFTER_FAULT_S)
                    continue
                if len(self._arriving) >= self._settings.max_connections:
                    fresh.close()
                    continue
                task = loop.create_task(self._arrive(fresh, address[0]))
                self._arriving.add(task)
                task.add_done_callback(self._arriving.discard)
        finally:
            self._bound.close()

    async def _arrive(self, fresh: socket.socket, proxy: str) -> None:
        is_taken = False
        try:
            async with asyncio.timeout(HEADER_S):
                client = await self._client(fresh, proxy)
            is_taken = True
            await self._hand_over(fresh, client)
        except (BadHeader, TimeoutError) as error:
            why = str(error) or "too slow"
            log.warning("smtp.proxy_refused", listener=self._settings.name, proxy=proxy, why=why)
            self._refused(proxy, why)
        except OSError:  # gone, or no TLS
            log.debug("smtp.proxy_gone", listener=self._settings.name, proxy=proxy)
        finally:
            if not is_taken:
                with suppress(OSError):
                    fresh.close()

    async def _client(self, fresh: socket.socket, proxy: str) -> str:
        if not in_networks(proxy, self._settings.proxies):
            raise BadHeader("no proxy of ours")
        return await client_of(fresh)

    async def _hand_over(self, fresh: socket.socket, client: str) -> None:
        implicit, loop = self._implicit, asyncio.get_running_loop()
        await loop.connect_accepted_socket(
            lambda: self._session(client),
            fresh,
            ssl=implicit.context if implicit else None,
            ssl_handshake_timeout=implicit.handshake_timeout if implicit else None,
        )
