"""kill -9 and lost answers: each SMS once."""

from __future__ import annotations

import asyncio
import smtplib
from collections import Counter
from pathlib import Path

import pytest

from gateway.sandbox.platform import Cut, Fault
from tests.process import Program, command, program, provider
from tests.running import template, write_config

SERVICE = "emailtosms@sms.example.com"


@pytest.mark.parametrize(
    ("fault", "sent_first"),
    [
        pytest.param(Fault(delay_s=30), True, id="the provider has sent it"),
        pytest.param(Fault(cut=Cut.BEFORE, delay_s=30), False, id="the provider has forgotten it"),
    ],
)
async def test_kill_between_the_250_and_the_providers_answer(tmp_path: Path, fault: Fault, sent_first: bool) -> None:
    async with provider() as sandbox:
        sandbox.platform.faults.append(fault)
        config = write_config(tmp_path, {"providers": sandbox.settings, "log": {"format": "json"}})
        first = await Program.start(config)
        assert (await first.mail(template("once"), SERVICE)).startswith("250")
        async with asyncio.timeout(10):
            while not sandbox.platform.journal:
                await asyncio.sleep(0.01)
        await first.kill()
        assert len(sandbox.platform.messages) == sent_first
        second = await Program.start(config)
        try:
            await second.event("sms.submitted")
            assert len(sandbox.platform.messages) == 1
            assert len(sandbox.platform.journal) == 2  # asked again, inside the window
        finally:
            await second.stop()


async def test_a_lost_answer_is_asked_for_again_inside_the_window(tmp_path: Path) -> None:
    async with provider() as sandbox:
        sandbox.platform.faults.append(Fault(cut=Cut.AFTER))
        async with program(tmp_path, sandbox) as gateway:
            await gateway.mail(template("once"), SERVICE)
            assert (await gateway.event("sms.uncertain"))["why"].startswith("the answer was lost")
            submitted = await gateway.event("sms.submitted")
            assert submitted["remark"] == "the first request was seen; no id, so no receipt"
        assert len(sandbox.platform.messages) == 1


async def test_a_provider_that_is_away_gets_it_later(tmp_path: Path) -> None:
    async with provider() as sandbox:
        settings = sandbox.settings
        settings["main"]["url"] = "http://127.0.0.1:1/sendsms.php"
        config = write_config(
            tmp_path, {"providers": settings, "log": {"format": "json"}, "relay": {"first_retry": "1s"}}
        )
        gateway = await Program.start(config)
        await gateway.mail(template("later"), SERVICE)
        assert (await gateway.event("sms.deferred"))["why"].startswith("no connection to the provider")
        await gateway.kill()
        write_config(tmp_path, {"providers": sandbox.settings, "log": {"format": "json"}})
        gateway = await Program.start(config)
        try:
            assert [sms.text for sms in await sandbox.messages(1)] == ["later"]
        finally:
            await gateway.stop()


async def test_an_honest_repetition_waits_for_the_window(tmp_path: Path) -> None:
    async with provider() as sandbox, program(tmp_path, sandbox) as gateway:
        await gateway.mail(template("same"), SERVICE)
        await sandbox.messages(1)
        await gateway.event("sms.submitted")
        await gateway.mail(template("same"), SERVICE)
        await gateway.mail(template("other"), SERVICE)
        assert [sms.text for sms in await sandbox.messages(2)] == ["same", "other"]
        code, out, _ = await command("queue", "list", "--state", "queued", "--config", str(gateway.config))
        assert code == 0
        assert "waits for the provider's window" in " ".join(out.split())


async def test_kill_again_and_again_under_load(tmp_path: Path) -> None:
    """What was answered with 250 arrives once; what was not, at most once."""
    async with provider() as sandbox:
        sandbox.platform.deliver_after_s = 1000
        config = write_config(tmp_path, {"providers": sandbox.settings, "log": {"format": "json"}})
        accepted: list[str] = []
        gateway = await Program.start(config)
        for generation in range(3):
            port = gateway.port()
            senders = asyncio.gather(
                *(asyncio.to_thread(_flood, port, f"{generation}-{n}", accepted) for n in range(4))
            )
            before = len(sandbox.platform.messages)
            await sandbox.messages(before + 25)
            await gateway.kill()
            await senders
            gateway = await Program.start(config)
        try:
            async with asyncio.timeout(60):
                while set(accepted) - {sms.text for sms in sandbox.platform.messages}:
                    await asyncio.sleep(0.1)
        finally:
            await gateway.stop()
        counts = Counter(sms.text for sms in sandbox.platform.messages)
        assert [text for text, count in counts.items() if count > 1] == []
        assert len(accepted) > 50


def _flood(port: int, name: str, accepted: list[str]) -> None:
    """Send until the gateway is gone; remember what it said 250 to."""
    try:
        with smtplib.SMTP("127.0.0.1", port, local_hostname="client", timeout=10) as client:
            client.ehlo()
            for number in range(10_000):
                text = f"{name}-{number}"
                client.mail("alerts@bank.example")
                client.rcpt(SERVICE)
                if client.data(template(text))[0] == 250:
                    accepted.append(text)
    except (OSError, smtplib.SMTPException):
        return
