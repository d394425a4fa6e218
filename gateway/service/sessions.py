"""Who is signed in: by a password, a link, an OpenID provider or a proxy in front."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import structlog
from sqlalchemy import Connection

from gateway.policy.guessing import Attempt
from gateway.policy.people import User, login_of, seen_accounts
from gateway.policy.permissions import Role
from gateway.service.audit import entry
from gateway.service.bans import Bans
from gateway.service.credentials import Credentials
from gateway.service.people import digest_of
from gateway.settings.load import Configuration
from gateway.settings.notation import is_loopback
from gateway.spool import audit, people, sessions
from gateway.spool.sessions import Session
from gateway.spool.store import Store

__all__ = ["Named", "NotLetIn", "Session", "Sessions", "Stranger"]

log = structlog.get_logger()

TOUCH_S = 60.0
_MAX_AGENT = 200


class NotLetIn(Exception):
    """Another door says who it is, and we do not let him in. ``args[0]``: ``unknown``, ``taken``, ``role``,
    ``disabled``, ``login``."""


@dataclass(frozen=True, slots=True)
class Named:
    """Whom an OpenID provider names, and what it says of him. None: it says nothing of that."""

    subject: str
    login: str
    role: Role | None
    texts: bool | None
    accounts: frozenset[str] | None
    """With ``*``: all."""
    target: str
    """Where he wanted to go."""


@dataclass(frozen=True, slots=True)
class Stranger:
    """A browser that wants to come in."""

    peer: str
    agent: str = ""


class Sessions:
    """All of them, in the store: what ends one ends it in every process at once."""

    def __init__(
        self,
        store: Store,
        configuration: Callable[[], Configuration],
        credentials: Credentials,
        bans: Bans,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._store = store
        self._configuration = configuration
        self._credentials = credentials
        self._bans = bans
        self._clock = clock

    @property
    def _terms(self) -> tuple[float, float]:
        console = self._configuration().settings.console
        assert console is not None
        return console.session_idle, console.session_longest

    async def by_password(self, login: str, password: str, stranger: Stranger) -> str | None:
        """The secret of a new session; None: wrong, unknown or disabled, all after the same time.

        Raises ``Refused`` when there was too much guessing, or too many sign in at once.
        """
        try:
            name = login_of(login)
        except ValueError:
            name = ""
        user = await self._store.read(lambda connection: people.find(connection, name))
        known = user.password_hash if user is not None and not user.disabled else None
        is_right = await self._is_right(name, known, password, stranger)
        if user is None or not is_right:
            return None
        return await self.begin(user, stranger, "password")

    async def is_password(self, user: User, password: str, stranger: Stranger) -> bool:
        """Whether it is his, who has come in already. Raises ``Refused`` as ``by_password`` does."""
        return await self._is_right(user.login, user.password_hash, password, stranger)

    async def _is_right(self, login: str, known: str | None, password: str, stranger: Stranger) -> bool:
        """Counted if not. Who is not known takes as long."""
        at_home = is_loopback(stranger.peer)
        attempt = Attempt(login, stranger.peer, at_home, kind="user")
        self._bans.let_try(attempt)
        if await self._credentials.verify(known, password, "" if at_home else stranger.peer):
            return True
        log.warning("console.login_failed", peer=stranger.peer)
        await asyncio.sleep(await self._bans.failed(attempt))
        return False

    async def begin(self, user: User, stranger: Stranger, how: str) -> str:
        """Sign in whoever has been proven; the secret for the cookie."""
        secret, now = secrets.token_urlsafe(32), self._clock()
        session = Session(
            id=secrets.token_hex(6),
            login=user.login,
            created_at=now,
            seen_at=now,
            expires_at=now + self._terms[1],
            peer=stranger.peer,
            agent=stranger.agent[:_MAX_AGENT],
            how=how,
        )
        look = entry(now, user.login, "session.begin", how)

        def begun(connection: Connection) -> None:
            sessions.begin(connection, session, digest_of(secret))
            people.seen(connection, user.login, now)
            audit.note(connection, look)

        await self._store.write(begun)
        log.info("console.login", login=user.login, how=how, peer=stranger.peer)
        return secret

    async def find(self, secret: str) -> tuple[Session, User] | None:
        """Whose this is. One look into the store; that it is in use is written down once a minute."""
        now, idle_s = self._clock(), self._terms[0]
        found = await self._store.read(lambda connection: sessions.find(connection, digest_of(secret), now, idle_s))
        if found is not None and now - found[0].seen_at >= TOUCH_S:
            session_id = found[0].id
            await self._store.write(lambda connection: sessions.touch(connection, session_id, now))
        return found

    async def of(self, login: str) -> Sequence[Session]:
        """The last used first."""
        now, idle_s = self._clock(), self._terms[0]
        return await self._store.read(lambda connection: sessions.listed(connection, login, now, idle_s))

    async def end(self, login: str, by: str, *, only: str | None = None, but: str | None = None) -> int:
        """Sign out: all of his, only one, or all but one. How many ended."""
        look = entry(self._clock(), by, "session.end", login)

        def ended(connection: Connection) -> int:
            count = sessions.end(connection, login, only=only, but=but)
            if count:
                audit.note(connection, look)
            return count

        return await self._store.write(ended)

    # ── other doors ──────────────────────────────────────────────────────────────────────────

    async def by_proxy(self, given: str) -> User:
        """Whom a proxy in front names. Raises ``NotLetIn``."""
        console = self._configuration().settings.console
        assert console is not None
        assert console.proxy is not None
        try:
            login = login_of(given)
        except ValueError:
            raise NotLetIn("login") from None
        user = await self._store.read(lambda connection: people.find(connection, login))
        if user is None and console.proxy.new_users is not None:
            sees = seen_accounts(console.proxy.accounts)
            fresh = User(login, Role(console.proxy.new_users), accounts=sees, created_at=self._clock())
            await self._store.write(lambda connection: people.add(connection, fresh))
            user = await self._store.read(lambda connection: people.find(connection, login))
        if user is None:
            raise NotLetIn("unknown")
        if user.disabled:
            raise NotLetIn("disabled")
        return user

    async def by_oidc(self, named: Named, *, new_users: bool) -> User:
        """Whom an OpenID provider names: by ``subject``, which never changes hands, as a login may; the first time by
        login, if nobody has a password for it. His role is what the provider says, and ``texts`` and accounts, where it
        says that; a new one sees none otherwise. Raises ``NotLetIn``."""
        try:
            login = login_of(named.login)
        except ValueError:
            raise NotLetIn("login") from None
        role = named.role
        if role is None:
            raise NotLetIn("role")
        now = self._clock()

        def known(connection: Connection) -> User | str:
            people.lock(connection)
            user = people.find_subject(connection, named.subject)
            if user is None:
                namesake = people.find(connection, login)
                if namesake is not None and (namesake.password_hash or namesake.subject):
                    return "taken"
                if namesake is None and not new_users:
                    return "unknown"
                user = namesake or User(login, accounts=frozenset(), created_at=now)
                people.add(connection, user)
            if user.disabled:
                return "disabled"
            user = replace(
                user,
                subject=named.subject,
                role=role,
                texts=user.texts if named.texts is None else named.texts,
                accounts=user.accounts if named.accounts is None else seen_accounts(named.accounts),
            )
            people.write(connection, user)
            return user

        found = await self._store.write(known)
        if isinstance(found, str):
            raise NotLetIn(found)
        return found
