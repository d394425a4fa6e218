"""What programs show at the API: ``e2s_`` and 32 random bytes, told once."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Sequence

import structlog
from sqlalchemy import Connection

from gateway.policy.people import Token, User
from gateway.policy.permissions import Scope
from gateway.service.audit import entry
from gateway.service.people import digest_of
from gateway.spool import audit, tokens
from gateway.spool.store import Store

__all__ = ["PREFIX", "Token", "Tokens"]

log = structlog.get_logger()

PREFIX = "e2s_"
TOUCH_S = 60.0


class Tokens:
    """All of them. ``by`` is who does it, for the audit."""

    def __init__(self, store: Store, clock: Callable[[], float] = time.time) -> None:
        self._store = store
        self._clock = clock

    async def create(
        self,
        name: str,
        scopes: frozenset[Scope],
        by: str,
        *,
        login: str | None = None,
        accounts: frozenset[str] | None = None,
        lasting_s: float | None = None,
    ) -> tuple[Token, str]:
        """A new one, and its secret, which nobody can see again."""
        secret, now = PREFIX + secrets.token_urlsafe(32), self._clock()
        expires_at = now + lasting_s if lasting_s is not None else None
        token = Token(secrets.token_hex(6), name, login, scopes, accounts, now, expires_at)
        look = entry(now, by, "token.create", f"{token.id} {name}")

        def created(connection: Connection) -> None:
            tokens.add(connection, token, digest_of(secret))
            audit.note(connection, look)

        await self._store.write(created)
        log.info("token.created", token=token.id, login=login, by=by)
        return token, secret

    async def find(self, secret: str) -> tuple[Token, User | None] | None:
        """Whose this is. That it is in use is written down once a minute."""
        if not secret.startswith(PREFIX):
            return None
        now = self._clock()
        found = await self._store.read(lambda connection: tokens.find(connection, digest_of(secret), now))
        if found is not None and now - (found[0].used_at or 0.0) >= TOUCH_S:
            token_id = found[0].id
            await self._store.write(lambda connection: tokens.touch(connection, token_id, now))
        return found

    async def listed(self, login: str | None = None) -> Sequence[Token]:
        """All, or those of one user; the newest first."""
        return await self._store.read(lambda connection: tokens.listed(connection, login))

    async def revoke(self, token_id: str, by: str, login: str | None = None) -> bool:
        """At once, in every process. False: there is none, or none of ``login``."""
        look = entry(self._clock(), by, "token.revoke", token_id)

        def revoked(connection: Connection) -> bool:
            found = tokens.revoke(connection, token_id, login)
            if found:
                audit.note(connection, look)
            return found

        return await self._store.write(revoked)
