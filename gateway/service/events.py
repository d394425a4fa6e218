"""What happens, told to whoever listens, from every process and node: read from the store, where all of it is written.

One task for each process, and only while somebody listens. Who is slow is let go, and slows nobody down.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from enum import StrEnum

import structlog

from gateway.lifecycle import Event as Happening
from gateway.lifecycle import State
from gateway.model import Note
from gateway.sms.numbers import mask
from gateway.spool import events
from gateway.spool.events import Order, Written
from gateway.spool.store import Store

log = structlog.get_logger()

LOOK_S = 0.5
AT_ONCE = 1000
BUFFER = 2000
"""Events that a listener may be behind before it is let go."""
REPLAY = 2000
"""Events that are told again to one who comes back; who missed more begins anew."""


class Kind(StrEnum):
    """What has happened, in one word."""

    ACCEPTED = "accepted"
    REFUSED = "refused"
    DUPLICATE = "duplicate"
    HELD = "held"
    RELEASED = "released"
    DEFERRED = "deferred"
    SUBMITTED = "submitted"
    FAILED = "failed"
    UNCERTAIN = "uncertain"
    DELIVERED = "delivered"
    UNDELIVERED = "undelivered"
    EXPIRED = "expired"
    CANCELLED = "cancelled"
    RETRIED = "retried"
    REPLIED = "replied"
    INCOMING = "incoming"
    REJECTED = "rejected"
    NOTED = "noted"


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that has happened. No text of a mail or an SMS, and no number that is not masked."""

    id: int
    """Counts up; what has a higher one was told later."""
    at: float
    kind: Kind
    mail: str
    """Queue id; empty where a client was turned away before there was a mail."""
    job: str | None = None
    account: str | None = None
    state: State | None = None
    """Of the job, from then on."""
    verdict: str = ""
    provider: str = ""
    to: str = ""
    """Masked."""
    listener: str = ""
    peer: str = ""
    jobs: int | None = None
    """How many SMS an accepted mail has become."""
    what: str = ""
    """In words for operators."""


def told(row: Written) -> Event:
    """A row of the trail in one event: the last note that says what has become of the mail or the job."""
    note, (kind, state) = _decisive(row.notes)
    values = note.values
    verdict = str(values.get("verdict", "")) or (note.what.removeprefix(_REFUSED) if kind is Kind.REFUSED else "")
    account = row.account or values.get("account")
    jobs = values.get("jobs")
    return Event(
        id=row.id,
        at=row.at,
        kind=kind,
        mail=row.mail_id,
        job=row.job_id,
        account=str(account) if account is not None else None,
        state=state,
        verdict=verdict,
        provider=str(values.get("provider", "")),
        to=mask(row.destination) if row.destination else str(values.get("to", "")),
        listener=row.listener or str(values.get("listener", "")),
        peer=row.peer or str(values.get("peer", "")),
        jobs=int(jobs) if kind is Kind.ACCEPTED and jobs is not None else None,
        what=_NUMBER.sub(lambda found: mask(found[0]), _words(note, kind)),
    )


def _words(note: Note, kind: Kind) -> str:
    why = str(note.values.get("why", ""))
    if kind is Kind.NOTED:
        return f"{note.what}: {why}" if why else note.what
    return why or ("" if note.room in ("policy", "provider", "desk", "reply") else note.what)


_NUMBER = re.compile(r"(?<![\w.])\+?\d{10,15}(?![\w.])")
_REFUSED = "refused: "
_KINDS: Mapping[tuple[str, str], tuple[Kind, State | None]] = {
    ("policy", "accepted"): (Kind.ACCEPTED, None),
    ("policy", "held"): (Kind.HELD, None),
    ("relay", "held"): (Kind.HELD, State.HELD),
    ("desk", Happening.HOLD.value): (Kind.HELD, State.HELD),
    ("desk", Happening.RELEASE.value): (Kind.RELEASED, State.QUEUED),
    ("storm", "tells of all"): (Kind.RELEASED, State.QUEUED),
    ("relay", "waits for the end of the quiet hours"): (Kind.DEFERRED, State.QUEUED),
    ("relay", "held for the duplicate window"): (Kind.DEFERRED, State.QUEUED),
    ("provider", "deferred"): (Kind.DEFERRED, State.QUEUED),
    ("provider", "rerouted"): (Kind.DEFERRED, State.QUEUED),
    ("provider", "resent"): (Kind.DEFERRED, State.QUEUED),
    ("provider", "submitted"): (Kind.SUBMITTED, State.SUBMITTED),
    ("provider", "rejected"): (Kind.FAILED, State.FAILED),
    ("provider", "uncertain"): (Kind.UNCERTAIN, State.UNCERTAIN),
    ("relay", "answer lost"): (Kind.UNCERTAIN, State.UNCERTAIN),
    ("provider", "expired"): (Kind.EXPIRED, State.EXPIRED),
    ("relay", "expired"): (Kind.EXPIRED, State.EXPIRED),
    **{
        ("provider", f"receipt: {state.value}"): (Kind(state.value), state)
        for state in (State.DELIVERED, State.UNDELIVERED, State.EXPIRED, State.UNCERTAIN)
    },
    ("desk", Happening.CANCEL.value): (Kind.CANCELLED, State.CANCELLED),
    ("storm", "collapsed into"): (Kind.CANCELLED, State.CANCELLED),
    ("desk", Happening.RETRY.value): (Kind.RETRIED, State.QUEUED),
    ("reply", "sent"): (Kind.REPLIED, None),
    ("incoming", "an SMS came in"): (Kind.INCOMING, None),
    ("rejected", "turned away"): (Kind.REJECTED, None),
}


def _decisive(notes: Sequence[Note]) -> tuple[Note, tuple[Kind, State | None]]:
    for note in reversed(notes):
        if note.what.startswith(_REFUSED):
            return note, (Kind.REFUSED, None)
        if note.what.startswith("DUPLICATE"):
            return note, (Kind.DUPLICATE, None)
        if (found := _KINDS.get((note.room, note.what))) is not None:
            return note, found
    return (notes[-1] if notes else Note("", "")), (Kind.NOTED, None)


# ── listening ────────────────────────────────────────────────────────────────────────────────


class Over(Exception):
    """There will be no more: the gateway stops, or the listener was too slow."""


@dataclass(slots=True, eq=False)
class Listener:
    """One who listens. ``missed``: more happened since the given event than is told again; look at everything anew."""

    accounts: Collection[str] | None
    """A tenant's: only what is about these accounts. None: all."""
    missed: bool = False
    after: int = 0
    seen: Collection[int] = ()
    """Already in the store when the listener came, and not passed on yet."""
    _waiting: deque[Event] = field(default_factory=deque)
    _news: asyncio.Event = field(default_factory=asyncio.Event)
    _is_over: bool = False

    async def next(self, timeout_s: float) -> list[Event]:
        """What has happened since, at once if there is anything; empty when the time is over. Raises ``Over``."""
        if not self._waiting and not self._is_over:
            self._news.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(timeout_s):
                    await self._news.wait()
        if self._is_over:
            raise Over
        found = list(self._waiting)
        self._waiting.clear()
        return found

    def hear(self, event: Event) -> None:
        """Never waits: one who is too far behind is let go."""
        if event.id <= self.after or event.id in self.seen:
            return
        if self.accounts is not None and event.account not in self.accounts:
            return
        if len(self._waiting) >= BUFFER:
            self.end()
            return
        self._waiting.append(event)
        self._news.set()

    def end(self) -> None:
        """Let it go."""
        self._is_over = True
        self._waiting.clear()
        self._news.set()


@dataclass(frozen=True, slots=True)
class Recent:
    """What has happened since an event."""

    events: list[Event]
    position: int
    """Behind which event to ask next."""
    missed: bool
    """More has happened than is in ``events``."""


class Feed:
    """Of one process."""

    def __init__(self, store: Store, clock: Callable[[], float] = time.monotonic) -> None:
        self._store = store
        self._clock = clock
        self._order: Order | None = None
        self._listeners: set[Listener] = set()
        self._task: asyncio.Task[None] | None = None
        self._reading = asyncio.Lock()
        self._is_closed = False

    @property
    def listeners(self) -> int:
        """How many there are."""
        return len(self._listeners)

    @asynccontextmanager
    async def listen(
        self, accounts: Collection[str] | None = None, after: int | None = None
    ) -> AsyncIterator[Listener]:
        """From now on, or from behind the event ``after``. Raises ``Over`` when the gateway stops."""
        if self._is_closed:
            raise Over
        listener = Listener(accounts)
        async with self._reading:
            await self._join(listener, after)
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._follow())
        try:
            yield listener
        finally:
            self._listeners.discard(listener)

    async def _join(self, listener: Listener, after: int | None) -> None:
        position = (await self._caught_up()).position
        if after is None or after - position > REPLAY:  # an event of another store, perhaps
            ahead = await self._store.read(lambda connection: events.since(connection, position, AT_ONCE))
            listener.seen = {row.id for row in ahead.rows}
        else:
            listener.after = after
            rows = await self._store.read(lambda connection: events.last(connection, position, REPLAY))
            listener.missed = len(rows) == REPLAY and rows[0].id > after + 1
            for row in rows if not listener.missed else ():
                listener.hear(told(row))
        self._listeners.add(listener)

    async def _caught_up(self) -> Order:
        """Where one is. Nobody has read on while nobody listened."""
        newest = await self._store.read(events.newest)
        if self._order is None or (not self._listeners and newest - self._order.position > REPLAY):
            self._order = Order(max(0, newest - events.LOOK_BACK))
        while await self._look():
            pass
        return self._order

    async def _follow(self) -> None:
        while self._listeners:
            try:
                async with self._reading:
                    is_more = await self._look()
            except Exception as error:  # the store is away: it is all there when it comes back
                log.warning("events.not_read", why=type(error).__name__)
                is_more = False
            await asyncio.sleep(0 if is_more else LOOK_S)

    async def _look(self) -> bool:
        order = self._order
        assert order is not None
        look = await self._store.read(lambda connection: events.since(connection, order.position, AT_ONCE))
        ready = order.pass_on(look, self._clock())
        for row in ready:
            event = told(row)
            for listener in self._listeners:
                listener.hear(event)
        return len(ready) == AT_ONCE

    async def recent(self, accounts: Collection[str] | None, after: int | None, limit: int) -> Recent:
        """For who asks again and again instead of listening. Without ``after``: the newest."""
        async with self._reading:
            position = (await self._caught_up()).position
        rows = await self._store.read(lambda connection: events.last(connection, position, limit))
        missed = after is not None and len(rows) == limit and rows[0].id > after + 1
        found = [told(row) for row in rows if after is None or row.id > after]
        mine = [event for event in found if accounts is None or event.account in accounts]
        return Recent(mine, max(position, after or 0), missed)

    def close(self) -> None:
        """The gateway stops: every listener is let go."""
        self._is_closed = True
        for listener in self._listeners:
            listener.end()
        if self._task is not None:
            self._task.cancel()
