"""The one place that talks HTTP to providers, and the line that decides everything: did bytes leave us?

Nothing left us (no connection was made): the job is deferred. Anything later without a whole answer: it may
have been sent. httpx is used through its transport interface, with aiohttp underneath for the speed.
"""

from __future__ import annotations

import asyncio
import re
import socket
import struct
from collections.abc import Sequence
from functools import lru_cache

import aiohttp
import httpx
from httpx_aiohttp import AiohttpTransport

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

MAX_ANSWER_BYTES = 1_000_000
_ORIGIN = re.compile(r"https?://[^/?#]+", re.IGNORECASE)
CONNECT_TIMEOUT_S = 5.0
KEEP_ALIVE_S = 5.0
"""Below any server's own, so that a connection is rarely closed under a request."""

_NEVER_CONNECTED = (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError, aiohttp.InvalidURL)
"""aiohttp's own words for it: no address, no connection, no TLS. The transport turns a lost answer into
``httpx.ConnectTimeout`` too, so httpx's classes cannot be believed here."""


class HttpClient:
    """Requests to one peer. Use inside a running loop; ``close`` when done."""

    def __init__(
        self, *, timeout_s: float, max_in_flight: int, transport: httpx.AsyncBaseTransport | None = None
    ) -> None:
        self._timeout_s = timeout_s
        self._transport = transport
        self._max_in_flight = max_in_flight

    async def call(self, request: Request) -> Response:
        """One request, one fully read response. Raises ``NoAnswer``; no redirect, no retry, no proxy from the
        environment: each of them could send a second time."""
        transport = self._transport or self._open()
        message = self._message(request)
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S + self._timeout_s):
                response = await transport.handle_async_request(message)
                try:
                    body = await _read(response)
                finally:
                    await response.aclose()
        except (TimeoutError, httpx.HTTPError, aiohttp.ClientError, OSError) as error:
            cause = error.__cause__ or error if isinstance(error, httpx.HTTPError) else error
            sent = not isinstance(cause, _NEVER_CONNECTED)
            raise NoAnswer(_describe(cause), sent=sent) from None
        return Response(response.status_code, body, {key.lower(): value for key, value in response.headers.items()})

    def _message(self, request: Request) -> httpx.Request:
        found = _ORIGIN.match(request.url)
        try:
            origin = _origin(found[0] if found else "")
        except (httpx.InvalidURL, UnicodeError):
            raise NoAnswer("no connection to the provider: its address is no URL", sent=False) from None
        return httpx.Request(
            request.method,
            origin,
            headers={"User-Agent": "email2sms", **request.headers},
            content=request.body or None,
            extensions={"target": request.url[found.end() :].encode() if found else b""},
        )

    def _open(self) -> httpx.AsyncBaseTransport:
        session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                limit=self._max_in_flight, keepalive_timeout=KEEP_ALIVE_S, socket_factory=_socket
            ),
            cookie_jar=aiohttp.DummyCookieJar(),
            trust_env=False,
        )
        # aiohttp repeats a GET whose kept connection dies before the answer. The provider may have read the
        # first one, and then the handset gets two. There is no public switch; a test watches this one.
        session._retry_connection = False
        self._transport = _Transport(session, self._timeout_s)
        return self._transport

    async def close(self) -> None:
        """Close the connections."""
        if self._transport is not None:
            await self._transport.aclose()
            self._transport = None


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


class _Transport(AiohttpTransport):
    """The library's, without what it does anew for each request: httpx and aiohttp would parse the URL in turn, and the
    answer would be read through four layers. The target is that of httpx's extension of this name."""

    def __init__(self, session: aiohttp.ClientSession, timeout_s: float) -> None:
        super().__init__(client=session, trust_env=False)
        self._session = session
        self._timeout = aiohttp.ClientTimeout(
            connect=CONNECT_TIMEOUT_S, sock_connect=CONNECT_TIMEOUT_S, sock_read=timeout_s
        )

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Raises aiohttp's own errors, ``NoAnswer`` for an endless answer."""
        origin, target = str(request.url).removesuffix("/"), request.extensions["target"].decode()
        async with self._session.request(
            request.method,
            origin + target,
            headers=request.headers,
            data=request.content or None,
            allow_redirects=False,
            timeout=self._timeout,
        ) as response:
            body = b""
            async for chunk in response.content.iter_any():
                body += chunk
                if len(body) > MAX_ANSWER_BYTES:
                    raise NoAnswer("the answer is larger than a megabyte", sent=True)
        headers = [(name, value) for name, value in response.raw_headers if name.lower() != b"content-encoding"]
        return httpx.Response(response.status, headers=headers, content=body)


@lru_cache(maxsize=100)
def _origin(text: str) -> httpx.URL:
    """Raises ``httpx.InvalidURL``, ``UnicodeError`` for what no resolver would be asked."""
    url = httpx.URL(text)
    url.host.encode("idna")  # the resolver would raise the same, too late to be told apart
    if not url.host:
        raise httpx.InvalidURL("no host")
    return url


def _socket(address: tuple[object, ...]) -> socket.socket:
    """A socket whose ``close`` is a reset. After a time-out the kernel would otherwise go on delivering the request,
    perhaps when the provider's window for duplicates is over."""
    family, kind, protocol = (int(str(part)) for part in address[:3])
    made = socket.socket(family, kind, protocol)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    return made


async def _read(response: httpx.Response) -> bytes:
    body = b""
    async for chunk in response.aiter_bytes():
        body += chunk
        if len(body) > MAX_ANSWER_BYTES:
            raise NoAnswer("the answer is larger than a megabyte", sent=True)
    return body


def _describe(error: BaseException) -> str:
    """What went wrong, without the URL: it holds the password."""
    match error:
        case aiohttp.ClientConnectorError():
            return f"no connection to the provider: {error.os_error.strerror or type(error.os_error).__name__}"
        case aiohttp.InvalidURL():
            return "no connection to the provider: its address is no URL"
        case aiohttp.ConnectionTimeoutError():
            return "no connection to the provider: timed out"
        case TimeoutError():
            return "no answer in time"
        case _:
            return f"the answer was lost: {type(error).__name__}"
