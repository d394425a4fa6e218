"""One connection to an SMSC. It knows of each request whether it certainly did not leave."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

import structlog

from gateway.providers import NoAnswer
from gateway.smpp.pdu import (
    GENERIC_NACK,
    MAX_SEQUENCE,
    RESPONSE,
    Body,
    Command,
    Garbage,
    Message,
    Nothing,
    Pdu,
    Reader,
    Status,
    Taken,
    encode,
)

log = structlog.get_logger()

UNBIND_S = 5.0
HANG_UP_S = 1.0
DELIVERIES = 100
"""So many deliver_sm may wait for the disk; then no more is read from the connection."""

OnDelivery = Callable[[Message], Awaitable[int]]
"""Writes down what a deliver_sm says; returns the command_status of its acknowledgement."""


class Link:
    """Requests out, answers and deliveries in, until it is lost. Made with an open connection."""

    def __init__(
        self,
        stream: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        on_delivery: OnDelivery,
        *,
        timeout_s: float,
        enquire_s: float,
        name: str,
    ) -> None:
        self._stream = stream
        self._writer = writer
        self._on_delivery = on_delivery
        self._timeout_s = timeout_s
        self._enquire_s = enquire_s
        self._name = name
        self._loop = asyncio.get_running_loop()
        self._heard_at = self._loop.time()
        self._sequence = 0
        self._pending: dict[int, tuple[int, asyncio.Future[Pdu]]] = {}
        self._slots = asyncio.Semaphore(DELIVERIES)
        self._deliveries: set[asyncio.Task[None]] = set()
        self.lost: asyncio.Future[str] = self._loop.create_future()
        """Why, once it is."""
        self._tasks = [asyncio.create_task(self._read())]

    @property
    def is_alive(self) -> bool:
        """As far as we know."""
        return not self.lost.done() and not self._writer.is_closing()

    def keep_alive(self) -> None:
        """From now on, test it when it is silent."""
        self._tasks.append(asyncio.create_task(self._enquire()))

    async def ask(self, command: Command, body: Body, timeout_s: float | None = None) -> Pdu:
        """One request, its response. Raises ``NoAnswer``, and ``Malformed`` for what cannot be written."""
        sequence = self._sequence = self._sequence % MAX_SEQUENCE + 1
        raw = encode(Pdu(command, sequence, body))
        if not self.is_alive:
            raise NoAnswer(self._why_lost(), sent=False)
        future: asyncio.Future[Pdu] = self._loop.create_future()
        self._pending[sequence] = (command | RESPONSE, future)
        self._writer.write(raw)  # from here on it may have been taken
        try:
            async with asyncio.timeout(timeout_s or self._timeout_s):
                return await future
        except TimeoutError:
            raise NoAnswer("no answer in time", sent=True) from None
        finally:
            del self._pending[sequence]

    def _why_lost(self) -> str:
        return self.lost.result() if self.lost.done() else "the connection is lost"

    # ── what comes in ────────────────────────────────────────────────────────────────────────

    async def _read(self) -> None:
        reader, why = Reader(), "the provider has closed the connection"
        try:
            while chunk := await self._stream.read(65_536):
                reader.feed(chunk)
                for pdu in reader.pdus():
                    self._heard_at = self._loop.time()
                    await self._take(pdu)
        except Garbage as error:
            why = f"the provider speaks no SMPP: {error}"
        except OSError as error:
            why = f"the connection is lost: {type(error).__name__}"
        self._drop(why)

    async def _take(self, pdu: Pdu) -> None:
        if pdu.is_response:
            self._answered(pdu)
        elif pdu.command == Command.ENQUIRE_LINK:
            self._say(pdu.answer())
        elif pdu.command == Command.DELIVER_SM:
            await self._slots.acquire()
            task = asyncio.create_task(self._deliver(pdu))
            self._deliveries.add(task)
            task.add_done_callback(self._delivered)
        elif pdu.command == Command.UNBIND:
            self._say(pdu.answer())
            self._drop("the provider has unbound")
        else:
            self._say(Pdu(GENERIC_NACK, pdu.sequence, Nothing(), Status.INVALID_COMMAND))

    def _answered(self, pdu: Pdu) -> None:
        command, future = self._pending.get(pdu.sequence, (0, None))
        if future is None or pdu.command not in (command, GENERIC_NACK):
            log.warning(
                "smpp.late_answer", provider=self._name, command=f"0x{pdu.command:08X}", status=f"0x{pdu.status:02X}"
            )
        elif not future.done():
            future.set_result(pdu)

    async def _deliver(self, pdu: Pdu) -> None:
        """What it says is on the disk before it is acknowledged; otherwise it must come again."""
        status: int = Status.NEVER
        if isinstance(pdu.body, Message):
            try:
                status = await self._on_delivery(pdu.body)
            except Exception as error:
                status = Status.NOT_NOW
                # Not the error's words: those of a store hold the SMS.
                log.error("smpp.not_written", provider=self._name, why=type(error).__name__)  # noqa: TRY400
        else:
            log.error("smpp.unreadable", provider=self._name, what="deliver_sm", alert=True)
        self._say(pdu.answer(Taken(), status))

    def _delivered(self, task: asyncio.Task[None]) -> None:
        self._deliveries.discard(task)
        self._slots.release()

    def _say(self, pdu: Pdu) -> None:
        if self.is_alive:
            self._writer.write(encode(pdu))

    # ── how it ends ──────────────────────────────────────────────────────────────────────────

    async def _enquire(self) -> None:
        while True:
            silent_s = self._loop.time() - self._heard_at
            if silent_s < self._enquire_s:
                await asyncio.sleep(self._enquire_s - silent_s)
                continue
            try:
                await self.ask(Command.ENQUIRE_LINK, Nothing())
            except NoAnswer:
                self._drop("enquire_link was not answered")
                return

    def _drop(self, why: str) -> None:
        if self.lost.done():
            return
        self.lost.set_result(why)
        for _, future in self._pending.values():
            if not future.done():
                future.set_exception(NoAnswer(why, sent=True))
        self._writer.close()
        for task in self._tasks:
            if task is not asyncio.current_task():
                task.cancel()

    async def close(self, grace_s: float) -> None:
        """Let what is in flight end, unbind, disconnect."""
        waiting = {future for _, future in self._pending.values()} | self._deliveries
        if waiting:
            await asyncio.wait(waiting, timeout=grace_s)
        with contextlib.suppress(NoAnswer):
            await self.ask(Command.UNBIND, Nothing(), UNBIND_S)
        for delivery in self._deliveries:
            delivery.cancel()
        await asyncio.gather(*self._deliveries, return_exceptions=True)
        await self.hang_up()

    async def hang_up(self) -> None:
        """Disconnect without a word. What came in before is still written down."""
        self._drop("we have hung up")
        await asyncio.gather(*self._tasks, return_exceptions=True)
        try:
            async with asyncio.timeout(HANG_UP_S):
                await self._writer.wait_closed()
        except (OSError, TimeoutError):
            self._writer.transport.abort()
