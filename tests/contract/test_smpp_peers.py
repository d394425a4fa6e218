"""The SMPP driver on SMSCs of other authors: the npm package ``smpp``, and Perl's Net::SMPP."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from gateway.lifecycle import State
from gateway.model import Deferred, Rejected, Scope, Submitted, Uncertain
from gateway.providers.smpp import upstream
from gateway.smpp.text import Long
from tests.contract.smpp import Desk, account, send

PEERS = Path(__file__).parents[1] / "peers" / "smpp"
LINE = dict[str, Any]
GSM = "Hello @€[] x"
CYRILLIC = "Привет, 😀! "


class Program:
    """A peer in a process of its own, and what it says, a line at a time."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.said: list[str] = []

    async def line(self) -> str:
        assert self._process.stdout is not None
        async with asyncio.timeout(15):
            raw = await self._process.stdout.readline()
        assert raw, f"it has ended; it said {self.said}"
        self.said.append(raw.decode().strip())
        return self.said[-1]

    async def heard(self, **wanted: Any) -> LINE:
        """The next line that holds these."""
        while True:
            told: LINE = json.loads(await self.line())
            if wanted.items() <= told.items():
                return told


@asynccontextmanager
async def running(*command: str, cwd: Path) -> AsyncIterator[Program]:
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*command, cwd=cwd, stdin=pipe, stdout=pipe)
    try:
        yield Program(process)
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


# ── npm smpp ─────────────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="session")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if shutil.which("npm") is None or shutil.which("node") is None:
        pytest.skip("npm and node are not installed: the peer of the SMPP driver cannot run")
    folder = tmp_path_factory.mktemp("peer") / "smpp"
    shutil.copytree(PEERS, folder)
    try:
        done = subprocess.run(
            ["npm", "ci", "--no-audit", "--no-fund"],
            check=False,
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=120,
        )
    except subprocess.TimeoutExpired:
        pytest.skip("npm ci has not ended within two minutes")
    if done.returncode:
        pytest.skip(f"npm ci failed, perhaps without a network: {done.stderr[-300:]}")
    return folder


class Smsc:
    def __init__(self, program: Program, port: int) -> None:
        self.heard, self.port = program.heard, port


@asynccontextmanager
async def npm(folder: Path, *keys: str) -> AsyncIterator[Smsc]:
    async with running("node", "peer.js", *keys, cwd=folder) as program:
        yield Smsc(program, json.loads(await program.line())["port"])


@pytest.fixture
async def smsc(installed: Path) -> AsyncIterator[Smsc]:
    async with npm(installed) as peer:
        yield peer


def number(behaviour: str) -> str:
    return f"791012345{behaviour}"


@pytest.mark.parametrize(("text", "coding"), [(GSM, 0), (CYRILLIC, 8)])
async def test_an_sms_and_its_receipt_by_parameters(smsc: Smsc, text: str, coding: int) -> None:
    desk = Desk()
    async with account(smsc.port, desk, system_type="ISO") as corp:
        outcome = await send(corp, text)
        heard = await smsc.heard(command="submit_sm")
        await desk.has(lambda d: d.receipts)
        await smsc.heard(acknowledged="6699", status=0)
    assert outcome == Submitted("6699")
    assert (heard["text"], heard["coding"], heard["registered"]) == (text, coding, 1)
    assert (heard["source"], heard["destination"]) == ([5, 0, "My Bank"], [1, 1, "79101234567"])
    assert [(told.provider_id, told.state) for told in desk.receipts] == [("6699", State.DELIVERED)]


async def test_how_it_binds_and_leaves(smsc: Smsc) -> None:
    async with account(smsc.port, system_type="ISO", enquire_s=0.1) as corp:
        await send(corp)
        bind = await smsc.heard(command="bind_transceiver")
        assert (bind["system_type"], bind["version"], bind["known"]) == ("ISO", 0x34, True)
        await smsc.heard(command="enquire_link")
        await smsc.heard(command="enquire_link")
    await smsc.heard(command="unbind")
    await smsc.heard(command="closed")


async def test_a_transmitter_gets_no_receipts(smsc: Smsc) -> None:
    async with account(smsc.port, bind="transmitter", registered_delivery=0) as corp:
        assert isinstance(await send(corp), Submitted)
        await smsc.heard(command="bind_transmitter")
        assert (await smsc.heard(command="submit_sm"))["registered"] == 0


@pytest.mark.parametrize(("text", "coding"), [(GSM * 40, 0), (CYRILLIC * 20, 8)])
async def test_a_long_text_by_header(smsc: Smsc, text: str, coding: int) -> None:
    desk = Desk()
    async with account(smsc.port, desk, long_texts=Long.UDH) as corp:
        outcome = await send(corp, text)
        assert isinstance(outcome, Submitted)
        heard = [await smsc.heard(command="submit_sm") for _ in range(1 + len(outcome.parts))]
        await desk.has(lambda d: len(d.receipts) == len(heard))
    assert "".join(part["text"] for part in heard) == text
    assert {(part["coding"], part["esm_class"]) for part in heard} == {(coding, 0x40)}
    headers = [bytes.fromhex(part["udh"][0]) for part in heard]
    assert [header[-2:] for header in headers] == [bytes((len(heard), n + 1)) for n in range(len(heard))]
    assert len({header[:-2] for header in headers}) == 1
    assert {told.provider_id for told in desk.receipts} == {outcome.provider_id, *outcome.parts}


async def test_a_long_text_by_sar(smsc: Smsc) -> None:
    async with account(smsc.port, long_texts=Long.SAR) as corp:
        outcome = await send(corp, CYRILLIC * 20)
        assert isinstance(outcome, Submitted)
        heard = [await smsc.heard(command="submit_sm") for _ in range(1 + len(outcome.parts))]
    assert "".join(part["text"] for part in heard) == CYRILLIC * 20
    assert [part["sar"][1:] for part in heard] == [[len(heard), n + 1] for n in range(len(heard))]
    assert len({part["sar"][0] for part in heard}) == 1
    assert {part["esm_class"] for part in heard} == {0}


async def test_a_long_text_in_the_payload(smsc: Smsc) -> None:
    async with account(smsc.port, long_texts=Long.PAYLOAD) as corp:
        assert isinstance(await send(corp, CYRILLIC * 20), Submitted)
        heard = await smsc.heard(command="submit_sm")
    assert (heard["text"], heard["payload"]) == ("", CYRILLIC * 20)


async def test_an_answer_in_hex_and_a_receipt_as_decimal_text(smsc: Smsc) -> None:
    desk = Desk()
    async with account(smsc.port, desk, id_format="dec", query=True) as corp:
        assert await send(corp, number=number("02")) == Submitted("6699")
        await desk.has(lambda d: d.receipts)
        told = await corp.status("6699", "")
        assert (await smsc.heard(command="query_sm"))["id"] == "1A2B"
    assert (told.state, told.raw) == (State.DELIVERED, "DELIVRD")
    (by_text,) = desk.receipts
    assert (by_text.provider_id, by_text.state, by_text.changed_at) == (
        "6699",
        State.DELIVERED,
        "2026-11-25 10:12:59",
    )


async def test_a_receipt_before_the_answer(smsc: Smsc) -> None:
    desk = Desk()
    async with account(smsc.port, desk) as corp:
        sending = asyncio.create_task(send(corp, number=number("03")))
        await desk.has(lambda d: d.receipts)
        assert not sending.done()
        assert await sending == Submitted("6699")


async def test_a_receipt_is_acknowledged_when_it_is_on_the_disk(smsc: Smsc) -> None:
    desk = Desk()
    desk.is_closed = True
    async with account(smsc.port, desk) as corp:
        await send(corp)
        await smsc.heard(acknowledged="6699", status=0x64)
        assert not desk.receipts


async def test_throttled_then_taken(smsc: Smsc, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upstream, "THROTTLE_S", 0.05)
    async with account(smsc.port) as corp:
        assert await send(corp, number=number("04")) == Deferred(Scope.JOB, "ESME_RTHROTTLED (0x58)", 2.0)
        assert isinstance(await send(corp, number=number("04")), Submitted)


async def test_a_refused_number(smsc: Smsc) -> None:
    async with account(smsc.port) as corp:
        outcome = await send(corp, number=number("09"))
    assert isinstance(outcome, Rejected)
    assert outcome.refusal.code == "NUMBER"


async def test_a_wrong_password(smsc: Smsc) -> None:
    async with account(smsc.port, password="wrong") as corp:
        assert await send(corp) == Deferred(Scope.PROVIDER, "the bind was refused: ESME_RINVPASWD (0x0E)")


@pytest.mark.parametrize(
    ("behaviour", "why"),
    [
        ("05", "the provider has closed the connection"),
        ("08", "the provider speaks no SMPP: a PDU of 1213486160 octets"),
    ],
)
async def test_a_link_lost_after_the_write_is_made_anew(smsc: Smsc, behaviour: str, why: str) -> None:
    async with account(smsc.port) as corp:
        assert await send(corp, number=number(behaviour)) == Uncertain(why)
        assert isinstance(await send(corp), Deferred)  # nothing was written while there was no link
        await smsc.heard(command="bind_transceiver")
        await smsc.heard(command="bind_transceiver")
        while not isinstance(outcome := await send(corp), Submitted):
            assert isinstance(outcome, Deferred)


async def test_a_slow_answer_is_waited_for_and_a_slower_one_is_not(smsc: Smsc) -> None:
    async with account(smsc.port) as corp:
        assert isinstance(await send(corp, number=number("06")), Submitted)
    async with account(smsc.port, timeout=0.3) as corp:
        assert await send(corp, number=number("06")) == Uncertain("no answer in time")


async def test_a_provider_that_unbinds_is_bound_again(smsc: Smsc) -> None:
    async with account(smsc.port) as corp:
        assert isinstance(await send(corp, number=number("10")), Submitted)
        await smsc.heard(command="bind_transceiver")
        await smsc.heard(command="bind_transceiver")


async def test_a_long_sms_from_a_subscriber_whose_parts_come_the_wrong_way_round(smsc: Smsc) -> None:
    desk = Desk()
    async with account(smsc.port, desk) as corp:
        await send(corp, number=number("07"))
        await desk.has(lambda d: d.incoming)
        assert {(await smsc.heard(status=0))["acknowledged"] for _ in range(2)} == {"part 1", "part 2"}
    (sms,) = desk.incoming
    assert (sms.sender, sms.destination, sms.text) == (number("07"), "4545", "Привет, мир 😀")


async def test_tls(installed: Path, tmp_path: Path) -> None:
    key, certificate = str(tmp_path / "key.pem"), str(tmp_path / "cert.pem")
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    command += ["-keyout", key, "-out", certificate, "-subj", "/CN=localhost", "-days", "2"]
    subprocess.run([*command, "-addext", "subjectAltName=DNS:localhost"], check=True, capture_output=True)
    async with npm(installed, key, certificate) as smsc:
        desk = Desk()
        async with account(smsc.port, desk, tls=True, ca_file=certificate) as corp:
            assert isinstance(await send(corp), Submitted)
            await desk.has(lambda d: d.receipts)
        async with account(smsc.port, tls=True) as corp:  # nobody vouches for it
            outcome = await send(corp)
            assert isinstance(outcome, Deferred)
            assert outcome.why.startswith("no connection to the provider: TLS: ")
        async with account(smsc.port, tls=True, ca_file=certificate, host="127.0.0.1") as corp:
            outcome = await send(corp)
            assert isinstance(outcome, Deferred)
            assert "IP address mismatch" in outcome.why


# ── Net::SMPP ────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("long", [Long.UDH, Long.PAYLOAD])
async def test_net_smpp(long: Long) -> None:
    perl = shutil.which("perl")
    if perl is None or subprocess.run([perl, "-MNet::SMPP", "-e", "1"], check=False, capture_output=True).returncode:
        pytest.skip("Perl's Net::SMPP (Debian: libnet-smpp-perl) is not installed")
    desk = Desk()
    async with running(perl, "net-smpp.pl", cwd=PEERS) as program:
        port = int((await program.line()).removeprefix("port "))
        async with account(port, desk, system_type="ISO", long_texts=long, enquire_s=0.2) as corp:
            assert await send(corp, "Hello @") == Submitted("101")
            await desk.has(lambda d: d.receipts)
            assert isinstance(await send(corp, "я" * 71), Submitted)
            await desk.has(lambda d: len(d.receipts) == (3 if long is Long.UDH else 2))
            while await program.line() != "enquire_link":
                pass
        while await program.line() != "unbind":
            pass
    assert "bind corp ISO" in program.said
    assert program.said.count("acknowledged 0") == len(desk.receipts)
    sms = [line for line in program.said if line.startswith("submit")]
    assert sms[0] == f"submit 5/My Bank 79101234567 esm=0 coding=0 text={b'Hello '.hex()}00 payload="
    if long is Long.PAYLOAD:
        assert sms[1:] == [
            f"submit 5/My Bank 79101234567 esm=0 coding=8 text= payload={('я' * 71).encode('utf-16-be').hex()}"
        ]
    else:
        assert [line.partition("text=")[2][12:] for line in sms[1:]] == [
            ("я" * count).encode("utf-16-be").hex() + " payload=" for count in (67, 4)
        ]
    assert [told.state for told in desk.receipts] == [State.DELIVERED] * len(desk.receipts)
