"""Who may come into the console: users, their passwords, and the links that let them in once."""

from __future__ import annotations

import hashlib
import secrets
import time
from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

import structlog
from sqlalchemy import Connection

from gateway.policy.people import User, login_of, password_fault
from gateway.policy.permissions import Role
from gateway.service.audit import entry
from gateway.service.credentials import Credentials
from gateway.settings.load import Configuration
from gateway.spool import audit, people, sessions
from gateway.spool.people import FIRST, LastAdmin, Link
from gateway.spool.store import Store

__all__ = ["LINK_S", "BadPassword", "LastAdmin", "Link", "People", "Taken", "Unknown", "User", "digest_of", "find_user"]

log = structlog.get_logger()

T = TypeVar("T")

LINK_S = 3600.0
INVITATION_S = 3 * 86400.0
"""An invited colleague reads his mail tomorrow."""


class Taken(Exception):
    """There is a user of this login."""


class Unknown(Exception):
    """There is none."""


class BadPassword(Exception):
    """``args[0]`` says why: ``short``, ``long``, ``like_login``."""


class People:
    """The list of them. ``by`` is who does it, for the audit."""

    def __init__(
        self,
        store: Store,
        configuration: Callable[[], Configuration],
        credentials: Credentials,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._store = store
        self._configuration = configuration
        self._credentials = credentials
        self._clock = clock

    async def all(self) -> list[User]:
        """By login."""
        return await self._store.read(people.listed)

    async def find(self, login: str) -> User | None:
        """By login, as somebody typed it."""
        return await find_user(self._store, login)

    async def add(self, user: User, by: str, password: str | None = None) -> User:
        """A new user; without a password he needs a link. Raises ``ValueError`` for a login that is none, ``Taken``,
        ``BadPassword``."""
        hashed = await self._hashed(password, login_of(user.login)) if password is not None else user.password_hash
        user = replace(user, login=login_of(user.login), created_at=self._clock(), password_hash=hashed)

        def added(connection: Connection) -> bool:
            return people.add(connection, user)

        if not await self._noted(by, "user.add", user.login, added):
            raise Taken(user.login)
        return user

    async def change(self, login: str, by: str, change: Callable[[User], User]) -> User:
        """What ``change`` makes of him; who is disabled is out at once. Raises ``Unknown``, ``LastAdmin``."""
        look = entry(self._clock(), by, "user.change", login)

        def changed(connection: Connection) -> tuple[User, str] | None:
            people.lock(connection)
            before = people.find(connection, login)
            if before is None:
                return None
            user = change(before)
            people.change(connection, user)
            difference = _difference(before, user)
            if difference:
                audit.note(connection, replace(look, subject=f"{login}: {difference}"))
            return user, difference

        result = await self._store.write(changed)
        if result is None:
            raise Unknown(login)
        user, difference = result
        log.info("people.changed", what="user.change", login=login, how=difference, by=by)
        return user

    async def remove(self, login: str, by: str) -> None:
        """With his sessions and tokens. Raises ``Unknown``, ``LastAdmin``."""

        def removed(connection: Connection) -> bool:
            people.lock(connection)
            return people.remove(connection, login)

        if not await self._noted(by, "user.remove", login, removed):
            raise Unknown(login)

    async def set_password(self, login: str, password: str, by: str, keep: str | None = None) -> None:
        """A new one; all sessions but ``keep`` end. Raises ``BadPassword``, ``Unknown``."""
        hashed = await self._hashed(password, login)

        def changed(connection: Connection) -> bool:
            people.lock(connection)
            user = people.find(connection, login)
            if user is None:
                return False
            people.change(connection, replace(user, password_hash=hashed))
            people.void_link(connection, login)
            sessions.end(connection, login, but=keep)
            return True

        if not await self._noted(by, "user.password", login, changed):
            raise Unknown(login)

    # ── links ────────────────────────────────────────────────────────────────────────────────

    async def link(self, login: str = FIRST, by: str = "", *, enters: bool = False, lasting_s: float = LINK_S) -> str:
        """The address of a page where a user chooses a password, or that signs him in at once (``enters``). Without
        a login it makes the first admin. It can be used once, and voids the one before. Raises ``Unknown``, for
        nobody where there are users already."""
        secret = secrets.token_urlsafe(32)
        link = Link(login, self._clock() + lasting_s, enters)

        def made(connection: Connection) -> bool:
            people.lock(connection)
            is_good = people.is_empty(connection) if login == FIRST else people.find(connection, login) is not None
            if is_good:
                people.put_link(connection, link, digest_of(secret))
            return is_good

        if not await (self._noted(by, "user.link", login, made) if by else self._store.write(made)):
            raise Unknown(login)
        return f"{self._configuration().console_url}/welcome/{secret}"

    async def invite(self, user: User, by: str) -> str:
        """A new user, and the link that makes him choose a password. Raises as ``add`` does."""
        added = await self.add(user, by)
        return await self.link(added.login, lasting_s=INVITATION_S)

    async def greet(self) -> str | None:
        """The link for the first admin, where there is a console and nobody to use it; the log tells it, too: who
        reads that has the machine."""
        if not self._configuration().console_url or not await self._store.read(people.is_empty):
            return None
        try:
            url = await self.link()
        except Unknown:  # somebody was quicker
            return None
        log.warning("console.welcome", link=url, minutes=round(LINK_S / 60))
        return url

    async def opened(self, secret: str) -> Link | None:
        """What a link is good for, without using it up."""
        return await self._store.read(lambda connection: people.find_link(connection, digest_of(secret), self._clock()))

    async def enter(self, secret: str) -> User | None:
        """Use up a link that signs in at once."""

        def entered(connection: Connection) -> User | None:
            digest, now = digest_of(secret), self._clock()
            link = people.find_link(connection, digest, now)
            if link is None or not link.enters or people.use_link(connection, digest, now) is None:
                return None
            user = people.find(connection, link.login)
            return user if user is not None and not user.disabled else None

        return await self._store.write(entered)

    async def accept(self, secret: str, login: str, password: str) -> User | None:
        """Use up a link: make the first admin, or set the password of the user that it is for (then ``login`` does not
        matter). None: it is good no more. Raises ``ValueError``, ``BadPassword``; the link stays good then."""
        link = await self.opened(secret)
        if link is None or link.enters:
            return None
        login = link.login if link.login != FIRST else login_of(login)
        hashed = await self._hashed(password, login)
        look = entry(self._clock(), login, "user.welcome", login)

        def accepted(connection: Connection) -> User | None:
            people.lock(connection)
            if people.use_link(connection, digest_of(secret), self._clock()) is None:
                return None
            if link.login == FIRST:
                first = User(login, Role.ADMIN, texts=True, password_hash=hashed, created_at=self._clock())
                if not people.is_empty(connection) or not people.add(connection, first):
                    return None
                audit.note(connection, look)
                return first
            user = people.find(connection, login)
            if user is None or user.disabled:
                return None
            user = replace(user, password_hash=hashed)
            people.change(connection, user)
            sessions.end(connection, login)
            audit.note(connection, look)
            return user

        return await self._store.write(accepted)

    # ── within ───────────────────────────────────────────────────────────────────────────────

    async def _hashed(self, password: str, login: str) -> str:
        if fault := password_fault(password, login):
            raise BadPassword(fault)
        return await self._credentials.hash(password)

    async def _noted(self, by: str, what: str, login: str, transaction: Callable[[Connection], T]) -> T:
        """In one transaction with the entry in the audit, if anything came of it."""
        look = entry(self._clock(), by, what, login)

        def both(connection: Connection) -> T:
            result = transaction(connection)
            if result:
                audit.note(connection, look)
            return result

        result = await self._store.write(both)
        if result:
            log.info("people.changed", what=what, login=login, by=by)
        return result


def _difference(before: User, after: User) -> str:
    """What an auditor wants to know."""
    told = {
        "role": (before.role.value, after.role.value),
        "texts": (before.texts, after.texts),
        "accounts": (_names(before.accounts), _names(after.accounts)),
        "disabled": (before.disabled, after.disabled),
    }
    return ", ".join(f"{name} {new}".lower() for name, (old, new) in told.items() if old != new)


def _names(accounts: frozenset[str] | None) -> str:
    return "all" if accounts is None else " ".join(sorted(accounts)) or "none"


async def find_user(store: Store, login: str) -> User | None:
    """By login, as somebody typed it."""
    try:
        wanted = login_of(login)
    except ValueError:
        return None
    return await store.read(lambda connection: people.find(connection, wanted))


def digest_of(secret: str) -> str:
    """What is stored of cookies, links and tokens: they are long and random, so that nothing slow is needed."""
    return hashlib.sha256(secret.encode()).hexdigest()
