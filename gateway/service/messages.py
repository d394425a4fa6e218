"""Messages by a query, and what one may do with all that it finds. Console, API and command line stand on this."""

from __future__ import annotations

import base64
import binascii
import time
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo

import structlog
from sqlalchemy import Connection

from gateway.lifecycle import Event, State, sources
from gateway.policy.search import Key, Mistake, Query, parse
from gateway.service.audit import entry
from gateway.sms.numbers import masked
from gateway.spool import audit, desk, search, waiting
from gateway.spool.desk import JobRow, Story
from gateway.spool.search import Message, Page, Place
from gateway.spool.store import Store
from gateway.spool.waiting import Line

__all__ = ["CHANGES", "Changed", "Line", "Message", "Messages", "Mistake", "Page", "Place", "Query"]

log = structlog.get_logger()

CHANGES = (Event.RETRY, Event.CANCEL, Event.HOLD, Event.RELEASE)
"""What an operator may do."""
AT_ONCE = 200
"""Changes in one transaction: other writes wait meanwhile."""
AT_MOST = 10_000
"""Changes by one query in one go."""
LOOKS = 10
"""Pages that are looked through for one, where few rows fit."""


@dataclass(frozen=True, slots=True)
class Changed:
    """By a query."""

    count: int
    more: bool
    """There are more: ask again."""


class Messages:
    """``accounts``: whose messages the asker may see; None: all."""

    def __init__(self, store: Store, clock: Callable[[], float] = time.time) -> None:
        self._store = store
        self._clock = clock

    def query(self, words: str, accounts: Iterable[str] | None = None, zone: tzinfo | None = None) -> Query:
        """What ``words`` mean now, on a clock of ``zone``; None: of the machine. Raises ``Mistake``."""
        query = parse(words, datetime.fromtimestamp(self._clock(), UTC).astimezone(zone))
        return query if accounts is None else query.narrowed(Key.ACCOUNT, tuple(sorted(accounts)) or ("",))

    async def page(self, query: Query, below: Place | None = None, limit: int = 50, looks: int = 1) -> Page:
        """Some rows. Where few fit, it may hold less than ``limit`` after so many ``looks``, and not be the last."""
        rows: list[Message] = []
        for _ in range(looks):
            wanted, start = limit - len(rows), below
            page = await self._store.read(lambda c, n=wanted, at=start: search.page(c, query, at, n))  # type: ignore[misc]
            rows += page.rows
            below = page.next
            if below is None or len(rows) >= limit:
                break
        return Page(tuple(rows), below)

    async def all(self, query: Query, size: int = 500) -> AsyncIterator[Message]:
        """Every one, the newest first. Others get in between."""
        below: Place | None = None
        while True:
            page = await self.page(query, below, size)
            for row in page.rows:
                yield row
            if (below := page.next) is None:
                return

    async def export(self, query: Query, words: str, who: str, *, numbers: bool) -> AsyncIterator[Message]:
        """The same, to take away; that somebody takes ``numbers`` in full is written down first."""
        if numbers:
            look = entry(self._clock(), who, "export messages", masked(words) or "all")
            await self._store.write(lambda connection: audit.note(connection, look))
        async for row in self.all(query):
            yield row

    async def story(self, wanted: str, accounts: Iterable[str] | None = None) -> Story | None:
        """All about a mail, by its queue id, a job's id or a provider's id."""
        story = await self._store.read(lambda connection: desk.story(connection, wanted))
        if story is None or (accounts is not None and story.mail["account"] not in set(accounts)):
            return None
        return story

    async def change_all(self, query: Query, words: str, event: Event, who: str) -> Changed:
        """Whatever the query finds that is in a state for that, up to ``AT_MOST``; what a storm has gathered is left
        alone. Written down once, under the query."""
        fit = query.narrowed(Key.STATUS, tuple(state.value for state in sources(event)))
        count, below = 0, None
        look = entry(self._clock(), who, event.value, f"all: {masked(words)}")
        await self._store.write(lambda connection: audit.note(connection, look))
        while count < AT_MOST:
            page = await self.page(fit, below, AT_ONCE)
            ids = [row.id for row in page.rows if not row.gathered]
            count += await self._store.write(lambda c, some=ids: self._change(c, some, event, who))  # type: ignore[misc]
            if (below := page.next) is None:
                break
        log.info("jobs.changed", change=event.value, count=count, by=who)
        return Changed(count, below is not None)

    def _change(self, connection: Connection, ids: list[str], event: Event, who: str) -> int:
        now = self._clock()
        return sum(desk.apply(connection, job_id, event, now, who) is not None for job_id in ids)

    async def queue(self, accounts: Iterable[str] | None = None) -> list[Line]:
        """What waits, by provider and state."""
        mine = None if accounts is None else tuple(sorted(accounts))
        return await self._store.read(lambda connection: waiting.lines(connection, mine))


def possible(state: State) -> tuple[Event, ...]:
    """What an operator may do with a job in that state."""
    return tuple(event for event in CHANGES if state in sources(event))


def of_job(job: JobRow, story: Story) -> Message:
    """An SMS of a story as a row of the list."""
    return Message(
        id=job.id,
        mail_id=story.mail["id"],
        at=job.created_at,
        to=job.destination,
        sender=job.originator,
        account=job.account,
        status=job.state.value,
        verdict=job.verdict,
        reason=job.reason,
        values=job.values,
        why=job.why,
        segments=job.segments,
        provider=job.provider,
        provider_id=job.provider_id or "",
        dialect=story.mail["dialect"],
        channel=job.channel,
        updated_at=job.updated_at,
        due_at=job.due_at,
        expires_at=job.expires_at,
        attempt=job.attempt,
        gathered=job.gathered,
    )


# ── the place in a list, as programs and links carry it ──────────────────────────────────────


def cursor(place: Place | None) -> str | None:
    """As a word."""
    if place is None:
        return None
    return base64.urlsafe_b64encode(f"{place.at!r} {place.id}".encode()).decode().rstrip("=")


def place(word: str) -> Place:
    """Back again. Raises ``ValueError``."""
    try:
        at, blank, name = base64.urlsafe_b64decode(word + "=" * (-len(word) % 4)).decode().partition(" ")
        found = Place(float(at), name)
    except (binascii.Error, UnicodeError):
        raise ValueError(word) from None
    if not blank or "\0" in name or not abs(found.at) < 1e12:
        raise ValueError(word)
    return found
