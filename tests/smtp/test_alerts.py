"""A device in an alarm storm, and the gateway's own heartbeat, from the socket to the handset."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import text

from gateway.lifecycle import State
from gateway.service.desk import Desk
from tests.running import ACCOUNT, Client, handsets, running, template

SERVICE = "emailtosms@sms.example.com"


async def test_a_storm_is_one_sms(tmp_path: Path) -> None:
    account = {**ACCOUNT, "storm": {"over": 2, "within": "1h", "every": "10m"}, "language": "ru"}
    async with running(tmp_path, accounts=[account]) as daemon:
        client = await Client.connect(daemon)
        await client.say("EHLO device")
        alarms = [f"Диск заполнен на {n}%, srv-01" for n in range(90, 97)]
        answers = [await client.mail(template(alarm), SERVICE) for alarm in [*alarms, "Диск заполнен на 99%, srv-02"]]
        assert all(answer.startswith("250 2.0.0 OK queued as ") for answer in answers)
        first = {sms.text for sms in await handsets(daemon, 3)}
        assert first == {*alarms[:2], "Диск заполнен на 99%, srv-02"}
        earlier = text("update storms set since = since - 600, due_at = due_at - 600 where gathers")
        await daemon.store.write(lambda connection: connection.execute(earlier))  # ten minutes pass
        messages = await handsets(daemon, 4)
        assert messages[-1].text == f"{alarms[-1]} (×5, 10 мин)"
        assert messages[-1].segments == 1
        counts = await Desk(daemon.store).counts()
        assert counts[State.CANCELLED] == 4
        story = await Desk(daemon.store).story(answers[2].rsplit(maxsplit=1)[-1])
        assert story is not None
        assert story.jobs[0].why == f"collapsed into {answers[6].rsplit(maxsplit=1)[-1]}-1"


async def test_a_heartbeat_arrives(tmp_path: Path) -> None:
    section = {"ops": {"account": "test_user", "to": ["79101234567", "79102345678"], "at": "00:00"}}
    section["ops"]["text"] = "{host} lives, queue {queue}"
    async with running(tmp_path, {"heartbeat": section}) as daemon:
        (beat,) = daemon.intake.configuration.heartbeats
        at = daemon.intake.now()
        assert await daemon.heartbeats.send(beat, at) is not None
        assert await daemon.heartbeats.send(beat, at) is None
        texts = {(sms.destination, sms.text) for sms in await handsets(daemon, 2)}
        assert texts == {(number, "sms.example.com lives, queue 0") for number in section["ops"]["to"]}


async def test_nobody_outside_is_the_heartbeat(tmp_path: Path) -> None:
    """Not even by the address that it uses inside."""
    section = {"ops": {"account": "test_user", "to": "79101234567", "at": "00:00"}}
    async with running(tmp_path, {"heartbeat": section}) as daemon:
        client = await Client.connect(daemon)
        await client.say("EHLO device")
        await client.say("MAIL FROM:<heartbeat@localhost>")
        assert (await client.say("RCPT TO:<heartbeat@localhost>")).startswith("550 5.7.1 FORBIDDEN")
