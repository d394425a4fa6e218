"""The console's HTTP server, in the loop of the gateway."""

from __future__ import annotations

import socket
import ssl

import uvicorn
from fastapi import FastAPI

from gateway.settings.notation import host_and_port

DRAIN_S = 3
"""For requests under way at the end; event streams are cut."""


class Server:
    """uvicorn without its own signals, log and idle loop."""

    def __init__(self, app: FastAPI, tls: ssl.SSLContext | None = None) -> None:
        config = uvicorn.Config(
            app,
            log_config=None,
            access_log=False,
            lifespan="off",
            proxy_headers=False,  # Doorstep does that, for proxies that are known
            server_header=False,
            date_header=False,
            timeout_graceful_shutdown=DRAIN_S,
            h11_max_incomplete_event_size=65_536,
            limit_concurrency=500,
            ssl_context_factory=(lambda _config, _default: tls) if tls is not None else None,
        )
        config.load()
        self._server = uvicorn.Server(config)
        self._server.lifespan = config.lifespan_class(config)
        self._sockets: list[socket.socket] = []
        self.where = ""
        """``host:port``, once it listens."""

    async def start(self, bind: str, *, shared: bool) -> None:
        """Listen. Raises ``OSError``. ``shared``: other processes listen there too."""
        host, port = host_and_port(bind)
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        listening = socket.create_server((host, port), family=family, reuse_port=shared, backlog=128)
        self._sockets.append(listening)
        await self._server.startup(sockets=[listening])
        host, port = listening.getsockname()[:2]
        self.where = f"[{host}]:{port}" if family == socket.AF_INET6 else f"{host}:{port}"

    async def stop(self) -> None:
        """No new requests, those under way to their end."""
        if self._server.started:
            await self._server.shutdown(sockets=self._sockets)
