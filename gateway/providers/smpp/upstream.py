"""An SMPP account: stays bound, sends each SMS in its parts, and knows what became of each."""

from __future__ import annotations

import asyncio
import random
import re
import ssl
import time
import uuid
from collections.abc import Callable, Sequence

import structlog

from gateway.model import (
    Attempt,
    Balance,
    Callback,
    Channel,
    Deferred,
    Job,
    Outcome,
    Pushed,
    Receipt,
    Rejected,
    Scope,
    Submitted,
    Uncertain,
)
from gateway.providers import NoAnswer, Sink, Traits, Unsupported, client_id
from gateway.providers.smpp import receipt
from gateway.providers.smpp.answers import QUEUE_FULL, THROTTLED, refused
from gateway.providers.smpp.assembly import Assembly
from gateway.providers.smpp.link import Link
from gateway.providers.smpp.settings import SmppSettings
from gateway.smpp.pdu import Bind, Command, Malformed, Message, Nothing, Pdu, Queried, Query, Status, Taken, status_name
from gateway.smpp.text import compose, decode_text, taken_apart
from gateway.sms import channels
from gateway.verdicts import PROVIDER_ORIGINATOR, PROVIDER_REFUSED, REQUEST_TOO_LONG, Refusal, Refused

log = structlog.get_logger()

CONNECT_TIMEOUT_S = 5.0
FIRST_WAIT_S, LONGEST_WAIT_S = 1.0, 60.0
"""Between tries to bind; each is twice as long as the last."""
STEADY_S = 10.0
"""A link that has lasted so long is made anew at once."""
THROTTLE_S = 1.0
"""Nobody sends for so long after the provider has said that it is too fast."""
PART_TRIES = 5
"""A part after the first that is throttled is sent again: the handset waits for it."""
VALIDITY_S = 30 * 86400
"""At most: the relative time of SMPP (§7.1.1) counts months, of a length that nobody knows."""

_BAD_ACCOUNT = frozenset({0x0D, 0x0E, 0x0F, 0x53})
"""Answers to a bind that somebody must do something about."""


class NotBound(Exception):
    """There is no link, so nothing can have been sent."""

    def __init__(self, scope: Scope, why: str) -> None:
        super().__init__(why)
        self.scope = scope


class SmppUpstream:
    """``clock`` is seconds since the epoch."""

    def __init__(self, settings: SmppSettings, name: str = "", clock: Callable[[], float] = time.time) -> None:
        self._settings = settings
        self._name = name
        self._clock = clock
        self.traits = Traits(duplicate_window_s=settings.duplicate_window)
        self.can_ask = settings.query and settings.poll
        self.pushes = settings.bind == "transceiver" and settings.registered_delivery > 0
        self._sink: Sink | None = None
        self._keeping: asyncio.Task[None] | None = None
        self._link: Link | None = None
        self._why_not = NotBound(Scope.ROUTE, "not bound yet")
        self._known = asyncio.Event()
        """Whether there is a link or not: unset while one is being made."""
        self._window = asyncio.Semaphore(settings.max_in_flight)
        self._not_before = 0.0
        self._calls: set[asyncio.Future[None]] = set()
        self._assembly = Assembly(clock)
        self._is_closed = False

    # ── staying bound ────────────────────────────────────────────────────────────────────────

    async def start(self, sink: Sink) -> None:
        """Bind, and stay bound, until ``close``. Waits for nothing."""
        self._sink = sink
        self._keep()

    def _keep(self) -> None:
        if self._keeping is None and not self._is_closed:
            self._keeping = asyncio.create_task(self._stay_bound())

    async def _stay_bound(self) -> None:
        tries = 0
        while True:
            self._known.clear()
            began = time.monotonic()
            try:
                link = self._link = await self._bind()
            except NotBound as error:
                self._why_not = error
                self._known.set()
            else:
                log.info("smpp.bound", provider=self._name, host=self._settings.host, port=self._settings.port)
                self._known.set()
                why = await asyncio.shield(link.lost)
                self._link, self._why_not = None, NotBound(Scope.ROUTE, why)
                log.warning("smpp.lost", provider=self._name, why=why)
                await link.hang_up()
            tries = 0 if time.monotonic() - began > STEADY_S and self._why_not.scope is Scope.ROUTE else tries + 1
            if tries:
                await asyncio.sleep(self._wait_s(tries))

    def _wait_s(self, tries: int) -> float:
        if self._why_not.scope is Scope.PROVIDER:
            return LONGEST_WAIT_S
        longest: float = min(LONGEST_WAIT_S, FIRST_WAIT_S * 2.0 ** min(tries - 1, 9))
        return longest * random.uniform(0.5, 1.0)  # noqa: S311 (so that processes do not come all at once)

    async def _bind(self) -> Link:
        """Raises ``NotBound``."""
        link = await self._connect()
        settings = self._settings
        # Who only asks a question takes no receipts: it has nowhere to write them down.
        receives = self._sink is not None and settings.bind == "transceiver"
        command = Command.BIND_TRANSCEIVER if receives else Command.BIND_TRANSMITTER
        bind = Bind(settings.system_id, settings.password.get_secret_value(), settings.system_type)
        try:
            answer = await link.ask(command, bind)
        except (NoAnswer, Malformed) as error:
            await link.hang_up()
            raise NotBound(Scope.ROUTE, f"no answer to the bind: {error}") from None
        except asyncio.CancelledError:
            await link.hang_up()
            raise
        if answer.status or answer.command != command | 0x80000000:
            await link.hang_up()
            scope = Scope.PROVIDER if answer.status in _BAD_ACCOUNT else Scope.ROUTE
            why = f"the bind was refused: {status_name(answer.status)}"
            log.error("smpp.refused", provider=self._name, why=why, alert=scope is Scope.PROVIDER)
            raise NotBound(scope, why)
        link.keep_alive()
        return link

    async def _connect(self) -> Link:
        settings = self._settings
        try:
            tls = ssl.create_default_context(cafile=settings.ca_file) if settings.tls else None
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                stream, writer = await asyncio.open_connection(settings.host, settings.port, ssl=tls)
        except (OSError, ValueError) as error:  # among them TimeoutError, SSLError, and names that are no hosts
            raise NotBound(Scope.ROUTE, f"no connection to the provider: {_cause(error)}") from None
        return Link(
            stream,
            writer,
            self._delivery,
            timeout_s=settings.timeout,
            enquire_s=settings.enquire_link,
            name=self._name,
        )

    async def _bound(self) -> Link:
        """The link, when it is known whether there is one. Raises ``NotBound``."""
        self._keep()
        await self._known.wait()
        if self._link is None:
            raise self._why_not
        return self._link

    async def close(self) -> None:
        """Let calls in flight end, unbind, disconnect."""
        if self._calls:
            await asyncio.wait(self._calls, timeout=self._settings.timeout)
        keeping, link, self._is_closed = self._keeping, self._link, True
        if keeping is not None:
            keeping.cancel()
            await asyncio.gather(keeping, return_exceptions=True)
        self._keeping, self._link = None, None
        self._why_not = NotBound(Scope.ROUTE, "the gateway is stopping")
        self._known.set()
        if link is not None:
            await link.close(self._settings.timeout)

    # ── sending ──────────────────────────────────────────────────────────────────────────────

    async def submit(self, attempts: Sequence[Attempt]) -> list[Outcome]:
        """One call for each SMS. Never raises for the network."""
        call = asyncio.get_running_loop().create_future()
        self._calls.add(call)
        try:
            return [await self._submit(attempt.job) for attempt in attempts]
        finally:
            self._calls.discard(call)
            call.cancel()

    def preview(self, attempts: Sequence[Attempt]) -> str:
        """The submit_sm as they would go out. Raises ``Refused`` when one cannot be expressed."""
        messages = written(attempts[0].job, self._settings, self._clock())
        return "\n".join(
            f"submit_sm source={message.source} destination={message.destination} data_coding={message.data_coding} "
            f"octets={message.octets.hex(' ')}"
            for message in messages
        )

    async def _submit(self, job: Job) -> Outcome:
        try:
            messages = written(job, self._settings, self._clock())
        except Refused as refusal:
            return Rejected(refusal.refusal)
        async with self._window:
            try:
                link = await self._bound()
            except NotBound as error:
                return Deferred(error.scope, str(error))
            return await self._send_all(link, messages)

    async def _send_all(self, link: Link, messages: Sequence[Message]) -> Outcome:
        """One part after the other: when the first is refused, the handset gets nothing."""
        taken: list[Submitted] = []
        for message in messages:
            outcome = await self._send(link, message, tries=PART_TRIES if taken else 1)
            if not isinstance(outcome, Submitted):
                return _torn(len(taken), len(messages), outcome) if taken else outcome
            taken.append(outcome)
        ids = [item.provider_id for item in taken if item.provider_id]
        if len(ids) < len(messages):
            return Submitted(ids[0] if ids else None, "the provider has named no id", tuple(ids[1:]))
        return Submitted(ids[0], parts=tuple(ids[1:]))

    async def _send(self, link: Link, message: Message, tries: int) -> Outcome:
        while True:
            await asyncio.sleep(max(0.0, self._not_before - time.monotonic()))
            try:
                answer = await link.ask(Command.SUBMIT_SM, message)
            except NoAnswer as error:
                return Uncertain(str(error)) if error.sent else Deferred(Scope.ROUTE, str(error))
            tries -= 1
            if answer.status == THROTTLED:
                self._not_before = time.monotonic() + THROTTLE_S
            if answer.status not in (THROTTLED, QUEUE_FULL) or tries <= 0:
                return self._read_answer(answer)
            await asyncio.sleep(THROTTLE_S)

    def _read_answer(self, answer: Pdu) -> Outcome:
        if answer.status:
            return refused(answer.status)
        if not isinstance(answer.body, Taken):
            return Uncertain("the answer cannot be read")
        provider_id = receipt.same_id(answer.body.message_id, by_receipt=False, id_format=self._settings.id_format)
        return Submitted(provider_id or None)

    # ── what comes later ─────────────────────────────────────────────────────────────────────

    async def _delivery(self, message: Message) -> int:
        """What a deliver_sm says goes to the disk; then its acknowledgement's command_status."""
        if self._sink is None:
            return Status.NOT_NOW
        settings = self._settings
        if not receipt.is_receipt(message):
            return await self._incoming(message)
        try:
            told = receipt.read_receipt(message, id_format=settings.id_format, smsc=settings.smsc_channels)
        except receipt.NotUnderstood as error:  # it would be the same again
            log.error("smpp.unreadable", provider=self._name, what="receipt", why=str(error), alert=True)  # noqa: TRY400
            return Status.OK
        await self._sink(self._name, Pushed((told,)))
        return Status.OK

    async def _incoming(self, message: Message) -> int:
        octets, part = taken_apart(message)
        sink, codings = self._sink, self._settings.data_coding
        assert sink is not None

        async def write(pieces: Sequence[bytes | None]) -> None:
            text = _joined(pieces, lambda octets: decode_text(octets, message.data_coding, codings))
            await sink(self._name, Pushed(incoming=(receipt.incoming(message, text, uuid.uuid4().hex),)))

        if part is None:
            await write([octets])
            return Status.OK
        sender = (message.source, message.destination)
        return await self._assembly.take(sender, part, octets, write)

    async def status(self, provider_id: str, destination: str) -> Receipt:
        """By query_sm, where the settings allow it. Raises ``Unsupported``, ``NoAnswer``, ``Refused``."""
        if not self._settings.query:
            raise Unsupported("this provider is not asked: see its setting query")
        try:
            link = await self._bound()
        except NotBound as error:
            raise NoAnswer(str(error), sent=False) from None
        number = receipt.id_of_answer(provider_id, id_format=self._settings.id_format)
        answer = await link.ask(Command.QUERY_SM, Query(number))
        if answer.status or not isinstance(answer.body, Queried):
            raise Refused(PROVIDER_REFUSED, code=answer.status, text=status_name(answer.status))
        return receipt.read_queried(provider_id, answer.body)

    async def probe(self) -> str:
        """The link answers, or is made and answers. Raises ``NoAnswer``."""
        try:
            link = await self._bound()
        except NotBound as error:
            raise NoAnswer(str(error), sent=False) from None
        await link.ask(Command.ENQUIRE_LINK, Nothing())
        return "bound, and the link answers"

    async def balance(self) -> Balance:
        """Raises ``Unsupported``."""
        raise Unsupported("SMPP cannot tell a balance")

    async def price(self, destination: str) -> Balance:
        """Raises ``Unsupported``."""
        raise Unsupported("SMPP cannot tell prices")

    def read_callback(self, callback: Callback) -> Pushed:
        """Raises ``Unsupported``."""
        raise Unsupported("SMPP makes no callbacks")


# ── an SMS as PDUs ───────────────────────────────────────────────────────────────────────────

_NUMERIC = re.compile(r"\+?([0-9]{1,15})")
_SHORT_CODE = 6
"""Digits, at most."""


def written(job: Job, settings: SmppSettings, now: float) -> list[Message]:
    """The submit_sm of a job, one for each part; the same for the same job and time. Raises ``Refused``."""
    ton, npi, source = _source(job.originator)
    message = Message(
        source_ton=ton if settings.source_ton is None else settings.source_ton,
        source_npi=npi if settings.source_npi is None else settings.source_npi,
        source=source,
        dest_ton=settings.dest_ton,
        dest_npi=settings.dest_npi,
        destination=job.destination,
        validity=_validity(job.expires_at - now) if settings.send_validity else "",
        registered_delivery=settings.registered_delivery,
    )
    if not (source.isascii() and len(source) <= 20):
        raise Refused(PROVIDER_ORIGINATOR)
    text = channels.dressed(job) if settings.smsc_channels else job.text
    reference, flash = client_id(job.id, 16), job.channel is Channel.FLASH
    try:
        coding, long, national = settings.data_coding, settings.long_texts, settings.national_tables
        return compose(message, text, coding, long, reference, flash=flash, national=national)
    except Malformed:
        raise Refused(REQUEST_TOO_LONG) from None


def _source(originator: str) -> tuple[int, int, str]:
    """TON and NPI (§5.2.5, §5.2.6): a name, a short code, a number."""
    match = _NUMERIC.fullmatch(originator)
    if match is None:
        return 5, 0, originator
    return (3, 0, match[1]) if len(match[1]) <= _SHORT_CODE else (1, 1, match[1])


def _validity(seconds: float) -> str:
    """Relative time, whole minutes, at least one: ``0000DDhhmm00000R``."""
    minutes = int(min(max(seconds, 60.0), VALIDITY_S)) // 60
    return f"0000{minutes // 1440:02}{minutes // 60 % 24:02}{minutes % 60:02}00000R"


def _torn(taken: int, total: int, outcome: Outcome) -> Outcome:
    """The handset may never show it, and what was taken is paid for: nobody may send it again by himself."""
    match outcome:
        case Deferred(why=why) | Uncertain(why=why):
            pass
        case Rejected(refusal=Refusal(values=values)):
            why = str(values.get("text", ""))
        case _:
            why = ""
    return Uncertain(f"{taken} of {total} parts were taken; the next: {why}")


def _joined(pieces: Sequence[bytes | None], decode: Callable[[bytes], str]) -> str:
    """Whole texts are decoded whole: a character may be torn apart."""
    if None not in pieces:
        return decode(b"".join(piece or b"" for piece in pieces))
    return "".join("…" if piece is None else decode(piece) for piece in pieces)


def _cause(error: BaseException) -> str:
    if isinstance(error, TimeoutError) and not error.strerror:
        return "timed out"
    if isinstance(error, ssl.SSLError):
        return f"TLS: {getattr(error, 'verify_message', '') or error.reason}"
    return (isinstance(error, OSError) and error.strerror) or type(error).__name__
