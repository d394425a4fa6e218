"""A mail comes in: judged, committed, answered. 250 is said only after ``accept`` has returned."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace

import structlog

from gateway import tracing
from gateway.model import Accepted, Door, Dropped, Envelope, Password
from gateway.policy.guessing import Attempt
from gateway.replies.guard import why_silent
from gateway.replies.wording import smtp_line
from gateway.senders.examine import Examiner
from gateway.service import counts
from gateway.service.bans import Bans
from gateway.service.credentials import Credentials
from gateway.service.ids import queue_id
from gateway.service.judge import Case, dialect_of, judge, recipient_refusal
from gateway.service.phonebook import Phonebook
from gateway.service.quirks import QuirkBook
from gateway.service.rejections import RejectionBook
from gateway.settings.load import Configuration
from gateway.sms.originator import is_wellformed
from gateway.spool.engine import cause, is_full
from gateway.spool.put import Put, StoredMail
from gateway.spool.store import Store
from gateway.verdicts import CREDENTIALS_WRONG, ON_HOLD, STORE_FULL, Kind, Refusal

log = structlog.get_logger()

LOOK_FOR_ROOM_S = 0.1
"""What comes in meanwhile is little beside ``store.min_free``; a full disk is looked at for each mail."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What the door says. Without a refusal: accepted, and on the disk."""

    queue_id: str
    refusal: Refusal | None = None
    dropped: tuple[Dropped, ...] = ()
    """Destinations that are not sent to; LMTP answers for them one by one."""
    duplicate: bool = False
    to_confirm: bool = False
    """Nothing but the 250 tells this mail from one that is sent again: say ``confirm`` when the client has it."""
    account: str | None = None
    """Which the refused mail named, if there is one of that name."""

    @property
    def line(self) -> str:
        """The SMTP reply for the mail as a whole, enhanced status included."""
        if self.refusal is not None:
            return smtp_line(self.refusal)
        if self.duplicate:
            return f"250 2.0.0 DUPLICATE not sent twice, queued as {self.queue_id}"
        return f"250 2.0.0 OK queued as {self.queue_id}"

    def line_for(self, recipient: str) -> str:
        """The LMTP reply for one recipient (RFC 2033 §4.2)."""
        refusals = [drop.refusal for drop in self.dropped if drop.asked.recipient.lower() == recipient.lower()]
        return smtp_line(refusals[0]) if refusals and self.refusal is None else self.line


@dataclass(slots=True)
class _Guess:
    source: str
    """Of a stranger."""
    is_right: bool = False


class Intake:
    """The doors' side of the service. ``configuration`` is replaced as a whole on a reload."""

    def __init__(
        self,
        configuration: Configuration,
        store: Store,
        credentials: Credentials,
        wake: Callable[[Iterable[str]], None] = lambda providers: None,
        clock: Callable[[], float] = time.time,
        puts_off: Callable[[Accepted], bool] = lambda accepted: False,
    ) -> None:
        """``puts_off``: whether an operator wants this mail to come again later."""
        self._puts_off = puts_off
        self.configuration = configuration
        self._store = store
        self._credentials = credentials
        self._phonebook = Phonebook(store)
        self._examiner = Examiner(*configuration.settings.dns.asked)
        self._wake = wake
        self._clock = clock
        self.bans = Bans(store, lambda: self.configuration, clock)
        self._full = False
        self._roomy_until: dict[int, float] = {}
        """By the size that is asked for, of which each listener has one."""
        self.quirks = QuirkBook(store, clock)
        self.rejections = RejectionBook(store, self._is_near, clock)
        self._confirming: set[asyncio.Task[None]] = set()

    @property
    def answers_by_mail(self) -> bool:
        """Whether there is anybody who sends mail for us."""
        return self.configuration.settings.replies is not None

    def now(self) -> float:
        """Seconds since the epoch."""
        return self._clock()

    def new_queue_id(self) -> str:
        """For a mail that is about to come in."""
        return queue_id(self._clock())

    def refusal_at_rcpt(self, recipient: str, *, early: bool) -> Refusal | None:
        """Why this recipient is refused; None when the address is ours. No open relay: step 3."""
        return recipient_refusal(recipient, self.configuration, early=early)

    def refusal_for_want_of_room(self, size: int) -> Refusal | None:
        """Why a MAIL of that many bytes is refused when the disk is nearly full; half as much again, as Postfix."""
        if (now := time.monotonic()) < self._roomy_until.get(size, 0.0):
            return None
        was_full, self._full = self._full, not self._store.database.has_room(size + size // 2)
        if not self._full:
            self._roomy_until[size] = now + LOOK_FOR_ROOM_S
            return None
        if not was_full:
            log.error("store.nearly_full", alert=True)
        return Refusal(STORE_FULL)

    def knows(self, login: str) -> bool:
        """Whether there is an account of that login."""
        return self.configuration.directory.knows(login)

    def dialect_name(self, recipient: str) -> str:
        """A mail goes to recipients of one dialect; the door sends clients away with others."""
        dialect = dialect_of(recipient, self.configuration.dialects)
        return dialect.name if dialect else ""

    async def login(self, login: str, password: str, peer: str = "", *, trusted: bool = True) -> bool:
        """SMTP AUTH. A stranger who is wrong waits here for a while.

        Raises ``Refused`` when too many clients log in at once, and when there was too much guessing.
        """
        credential = Password(login, password)
        account = self.configuration.directory.claimed(credential)
        async with self._guess(login, peer, trusted=trusted) as guess:
            guess.is_right = await self._credentials.prove(account, credential, guess.source)
        return guess.is_right

    @property
    def offers_cram_md5(self) -> bool:
        """Whether any account's password is known in clear: nobody can do CRAM-MD5 with a hash."""
        return self.configuration.directory.has_clear_passwords

    async def login_by_digest(self, login: str, challenge: bytes, digest: str, peer: str, *, trusted: bool) -> bool:
        """CRAM-MD5 (RFC 2195): whether the digest is what the login's password makes of the challenge. Counted, and
        refused, as ``login`` is."""
        account = self.configuration.directory.accounts.get(login)
        async with self._guess(login, peer, trusted=trusted) as guess:
            guess.is_right = self._credentials.prove_digest(account, challenge, digest)
        return guess.is_right

    @asynccontextmanager
    async def _guess(self, login: str, peer: str, *, trusted: bool) -> AsyncIterator[_Guess]:
        attempt = Attempt(login, peer, trusted or self.configuration.directory.is_home(peer))
        self.bans.let_try(attempt)
        guess = _Guess("" if attempt.at_home else peer)
        yield guess
        if not guess.is_right:
            await asyncio.sleep(await self.bans.failed(attempt))

    @property
    def home_domain(self) -> str:
        """Of recipients without a domain; empty where our addresses are in several."""
        return self.configuration.home_domain

    async def explain(self, envelope: Envelope, raw: bytes) -> Case:
        """What would happen with this mail."""
        return await judge(
            envelope, raw, self.configuration, self._credentials, self._examiner, self.bans, self._phonebook
        )

    async def accept(self, envelope: Envelope, raw: bytes) -> Answer:
        """Judge, commit, answer. Any exception means: nothing is known to be stored, the client keeps the mail."""
        with tracing.mail(envelope.queue_id) as span:
            answer = await self._accept(envelope, raw)
            span.note(answer=answer.line[:3], verdict=answer.refusal.code if answer.refusal else "")
        return answer

    async def _accept(self, envelope: Envelope, raw: bytes) -> Answer:
        with tracing.step("judge"):
            case = await self.explain(envelope, raw)
        answer_to = self._answer_to(case)
        refusal = case.refusal or _nothing_left(case.accepted)
        if case.accepted is not None and self._puts_off(case.accepted):
            refusal = Refusal(ON_HOLD)
        if refusal is not None and refusal.reason is CREDENTIALS_WRONG and case.attempt is not None:
            await asyncio.sleep(await self.bans.failed(case.attempt))
        if refusal is not None and not (envelope.answer_by_mail and answer_to and refusal.verdict.kind is Kind.REFUSE):
            _log_refused(case, refusal, "dialogue")
            counts.mail(case, refusal)
            return Answer(envelope.queue_id, refusal, account=_login(case))
        try:
            with tracing.step("commit"):
                put = await self._store.put(self._stored(case, raw, answer_to))
        except Exception as error:
            if not is_full(error):
                counts.fault(case)
                raise
            log.error("store.full", queue_id=envelope.queue_id, why=cause(error), alert=True)  # noqa: TRY400 (values)
            counts.mail(case, Refusal(STORE_FULL))
            return Answer(envelope.queue_id, Refusal(STORE_FULL))
        return self._committed(case, put)

    def confirm(self, queue_id: str) -> None:
        """The client has read its 250. Nobody waits for that to be written down."""
        task = asyncio.create_task(self._confirm(queue_id))
        self._confirming.add(task)
        task.add_done_callback(self._confirming.discard)

    async def _confirm(self, queue_id: str) -> None:
        with suppress(Exception):  # an equal mail within the next minutes will then be taken for this one
            await self._store.confirm(queue_id)

    def _committed(self, case: Case, put: Put) -> Answer:
        counts.mail(case, put.refusal or case.refusal, duplicate=put.duplicate)
        if put.refusal is not None:
            _log_refused(case, put.refusal, "dialogue")
            return Answer(put.queue_id, put.refusal, account=_login(case))
        for alert in put.alerts:
            log.warning(alert.event, alert=True, **alert.values)
        if put.duplicate:
            log.info("mail.duplicate", queue_id=case.envelope.queue_id, first=put.queue_id)
            return Answer(put.queue_id, duplicate=True)
        if case.refusal is not None:
            _log_refused(case, case.refusal, "reply")
        if (accepted := case.accepted) is not None:
            self._wake({job.route[0] for job in accepted.jobs})
            log.info(
                "mail.accepted",
                queue_id=put.queue_id,
                account=accepted.account,
                dialect=case.submission.dialect if case.submission else "",
                jobs=len(accepted.jobs),
                dropped=len(accepted.dropped),
                verified_by=accepted.verified_by,
            )
        dropped = case.accepted.dropped if case.accepted else ()
        return Answer(
            put.queue_id, dropped=dropped, to_confirm=not _is_named(case) and case.envelope.door in _DIALOGUES
        )

    def _repeat_window_s(self, case: Case) -> float:
        window = self.configuration.settings.server.repeat_window
        if _signature(case):
            return max(window, SIGNATURE_REPEAT_S)
        return window if _message_id(case) else _RETRY_S

    def _answer_to(self, case: Case) -> str | None:
        """The address that may get reply mails about this one."""
        replies = self.configuration.settings.replies
        if replies is None:
            return None
        automatic = case.opened.automatic if case.opened else ""
        silent = why_silent(case.envelope, automatic, case.answerable, self._is_ours)
        return None if silent else case.envelope.reverse_path

    def _is_near(self, address: str) -> bool:
        """Meant for us, though perhaps misspelt."""
        return address.rpartition("@")[2].lower() in self.configuration.domains

    def _is_ours(self, address: str) -> bool:
        replies = self.configuration.settings.replies
        is_sender = replies is not None and address.lower() == replies.sender.lower()
        return is_sender or dialect_of(address, self.configuration.dialects) is not None

    def _stored(self, case: Case, raw: bytes, answer_to: str | None) -> StoredMail:
        accepted, envelope = case.accepted, case.envelope
        if accepted is not None and envelope.door is Door.LMTP:
            accepted = replace(accepted, dropped=())  # the MTA is told in the dialogue, and tells the sender
        replies = self.configuration.settings.replies
        return StoredMail(
            envelope=envelope,
            dialect=case.dialect.name if case.dialect else "",
            account=_login(case),
            originator=_originator(case),
            message_id=_message_id(case),
            language=case.language or (replies.language if replies else "en"),
            reply_to=answer_to,
            accepted=accepted,
            refusal=case.refusal,
            dedup_key=_dedup_key(case, raw),
            repeat_window_s=self._repeat_window_s(case),
            copy=_copy(case),
            notes=case.notes,
        )


def _login(case: Case) -> str | None:
    """What is no login of ours may be a password."""
    return case.account.login if case.account else None


def _nothing_left(accepted: Accepted | None) -> Refusal | None:
    """Every destination was dropped: where a mail is refused in the dialogue, the first verdict stands for all."""
    if accepted is None or accepted.jobs or not accepted.dropped:
        return None
    return accepted.dropped[0].refusal


def _originator(case: Case) -> str | None:
    """As typed, if it is one that the account has: a password that stands in its place is not kept."""
    submission, account = case.submission, case.account
    if submission is None or account is None or not account.allows_originator(submission.originator):
        return None
    return submission.originator if case.accepted or is_wellformed(submission.originator) else None


def _message_id(case: Case) -> str:
    return case.opened.message_id if case.opened else ""


def _signature(case: Case) -> str:
    """What names a signed mail, whoever sends it how often. Its Message-ID may be unsigned."""
    return case.evidence.key if case.evidence else ""


def _is_named(case: Case) -> bool:
    return bool(_message_id(case) or _signature(case))


SIGNATURE_REPEAT_S = 6 * 86400.0
"""A little longer than a signature is taken (``senders.signatures``): a signed mail can be sent again by anybody."""
_DIALOGUES = (Door.SMTP, Door.LMTP)
_RETRY_S = 600.0
"""How long a client waits for its 250 (RFC 5321 §4.5.3.2.6) before it sends a mail without Message-ID again."""


def _dedup_key(case: Case, raw: bytes) -> bytes | None:
    """Equal for one mail that comes twice, because its first 250 was lost.

    A device that sends the same alarm again means it, and its mails have no Message-ID: their key is given up
    as soon as the client has confirmed by its next word that it has the 250.
    """
    envelope = case.envelope
    if not _is_named(case) and envelope.door not in _DIALOGUES:
        return None
    content = case.mail.text.encode("utf-8", "surrogatepass") if case.mail else raw.partition(b"\r\n\r\n")[2]
    signature = _signature(case)
    by_whom = (_message_id(case), envelope.identity or envelope.peer, envelope.reverse_path)
    parts = (
        *((signature,) if signature else by_whom),
        *sorted(envelope.recipients),
        case.mail.subject if case.mail else "",
    )
    return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogatepass") + b"\0" + content).digest()


def _copy(case: Case) -> str | None:
    """What is kept for people to look at. A mail that was not understood, or whose credentials were wrong, may hold a
    password anywhere: of what is refused only the safe header fields are kept."""
    if case.mail is None:
        return None
    lines = [f"{name}: {value}" for name, value in case.mail.safe_headers]
    if case.accepted is not None:
        lines += [f"Subject: {case.mail.subject}", "", case.mail.text]
    copy = "\n".join(lines)
    for secret in case.submission.secrets if case.submission else ():
        copy = copy.replace(secret, "***")
    return copy


def _log_refused(case: Case, refusal: Refusal, how: str) -> None:
    log.warning(
        "mail.refused",
        queue_id=case.envelope.queue_id,
        verdict=refusal.code,
        reason=refusal.reason.key,
        answered=how,
        listener=case.envelope.listener,
        peer=case.envelope.peer,
        sender=case.envelope.reverse_path,
        account=case.account.login if case.account else None,
    )
