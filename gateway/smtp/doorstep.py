"""Clients of a listener with implicit TLS, until they have shown that they speak it.

asyncio's server drops a failed handshake without a word; a device that was given the wrong port has its owner
search for days. So connections are accepted here, and what fails is told to the log by its name.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections import Counter
from collections.abc import Callable

import structlog

from gateway import metrics
from gateway.policy.accounts import in_networks
from gateway.service.quirks import Quirk
from gateway.service.rejections import At, Door
from gateway.smtp import first_bytes
from gateway.smtp.connection import Terms

log = structlog.get_logger()

HANDSHAKE_S = 20.0
"""A client that opens TLS and stops counts as no connection yet, so it gets less time than others."""
AFTER_FAULT_S = 1.0


class Doorstep:
    """One listening socket. The same face as ``asyncio.Server`` has."""

    def __init__(self, bound: socket.socket, terms: Terms, session: Callable[[], asyncio.Protocol]) -> None:
        assert terms.tls is not None
        self.sockets = (bound,)
        self._terms = terms
        self._tls: ssl.SSLContext = terms.tls
        self._session = session
        self._patience_s = min(HANDSHAKE_S, terms.settings.command_timeout)
        self._shaking: set[asyncio.Task[None]] = set()
        self._by_client: Counter[str] = Counter()
        self._accepting = asyncio.create_task(self._accept(bound))

    def close(self) -> None:
        """No new clients."""
        self._accepting.cancel()
        for task in self._shaking:
            task.cancel()

    async def _accept(self, bound: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        with bound:
            while True:
                try:
                    client, address = await loop.sock_accept(bound)
                except OSError as error:  # too many open files; those that wait are taken later
                    log.warning("smtp.not_accepted", listener=self._terms.settings.name, why=str(error))
                    await asyncio.sleep(AFTER_FAULT_S)
                    continue
                peer = address[0] if address else ""
                if self._is_crowded(peer):
                    client.close()
                    continue
                task = asyncio.create_task(self._shake(client, peer))
                self._shaking.add(task)
                task.add_done_callback(self._shaking.discard)

    def _is_crowded(self, peer: str) -> bool:
        settings = self._terms.settings
        too_many = bool(peer) and self._by_client[peer] >= settings.max_connections_per_client
        return too_many or len(self._shaking) >= settings.max_connections

    async def _shake(self, client: socket.socket, peer: str) -> None:
        loop = asyncio.get_running_loop()
        self._by_client[peer] += 1
        try:
            await loop.connect_accepted_socket(
                self._session, client, ssl=self._tls, ssl_handshake_timeout=self._patience_s
            )
        except OSError as error:
            self._failed(error, peer)
        finally:
            self._by_client[peer] -= 1
            if not self._by_client[peer]:
                del self._by_client[peer]

    def _failed(self, error: OSError, peer: str) -> None:
        settings = self._terms.settings
        looks_like, why = first_bytes.why_no_handshake(error)
        if not looks_like:
            log.info("smtp.no_handshake", listener=settings.name, peer=peer, why=why)
            self._note(Door.NO_HANDSHAKE, peer, why)
            return
        metrics.smtp_sessions_rejected[settings.name, "not smtp"].inc()
        log.info("smtp.not_smtp", listener=settings.name, peer=peer, looks_like=looks_like)
        client = peer if self._is_trusted(peer) else None
        self._terms.intake.quirks.note(Quirk.SMTP_ON_TLS, client=client, listener=settings.name)
        self._note(Door.NO_TLS, peer, looks_like)

    def _is_trusted(self, peer: str) -> bool:
        return self._terms.is_local or in_networks(peer, self._terms.settings.trust)

    def _note(self, door: Door, peer: str, why: str) -> None:
        at = At(self._terms.settings.name, peer, self._is_trusted(peer))
        self._terms.intake.rejections.note(door.value, at, values={"why": why})
