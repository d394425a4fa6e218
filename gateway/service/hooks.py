"""Calls of webhooks, as people see them: what waits and why, what was given up; once more, and one to try."""

from __future__ import annotations

import time
from collections.abc import Callable

from sqlalchemy import Connection

from gateway.service.audit import entry
from gateway.settings.load import Configuration
from gateway.spool import audit, hooks
from gateway.spool.hooks import CallRow, CallState
from gateway.spool.store import Store

__all__ = ["CallRow", "CallState", "Hooks", "NoWebhook"]


class NoWebhook(Exception):
    """The account tells nobody."""


class Hooks:
    """``accounts``: whose calls the asker may see; None: all."""

    def __init__(
        self, store: Store, configuration: Callable[[], Configuration], clock: Callable[[], float] = time.time
    ) -> None:
        self._store = store
        self._configuration = configuration
        self._clock = clock

    async def listed(
        self, accounts: frozenset[str] | None, state: CallState | None, before: int | None, limit: int
    ) -> list[CallRow]:
        """The newest first, those with an id below ``before``."""
        return await self._store.read(lambda connection: hooks.listed(connection, accounts, state, before, limit))

    async def retry(self, call_id: int, accounts: frozenset[str] | None, who: str) -> bool:
        """Now, and then for a day again as any other. False: there is no such call, or it was heard."""
        now = self._clock()
        look = entry(now, who, "webhook.retry", str(call_id))

        def again(connection: Connection) -> bool:
            done = hooks.again(connection, call_id, accounts, now)
            if done:
                audit.note(connection, look)
            return done

        return await self._store.write(again)

    async def test(self, login: str, who: str) -> int:
        """One call of the type ``test``; its id. Raises ``NoWebhook``."""
        account = self._configuration().directory.accounts.get(login)
        if account is None or account.webhook is None:
            raise NoWebhook(login)
        now = self._clock()
        look = entry(now, who, "webhook.test", login)

        def put(connection: Connection) -> int:
            audit.note(connection, look)
            return hooks.call_to_test(connection, login, now)

        return await self._store.write(put)
