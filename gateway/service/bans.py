"""Who guesses is made to wait, then shut out: known to every process, at no cost for who does not."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection

import structlog
from sqlalchemy import Connection

from gateway.policy.guessing import Attempt, Record, alarming, of_network, struck, subjects
from gateway.settings.load import Configuration
from gateway.spool import bans
from gateway.spool.bans import Strike
from gateway.spool.store import Store
from gateway.verdicts import GUESSED_TOO_OFTEN, Refused

__all__ = ["Bans", "Record", "lift", "listed"]

log = structlog.get_logger()

MAX_TARPIT_S = 8.0


class Bans:
    """One for each process. ``follow`` copies the store's list with each beat; honest clients cost a look into it."""

    def __init__(
        self, store: Store, configuration: Callable[[], Configuration], clock: Callable[[], float] = time.time
    ) -> None:
        self._store = store
        self._configuration = configuration
        self._clock = clock
        self._until: dict[str, float] = {}
        self._counted_here: dict[str, Record] = {}
        """While the store was away."""

    def follow(self, connection: Connection) -> None:
        """Learn what the others have seen. Runs in the transaction of the beat, not on the loop."""
        self._until = {record.subject: record.until for record in bans.shut_out(connection, self._clock())}

    def bars(self, peer: str) -> bool:
        """Whether a client from this address is not even spoken to. Not asked for trusted networks."""
        return bool(self._until) and self._is_out(of_network(peer))

    def let_try(self, attempt: Attempt) -> None:
        """Before a credential is looked at, right or wrong. Raises ``Refused``."""
        if self._until and any(self._is_out(subject) for subject in subjects(attempt)):
            raise Refused(GUESSED_TOO_OFTEN)

    def _is_out(self, subject: str) -> bool:
        return self._until.get(subject, 0.0) > self._clock()

    async def failed(self, attempt: Attempt) -> float:
        """It was wrong. How many seconds an untrusted client is to wait for the answer."""
        terms, now = self._configuration().guessing, self._clock()
        strike = Strike(tuple(subjects(attempt)), now, terms)
        try:
            records: Collection[Record] = await self._store.strike(strike)
            self._counted_here.clear()
        except Exception as error:  # counted by this process alone until then
            log.warning("guess.not_stored", why=type(error).__name__)
            records = [struck(self._counted_here.get(name, Record(name)), now, terms) for name in strike.subjects]
            self._counted_here.update((record.subject, record) for record in records)
        for record in records:
            self._heed(record, now, alert=alarming(record, terms))
        if attempt.at_home or not terms.tarpit:
            return 0.0
        tries = max((record.recent or terms.attempts for record in records), default=1)
        return float(min(MAX_TARPIT_S, terms.tarpit * 2 ** min(tries - 1, 10)))

    def _heed(self, record: Record, now: float, *, alert: bool) -> None:
        is_news = record.until > now and not self._is_out(record.subject)
        if record.until > now:
            self._until = {**self._until, record.subject: record.until}
        if is_news or alert:
            log.error(
                "guess.shut_out" if is_news else "guess.many",
                subject=record.subject,
                today=record.today,
                seconds=round(max(0.0, record.until - now)),
                alert=alert or not record.subject.startswith("network "),  # those come and go on the Internet
            )


async def listed(store: Store, now: float) -> list[Record]:
    """Who is shut out, the next to come back first."""
    return await store.read(lambda connection: bans.shut_out(connection, now))


async def lift(store: Store, subject: str) -> bool:
    """Let a subject in again; the processes hear of it with their next beat. False: nothing was counted for it."""
    lifted = await store.write(lambda connection: bans.lift(connection, subject))
    log.info("guess.lifted", subject=subject, known=lifted)
    return lifted
