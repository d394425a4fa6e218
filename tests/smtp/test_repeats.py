"""A mail that comes twice because its 250 was lost, and one that is meant twice."""

from __future__ import annotations

import asyncio
import socket
import struct
from pathlib import Path

import pytest
from sqlalchemy import text

from gateway.daemon import Daemon
from tests.running import Client, handsets, running, template

SERVICE = "emailtosms@sms.example.com"
WITH_ID = "Message-ID: <1@bank.example>\r\n"


@pytest.mark.parametrize("end", ["the next command", "QUIT", "it closes"])
async def test_a_device_that_repeats_its_alarm_means_it(tmp_path: Path, end: str) -> None:
    async with running(tmp_path) as daemon:
        first = await Client.connect(daemon)
        await first.say("EHLO device")
        one = await first.mail(template("fire"), SERVICE)
        if end == "the next command":
            await first.say("RSET")
        elif end == "QUIT":
            await first.say("QUIT")
        else:
            first.close()
        await confirmed(daemon)
        second = await Client.connect(daemon)
        await second.say("EHLO device")
        two = await second.mail(template("fire"), SERVICE)
        assert one.startswith("250 2.0.0")
        assert two.startswith("250 2.0.0")
        assert one != two


async def test_a_device_that_has_not_seen_its_250_repeats_the_mail(tmp_path: Path) -> None:
    """The connection is reset before the answer is read."""
    async with running(tmp_path) as daemon:
        first = await Client.connect(daemon)
        await first.say("EHLO device")
        for line in ("MAIL FROM:<alerts@bank.example>", f"RCPT TO:<{SERVICE}>", "DATA"):
            await first.say(line)
        raw = first.writer.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        first.send(template("fire") + b"\r\n.\r\n")
        await first.writer.drain()
        await handsets(daemon, 1)
        first.writer.transport.abort()
        second = await Client.connect(daemon)
        for _ in range(3):  # until the end of the first connection has been seen, too
            await second.say("NOOP")
        await second.say("EHLO device")
        again = await second.mail(template("fire"), SERVICE)
        other = await second.mail(template("water"), SERVICE)
        assert again.startswith("250 2.0.0 DUPLICATE not sent twice, queued as ")
        assert other != again
        assert [sms.text for sms in await handsets(daemon, 2)] == ["fire", "water"]


async def test_with_a_message_id_it_is_one_mail_however_it_ended(tmp_path: Path) -> None:
    async with running(tmp_path) as daemon:
        answers = []
        for _ in range(2):
            client = await Client.connect(daemon)
            await client.say("EHLO mta")
            answers.append(await client.mail(template("once", more=WITH_ID), SERVICE))
            await client.say("QUIT")
        first, second = answers
        assert second == f"250 2.0.0 DUPLICATE not sent twice, queued as {first.split()[-1]}"


async def confirmed(daemon: Daemon) -> None:
    """It is written down that the client has its 250."""
    async with asyncio.timeout(10):
        while await daemon.store.read(lambda c: c.execute(text("select dedup_key from mails")).scalar_one()):
            await asyncio.sleep(0.01)
