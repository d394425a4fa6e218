"""Guessing of passwords, by AUTH and by mails: slowed, shut out, and no weapon against the honest."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path
from typing import Any

import pytest
from argon2 import PasswordHasher
from structlog.testing import capture_logs
from typer.testing import CliRunner

from gateway.cli.app import app
from gateway.cli.pipe import _inject
from gateway.daemon import Daemon
from gateway.policy.guessing import Attempt
from gateway.service.explain import pipe_envelope
from gateway.settings.load import load
from gateway.smtp.session import Session
from gateway.spool.store import Store
from tests.running import ACCOUNT, Client, listener, port, running, template, write_config
from tests.smtp.test_defence import RIGHT, SERVICE, WRONG, Tls, insecure

QUICK = {"tarpit": 0}
WRONG_MAIL, RIGHT_MAIL = template(password="wrong"), template()
LATER = "451 4.7.0 AUTH too many wrong passwords, try again later"


def house(*, trust: tuple[str, ...] = (), defence: dict[str, Any] = QUICK, **door: Any) -> dict[str, Any]:
    return {"defence": defence, "listeners": [listener(trust=list(trust), accept_unverified=True, **door)]}


async def come(daemon: Daemon, host: str) -> tuple[Client, str]:
    """A client from another address of the loopback, and how it is received."""
    opened = await asyncio.open_connection("127.0.0.1", port(daemon), local_addr=(host, 0))
    client = Client(*opened)
    banner = await client.answer()
    if banner.startswith("220"):
        await client.say("EHLO client")
    return client, banner


async def guess(client: Client, times: int) -> list[str]:
    return [(await client.mail(WRONG_MAIL, SERVICE))[:3] for _ in range(times)]


async def told(*words: str) -> tuple[int, str]:
    """The command's exit code and output."""
    with capture_logs():  # the program's own go to standard error
        result = await asyncio.to_thread(CliRunner().invoke, app, words)
    return result.exit_code, result.stdout


async def test_a_network_that_guesses_is_shut_out_and_its_neighbour_is_not(tmp_path: Path) -> None:
    with capture_logs() as events:
        async with running(tmp_path, house()) as daemon:
            client, _ = await come(daemon, "127.0.0.5")
            assert await guess(client, 5) == ["550"] * 5
            assert await client.mail(RIGHT_MAIL, SERVICE) == LATER  # right or wrong
            _, banner = await come(daemon, "127.0.0.5")
            assert banner == "421 4.7.0 too many wrong passwords from your network, try again later"
            _, banner = await come(daemon, "127.0.0.6")
            assert banner.startswith("220")
    told = {event["subject"]: event["alert"] for event in events if event["event"] == "guess.shut_out"}
    assert told == {"network 127.0.0.5/32": False, "account test_user": True}


async def test_auth_counts_as_mails_do(tmp_path: Path, certificate: Tls) -> None:
    async with running(tmp_path, house(tls={**certificate, "mode": "implicit"})) as daemon:
        for answers in (["535"] * 3, ["535", "535", "454"]):
            opened = await asyncio.open_connection(
                "127.0.0.1", port(daemon), ssl=insecure(), local_addr=("127.0.0.5", 0)
            )
            client = Client(*opened)
            await client.answer()
            await client.say("EHLO client")
            found = [(await client.say("AUTH PLAIN " + WRONG))[:3] for _ in range(2)]
            found.append((await client.say("AUTH PLAIN " + (WRONG if answers[2] == "535" else RIGHT)))[:3])
            assert found == answers


async def test_every_process_on_the_store_shuts_it_out_until_it_is_lifted(tmp_path: Path) -> None:
    async with running(tmp_path, house()) as daemon:
        other = await Store.open(f"sqlite:///{tmp_path}/var/gateway.db", exclusive=False)
        config = ("--json", "--config", str(tmp_path / "gateway.yaml"))
        try:
            bans = type(daemon.intake.bans)(other, lambda: daemon.intake.configuration)
            for _ in range(5):
                await bans.failed(Attempt("", "127.0.0.5", at_home=False))
        finally:
            await other.close()
        await daemon._presence.beat()
        _, banner = await come(daemon, "127.0.0.5")
        assert banner.startswith("421")
        code, out = await told("bans", "list", *config)
        assert (code, [record["subject"] for record in json.loads(out)]) == (0, ["network 127.0.0.5/32"])
        code, out = await told("bans", "list", *config[1:])
        assert "network 127.0.0.5/32" in out
        code, out = await told("bans", "lift", "network 127.0.0.5/32", "network 127.0.0.9/32", *config)
        assert (code, json.loads(out)) == (1, {"network 127.0.0.5/32": True, "network 127.0.0.9/32": False})
        code, out = await told("bans", "list", *config[1:])
        assert out == "Nobody is shut out.\n"
        await daemon._presence.beat()
        _, banner = await come(daemon, "127.0.0.5")
        assert banner.startswith("220")


async def test_a_trusted_mta_is_never_shut_out_but_its_guesser_pauses(tmp_path: Path) -> None:
    other = {**ACCOUNT, "login": "other", "senders": ["other@bank.example"], "api_keys": []}
    async with running(tmp_path, house(trust=("127.0.0.2/32",)), [ACCOUNT, other]) as daemon:
        mta, _ = await come(daemon, "127.0.0.2")
        assert await guess(mta, 5) == ["550"] * 5
        assert await mta.mail(RIGHT_MAIL, SERVICE) == LATER  # deferred: the MTA keeps it
        mta, banner = await come(daemon, "127.0.0.2")
        assert banner.startswith("220")
        theirs = RIGHT_MAIL.replace(b"test_user", b"other").replace(b"alerts@", b"other@")
        assert (await mta.mail(theirs, SERVICE, sender="other@bank.example")).startswith("250")
        elsewhere, _ = await come(daemon, "127.0.0.9")
        assert (await elsewhere.mail(RIGHT_MAIL, SERVICE)).startswith("250")


async def test_who_locks_an_account_from_outside_does_not_lock_out_its_own_network(tmp_path: Path) -> None:
    account = {**ACCOUNT, "networks": ["127.0.0.3/32"]}
    with capture_logs() as events:
        defence = {"attempts": 100, "attempts_per_day": 4, "tarpit": 0}
        async with running(tmp_path, house(trust=("127.0.0.2/32",), defence=defence), [account]) as daemon:
            for host in ("127.0.0.5", "127.0.0.6"):
                assert await guess((await come(daemon, host))[0], 2) == ["550"] * 2
            stranger, _ = await come(daemon, "127.0.0.7")
            assert await stranger.mail(RIGHT_MAIL, SERVICE) == LATER
            for host in ("127.0.0.2", "127.0.0.3"):
                assert (await (await come(daemon, host))[0].mail(RIGHT_MAIL, SERVICE)).startswith("250")
    (locked,) = [event for event in events if event["event"] == "guess.shut_out"]
    assert (locked["subject"], locked["seconds"], locked["alert"]) == ("account test_user", 86400, True)


async def test_a_login_that_does_not_exist_answers_alike(tmp_path: Path) -> None:
    """Nobody finds out by it which logins there are."""
    async with running(tmp_path, house(defence={"attempts": 100, "attempts_per_day": 4, "tarpit": 0})) as daemon:
        answers = []
        for login in (b"test_user", b"nobody"):
            client, _ = await come(daemon, "127.0.0.5")
            mail = WRONG_MAIL.replace(b"test_user", login)
            answers.append([await client.mail(mail, SERVICE) for _ in range(6)])
        assert answers[0] == answers[1]
        assert answers[0][4:] == [LATER] * 2


async def test_api_keys_and_subjects_are_guessed_in_vain_too(tmp_path: Path) -> None:
    async with running(tmp_path, house()) as daemon:
        client, _ = await come(daemon, "127.0.0.5")
        for n in range(5):
            content = f"From: alerts@bank.example\r\nSubject: My Bank;key{n}zz;\r\n\r\nx".encode()
            assert (await client.mail(content, "79101234567@sms.example.com")).startswith("550 5.7.8")
        _, banner = await come(daemon, "127.0.0.5")
        assert banner.startswith("421")


async def test_strangers_wait_longer_each_time_and_nobody_else_does(tmp_path: Path) -> None:
    async with running(tmp_path, house(defence={"attempts": 9, "tarpit": 8})) as daemon:
        guesser, _ = await come(daemon, "127.0.0.5")
        for line in ("MAIL FROM:<alerts@bank.example>", f"RCPT TO:<{SERVICE}>", "DATA"):
            await guesser.say(line)
        guesser.send(WRONG_MAIL + b"\r\n.\r\n")
        while not await daemon.store.read(lambda c: c.exec_driver_sql("select 1 from bans").first()):
            await asyncio.sleep(0)
        honest, _ = await come(daemon, "127.0.0.6")
        assert (await honest.mail(RIGHT_MAIL, SERVICE)).startswith("250")
        waiting = daemon.listeners[0]._connections.sessions
        assert len(waiting) == 2  # who waits still counts
        for session in waiting:
            assert isinstance(session, Session)
            assert session.task
            session.task.cancel()


async def test_how_long_they_wait(tmp_path: Path) -> None:
    async with running(tmp_path, house(defence={"attempts": 9, "within": "1d"})) as daemon:
        stranger = Attempt("x", "192.0.2.7", at_home=False)
        assert [await daemon.intake.bans.failed(stranger) for _ in range(6)] == [1, 2, 4, 8, 8, 8]
        assert await daemon.intake.bans.failed(Attempt("x", "10.0.0.7", at_home=True)) == 0


async def test_a_store_that_is_away_stops_no_counting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def away(_strike: object) -> None:
        raise OSError

    async with running(tmp_path, house()) as daemon:
        monkeypatch.setattr(daemon.store, "strike", away)
        client, _ = await come(daemon, "127.0.0.5")
        assert await guess(client, 5) == ["550"] * 5
        assert await client.mail(RIGHT_MAIL, SERVICE) == LATER


async def test_a_flood_of_wrong_passwords_starves_no_honest_login(tmp_path: Path) -> None:
    hashed = {**ACCOUNT, "password_hash": PasswordHasher(1, 1024, 1).hash("qwerty12")}
    del hashed["password"]
    async with running(tmp_path, house(defence={"attempts": 10_000, "tarpit": 0}), [hashed]) as daemon:
        flood = [
            asyncio.create_task(daemon.intake.login("test_user", f"w{n}", "192.0.2.7", trusted=False))
            for n in range(40)
        ]
        await asyncio.sleep(0)
        assert await daemon.intake.login("test_user", "qwerty12", "192.0.2.8", trusted=False)
        outcomes = await asyncio.gather(*flood, return_exceptions=True)
        assert outcomes.count(False) == 8  # the others were told to come again
        burst = [daemon.intake.login("test_user", "same", "192.0.2.9", trusted=False) for _ in range(40)]
        assert await asyncio.gather(*burst) == [False] * 40  # one derivation


async def test_a_pipe_is_no_way_round(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    loaded = load(write_config(tmp_path, {"defence": {"attempts": 1}}))
    envelope = pipe_envelope("alerts@bank.example", (SERVICE,), time.time())
    with capture_logs():
        assert await _inject(loaded, envelope, WRONG_MAIL) == 77
        assert await _inject(loaded, envelope, RIGHT_MAIL) == 75
    assert capsys.readouterr().out.splitlines()[1] == LATER.partition(" ")[2]
