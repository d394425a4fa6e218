"""What people try before they send, in a running gateway: explain a mail, find a way, send by hand."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Mapping, Sequence

from gateway.model import Accepted, Channel, Job
from gateway.providers import Upstream
from gateway.senders.examine import Examiner
from gateway.service import direct
from gateway.service.counting import Counted, count
from gateway.service.credentials import Credentials
from gateway.service.desk import Desk
from gateway.service.direct import By, Draft, Sent
from gateway.service.examples import example_world, examples
from gateway.service.explain import Arrival, Explained, explain
from gateway.service.phonebook import Phonebook
from gateway.service.way import Way, way
from gateway.settings.load import Configuration
from gateway.sms import segments
from gateway.spool.store import Store
from gateway.verdicts import CREDENTIALS_WRONG, Refusal, Refused

GUESSES = 10
WITHIN_S = 600.0
_MAX_KNOWN = 1000
_LONG = 1000
"""Characters from which a text is counted in a thread: twenty times as many take a tenth of a second."""


class TooManyGuesses(Exception):
    """Mails with wrong credentials have been explained to somebody too often: whether one is right is no game."""


class Workbench:
    """Of one process. ``configuration`` is asked for each time: it is replaced as a whole on a reload."""

    def __init__(
        self,
        configuration: Callable[[], Configuration],
        store: Store,
        credentials: Credentials,
        upstreams: Mapping[str, Upstream],
        wake: Callable[[Iterable[str]], None],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._configuration = configuration
        self._store = store
        self._credentials = credentials
        self._examiner = Examiner(*configuration().settings.dns.asked)
        self._upstreams = upstreams
        self._wake = wake
        self._clock = clock
        self._guesses: OrderedDict[str, deque[float]] = OrderedDict()

    async def explain(
        self,
        raw: bytes,
        arrival: Arrival,
        who: str,
        *,
        accounts: frozenset[str] | None,
        numbers: bool,
        language: str,
    ) -> Explained:
        """See ``explain.explain``. Raises ``TooManyGuesses``, too: ``who`` could try passwords here."""
        now = self._clock()
        guesses = self._guesses.get(who, deque())
        while guesses and guesses[0] < now - WITHIN_S:
            guesses.popleft()
        if len(guesses) >= GUESSES:
            raise TooManyGuesses
        found = await explain(
            raw,
            arrival,
            self._configuration(),
            self._credentials,
            self._examiner,
            now,
            phonebook=Phonebook(self._store),
            accounts=accounts,
            numbers=numbers,
            language=language,
        )
        if found.reason == CREDENTIALS_WRONG.key:
            guesses.append(now)
            self._guesses[who] = guesses
            self._guesses.move_to_end(who)
            while len(self._guesses) > _MAX_KNOWN:
                self._guesses.popitem(last=False)
        return found

    async def explain_example(self, name: str, *, numbers: bool, language: str) -> tuple[bytes, Explained]:
        """One of ``examples``, in a gateway in which only its account exists. Raises ``KeyError``."""
        raw, world = examples()[name], example_world(self._configuration())
        now, arrival = self._clock(), Arrival()
        found = await explain(
            raw, arrival, world, self._credentials, self._examiner, now, numbers=numbers, language=language
        )
        return raw, found

    async def count(self, text: str, login: str = "") -> Counted:
        """See ``counting.count``; the loop goes on while a long text is counted."""
        if len(text) < _LONG:
            return count(text, self._configuration(), login)
        return await asyncio.to_thread(count, text, self._configuration(), login)

    async def check(self, draft: Draft, by: By) -> Accepted:
        """See ``direct.check``."""
        return await direct.check(self._configuration(), draft, self._clock(), by, self._store)

    async def send(self, draft: Draft, by: By, key: str) -> Sent:
        """See ``direct.send_once``."""
        return await direct.send_once(self._configuration(), self._store, draft, self._clock(), by, key, self._wake)

    async def send_once(self, draft: Draft, by: By, key: str) -> Sent:
        """See ``direct.send_once``."""
        return await direct.send_once(self._configuration(), self._store, draft, self._clock(), by, key, self._wake)

    def request(self, job: Job, *, numbers: bool) -> str:
        """See ``direct.request``."""
        return direct.request(job, self._upstreams, numbers=numbers)

    async def way(
        self,
        number: str,
        *,
        at: float | None = None,
        login: str = "",
        originator: str = "",
        channel: Channel = Channel.SMS,
        text: str = "",
    ) -> Way:
        """See ``way.way``."""
        return way(
            self._configuration(),
            number,
            self._clock() if at is None else at,
            login=login,
            originator=originator,
            channel=channel,
            parts=segments.count(text),
            paused=await self._paused(),
        )

    async def ways(self, numbers: Sequence[str], *, login: str, originator: str, parts: int) -> list[Way | Refusal]:
        """Of several numbers as people write them, or why one is none."""
        paused, configuration, now = await self._paused() if numbers else {}, self._configuration(), self._clock()
        found: list[Way | Refusal] = []
        for number in numbers:
            try:
                found.append(
                    way(configuration, number, now, login=login, originator=originator, parts=parts, paused=paused)
                )
            except Refused as refused:
                found.append(refused.refusal)
        return found

    async def _paused(self) -> Mapping[str, str]:
        return await Desk(self._store).paused_providers()
