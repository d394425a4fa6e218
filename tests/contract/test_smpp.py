"""The SMPP driver: its tables, and the driver on the sandbox and on peers that misbehave."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from gateway.lifecycle import State
from gateway.model import Channel, Deferred, Incoming, Outcome, Rejected, Scope, Submitted, Uncertain
from gateway.providers import NoAnswer, Unsupported
from gateway.providers.registry import Surroundings, connect
from gateway.providers.smpp import assembly, receipt, upstream
from gateway.providers.smpp.answers import refused
from gateway.providers.smpp.settings import SmppSettings
from gateway.providers.smpp.upstream import SmppUpstream, written
from gateway.sandbox.platform import Answer, Cut, Fault, Platform
from gateway.sandbox.smpp import SmppFace
from gateway.service.providers import probe
from gateway.smpp.pdu import Bind, Bound, Command, Message, Pdu, Reader, Tag, Taken, Tlv, encode
from gateway.smpp.text import Long, Part
from gateway.verdicts import Refused
from tests.contract.peer import peer
from tests.contract.smpp import PASSWORD, Desk, account, attempt, send, settings

TABLES = Path(__file__).parents[1] / "providers" / "smpp"
Row = dict[str, Any]


def rows(name: str) -> list[Row]:
    loaded: list[Row] = yaml.safe_load((TABLES / name).read_text("utf-8"))
    return loaded


# ── tables ───────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("row", rows("receipts.yaml"), ids=lambda row: row["text"][:60] or str(row.get("tlv")))
def test_each_receipt(row: Row) -> None:
    tlvs = tuple(Tlv(tag, bytes.fromhex(value)) for tag, value in row.get("tlv", {}).items())
    message = Message(esm_class=row.get("esm_class", 4), short_message=row["text"].encode(), tlvs=tlvs)
    assert receipt.is_receipt(message)
    how = {"id_format": row.get("id_format", "as_is"), "smsc": row.get("smsc", False)}
    if row.get("error"):
        with pytest.raises(receipt.NotUnderstood):
            receipt.read_receipt(message, **how)
        return
    read = receipt.read_receipt(message, **how)
    assert (read.provider_id, read.state.value, read.raw) == (row["id"], row["state"], row["raw"])
    assert read.changed_at == row.get("at", "")
    assert read.details == row.get("details", {})
    assert (read.price, read.segments) == (row.get("price"), row.get("segments"))


def test_a_receipt_in_ucs2() -> None:
    message = Message(esm_class=4, data_coding=8, short_message="id:a_7 stat:DELIVRD".encode("utf-16-be"))
    assert receipt.read_receipt(message).provider_id == "a_7"


def test_an_sms_that_looks_like_a_receipt_is_none() -> None:
    assert not receipt.is_receipt(Message(short_message=b"id:1 stat:DELIVRD"))


@given(st.text(max_size=80), st.binary(max_size=40))
def test_no_receipt_is_an_exception(text: str, octets: bytes) -> None:
    for short_message in (f"id:1 stat:DELIVRD {text}".encode()[:254], b"id:1 done date:" + octets, octets):
        for coding in (0, 3, 8):
            message = Message(esm_class=0x44, data_coding=coding, short_message=short_message)
            with suppress(receipt.NotUnderstood):
                receipt.read_receipt(message)


@pytest.mark.parametrize("row", rows("statuses.yaml"), ids=lambda row: f"0x{row['status']:02X}")
def test_each_command_status(row: Row) -> None:
    outcome = refused(row["status"])
    match outcome:
        case Rejected(refusal=refusal, alert=alert, other_route=other_route):
            said = ("rejected", refusal.code, alert, other_route)
            assert said == (row["outcome"], row["code"], row.get("alert", False), row.get("other_route", False))
        case Deferred(scope=scope, after_s=after_s):
            assert ("deferred", scope.value, after_s) == (row["outcome"], row["scope"], row.get("after_s"))
        case _:
            pytest.fail(f"{outcome}")


@given(st.integers(1, 0xFFFFFFFF))
def test_no_refusal_is_ever_taken_for_sent(status: int) -> None:
    assert isinstance(refused(status), Rejected | Deferred)


@pytest.mark.parametrize(
    ("originator", "address"),
    [
        ("My Bank", (5, 0, "My Bank")),
        ("79101234567", (1, 1, "79101234567")),
        ("+79101234567", (1, 1, "79101234567")),
        ("4545", (3, 0, "4545")),
    ],
)
def test_originators_say_what_they_are(originator: str, address: tuple[int, int, str]) -> None:
    (message,) = written(attempt(originator=originator).job, settings(), 0.0)
    assert (message.source_ton, message.source_npi, message.source) == address
    assert (message.dest_ton, message.dest_npi, message.destination) == (1, 1, "79101234567")
    (message,) = written(attempt(originator=originator).job, settings(source_ton=0, source_npi=0), 0.0)
    assert (message.source_ton, message.source_npi) == (0, 0)


@pytest.mark.parametrize(
    ("seconds", "validity"),
    [(3600, "000000010000000R"), (86_400, "000001000000000R"), (1, "000000000100000R"), (1e12, "000030000000000R")],
)
def test_validity_is_told_in_relative_time(seconds: float, validity: str) -> None:
    job = attempt(expires_at=1000.0 + seconds).job
    assert written(job, settings(), 1000.0)[0].validity == validity
    assert written(job, settings(send_validity=False), 1000.0)[0].validity == ""


def test_what_cannot_be_written_is_refused() -> None:
    for changes in ({"originator": "Банк"}, {"text": "я" * 67 * 256}):
        text = str(changes.pop("text", "text"))
        with pytest.raises(Refused):
            written(attempt(text, **changes).job, settings(), 0.0)


def test_channels_of_smsc_ru() -> None:
    smsc = settings(smsc_channels=True, data_coding={"gsm7": 0, "latin1": 4, "ucs2": 8}, long_texts="payload")
    call = attempt("Hello", channel=Channel.CALL, detail="w2").job
    assert written(call, smsc, 0.0)[0].octets == b"\x11\x11CALL\x11\x11: Hello\nvoice:w2"  # "_" in GSM 7-bit is 0x11
    trick = attempt("__CALL__: Hello").job
    assert written(trick, smsc, 0.0)[0].octets.startswith(b"\x11 \x11CALL")
    assert written(trick, settings(), 0.0)[0].octets == b"\x11\x11CALL\x11\x11: Hello"
    assert smsc.carries() == frozenset(Channel)
    assert settings().carries() == {Channel.SMS, Channel.FLASH}
    commented = attempt("Hello", comment="for Ann").job
    assert written(commented, smsc, 0.0)[0].octets == b"Hello\n=\x3d=\nfor Ann".replace(b"=\x3d=", b"\x1b\x3d" * 3)
    assert written(commented, settings(), 0.0)[0].octets == b"Hello"


def test_an_account_as_the_gateway_makes_it() -> None:
    made = connect(settings(), Surroundings(Platform(clock=time.time), name="main"))
    assert isinstance(made, SmppUpstream)
    assert (made.pushes, made.can_ask, made.traits.duplicate_window_s) == (True, False, None)
    other = SmppUpstream(settings(bind="transmitter", query=True, duplicate_window=70))
    assert (other.pushes, other.can_ask, other.traits.duplicate_window_s) == (False, True, 70)
    assert not SmppUpstream(settings(registered_delivery=0)).pushes
    assert PASSWORD not in repr(settings()) + repr(Bind("corp", PASSWORD))


@pytest.mark.parametrize(
    "changes",
    [
        {"enquire_link": 9},
        {"data_coding": {"gsm7": 0}},
        {"data_coding": {"utf8": 0, "ucs2": 8}},
        {"ca_file": "ca.pem"},
        {"port": 0},
        {"long_texts": "both"},
        {"system_id": "a b"},
    ],
)
def test_settings_that_cannot_be(changes: Row) -> None:
    with pytest.raises(ValidationError):
        settings(**changes)


def test_a_ca_file_stands_beside_the_configuration(tmp_path: Path) -> None:
    given = {"driver": "smpp", "host": "h", "port": 1, "system_id": "c", "tls": True, "ca_file": "ca.pem"}
    assert SmppSettings.model_validate(given, context={"folder": tmp_path}).ca_file == tmp_path / "ca.pem"


# ── on the sandbox ───────────────────────────────────────────────────────────────────────────


class Smsc:
    """The sandbox, its handsets and its port."""

    def __init__(self, platform: Platform, face: SmppFace, port: int) -> None:
        self.platform, self.face, self.port = platform, face, port

    @property
    def texts(self) -> list[str]:
        return [sms.text for sms in self.platform.messages]

    def fault(self, **fault: Any) -> None:
        self.platform.faults.append(Fault(**fault))


@pytest.fixture
async def smsc() -> AsyncIterator[Smsc]:
    platform = Platform(clock=time.time, user="corp", password=PASSWORD, deliver_after_s=0.0)
    face = SmppFace(platform)
    port = await face.start("localhost", 0)
    yield Smsc(platform, face, port)
    await face.close()


@pytest.mark.parametrize("text", ["Hello @€[]", "Привет 😀", "ç`"])
async def test_an_sms_reaches_the_handset_and_its_receipt_comes_back(smsc: Smsc, text: str) -> None:
    desk = Desk()
    async with account(smsc.port, desk) as corp:
        outcome = await send(corp, text)
        assert isinstance(outcome, Submitted)
        await desk.has(lambda d: d.receipts)
    (sms,) = smsc.platform.messages
    assert (sms.id, sms.originator, sms.destination, sms.text) == (
        outcome.provider_id,
        "My Bank",
        "79101234567",
        text,
    )
    (told,) = desk.receipts
    assert (told.provider_id, told.state, told.raw) == (outcome.provider_id, State.DELIVERED, "DELIVRD")


@pytest.mark.parametrize("long", list(Long))
@pytest.mark.parametrize("text", ["x€" * 200, "Привет, 😀! " * 30])
async def test_a_long_text_arrives_whole_and_each_of_its_ids_is_reported(smsc: Smsc, long: Long, text: str) -> None:
    desk = Desk()
    async with account(smsc.port, desk, long_texts=long) as corp:
        outcome = await send(corp, text)
        assert isinstance(outcome, Submitted)
        ids = {outcome.provider_id, *outcome.parts}
        assert len(ids) == (1 if long is Long.PAYLOAD else smsc.platform.messages[0].segments)
        await desk.has(lambda d: len(d.receipts) == len(ids))
    assert smsc.texts == [text]
    assert {told.provider_id for told in desk.receipts} == ids


async def test_many_at_one_time_each_get_their_own_answer(smsc: Smsc) -> None:
    async with account(smsc.port, max_in_flight=10) as corp:
        numbers = [f"791012345{n:02}" for n in range(50)]
        outcomes = await asyncio.gather(*(send(corp, number=number) for number in numbers))
    ids = {sms.destination: sms.id for sms in smsc.platform.messages}
    assert [o.provider_id for o in outcomes if isinstance(o, Submitted)] == [ids[number] for number in numbers]


async def test_a_throttled_provider_is_left_alone_for_a_second(smsc: Smsc, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upstream, "THROTTLE_S", 0.2)
    smsc.fault(answer="status:0x58")
    async with account(smsc.port) as corp:
        assert await send(corp) == Deferred(Scope.JOB, "ESME_RTHROTTLED (0x58)", 2.0)
        began = time.monotonic()
        assert isinstance(await send(corp), Submitted)
        assert time.monotonic() - began >= 0.15


async def test_a_test_of_the_account_tests_the_link_and_sends_nothing(smsc: Smsc) -> None:
    async with account(smsc.port) as corp:
        assert (found := await probe(corp)).ok
        assert (found.asked, found.answer) == ("link", "bound, and the link answers")
    async with account(smsc.port, password="wrong") as stranger:
        assert not (found := await probe(stranger)).ok
        assert found.answer.startswith("the bind was refused: ")
    assert not smsc.texts


async def test_a_refusal_is_told_by_its_status(smsc: Smsc) -> None:
    smsc.fault(answer="status:0x0B")
    async with account(smsc.port) as corp:
        outcome = await send(corp)
        assert isinstance(outcome, Rejected)
        assert outcome.refusal.code == "NUMBER"
    assert not smsc.texts


async def test_when_the_first_part_is_refused_the_sms_is(smsc: Smsc) -> None:
    smsc.fault(answer="status:0x45")
    async with account(smsc.port) as corp:
        assert isinstance(await send(corp, "x" * 400), Rejected)
    assert len(smsc.platform.journal) == 1


def fault_at(smsc: Smsc, monkeypatch: pytest.MonkeyPatch, answer: str, *calls: int) -> list[bytes]:
    """These submit_sm, counted from 1, are answered so. Returns what each one carried."""
    seen: list[bytes] = []
    usual = SmppFace.submit

    def submit(face: SmppFace, message: Message) -> Answer:
        seen.append(message.short_message)
        if len(seen) in calls:
            smsc.fault(answer=answer)
        return usual(face, message)

    monkeypatch.setattr(SmppFace, "submit", submit)
    return seen


async def test_when_a_later_part_is_refused_nobody_knows(smsc: Smsc, monkeypatch: pytest.MonkeyPatch) -> None:
    fault_at(smsc, monkeypatch, "status:0x45", 3)
    async with account(smsc.port) as corp:
        outcome = await send(corp, "x" * 400)
    assert outcome == Uncertain("2 of 3 parts were taken; the next: ESME_RSUBMITFAIL (0x45)")


async def test_a_later_part_that_is_throttled_goes_again(smsc: Smsc, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upstream, "THROTTLE_S", 0.01)
    seen = fault_at(smsc, monkeypatch, "status:0x58", 2, 3)
    async with account(smsc.port) as corp:
        outcome = await send(corp, "x" * 200)
    assert isinstance(outcome, Submitted)
    assert seen[1] == seen[2] == seen[3]
    assert smsc.texts == ["x" * 200]


@pytest.mark.parametrize("cut", list(Cut))
async def test_a_link_that_drops_after_the_write_leaves_it_uncertain_and_is_made_anew(smsc: Smsc, cut: Cut) -> None:
    smsc.fault(cut=cut)
    async with account(smsc.port, enquire_s=10) as corp:
        assert isinstance(await send(corp), Uncertain)
        assert len(smsc.texts) == (cut is Cut.AFTER)
        outcome = await send(corp)
        while isinstance(outcome, Deferred):
            assert outcome.scope is Scope.ROUTE
            await asyncio.sleep(0.1)
            outcome = await send(corp)
        assert isinstance(outcome, Submitted)


async def test_a_late_answer_leaves_it_uncertain_and_the_link_alive(smsc: Smsc) -> None:
    smsc.fault(delay_s=0.4)
    async with account(smsc.port, timeout=0.2) as corp:
        assert await send(corp) == Uncertain("no answer in time")
        assert isinstance(await send(corp), Submitted)
        await asyncio.sleep(0.3)
        assert isinstance(await send(corp), Submitted)
        assert len(smsc.face.sessions) == 1


async def test_without_a_link_nothing_has_left() -> None:
    async with peer(lambda _r, _w: asyncio.sleep(0)) as url:
        port = int(url.rpartition(":")[2].partition("/")[0])
    async with account(port) as corp:
        outcome = await send(corp)
        assert isinstance(outcome, Deferred)
        assert outcome.scope is Scope.ROUTE
        assert outcome.why.startswith("no connection to the provider: ")


@pytest.mark.parametrize("host", ["no-such-host.invalid", ".", "two..dots.example", "x" * 64 + ".example"])
@pytest.mark.parametrize("tls", [False, True])
async def test_a_host_that_is_none_is_no_link(host: str, tls: bool) -> None:
    async with account(2775, host=host, tls=tls) as corp:
        outcome = await send(corp)
        assert isinstance(outcome, Deferred)
        assert outcome.scope is Scope.ROUTE


async def test_a_ca_file_that_is_not_there_is_no_link() -> None:
    async with account(2775, tls=True, ca_file="/no/such/file.pem") as corp:
        assert await send(corp) == Deferred(Scope.ROUTE, "no connection to the provider: No such file or directory")


async def test_a_wrong_password_stops_the_account(smsc: Smsc) -> None:
    smsc.platform.password = "another"
    async with account(smsc.port) as corp:
        assert await send(corp) == Deferred(Scope.PROVIDER, "the bind was refused: ESME_RINVPASWD (0x0E)")
        assert await send(corp) == Deferred(Scope.PROVIDER, "the bind was refused: ESME_RINVPASWD (0x0E)")
    assert not smsc.platform.journal


async def test_a_receipt_that_cannot_be_written_down_comes_again(smsc: Smsc) -> None:
    desk = Desk()
    desk.is_closed = True
    async with account(smsc.port, desk) as corp:
        assert isinstance(await send(corp), Submitted)
        await asyncio.sleep(0.4)
        assert smsc.face._waiting
        desk.is_closed = False
        await desk.has(lambda d: d.receipts)


async def test_who_only_asks_takes_no_receipts_away(smsc: Smsc) -> None:
    """``email2sms provider status``: a second connection, beside the daemon's."""
    desk = Desk()
    async with account(smsc.port, desk) as corp:
        asking = SmppUpstream(settings(smsc.port, query=True))
        outcome = await send(corp)
        assert isinstance(outcome, Submitted)
        told = await asking.status(str(outcome.provider_id), "79101234567")
        assert told.state in (State.SUBMITTED, State.DELIVERED)
        assert [session.receives for session in smsc.face.sessions] == [True, False]
        with pytest.raises(Refused) as refusal:
            await asking.status("4711", "79101234567")
        assert refusal.value.refusal.code == "MSG:103"
        await asking.close()
        with pytest.raises(Unsupported):
            await corp.status("1", "79101234567")


async def test_what_smpp_cannot_say() -> None:
    corp = SmppUpstream(settings())
    with pytest.raises(Unsupported):
        await corp.balance()
    with pytest.raises(Unsupported):
        await corp.price("79101234567")
    await corp.close()


@pytest.mark.parametrize("text", ["Yes", "Да 😀", "x€" * 200, "Привет, 😀! " * 30])
@pytest.mark.parametrize("long", list(Long))
async def test_an_sms_from_a_subscriber(smsc: Smsc, text: str, long: Long) -> None:
    desk = Desk()
    async with account(smsc.port, desk) as corp:
        assert isinstance(await send(corp), Submitted)
        assert await smsc.face.incoming("79107654321", "4545", text, long)
    (sms,) = desk.incoming
    assert (sms.sender, sms.destination, sms.text) == ("79107654321", "4545", text)


async def test_an_sms_that_cannot_be_written_down_is_not_acknowledged(smsc: Smsc) -> None:
    desk = Desk()
    async with account(smsc.port, desk) as corp:
        assert isinstance(await send(corp), Submitted)
        desk.is_closed = True
        assert not await smsc.face.incoming("79107654321", "4545", "Yes")
        assert not await smsc.face.incoming("79107654321", "4545", "Yes" * 100)


async def test_parts_that_come_one_by_one_are_acknowledged_when_the_text_is_whole() -> None:
    now, seen = 0.0, list[list[bytes | None]]()

    async def write(pieces: list[bytes | None]) -> None:
        seen.append(pieces)

    parts = assembly.Assembly(lambda: now, hold_s=0.01)
    assert await parts.take("a", Part(1, 2, 1), b"1", write) == 0x64  # come again
    assert await parts.take("b", Part(1, 2, 2), b"?", write) == 0x64
    assert await parts.take("a", Part(1, 2, 2), b"2", write) == 0
    assert seen == [[b"1", b"2"]]
    assert await parts.take("a", Part(1, 2, 1), b"1", write) == 0
    assert seen == [[b"1", b"2"]]
    assert await parts.take("a", Part(1, 2, 1), b"new", write) == 0x64
    now = assembly.GIVE_UP_S + 1
    assert await parts.take("a", Part(1, 2, 1), b"new", write) == 0
    assert seen[1:] == [[b"new", None]]


async def test_closing_lets_calls_in_flight_end_and_unbinds(smsc: Smsc) -> None:
    smsc.fault(delay_s=0.3)
    async with account(smsc.port) as corp:
        assert isinstance(await send(corp, number="380501234567"), Submitted)
        smsc.fault(delay_s=0.3)
        going = asyncio.create_task(send(corp, "x" * 200))
        await asyncio.sleep(0.1)
    assert isinstance(await going, Submitted)
    outcome = await send(corp)
    assert isinstance(outcome, Deferred)
    await corp.close()


# ── peers that misbehave ─────────────────────────────────────────────────────────────────────


async def read_pdu(stream: asyncio.StreamReader) -> Pdu:
    length = await stream.readexactly(4)
    reader = Reader()
    reader.feed(length + await stream.readexactly(int.from_bytes(length, "big") - 4))
    return next(reader.pdus())


async def bound(stream: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(encode((await read_pdu(stream)).answer(Bound("smsc"))))


def port_of(url: str) -> int:
    return int(url.rpartition(":")[2].partition("/")[0])


async def with_peer(raw: bytes, **changes: Any) -> Outcome:
    """What a submit comes to that is answered with these bytes; a zero sequence number is the submit's."""

    async def handler(stream: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await bound(stream, writer)
        submit = await read_pdu(stream)
        writer.write(raw.replace(b"SEQ#", submit.sequence.to_bytes(4, "big")))
        await read_pdu(stream)  # unbind

    async with peer(handler) as url, account(port_of(url), **changes) as corp:
        return await send(corp)


def resp(command: int, status: int, body: bytes = b"") -> bytes:
    return (16 + len(body)).to_bytes(4, "big") + command.to_bytes(4, "big") + status.to_bytes(4, "big") + b"SEQ#" + body


@pytest.mark.parametrize(
    ("raw", "outcome"),
    [
        (resp(0x80000004, 0, b"abc\0"), Submitted("abc")),
        (resp(0x80000004, 0), Submitted(None, "the provider has named no id")),
        (resp(0x80000004, 0, b"no end"), Uncertain("the answer cannot be read")),
        (resp(0x80000004, 0x58), Deferred(Scope.JOB, "ESME_RTHROTTLED (0x58)", 2.0)),
        (resp(0x80000000, 0x08), Deferred(Scope.ROUTE, "ESME_RSYSERR (0x08)")),
        (resp(0x80000000, 0), Uncertain("the answer cannot be read")),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", Uncertain("the provider speaks no SMPP: a PDU of 1213486160 octets")),
        (resp(6, 0), Uncertain("the provider has unbound")),
    ],
    ids=str,
)
async def test_each_answer_on_the_wire(raw: bytes, outcome: Outcome) -> None:
    assert await with_peer(raw) == outcome


async def test_another_command_s_response_answers_nothing() -> None:
    assert await with_peer(resp(0x80000015, 0), timeout=0.2) == Uncertain("no answer in time")


@pytest.mark.parametrize(("id_format", "provider_id"), [("dec", "6699"), ("hex", "1A2B"), ("as_is", "1A2B")])
async def test_an_id_in_the_form_that_receipts_have(id_format: str, provider_id: str) -> None:
    """``hex``: the answer should be decimal; one that is not stays as it is."""
    assert await with_peer(resp(0x80000004, 0, b"1A2B\0"), id_format=id_format) == Submitted(provider_id)


async def test_a_silent_link_is_tested_and_dropped() -> None:
    async def handler(stream: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await bound(stream, writer)
        first = await read_pdu(stream)
        assert first.command == Command.ENQUIRE_LINK
        writer.write(encode(first.answer()))
        assert (await read_pdu(stream)).command == Command.ENQUIRE_LINK
        seen.set()
        await stream.read()
        gone.set()

    seen, gone = asyncio.Event(), asyncio.Event()
    async with peer(handler) as url, account(port_of(url), enquire_s=0.1, timeout=0.2):
        async with asyncio.timeout(5):
            await seen.wait()
            await gone.wait()


@pytest.mark.parametrize(
    "raw", [b"", b"\0\0\0\x05", b"SMTP ready\r\n\r\n\r\n", encode(Pdu(0x80000009, 1, Bound(), 0x08))]
)
async def test_who_does_not_let_us_bind(raw: bytes) -> None:
    async def handler(stream: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_pdu(stream)
        writer.write(raw)

    async with peer(handler) as url, account(port_of(url)) as corp:
        outcome = await send(corp)
        assert isinstance(outcome, Deferred)
        assert outcome.scope is Scope.ROUTE


async def test_a_receipt_before_the_answer_and_requests_that_nobody_knows() -> None:
    desk, acks = Desk(), list[Pdu]()

    async def handler(stream: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await bound(stream, writer)
        submit = await read_pdu(stream)
        told = Message(esm_class=4, short_message=b"id:77 stat:DELIVRD err:000")
        writer.write(encode(Pdu(Command.DELIVER_SM, 5, told)))
        writer.write(resp(0x103, 0).replace(b"SEQ#", b"\0\0\0\6"))
        writer.write(resp(5, 0, b"x").replace(b"SEQ#", b"\0\0\0\7"))
        acks.extend([await read_pdu(stream) for _ in range(3)])
        writer.write(encode(submit.answer(Taken("77"))))
        await read_pdu(stream)  # unbind

    async with peer(handler) as url, account(port_of(url), desk) as corp:
        assert await send(corp) == Submitted("77")
    assert [told.provider_id for told in desk.receipts] == ["77"]
    assert {(ack.command, ack.sequence, ack.status) for ack in acks} == {
        (0x80000005, 5, 0),
        (0x80000000, 6, 0x03),
        (0x80000005, 7, 0x66),
    }


async def test_a_status_without_a_link_is_no_answer() -> None:
    async with peer(lambda _r, _w: asyncio.sleep(0)) as url:
        port = port_of(url)
    corp = SmppUpstream(settings(port, query=True))
    with pytest.raises(NoAnswer) as none:
        await corp.status("1", "79101234567")
    assert not none.value.sent
    await corp.close()


def test_incoming_numbers_have_no_plus() -> None:
    message = Message(source="+79101234567", destination="4545", tlvs=(Tlv(Tag.MESSAGE_PAYLOAD, b"x"),))
    assert receipt.incoming(message, "x", "7") == Incoming("7", "79101234567", "4545", "x")
