"""Limits as a client, a subscriber and an operator meet them: a running gateway with handsets behind it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs
from typer.testing import CliRunner

from gateway.cli.app import app
from gateway.daemon import Daemon
from gateway.lifecycle import State
from gateway.service.desk import Desk
from gateway.service.switch import Scope, Switch
from tests.running import ACCOUNT, Client, handsets, listener, running, template

SERVICE = "emailtosms@sms.example.com"
PRICED = {"main": {"driver": "sandbox", "prices": {"7": 2.5}}}


async def client(daemon: Daemon) -> Client:
    made = await Client.connect(daemon)
    await made.say("EHLO device")
    return made


def mails(count: int, number: str = "79101234567") -> list[bytes]:
    return [
        template(f"text {n}", numbers=number, more=f"Message-ID: <{number}.{n}@bank.example>\r\n") for n in range(count)
    ]


async def command(folder: Path, *arguments: str) -> tuple[int, str]:
    """``email2sms`` beside the gateway, in a thread of this process: exit code and output."""
    given = [*arguments, "--config", str(folder / "gateway.yaml")]
    result = await asyncio.to_thread(CliRunner().invoke, app, given)
    return result.exit_code, result.output


async def said(log: Sequence[Mapping[str, Any]], event: str) -> None:
    """Until the gateway has logged it."""
    async with asyncio.timeout(10):
        while not any(line["event"] == event for line in log):
            await asyncio.sleep(0.02)


async def answers(daemon: Daemon, contents: list[bytes]) -> list[str]:
    made = await client(daemon)
    return [(await made.mail(content, SERVICE))[:60] for content in contents]


@pytest.mark.parametrize(
    ("number", "answer"),
    [
        ("4915112345678", "550 5.7.1 FORBIDDEN 4915***5678: country DE is closed"),
        ("74951234567", "550 5.7.1 FORBIDDEN 7495***4567 is a fixed_line number, close"),
        ("112", "550 5.1.3 NUMBER an emergency number gets no SMS"),
        ("79101234567", "250 2.0.0 OK queued as "),
    ],
)
async def test_what_is_closed_is_said_in_the_dialogue(tmp_path: Path, number: str, answer: str) -> None:
    async with running(tmp_path, {"destinations": {"countries": ["RU"]}}) as daemon:
        (got,) = await answers(daemon, [template(numbers=number)])
        assert got.startswith(answer[:60])


@pytest.mark.parametrize(
    ("changes", "account", "answer"),
    [
        ({"limits": {"per_number_hour": 2}}, {}, "452 4.5.3 LIMIT 7910***4567 gets at most 2 SMS"),
        ({"limits": {"per_range_hour": 2}}, {}, "452 4.5.3 LIMIT too many SMS to numbers like 7910***4567"),
        ({"limits": {"per_hour": 2}}, {}, "452 4.5.3 LIMIT the gateway's own limit is reached"),
        ({"providers": PRICED}, {"spend_per_day": 7.4}, "452 4.5.3 LIMIT daily spending limit of 7.40 reached"),
        ({"providers": PRICED, "limits": {"spend_per_day": 5}}, {}, "452 4.5.3 LIMIT the gateway's own limit is re"),
    ],
)
async def test_a_cap_puts_the_third_mail_off(
    tmp_path: Path, changes: dict[str, Any], account: dict[str, Any], answer: str
) -> None:
    async with running(tmp_path, changes, [{**ACCOUNT, "limits": account}]) as daemon:
        *taken, last = await answers(daemon, mails(3))
        assert [one[:9] for one in taken] == ["250 2.0.0"] * 2
        assert last.startswith(answer[:60])
        assert len(await handsets(daemon, 2)) == 2


async def test_whom_nothing_verifies_gets_ten_sms_an_hour_to_a_number(tmp_path: Path) -> None:
    stranger = {"listeners": [listener(trust=[], accept_unverified=True)]}
    async with running(tmp_path, stranger, [{**ACCOUNT, "networks": []}]) as daemon:
        found = await answers(daemon, mails(12))
        assert [one[:3] for one in found] == ["250"] * 10 + ["452"] * 2


async def test_a_burst_is_held_with_an_alert_and_released_by_the_command(tmp_path: Path) -> None:
    with capture_logs() as log:
        async with running(tmp_path, {"limits": {"hold_above": 3}}) as daemon:
            found = await answers(daemon, mails(6))
            assert [one[:3] for one in found] == ["250"] * 6  # nothing is lost
            assert (await Desk(daemon.store).counts())["held"] >= 3
            (alert,) = [event for event in log if event["event"] == "account.held"]
            assert (alert["account"], alert["alert"]) == ("test_user", True)
            code, out = await command(tmp_path, "queue", "release", "--account", "test_user", "--json")
            assert (code, json.loads(out)["was_on_hold"]) == (0, True)
            assert len(await handsets(daemon, 6)) == 6


async def test_the_kill_switch_under_load(tmp_path: Path) -> None:
    """Thrown while SMS go out: from its commit on the provider hears of no new one; mail is accepted all the while. The
    command shows it, and after a restart it is still thrown."""
    slow = {"main": {"driver": "sandbox", "rate": 40, "max_in_flight": 2}}
    async with running(tmp_path, {"providers": slow}) as daemon:
        accepting = asyncio.create_task(answers(daemon, mails(80)))
        await handsets(daemon, 5)
        await Switch(daemon.store).hold(Scope.ALL, why="strange bill")
        sent = len(daemon.platform.messages)
        assert all(answer.startswith("250 2.0.0 OK") for answer in await accepting)
        await drained(daemon)
        assert len(daemon.platform.messages) - sent <= 2  # what was in flight
        sent = len(daemon.platform.messages)
        assert 5 <= sent < 80
        assert (await answers(daemon, mails(1, "79102345678")))[0].startswith("250 2.0.0 OK")
        daemon._wake(["main"])
        assert await daemon._workers["main"]._dispatch.claim(2) == []
        code, out = await command(tmp_path, "queue", "list")
        assert (code, "\non hold: all, since" in f"\n{out}") == (0, True)  # the gateway logs there, too
        assert len(daemon.platform.messages) == sent
    with capture_logs() as log:
        async with running(tmp_path, {"providers": slow}) as daemon:
            (alert,) = [event for event in log if event["event"] == "hold.in_force"]
            assert (alert["of"], alert["why"], alert["alert"]) == ("all", "strange bill", True)
            assert await daemon._workers["main"]._dispatch.claim(2) == []
            await Switch(daemon.store).resume(Scope.ALL, "", ["main"])
            assert len(await handsets(daemon, 81 - sent)) == 81 - sent  # each once


async def drained(daemon: Daemon) -> None:
    """Until no call is in flight."""
    while (await Desk(daemon.store).counts()).get(State.SUBMITTING, 0):
        await asyncio.sleep(0.01)


async def test_with_refuse_mail_is_put_off_and_stays_with_the_client(tmp_path: Path) -> None:
    with capture_logs() as log:
        async with running(tmp_path) as daemon:
            assert (await command(tmp_path, "hold", "--account", "nobody"))[0] == 64
            assert (await command(tmp_path, "hold"))[1] == "Nothing is on hold.\n"
            code, out = await command(
                tmp_path, "hold", "--account", "test_user", "--refuse", "--why", "stolen", "--json"
            )
            (shown,) = json.loads(out)
            assert (code, shown["scope"], shown["name"], shown["refuses"]) == (0, "account", "test_user", True)
            await said(log, "hold.in_force")
            (answer,) = await answers(daemon, mails(1))
            assert answer.startswith("451 4.3.0 BUSY the administrator has stopped sending")
            assert (await command(tmp_path, "resume", "--account", "test_user"))[0] == 0
            assert (await command(tmp_path, "resume", "--account", "test_user"))[0] == 1
            await said(log, "hold.ended")
            assert (await answers(daemon, mails(1)))[0].startswith("250 2.0.0 OK")
