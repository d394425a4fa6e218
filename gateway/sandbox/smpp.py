"""The platform on SMPP 3.4: bind, submit_sm, query_sm; receipts and incoming SMS as deliver_sm. A fault whose answer is
``status:0x58`` is that command_status."""

from __future__ import annotations

import asyncio
import itertools
import re
from collections.abc import Coroutine
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from gateway.sandbox.platform import Answer, Platform, Sms
from gateway.smpp.pdu import (
    GENERIC_NACK,
    Bind,
    Bound,
    Command,
    Garbage,
    Message,
    Nothing,
    Pdu,
    Queried,
    Query,
    Reader,
    Status,
    Tag,
    Taken,
    Tlv,
    encode,
)
from gateway.smpp.text import Alphabet, Codings, Long, compose, decode_text, taken_apart

CODINGS: Codings = {Alphabet.GSM7: 0, Alphabet.LATIN1: 3, Alphabet.UCS2: 8}
LOOK_S = 0.1
ANSWER_S = 10.0
_BINDS = (Command.BIND_TRANSMITTER, Command.BIND_RECEIVER, Command.BIND_TRANSCEIVER)
_STATES = {
    "deliver": (2, "DELIVRD"),
    "not_deliver": (5, "UNDELIV"),
    "expired": (3, "EXPIRED"),
    "partly_deliver": (7, "UNKNOWN"),
}
_STATUS = re.compile(r"status:(0x[0-9A-Fa-f]{1,8})")
"""A fault's answer that is a command_status."""


@dataclass(slots=True)
class _Waiting:
    """An SMS whose receipts are to be told: one for each PDU that it came in."""

    sms: Sms
    ids: list[str]
    registered: int


@dataclass(slots=True)
class SmppFace:
    """Listens between ``start`` and ``close``."""

    platform: Platform
    sessions: list[_Session] = field(default_factory=list)
    _ids: itertools.count[int] = field(default_factory=lambda: itertools.count(1))
    _parts: dict[tuple[object, ...], dict[int, tuple[str, bytes]]] = field(default_factory=dict)
    _waiting: list[_Waiting] = field(default_factory=list)
    _server: asyncio.Server | None = None
    _telling: asyncio.Task[None] | None = None
    _serving: set[asyncio.Future[Any]] = field(default_factory=set)

    async def start(self, host: str, port: int) -> int:
        """The port, which is chosen for 0."""
        self._server = await asyncio.start_server(self._serve, host, port)
        self._telling = asyncio.create_task(self._tell())
        bound: int = self._server.sockets[0].getsockname()[1]
        return bound

    async def close(self) -> None:
        """Hang up on everybody."""
        if self._server is None or self._telling is None:
            return
        self._server.close()
        self._telling.cancel()
        await asyncio.gather(self._telling, return_exceptions=True)
        for session in tuple(self.sessions):
            await session.hang_up()
        await asyncio.gather(*self._serving, return_exceptions=True)

    async def _serve(self, stream: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        session = _Session(self, stream, writer)
        self.sessions.append(session)
        task = asyncio.current_task()
        assert task is not None
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)
        try:
            await session.run()
        finally:
            self.sessions.remove(session)

    # ── from the gateway ─────────────────────────────────────────────────────────────────────

    def submit(self, message: Message) -> Answer:
        """A submit_sm: the platform's answer, whose text is the id of the message."""
        text = decode_text(taken_apart(message)[0], message.data_coding, CODINGS)
        return self.platform.sending(message.source, [message.destination], text, lambda: self._take(message))

    def _take(self, message: Message) -> str:
        octets, part = taken_apart(message)
        if part is None:
            sms = self._deliver(message, octets)
            self._waiting.append(_Waiting(sms, [sms.id], message.registered_delivery))
            return sms.id
        key = (message.source, message.destination, part.reference, part.total)
        pieces = self._parts.setdefault(key, {})
        part_id = f"P{next(self._ids)}"
        pieces[part.number] = part_id, octets
        if len(pieces) == part.total:
            in_order = [pieces[number] for number in sorted(pieces)]
            sms = self._deliver(message, b"".join(octets for _, octets in in_order))
            self._waiting.append(_Waiting(sms, [part_id for part_id, _ in in_order], message.registered_delivery))
            del self._parts[key]
        return part_id

    def _deliver(self, message: Message, octets: bytes) -> Sms:
        text = decode_text(octets, message.data_coding, CODINGS)
        return self.platform.deliver(message.source, message.destination, text)

    def query(self, message_id: str) -> Queried | None:
        """What became of it; None: nobody knows it."""
        waiting = next((item for item in self._waiting if message_id in item.ids), None)
        sms = waiting.sms if waiting else self.platform.find(message_id)
        if sms is None:
            return None
        self.platform.settle(sms)
        return Queried(message_id, "", _STATES.get(sms.state, (1, ""))[0])

    # ── to the gateway ───────────────────────────────────────────────────────────────────────

    async def _tell(self) -> None:
        while True:
            for item in tuple(self._waiting):
                self.platform.settle(item.sms)
                if item.sms.state in _STATES:
                    await self._tell_of(item)
            await asyncio.sleep(LOOK_S)

    async def _tell_of(self, item: _Waiting) -> None:
        wanted = item.registered & 3
        if not wanted or (wanted == 2 and item.sms.state == "deliver"):
            self._waiting.remove(item)
            return
        while item.ids and await self.deliver(_receipt(item.ids[0], item.sms)):
            del item.ids[0]
        if not item.ids:
            self._waiting.remove(item)

    async def incoming(self, sender: str, destination: str, text: str, long: Long = Long.UDH) -> bool:
        """A subscriber writes to us. Whether all of it was acknowledged."""
        blank = Message(source_ton=1, source_npi=1, source=sender, dest_ton=1, dest_npi=1, destination=destination)
        parts = compose(blank, text, CODINGS, long, next(self._ids), flash=False)
        return all(await asyncio.gather(*map(self.deliver, parts)))

    async def deliver(self, message: Message) -> bool:
        """To a session that receives. False: nobody has acknowledged it."""
        for session in self.sessions:
            if session.receives:
                answer = await session.ask(Command.DELIVER_SM, message)
                return answer is not None and answer.status == Status.OK
        return False


def _receipt(message_id: str, sms: Sms) -> Message:
    number, word = _STATES[sms.state]
    moments = [datetime.fromtimestamp(at, UTC).strftime("%y%m%d%H%M") for at in (sms.at, sms.changed_at or sms.at)]
    text = (
        f"id:{message_id} sub:001 dlvrd:{int(number == 2):03} submit date:{moments[0]} done date:{moments[1]} "
        f"stat:{word} err:000 text:"
    )
    return Message(
        source_ton=1,
        source_npi=1,
        source=sms.destination,
        destination=sms.originator,
        esm_class=0x04,
        short_message=text.encode(),
        tlvs=(
            Tlv(Tag.RECEIPTED_MESSAGE_ID, message_id.encode() + b"\0"),
            Tlv(Tag.MESSAGE_STATE, bytes((number,))),
        ),
    )


class _Session:
    """One connection."""

    def __init__(self, face: SmppFace, stream: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._face = face
        self._stream = stream
        self._writer = writer
        self._bound: int = 0
        self._sequence = itertools.count(1)
        self._pending: dict[int, asyncio.Future[Pdu | None]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def receives(self) -> bool:
        """Bound so that it gets deliver_sm."""
        return self._bound in (Command.BIND_RECEIVER, Command.BIND_TRANSCEIVER) and not self._writer.is_closing()

    async def run(self) -> None:
        """Until one side hangs up."""
        reader = Reader()
        try:
            while chunk := await self._stream.read(65_536):
                reader.feed(chunk)
                for pdu in reader.pdus():
                    self._take(pdu)
        except (OSError, Garbage):
            pass
        await self.hang_up()

    async def hang_up(self) -> None:
        """Without a word."""
        self._writer.close()
        for future in self._pending.values():
            if not future.done():
                future.set_result(None)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _take(self, pdu: Pdu) -> None:
        if pdu.is_response:
            future = self._pending.get(pdu.sequence)
            if future is not None and not future.done():
                future.set_result(pdu)
            return
        match pdu.body:
            case Bind() if not self._bound:
                self._bind(pdu, pdu.body)
            case Message() if self._bound and pdu.command == Command.SUBMIT_SM:
                self._run(self._submit(pdu, pdu.body))
            case Query() if self._bound:
                found = self._face.query(pdu.body.message_id)
                self._say(pdu.answer(found) if found else pdu.answer(Queried(), Status.QUERY_FAILED))
            case Nothing() if pdu.command in (Command.ENQUIRE_LINK, Command.UNBIND):
                self._say(pdu.answer())
                if pdu.command == Command.UNBIND:
                    self._writer.close()
            case Bind() | Message() | Query():
                self._say(pdu.answer(status=Status.NOT_BOUND))
            case _:
                self._say(Pdu(GENERIC_NACK, pdu.sequence, Nothing(), Status.INVALID_COMMAND))

    def _bind(self, pdu: Pdu, bind: Bind) -> None:
        platform = self._face.platform
        if platform.user and bind.system_id != platform.user:
            self._say(pdu.answer(Bound(), Status.WRONG_SYSTEM_ID))
        elif platform.user and bind.password != platform.password:
            self._say(pdu.answer(Bound(), Status.WRONG_PASSWORD))
        else:
            self._bound = pdu.command
            self._say(pdu.answer(Bound("sandbox", (Tlv(Tag.SC_INTERFACE_VERSION, b"\x34"),))))

    async def _submit(self, pdu: Pdu, message: Message) -> None:
        answer = self._face.submit(message)
        if answer.delay_s:
            await asyncio.sleep(answer.delay_s)
        if answer.cut:
            self._writer.transport.abort()
        elif refused := _STATUS.fullmatch(answer.body):
            self._say(pdu.answer(Taken(), int(refused[1], 16)))
        else:
            self._say(pdu.answer(Taken(answer.body[:64])))

    async def ask(self, command: Command, body: Message) -> Pdu | None:
        """Its answer; None: there is none."""
        sequence = next(self._sequence)
        future = self._pending[sequence] = asyncio.get_running_loop().create_future()
        self._say(Pdu(command, sequence, body))
        try:
            return await asyncio.wait_for(future, ANSWER_S)
        except TimeoutError:
            return None
        finally:
            del self._pending[sequence]

    def _say(self, pdu: Pdu) -> None:
        if not self._writer.is_closing():
            self._writer.write(encode(pdu))

    def _run(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
