"""Who the client is behind a load balancer (PROXY) and behind an MTA (XCLIENT), and who may say so."""

from __future__ import annotations

import asyncio
import shutil
import socket
import struct
import subprocess
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection
from structlog.testing import capture_logs

from gateway.daemon import Daemon
from tests.running import ACCOUNT, Client, listener, port, running, template
from tests.smtp.test_defence import SERVICE, Tls, insecure

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
OURS = ["127.0.0.1/32"]
REFUSED = "550 5.7.1 FORBIDDEN sender not verified"


def v2(command: int, family: int, body: bytes) -> bytes:
    return SIGNATURE + struct.pack("!BBH", 0x20 | command, family, len(body)) + body


def tcp4(source: str, more: bytes = b"") -> bytes:
    return v2(1, 0x11, socket.inet_aton(source) + socket.inet_aton("10.0.0.1") + struct.pack("!HH", 5, 25) + more)


def tcp6(source: str) -> bytes:
    both = socket.inet_pton(socket.AF_INET6, source) + socket.inet_pton(socket.AF_INET6, "::1")
    return v2(1, 0x21, both + struct.pack("!HH", 5, 25))


def behind(**door: Any) -> dict[str, Any]:
    """A listener that trusts 192.0.2.0/24, 2001:db8::/32, and its own proxy's address, which must not help."""
    trust = ["192.0.2.0/24", "2001:db8::/32", *OURS]
    return {"listeners": [listener(**{"trust": trust, "proxies": OURS, **door})]}


async def through(daemon: Daemon, header: bytes, **more: Any) -> Client:
    client = Client(*await asyncio.open_connection("127.0.0.1", port(daemon), **more))
    client.send(header)
    return client


def peers(connection: Connection) -> list[str]:
    return list(connection.exec_driver_sql("select peer from mails").scalars())


# ── PROXY ────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("header", "peer"),
    [
        (b"PROXY TCP4 192.0.2.7 10.0.0.1 5 25\r\n", "192.0.2.7"),
        (b"PROXY TCP6 2001:db8::7 ::1 5 25\r\n", "2001:db8::7"),
        (tcp4("192.0.2.7"), "192.0.2.7"),
        (tcp4("192.0.2.7", b"\x01\0\x05hello"), "192.0.2.7"),
        (tcp6("2001:db8::7"), "2001:db8::7"),
    ],
)
async def test_the_clients_address_is_what_is_trusted_and_kept(tmp_path: Path, header: bytes, peer: str) -> None:
    async with running(tmp_path, behind(proxy_protocol=True)) as daemon:
        client = await through(daemon, header)
        assert (await client.answer()).startswith("220")
        await client.say("EHLO client")
        assert (await client.mail(template(), SERVICE)).startswith("250")
        assert await daemon.store.read(peers) == [peer]


NOBODY = [
    b"PROXY TCP4 198.51.100.7 10.0.0.1 5 25\r\n",
    b"PROXY UNKNOWN\r\n",
    b"PROXY UNKNOWN 192.0.2.7 10.0.0.1 5 25\r\n",
    v2(0, 0, b""),
    v2(0, 0x11, tcp4("192.0.2.7")[16:]),  # LOCAL: the proxy asks for itself, whatever else it says
    v2(1, 0, b"192.0.2.7"),
    v2(1, 0x12, tcp4("192.0.2.7")[16:]),  # UDP
    v2(1, 0x31, b"/run/x".ljust(216, b"\0")),
]


async def test_who_is_not_named_is_not_trusted_though_the_proxy_is(tmp_path: Path) -> None:
    account = {**ACCOUNT, "networks": OURS}
    async with running(tmp_path, behind(proxy_protocol=True), [account]) as daemon:
        for header in NOBODY:
            client = await through(daemon, header)
            assert (await client.answer()).startswith("220"), header
            await client.say("EHLO client")
            assert (await client.mail(template(), SERVICE)).startswith(REFUSED), header


NO_HEADERS = [
    b"EHLO evil\r\n" * 20,
    b"PROXY TCP4 192.0.2.7\r\n",
    b"PROXY TCP4 192.0.2.7 10.0.0.1 5 25\n",
    b"PROXY TCP4 192.0.2.700 10.0.0.1 5 25\r\n",
    b"PROXY TCP4 2001:db8::7 10.0.0.1 5 25\r\n",
    b"PROXY TCP4 192.0.2.7 10.0.0.1 5 99999\r\n",
    b"PROXY TCP4 192.0.2.7 10.0.0.1 5 25 more\r\n",
    b"PROXY " + b"x" * 500,
    b"\r\n\r\n\0\r\nQUIX\n" + tcp4("192.0.2.7")[12:],
    SIGNATURE + b"\x31\x11" + tcp4("192.0.2.7")[14:],
    SIGNATURE + b"\x2f\x11" + tcp4("192.0.2.7")[14:],
    v2(1, 0x11, b"short"),
    SIGNATURE + b"\x21\x11\xff\xff" + b"x" * 65535,
]


async def test_what_is_no_header_is_closed_and_logged(tmp_path: Path) -> None:
    with capture_logs() as events:
        async with running(tmp_path, behind(proxy_protocol=True)) as daemon:
            for header in NO_HEADERS:
                client = await through(daemon, header)
                assert await client.closed(), header
            again = await through(daemon, b"PROXY TCP4 192.0.2.7 10.0.0.1 5 25\r\n")
            assert (await again.answer()).startswith("220")
    found = [(event["proxy"], bool(event["why"])) for event in events if event["event"] == "smtp.proxy_refused"]
    assert found == [("127.0.0.1", True)] * len(NO_HEADERS)


async def test_nobody_else_may_say_it(tmp_path: Path) -> None:
    with capture_logs() as events:
        async with running(tmp_path, behind(proxy_protocol=True)) as daemon:
            header = b"PROXY TCP4 192.0.2.7 10.0.0.1 5 25\r\n"
            client = await through(daemon, header, local_addr=("127.0.0.9", 0))
            assert await client.closed()
    assert [event["why"] for event in events if event["event"] == "smtp.proxy_refused"] == ["no proxy of ours"]


async def test_without_the_setting_a_header_is_no_command(tmp_path: Path) -> None:
    async with running(tmp_path) as daemon:
        client = await through(daemon, b"PROXY TCP4 192.0.2.7 10.0.0.1 5 25\r\n")
        assert (await client.answer()).startswith("220")
        assert (await client.answer()).startswith("500")


async def test_a_header_that_never_comes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.smtp.proxy.HEADER_S", 0.1)
    async with running(tmp_path, behind(proxy_protocol=True)) as daemon:
        assert await (await through(daemon, b"PROXY TC")).closed()


@pytest.mark.parametrize("mode", ["starttls", "implicit"])
async def test_the_address_outlives_tls(tmp_path: Path, certificate: Tls, mode: str) -> None:
    """aiosmtpd forgets it at STARTTLS (#287), and the balancer's would be trusted."""
    account = {**ACCOUNT, "networks": ["192.0.2.0/24"]}
    changes = behind(proxy_protocol=True, trust=OURS, tls={**certificate, "mode": mode})
    async with running(tmp_path, changes, [account]) as daemon:
        for source, answer in (("198.51.100.7", REFUSED), ("192.0.2.7", "250")):
            client = await through(daemon, tcp4(source))
            if mode == "starttls":
                await client.answer()
                await client.say("EHLO client")
                assert (await client.say("STARTTLS")).startswith("220")
            await client.writer.start_tls(insecure(), server_hostname="localhost")
            if mode == "implicit":
                assert (await client.answer()).startswith("220")
            await client.say("EHLO client")
            assert (await client.mail(template(), SERVICE)).startswith(answer)


async def test_limits_and_bans_mean_the_client(tmp_path: Path) -> None:
    changes = behind(proxy_protocol=True, trust=[], accept_unverified=True, max_connections_per_client=2)
    async with running(tmp_path, {**changes, "defence": {"attempts": 1, "tarpit": 0}}) as daemon:
        first, _, third, other = [await through(daemon, tcp4(f"198.51.100.{n}")) for n in (7, 7, 7, 8)]
        greetings = [await client.answer() for client in (first, third, other)]
        assert [greeting[:3] for greeting in greetings] == ["220", "421", "220"]
        await first.say("EHLO client")
        assert (await first.mail(template(password="wrong"), SERVICE)).startswith("550 5.7.8")
        banned, neighbour = [await through(daemon, tcp4(f"198.51.100.{n}")) for n in (7, 8)]
        assert (await banned.answer()).startswith("421 4.7.0 too many wrong passwords")
        assert (await neighbour.answer()).startswith("220")


async def test_words_behind_the_header_do_not_wait_for_the_greeting(tmp_path: Path) -> None:
    async with running(tmp_path, behind(proxy_protocol=True)) as daemon:
        client = await through(daemon, tcp4("198.51.100.7") + b"EHLO client\r\n")
        assert (await client.answer()).startswith("554 5.5.0")


@pytest.mark.skipif(not shutil.which("haproxy"), reason="haproxy is not installed")
@pytest.mark.parametrize("version", ["send-proxy", "send-proxy-v2"])
async def test_a_real_haproxy(tmp_path: Path, version: str) -> None:
    async with running(tmp_path, behind(proxy_protocol=True, trust=["127.0.0.7/32"])) as daemon:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            front = free.getsockname()[1]
        config = tmp_path / "haproxy.cfg"
        config.write_text(
            "defaults\n mode tcp\n timeout connect 5s\n timeout client 30s\n timeout server 30s\n"
            f"listen smtp\n bind 127.0.0.1:{front}\n server us 127.0.0.1:{port(daemon)} {version}\n"
        )
        haproxy = subprocess.Popen(["haproxy", "-db", "-f", str(config)], stderr=subprocess.DEVNULL)
        try:
            for host, answer in (("127.0.0.7", "250"), ("127.0.0.8", REFUSED)):
                client = await _at(front, host)
                assert (await client.answer()).startswith("220")
                await client.say("EHLO client")
                assert (await client.mail(template(), SERVICE)).startswith(answer)
        finally:
            haproxy.terminate()
            haproxy.wait()


async def _at(front: int, host: str) -> Client:
    """As soon as somebody listens there."""
    async with asyncio.timeout(10):
        while True:
            try:
                return Client(*await asyncio.open_connection("127.0.0.1", front, local_addr=(host, 0)))
            except ConnectionRefusedError:
                await asyncio.sleep(0.02)


# ── XCLIENT ──────────────────────────────────────────────────────────────────────────────────────


async def test_an_mta_tells_who_its_client_is(tmp_path: Path) -> None:
    async with running(tmp_path, behind(xclient=True)) as daemon:
        client = await Client.connect(daemon)
        ehlo = await client.say("EHLO mta")
        assert "250-XCLIENT NAME ADDR PORT PROTO HELO DESTADDR DESTPORT\n" in ehlo
        for addr, answer in (("198.51.100.7", REFUSED), ("192.0.2.7", "250"), ("[UNAVAILABLE]", REFUSED)):
            told = await client.say(f"XCLIENT NAME=x.example ADDR={addr} PROTO=ESMTP HELO=x.example LOGIN=test_user")
            assert told == "220 sms.example.com ESMTP email2sms"
            await client.say("EHLO x.example")
            assert (await client.mail(template(), SERVICE)).startswith(answer)
        assert await daemon.store.read(peers) == ["192.0.2.7"]


async def test_it_begins_again(tmp_path: Path) -> None:
    async with running(tmp_path, behind(xclient=True)) as daemon:
        client = await Client.connect(daemon)
        await client.say("EHLO mta")
        await client.say("MAIL FROM:<alerts@bank.example>")
        assert (await client.say("XCLIENT ADDR=192.0.2.7")).startswith("503")
        await client.say("RSET")
        assert (await client.say("XCLIENT ADDR=198.51.100.7")).startswith("220")
        assert (await client.say("MAIL FROM:<alerts@bank.example>")).startswith("503 5.5.1 say EHLO")
        assert (await client.say("XCLIENT ADDR=x")).startswith("501 5.5.4")
        assert (await client.say("XCLIENT HELO=x.example")).startswith("220")  # the address stays
        assert (await client.mail(template(), SERVICE)).startswith(REFUSED)


@pytest.mark.parametrize(("counts", "answer"), [(True, "250"), (False, REFUSED)])
async def test_a_login_counts_only_where_it_is_wanted(tmp_path: Path, counts: bool, answer: str) -> None:
    async with running(tmp_path, behind(xclient=True, xclient_login=counts)) as daemon:
        client = await Client.connect(daemon)
        assert ("DESTPORT LOGIN" in await client.say("EHLO mta")) is counts
        await client.say("XCLIENT ADDR=198.51.100.7 LOGIN=test+5Fuser")
        await client.say("EHLO x.example")
        assert (await client.mail(template(), SERVICE)).startswith(answer)
        await client.say("XCLIENT ADDR=198.51.100.8 LOGIN=nobody")
        await client.say("EHLO x.example")
        assert (await client.mail(template("other"), SERVICE)).startswith(REFUSED)


@pytest.mark.parametrize("door", [{"proxies": ["127.0.0.9/32"], "xclient": True}, {"proxies": [], "xclient": False}])
async def test_strangers_are_not_offered_it_and_may_not(tmp_path: Path, door: dict[str, Any]) -> None:
    async with running(tmp_path, behind(**door)) as daemon:
        client = await Client.connect(daemon)
        assert "XCLIENT" not in await client.say("EHLO evil")
        assert (await client.say("XCLIENT ADDR=192.0.2.7")).startswith("550 5.7.0")


async def test_the_limits_are_the_clients(tmp_path: Path) -> None:
    changes = behind(xclient=True, max_connections_per_client=1)
    async with running(tmp_path, changes) as daemon:
        first = await Client.connect(daemon)
        assert (await first.say("XCLIENT ADDR=192.0.2.7")).startswith("220")
        second = await Client.connect(daemon)
        assert (await second.say("XCLIENT ADDR=192.0.2.7")).startswith("421 4.7.0 too many connections")
        assert await second.closed()
        first.close()
        while daemon.listeners[0]._connections.sessions:
            await asyncio.sleep(0)
        third = await Client.connect(daemon)
        assert (await third.say("XCLIENT ADDR=192.0.2.7")).startswith("220")


@pytest.mark.skipif(not shutil.which("swaks"), reason="swaks is not installed")
async def test_swaks_says_it_too(tmp_path: Path) -> None:
    async with running(tmp_path, behind(xclient=True)) as daemon:
        to = ["--to", SERVICE, "--from", "alerts@bank.example", "--server", f"127.0.0.1:{port(daemon)}"]
        mail = ["--xclient-addr", "192.0.2.7", "--xclient-name", "x.example", "--data", "-"]
        swaks = await asyncio.create_subprocess_exec(
            *("swaks", *to, *mail), stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
        )
        out, _ = await swaks.communicate(template())
        assert swaks.returncode == 0, out
        assert await daemon.store.read(peers) == ["192.0.2.7"]
