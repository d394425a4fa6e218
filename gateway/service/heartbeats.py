"""The gateway writes a mail to itself, sends it the whole way of any other, and says so when nothing arrives."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import UTC, datetime
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime

import structlog

from gateway.dialects.heartbeat import ADDRESS, HeartbeatDialect
from gateway.model import Door, Envelope
from gateway.policy.accounts import Directory, address_pattern
from gateway.policy.heartbeat import Heartbeat, result
from gateway.service.credentials import Credentials
from gateway.service.ids import queue_id
from gateway.service.intake import Intake
from gateway.settings.load import Configuration
from gateway.spool import heartbeats
from gateway.spool.heartbeats import Beat
from gateway.spool.store import Store

__all__ = ["Beat", "Heartbeats"]

log = structlog.get_logger()


class Heartbeats:
    """``configuration`` is asked for each time: it is replaced as a whole on a reload. ``reports(provider)``: it says
    what became of an SMS."""

    def __init__(
        self,
        configuration: Callable[[], Configuration],
        store: Store,
        credentials: Credentials,
        reports: Callable[[str], bool] = lambda provider: True,
        wake: Callable[[Iterable[str]], None] = lambda providers: None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._configuration = configuration
        self._store = store
        self._credentials = credentials
        self._reports = reports
        self._wake = wake
        self._clock = clock

    async def beat_and_watch(self) -> None:
        """Send what is due, judge what is on its way. Any process may; each heartbeat is sent and judged once."""
        for heartbeat in self._configuration().heartbeats:
            if (at := heartbeat.due(self._clock())) is not None:
                await self.send(heartbeat, at)
        for beat, fates in await self._store.read(heartbeats.waiting):
            if (known := result(fates, self._reports, is_late=self._clock() >= beat.deadline)) is not None:
                await self._finish(beat, *known)

    async def send(self, heartbeat: Heartbeat, at: float) -> str | None:
        """The one for this time. Its queue id; None when it has been sent before."""
        now = self._clock()
        mail_id, deadline = queue_id(now), now + heartbeat.within_s
        beat = Beat(heartbeat.name, at, heartbeat.account, mail_id, "waiting", "", deadline, None)
        if not await self._store.write(lambda c: heartbeats.begin(c, beat.name, at, beat.account, mail_id, deadline)):
            return None
        queue = await self._store.read(heartbeats.queue_length)
        log.info("heartbeat.sent", name=beat.name, queue_id=mail_id)
        try:
            why = await self._mail(heartbeat, at, mail_id, queue)
        except Exception as error:
            why = f"not accepted: {type(error).__name__}"
            log.exception("heartbeat.fault", name=beat.name)
        if why:
            await self._finish(beat, False, why)
        return mail_id

    async def _mail(self, heartbeat: Heartbeat, at: float, mail_id: str, queue: int) -> str:
        """Through the intake, as bytes. Why it was not accepted; empty when it was."""
        configuration = self._configuration()
        account = configuration.directory.accounts.get(heartbeat.account)
        if account is None:
            return "its account is gone"
        host = configuration.settings.server.hostname
        dialect = HeartbeatDialect(heartbeat.account, heartbeat.originator, heartbeat.to)
        # The account as it is, but for who may send: nobody outside can be this sender, and no dialect of the doors
        # knows this address. A heartbeat that a storm swallows would prove nothing.
        mine = replace(account, senders=(address_pattern(ADDRESS),), storm=None)
        inside = replace(configuration, dialects=(dialect,), directory=Directory.of([mine]))
        envelope = Envelope(
            queue_id=mail_id,
            door=Door.CLI,
            listener="heartbeat",
            peer="",
            trusted=True,
            identity=None,
            reverse_path=ADDRESS,
            recipients=(ADDRESS,),
            received_at=self._clock(),
        )
        words = heartbeat.words(account.language, at, queue, host)
        intake = Intake(inside, self._store, self._credentials, self._wake, self._clock)
        answer = await intake.accept(envelope, written(words, mail_id, self._clock(), host))
        if answer.refusal is not None:
            return f"refused: {answer.refusal.code} ({answer.refusal.reason.key})"
        if answer.dropped:
            return f"refused for a number: {answer.dropped[0].refusal.code}"
        return ""

    async def _finish(self, beat: Beat, ok: bool, why: str) -> None:
        account = self._configuration().directory.accounts.get(beat.account)
        tell = account is not None and account.webhook is not None
        now = self._clock()
        if not await self._store.write(lambda c: heartbeats.finish(c, beat, ok, why, now, tell)):
            return
        if ok:
            log.info("heartbeat.ok", name=beat.name, queue_id=beat.mail_id)
        else:
            log.error("heartbeat.failed", name=beat.name, queue_id=beat.mail_id, why=why, alert=True)

    async def last(self, name: str, limit: int) -> list[Beat]:
        """The newest results."""
        return list(await self._store.read(lambda connection: heartbeats.last(connection, limit, name)))


def written(words: str, mail_id: str, now: float, host: str) -> bytes:
    """The mail."""
    message = EmailMessage(policy=SMTP)
    message["From"] = message["To"] = ADDRESS
    message["Subject"] = "heartbeat"
    message["Date"] = format_datetime(datetime.fromtimestamp(now, UTC))
    message["Message-ID"] = f"<{mail_id}@{host}>"
    message.set_content(words, charset="utf-8", cte="base64")
    return message.as_bytes()
