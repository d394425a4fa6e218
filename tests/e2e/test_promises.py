"""The promises of deploy/guarantees.md that no other file shows, from outside."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

from gateway.sandbox.platform import Cut, Fault
from tests.process import Program, command, program, provider
from tests.running import ACCOUNT, template, write_config

SERVICE = "emailtosms@sms.example.com"
LATER = """
import sys
from gateway.providers import targetsms

# As if the machine had been off for two minutes: the boot clock goes on, and so does the window.
targetsms.REPEAT_WITHIN_S = 0.001
from gateway.cli import main

sys.argv = ["email2sms", *sys.argv[1:]]
main()
"""


async def jobs_of(config: Path) -> list[dict[str, Any]]:
    _, out, _ = await command("queue", "list", "--json", "--config", str(config))
    jobs: list[dict[str, Any]] = json.loads(out)["jobs"]
    return jobs


async def start_later(config: Path) -> Program:
    script = config.parent / "later.py"
    script.write_text(LATER)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, str(script), "serve", "--config", str(config)), stderr=asyncio.subprocess.PIPE
    )
    gateway = Program(config, process)
    gateway._reader = asyncio.create_task(gateway._read())
    await gateway.event("gateway.ready")
    return gateway


async def test_down_for_longer_than_the_window_nobody_sends_again(tmp_path: Path) -> None:
    async with provider() as sandbox:
        sandbox.platform.faults.append(Fault(cut=Cut.BEFORE, delay_s=30))
        config = write_config(tmp_path, {"providers": sandbox.settings, "log": {"format": "json"}})
        gateway = await Program.start(config)
        await gateway.mail(template("once"), SERVICE)
        async with asyncio.timeout(10):
            while not sandbox.platform.journal:
                await asyncio.sleep(0.01)
        await gateway.kill()
        gateway = await start_later(config)
        try:
            uncertain = await gateway.event("sms.uncertain", 2)
            assert (uncertain["why"], uncertain["alert"]) == ("it is too late to ask the provider again", True)
            assert len(sandbox.platform.journal) == 1
            (job,) = await jobs_of(config)
            assert (job["state"], job["verdict"], job["due_at"]) == ("uncertain", "UNCERTAIN", None)
        finally:
            await gateway.stop()


async def test_unless_the_account_prefers_twice_to_never(tmp_path: Path) -> None:
    async with provider() as sandbox:
        sandbox.platform.window_s = 0.0
        sandbox.platform.faults.append(Fault(cut=Cut.AFTER, delay_s=30))
        accounts = [{**ACCOUNT, "on_uncertain": "resend"}]
        config = write_config(tmp_path, {"providers": sandbox.settings, "log": {"format": "json"}}, accounts)
        gateway = await Program.start(config)
        await gateway.mail(template("twice"), SERVICE)
        async with asyncio.timeout(10):
            while not sandbox.platform.journal:
                await asyncio.sleep(0.01)
        await gateway.kill()
        gateway = await start_later(config)
        try:
            await gateway.event("sms.uncertain", 2)
            (job,) = await jobs_of(config)
            assert (job["state"], job["why"].partition("; ")[2]) == ("queued", "goes out again, as the account wishes")
            assert job["due_at"] - job["updated_at"] >= 60  # when the provider has forgotten the first
        finally:
            await gateway.stop()


async def test_a_provider_out_of_reach_is_left_alone_and_the_next_takes_over(tmp_path: Path) -> None:
    async with provider() as sandbox:
        settings = {"away": {**sandbox.settings["main"], "url": "http://127.0.0.1:1/sendsms.php"}, **sandbox.settings}
        changes = {"providers": settings, "routes": [{"providers": ["away", "main"]}], "relay": {"first_retry": "10m"}}
        async with program(tmp_path, sandbox, {**changes, "log": {"format": "json"}}) as gateway:
            for number in range(5):
                await gateway.mail(template(f"text {number}"), SERVICE)
            paused = await gateway.event("provider.paused")
            assert len(await sandbox.messages(5)) == 5  # none waits for ten minutes
            for number in range(5, 8):
                await gateway.mail(template(f"text {number}"), SERVICE)
            assert (paused["provider"], paused["seconds"], paused["alert"]) == ("away", 5.0, True)
            assert paused["why"].startswith("5 calls in a row failed: no connection to the provider")
            _, out, _ = await command("provider", "status", "--config", str(gateway.config))
            assert "stopped: 5 calls in a row failed" in " ".join(out.split())
            assert len(await sandbox.messages(8)) == 8
            assert {job["provider"] for job in await jobs_of(gateway.config)} == {"main"}


async def test_reload_says_whether_it_was_taken(tmp_path: Path) -> None:
    async with provider() as sandbox:
        changes: dict[str, Any] = {"providers": sandbox.settings, "log": {"format": "json"}}
        config = write_config(tmp_path, changes)
        assert (await command("reload", "--config", str(config)))[0] == 1
        gateway = await Program.start(config)
        try:
            assert "5.7.8 AUTH" in await gateway.mail(template("no", password="secret1"), SERVICE)
            write_config(tmp_path, changes, [{**ACCOUNT, "password": "secret1"}])
            code, out, _ = await command("reload", "--config", str(config))
            assert (code, out) == (0, "reloaded by 1 process\n")
            assert (await gateway.mail(template("yes", password="secret1"), SERVICE)).startswith("250")
            (tmp_path / "accounts.yaml").write_text("accounts: [{login: a, pasword: b}]")
            code, _, err = await command("reload", "--config", str(config))
            assert (code, "unknown key" in err) == (78, True)
            assert (await gateway.mail(template("still", password="secret1"), SERVICE)).startswith("250")
        finally:
            await gateway.stop()
        assert (await command("reload", "--config", str(config)))[0] == 78
