"""The one place that talks HTTP to providers, and the line that decides everything: did bytes leave us?

Nothing left us (no connection was made): the job is deferred. Anything later without a whole answer: it may have been
sent. Connections and parser are aiohttp's, without its session: that builds much anew for each request, and repeats a
GET by itself. What stands in the place of the network is a transport of httpx.
"""

from __future__ import annotations

import asyncio
import re
import socket
import struct
from collections.abc import Awaitable, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING
from urllib.parse import quote

import aiohttp
from aiohttp.connector import Connection
from aiohttp.http import HttpProcessingError, StreamWriter
from multidict import CIMultiDict
from yarl import URL

from gateway.model import (
    Attempt,
    Balance,
    Callback,
    Deferred,
    Outcome,
    Pushed,
    Receipt,
    Rejected,
    Request,
    Response,
    Scope,
    Uncertain,
)
from gateway.providers import (
    BalanceQuery,
    CallbackReader,
    Driver,
    NoAnswer,
    PriceQuery,
    ProviderSettings,
    Sink,
    StatusQuery,
    Unsupported,
)
from gateway.providers.web_answers import hidden
from gateway.verdicts import Refused

if TYPE_CHECKING:
    import httpx

MAX_ANSWER_BYTES = 1_000_000
CONNECT_TIMEOUT_S = 5.0
KEEP_ALIVE_S = 5.0
"""Below any server's own, so that a connection is rarely closed under a request."""

_ORIGIN = re.compile(r"https?://[^/?#]+", re.IGNORECASE)
_QUOTED = "%!$&'()*+,/:;=?@"
"""What stays as it is in an address, beside letters, digits and ``-._~``: its parts are quoted already."""


class HttpClient:
    """Requests to one peer. Use inside a running loop; ``close`` when done."""

    def __init__(
        self, *, timeout_s: float, max_in_flight: int, transport: httpx.AsyncBaseTransport | None = None
    ) -> None:
        """``timeout_s`` is what a whole answer may take; ``transport`` stands in the place of the network."""
        self._timeout_s = timeout_s
        self._max_in_flight = max_in_flight
        self._transport = transport
        self._connecting = aiohttp.ClientTimeout(connect=CONNECT_TIMEOUT_S)
        self._connector: aiohttp.TCPConnector | None = None
        self._peer = lru_cache(maxsize=100)(_peer)

    async def call(self, request: Request) -> Response:
        """One request, one fully read response. Raises ``NoAnswer``; no redirect, no retry, no proxy from the
        environment: each of them could send a second time."""
        if self._transport is not None:
            return await self._in_time(_handed(self._transport, request))
        connection, line, headers = await self._connect(request)
        return await self._in_time(_asked(connection, line, headers, request.body))

    async def _connect(self, request: Request) -> tuple[Connection, str, CIMultiDict[str]]:
        """A connection, and what begins the request on it: of which nothing has left us yet."""
        found = _ORIGIN.match(request.url)
        try:
            peer = self._peer(found[0] if found else "")
            target = _target(request.url[found.end() :] if found else "")
            connection = await self._open().connect(peer, [], self._connecting)
        except (TimeoutError, aiohttp.ClientError, OSError, ValueError) as error:
            raise NoAnswer(f"no connection to the provider: {_unreached(error)}", sent=False) from None
        if connection.protocol is None or connection.protocol.should_close:
            connection.close()
            raise NoAnswer("no connection to the provider: it did not wait to be asked", sent=False)
        headers = peer.headers.copy()
        headers.update(request.headers)
        if request.body or request.method != "GET":
            headers["Content-Length"] = str(len(request.body))
        return connection, f"{request.method} {target} HTTP/1.1", headers

    async def _in_time(self, answer: Awaitable[Response]) -> Response:
        try:
            async with asyncio.timeout(self._timeout_s):
                return await answer
        except TimeoutError:
            raise NoAnswer("no answer in time", sent=True) from None
        except (aiohttp.ClientError, HttpProcessingError, OSError) as error:
            raise NoAnswer(f"the answer was lost: {type(error).__name__}", sent=True) from None

    def _open(self) -> aiohttp.TCPConnector:
        if self._connector is None:
            self._connector = aiohttp.TCPConnector(
                limit=self._max_in_flight, keepalive_timeout=KEEP_ALIVE_S, socket_factory=_socket
            )
        return self._connector

    async def close(self) -> None:
        """Close the connections."""
        if self._transport is not None:
            await self._transport.aclose()
        if self._connector is not None:
            await self._connector.close()
            self._connector = None


class HttpUpstream(HttpClient):
    """One provider account over HTTP."""

    def __init__(
        self,
        driver: Driver,
        *,
        timeout_s: float,
        max_in_flight: int,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        super().__init__(timeout_s=timeout_s, max_in_flight=max_in_flight, transport=transport)
        self.driver = driver
        self.traits = driver.traits
        self.can_ask = isinstance(driver, StatusQuery)
        self.pushes = False

    @classmethod
    def of(
        cls, driver: Driver, settings: ProviderSettings, transport: httpx.AsyncBaseTransport | None = None
    ) -> HttpUpstream:
        """With the patience that the settings have, and their wish to ask and to be told."""
        made = cls(driver, timeout_s=settings.timeout, max_in_flight=settings.max_in_flight, transport=transport)
        made.can_ask = made.can_ask and settings.poll
        made.pushes = isinstance(driver, CallbackReader) and settings.callback_token is not None
        return made

    async def start(self, sink: Sink) -> None:
        """Nothing: what the provider pushes comes by callback."""

    async def submit(self, attempts: Sequence[Attempt]) -> list[Outcome]:
        """Send one request for these attempts and read what became of them. Never raises for the network."""
        try:
            request = self.driver.submit(attempts)
        except Refused as refused:
            return [Rejected(refused.refusal)] * len(attempts)
        try:
            response = await self.call(request)
        except NoAnswer as error:
            if error.sent:
                return [Uncertain(str(error))] * len(attempts)
            return [Deferred(Scope.ROUTE, str(error))] * len(attempts)
        return self.driver.read_submit(attempts, response)

    def preview(self, attempts: Sequence[Attempt]) -> str:
        """The request as it would go out, secrets masked. Raises ``Refused`` when it cannot be expressed."""
        request = self.driver.submit(attempts)
        lines = [f"{request.method} {request.url}", *(f"{name}: {value}" for name, value in request.headers.items())]
        body = request.body.decode("utf-8", "replace")
        return hidden("\n".join([*lines, *(["", body] if body else [])]), request.secrets)

    async def status(self, provider_id: str, destination: str) -> Receipt:
        """Ask what became of a message. Raises ``Unsupported``, ``NoAnswer``, ``Refused``."""
        if not isinstance(self.driver, StatusQuery):
            raise Unsupported("this provider cannot tell a status")
        response = await self.call(self.driver.status(provider_id, destination))
        return self.driver.read_status(provider_id, response)

    async def balance(self) -> Balance:
        """Ask what is left. Raises ``Unsupported``, ``NoAnswer``, ``Refused``."""
        if not isinstance(self.driver, BalanceQuery):
            raise Unsupported("this provider cannot tell its balance")
        return self.driver.read_balance(await self.call(self.driver.balance()))

    async def price(self, destination: str) -> Balance:
        """Ask what an SMS costs. Raises ``Unsupported``, ``NoAnswer``, ``Refused``."""
        if not isinstance(self.driver, PriceQuery):
            raise Unsupported("this provider cannot tell its prices")
        return self.driver.read_price(await self.call(self.driver.price(destination)))

    def read_callback(self, callback: Callback) -> Pushed:
        """What the provider says. Raises ``Unsupported``, ``Refused``."""
        if not isinstance(self.driver, CallbackReader):
            raise Unsupported("this provider reports nothing")
        return self.driver.read_callback(callback)


def _peer(origin: str) -> aiohttp.ClientRequest:
    """Whom to connect to, and the headers that each request there has. Raises ``ValueError``."""
    url = URL(origin)
    return aiohttp.ClientRequest("GET", url, headers={"User-Agent": "email2sms"}, loop=asyncio.get_running_loop())


def _target(rest: str) -> str:
    """Path and query as they stand in the request."""
    return quote(("" if rest.startswith("/") else "/") + rest.partition("#")[0], safe=_QUOTED)


async def _asked(connection: Connection, line: str, headers: CIMultiDict[str], body: bytes) -> Response:
    protocol = connection.protocol
    assert protocol is not None
    try:
        protocol.set_response_params(read_until_eof=True)
        writer = StreamWriter(protocol, asyncio.get_running_loop())
        await writer.write_headers(line, headers)
        await writer.write_eof(body)
        message, content = await protocol.read()
        while message.code < 200:  # "continue": the answer follows
            message, content = await protocol.read()
        answer = await _read(content)
    except BaseException:
        connection.close()
        raise
    connection.release()
    return Response(message.code, answer, message.headers)


async def _read(content: aiohttp.StreamReader) -> bytes:
    body = b""
    while chunk := await content.readany():
        body += chunk
        if len(body) > MAX_ANSWER_BYTES:
            raise NoAnswer("the answer is larger than a megabyte", sent=True)
    return body


async def _handed(transport: httpx.AsyncBaseTransport, request: Request) -> Response:
    import httpx  # noqa: PLC0415  (6 MB and a twentieth of a second, which the network does not need)

    message = httpx.Request(request.method, request.url, headers=request.headers, content=request.body or None)
    try:
        response = await transport.handle_async_request(message)
        return Response(response.status_code, await response.aread(), response.headers)
    except httpx.HTTPError as error:
        raise NoAnswer(f"the answer was lost: {type(error).__name__}", sent=True) from None


def _socket(address: tuple[object, ...]) -> socket.socket:
    """A socket whose ``close`` is a reset. After a time-out the kernel would otherwise go on delivering the request,
    perhaps when the provider's window for duplicates is over."""
    family, kind, protocol = (int(str(part)) for part in address[:3])
    made = socket.socket(family, kind, protocol)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    return made


def _unreached(error: Exception) -> str:
    """Without the URL: it holds the password."""
    match error:
        case aiohttp.ClientConnectorError():
            return error.os_error.strerror or type(error.os_error).__name__
        case TimeoutError():
            return "timed out"
        case ValueError():
            return "its address is no URL"
        case _:
            return type(error).__name__
