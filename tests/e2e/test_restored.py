"""A store that was restored from a backup must not send again what was sent since (reliability, row 25)."""

from __future__ import annotations

import asyncio
import json
import shutil
import sqlite3
from pathlib import Path

import pytest

from tests.faults import SOAK
from tests.process import Program, Provider, command, provider
from tests.running import template, write_config

SERVICE = "emailtosms@sms.example.com"


async def backed_up(folder: Path, sandbox: Provider) -> tuple[Path, Path]:
    """A gateway that was stopped, and the backup that was made of its store before two of its three SMS went out."""
    settings = sandbox.settings
    settings["main"]["url"] = "http://127.0.0.1:1/sendsms.php"
    relay = {"first_retry": "1s", "max_retry": "1s"}
    common = {"log": {"format": "json"}, "store": {"url": "sqlite:///db/gateway.db"}, "relay": relay}
    config = write_config(folder, {"providers": settings, **common})
    gateway = await Program.start(config)
    for text in ("one", "two"):
        await gateway.mail(template(text), SERVICE)
    await gateway.event("sms.deferred", 2)
    await gateway.stop()
    backup = folder / "backup.db"
    with sqlite3.connect(folder / "db" / "gateway.db") as source, sqlite3.connect(backup) as target:
        source.backup(target)
    write_config(folder, {"providers": sandbox.settings, **common})
    gateway = await Program.start(config)
    await sandbox.messages(2)
    await gateway.event("sms.submitted", 2)
    await asyncio.sleep(2.5)  # the memory is written every two seconds
    await gateway.stop()
    return config, backup


@pytest.mark.parametrize("how", ["in place", *(["as another file", "all of the folder"] if SOAK else [])])
async def test_nothing_goes_out_before_somebody_has_looked(tmp_path: Path, how: str) -> None:
    async with provider() as sandbox:
        config, backup = await backed_up(tmp_path, sandbox)
        database = tmp_path / "db" / "gateway.db"
        for leftover in database.parent.glob("gateway.db-*"):
            leftover.unlink()
        if how == "in place":
            database.write_bytes(backup.read_bytes())
        else:
            database.unlink()
            shutil.copy(backup, database)
        if how == "all of the folder":  # the file of the epoch, too, as it was then
            memory = tmp_path / "var" / "epoch"
            store, number, inode = memory.read_text().split()
            assert int(number) > 0
            memory.write_text(f"{store} 0 {inode}\n")
        gateway = await Program.start(config)
        try:
            restored = await gateway.event("store.restored")
            assert (restored["held"], restored["alert"]) == (2, True)
            code, out, _ = await command("queue", "list", "--json", "--config", str(config))
            jobs = json.loads(out)["jobs"]
            assert {job["state"] for job in jobs} == {"held"}
            assert all("restored from a backup" in job["why"] for job in jobs)
            await gateway.mail(template("three"), SERVICE)
            assert sorted(sms.text for sms in await sandbox.messages(3)) == ["one", "three", "two"]
            cancelled, _ = (job["id"] for job in jobs)
            assert (await command("queue", "cancel", cancelled, "--config", str(config)))[0] == 0
            sandbox.platform.window_s = 0.0  # it has forgotten the first ones
            code, out, _ = await command("queue", "release", "--all", "--config", str(config))
            assert (code, out.splitlines()[-1]) == (0, "1 jobs: release")
            assert len(await sandbox.messages(4)) == 4
        finally:
            await gateway.stop()
        gateway = await Program.start(config)  # and it was said once
        assert "store.restored" not in {event["event"] for event in gateway.log}
        await gateway.stop()


async def test_a_crash_is_no_restored_backup(tmp_path: Path) -> None:
    async with provider() as sandbox:
        config = write_config(tmp_path, {"providers": sandbox.settings, "log": {"format": "json"}})
        for number in range(4):
            gateway = await Program.start(config)
            assert "store.restored" not in {event["event"] for event in gateway.log}
            await gateway.mail(template(f"text {number}"), SERVICE)
            await sandbox.messages(number + 1)
            await gateway.kill()
