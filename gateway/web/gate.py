"""Who comes in: a cookie, a token or a proxy's word becomes a visitor."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import ip_address

import structlog
from fastapi import Request

from gateway.policy.people import User, program, visitor
from gateway.policy.permissions import Visitor
from gateway.service.sessions import NotLetIn, Session, Sessions, Stranger
from gateway.service.tokens import Tokens
from gateway.settings.load import Configuration
from gateway.settings.sites import ProxyLoginSettings

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Visit:
    """A visitor, and how it proved itself in this request."""

    visitor: Visitor
    csrf: str = ""
    """What an unsafe request of a browser must bring; empty for programs, which send their token by themselves."""
    user: User | None = None
    """In person; None: a program."""
    session: Session | None = None
    begun: str = ""
    """A session that began with this request, for the cookie."""


class Gate:
    """What the routes ask."""

    def __init__(
        self,
        sessions: Sessions,
        tokens: Tokens,
        configuration: Callable[[], Configuration],
    ) -> None:
        self._sessions = sessions
        self._tokens = tokens
        self._configuration = configuration
        self._warned = False

    async def visit(self, request: Request, cookie: str) -> Visit | None:
        """Whose request this is; None: nobody's that we know. Who shows a token is judged by it alone. ``cookie`` is
        the name of the session's."""
        shown = request.headers.get("Authorization", "")
        if shown:
            kind, _, secret = shown.partition(" ")
            found = await self._tokens.find(secret.strip()) if kind.lower() == "bearer" else None
            return Visit(program(*found)) if found is not None else None
        secret = request.cookies.get(cookie, "")
        known = await self._sessions.find(secret) if secret else None
        named = self._named(request)
        if named is not None:
            return await self._by_proxy(request, named, secret, known)
        if known is None or known[0].how == "proxy":  # that one is good with the proxy's word only
            return None
        session, user = known
        return Visit(visitor(user), _csrf(secret), user, session)

    async def _by_proxy(
        self, request: Request, named: str, secret: str, known: tuple[Session, User] | None
    ) -> Visit | None:
        """A session of its own for each browser: its pages need a token against forged requests."""
        try:
            user = await self._sessions.by_proxy(named)
        except NotLetIn as reason:
            log.warning("console.not_let_in", how="proxy", why=str(reason))
            return None
        if known is not None and known[1].login == user.login:
            return Visit(visitor(user), _csrf(secret), user, known[0])
        if request.method != "GET" or "text/html" not in request.headers.get("Accept", ""):
            return Visit(visitor(user), secrets.token_hex(), user)  # unsafe requests are refused
        begun = await self._sessions.begin(user, stranger(request), "proxy")
        return Visit(visitor(user), _csrf(begun), user, begun=begun)

    def _named(self, request: Request) -> str | None:
        """Whom a proxy in front names, if it is ours."""
        settings = self._settings
        if settings is None or settings.header not in request.headers:
            return None
        peer = getattr(request.state, "peer", "")
        if not _is_in(peer, settings):
            if not self._warned:
                self._warned = True
                log.warning("console.header_ignored", header=settings.header, peer=peer, alert=True)
            return None
        return request.headers[settings.header]

    @property
    def _settings(self) -> ProxyLoginSettings | None:
        console = self._configuration().settings.console
        return console.proxy if console is not None else None


def stranger(request: Request) -> Stranger:
    """The browser, before anybody knows whose it is."""
    peer = request.client.host if request.client is not None else ""
    return Stranger(peer, request.headers.get("User-Agent", ""))


def _is_in(peer: str, settings: ProxyLoginSettings) -> bool:
    try:
        address = ip_address(peer)
    except ValueError:
        return False
    return any(address in network for network in settings.networks)


def _csrf(secret: str) -> str:
    return hashlib.sha256(b"csrf " + secret.encode()).hexdigest()
