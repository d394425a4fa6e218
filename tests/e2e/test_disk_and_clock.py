"""A disk that fills up and is emptied; a clock that somebody sets. Nothing of it may cost or double an SMS."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from gateway.sandbox.platform import Cut, Fault
from tests.history import Mail, jobs_of, judge, say, settled
from tests.load import hurried, load, offer, remember_everything, until
from tests.process import Program, Provider, provider
from tests.running import listener, write_config
from tests.smarthost import Smarthost


def settings(sandbox: Provider, store: Path, **more: Any) -> dict[str, Any]:
    return {
        "providers": sandbox.settings,
        "store": {"url": f"sqlite:///{store}", "min_free": 0},
        "relay": {"first_retry": "1s", "max_retry": "2s"},
        "log": {"format": "json"},
        "listeners": [listener(max_message_bytes=65536)],  # half as much again must be free before each mail
        **more,
    }


# ── the disk ─────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Of 128 megabytes: SQLite's log of changes may take half of it."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = shutil.which("mount")
    if (
        mount is None
        or subprocess.run(
            [mount, "-t", "tmpfs", "-o", "size=128m", "none", str(disk)], check=False, capture_output=True
        ).returncode
    ):
        pytest.skip("mount -t tmpfs is not permitted")
    try:
        yield disk
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)


def fill(disk: Path, leave: int = 0) -> Path:
    """Write until ``leave`` bytes are left."""
    ballast = disk / "ballast"
    with ballast.open("ab", buffering=0) as file:
        try:
            while (free := shutil.disk_usage(disk).free) > leave:
                file.write(bytes(min(free - leave, 65536)))
        except OSError:
            pass
    return ballast


async def test_a_full_disk(tmp_path: Path, small_disk: Path) -> None:
    """Clients are told to come again; what was accepted before goes out when there is room, without a restart."""
    async with provider() as sandbox:
        remember_everything(sandbox)
        sandbox.platform.faults.append(Fault(delay_s=0.5, times=1_000_000))
        config = write_config(tmp_path, settings(sandbox, small_disk / "gateway.db"))
        gateway = await Program.start(config)
        try:
            async with load(gateway.port()) as traffic:
                await traffic.more(30)
                for _ in range(3):
                    ballast = fill(small_disk)
                    before = len(traffic.refusals)
                    async with asyncio.timeout(20):
                        while len(traffic.refusals) < before + 20:
                            await asyncio.sleep(0.05)
                            fill(small_disk)
                    acknowledged = traffic.acknowledged
                    await asyncio.sleep(0.5)
                    fill(small_disk)
                    told = {answer.split()[0] for answer in traffic.refusals}
                    assert told <= {"451", "452"}, told
                    say(f"{len(traffic.refusals)} refusals, {traffic.acknowledged - acknowledged} taken meanwhile")
                    ballast.unlink()
                    await traffic.more(20)
            jobs = await settled(config)
        finally:
            assert await gateway.stop() == 0
            (tmp_path / "gateway.log").write_text(gateway.raw_log)
    verdict = judge(traffic.mails, jobs, sandbox.platform, Smarthost())
    say({key: value for key, value in vars(verdict).items() if key != "faults"})
    assert verdict.faults == []
    assert verdict.ok == len(traffic.mails)
    assert traffic.permanent == []


async def test_outcomes_wait_for_room(tmp_path: Path, small_disk: Path) -> None:
    """The disk is full when the provider answers: what it said is recorded as soon as that can be done."""
    async with provider() as sandbox:
        sandbox.platform.faults.append(Fault(delay_s=1.5))
        config = write_config(tmp_path, settings(sandbox, small_disk / "gateway.db"))
        gateway = await Program.start(config)
        try:
            mail = Mail("once")
            assert (await asyncio.to_thread(offer, mail, gateway.port())).startswith("250")
            async with asyncio.timeout(10):
                while not sandbox.platform.journal:
                    await asyncio.sleep(0.01)
            ballast = fill(small_disk)
            await _exhaust(small_disk, gateway)
            await gateway.event("relay.unrecorded")
            ballast.unlink()
            await gateway.event("sms.submitted")
            (job,) = await settled(config)
        finally:
            assert await gateway.stop() == 0
    assert job["state"] == "submitted"
    assert [entry["text"] for entry in sandbox.platform.journal] == ["once"]


async def _exhaust(disk: Path, gateway: Program) -> None:
    """SQLite writes over the pages of its log that it has already; a full log file, cut short, needs room again."""
    wal = disk / "gateway.db-wal"
    while gateway.process.returncode is None and not any(e["event"] == "relay.unrecorded" for e in gateway.log):
        assert wal.exists()
        fill(disk)
        await asyncio.sleep(0.05)
        if any(e["event"] == "sms.submitted" for e in gateway.log):
            pytest.skip("SQLite had room in its log")


# ── the clock ────────────────────────────────────────────────────────────────────────────────────

LIBFAKETIME = next(iter(sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))), None)
needs_faketime = pytest.mark.skipif(LIBFAKETIME is None, reason="needs libfaketime (apt: faketime)")


class Clock:
    """The wall clock of a program, set from outside. CLOCK_MONOTONIC and CLOCK_BOOTTIME go on, as in a kernel."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "clock"
        self.set(0)

    @property
    def wrapper(self) -> tuple[str, ...]:
        return (
            "env",
            f"LD_PRELOAD={LIBFAKETIME}",
            f"FAKETIME_TIMESTAMP_FILE={self._file}",
            "FAKETIME_NO_CACHE=1",
            "FAKETIME_DONT_FAKE_MONOTONIC=1",
            "FAKETIME_FORCE_MONOTONIC_FIX=0",
        )

    def set(self, seconds: float) -> None:
        """So far from the truth; at once, for all of the program's threads."""
        fresh = self._file.with_suffix(".new")
        fresh.write_text(f"{seconds:+.1f}\n")
        fresh.rename(self._file)


@asynccontextmanager
async def clocked(
    folder: Path, sandbox: Provider, clock: Clock, wrapper: tuple[str, ...] = (), **more: Any
) -> AsyncIterator[Program]:
    config = write_config(folder, settings(sandbox, folder / "gateway.db", **more))
    gateway = await Program.start(config, *(wrapper or clock.wrapper))
    try:
        yield gateway
    finally:
        assert await gateway.stop() == 0
        (folder / "gateway.log").write_text(gateway.raw_log)


def when(event: dict[str, Any]) -> float:
    """Seconds since the epoch, by the program's own clock."""
    return datetime.fromisoformat(event["timestamp"]).timestamp()


@needs_faketime
async def test_the_clock_is_set_under_load(tmp_path: Path) -> None:
    """From an hour ago to the right time, and an hour on, while mails come in and answers are lost."""
    clock = Clock(tmp_path)
    clock.set(-3600)
    async with provider() as sandbox:
        remember_everything(sandbox)
        async with clocked(tmp_path, sandbox, clock) as gateway:
            async with load(gateway.port(), clients=4) as traffic:
                await traffic.more(10)
                for seconds in (0, 3600):
                    sandbox.platform.faults += [Fault(cut=Cut.AFTER), Fault(cut=Cut.BEFORE)]
                    await until(lambda: not sandbox.platform.faults)
                    clock.set(seconds)
                    await traffic.more(20)
                    assert abs(when(gateway.log[-1]) - time.time() - seconds) < 60, "the clock has not been set"
            jobs = await settled(gateway.config, timeout_s=60)
            expired = [event for event in gateway.log if event["event"] == "sms.expired"]
    verdict = judge(traffic.mails, jobs, sandbox.platform, Smarthost())
    say({key: value for key, value in vars(verdict).items() if key != "faults"})
    assert verdict.faults == []
    assert verdict.ok == len(traffic.mails)
    assert expired == []


LOST = pytest.mark.parametrize("cut", [Cut.BEFORE, Cut.AFTER])


@needs_faketime
@LOST
@pytest.mark.parametrize("step", [3600, -90], ids="{:+}s".format)
async def test_a_step_while_an_answer_is_lost_sends_nothing_twice(tmp_path: Path, step: int, cut: Cut) -> None:
    """The age of the question is told by a clock that nobody sets. Here the time to ask has passed when the clock is
    right again, and so has the provider's window."""
    clock = Clock(tmp_path)
    async with provider() as sandbox:
        sandbox.platform.faults.append(Fault(cut=cut))
        wrapper = (*clock.wrapper, *hurried(tmp_path, {"gateway.providers.targetsms.REPEAT_WITHIN_S": 3.0}))
        async with clocked(tmp_path, sandbox, clock, wrapper) as gateway:
            assert (await asyncio.to_thread(offer, Mail("once"), gateway.port())).startswith("250")
            first = await gateway.event("sms.uncertain")
            clock.set(step)
            await asyncio.sleep(3.5)
            sandbox.platform.window_s = 0.0
            clock.set(0)
            (job,) = await settled(gateway.config, timeout_s=20)
            assert not [event for event in gateway.log if event["event"] == "sms.expired"]
        journal = list(sandbox.platform.journal)
    say(f"{job['state']}, asked {[round(entry['at'] - journal[0]['at'], 1) for entry in journal]}, {first['why']}")
    assert len(sandbox.platform.messages) <= 1
    assert journal[-1]["at"] - journal[0]["at"] < 3.5
    assert job["state"] in ({"submitted", "uncertain"} if step < 0 else {"submitted"})


@needs_faketime
async def test_a_clock_that_is_set_back_does_not_hinder_the_question(tmp_path: Path) -> None:
    """It is asked again inside the window, as if nothing had happened to the clock."""
    clock = Clock(tmp_path)
    async with provider() as sandbox:
        sandbox.platform.faults.append(Fault(cut=Cut.BEFORE))
        async with clocked(tmp_path, sandbox, clock) as gateway:
            assert (await asyncio.to_thread(offer, Mail("once"), gateway.port())).startswith("250")
            await gateway.event("sms.uncertain")
            clock.set(-90)
            await gateway.event("sms.submitted", timeout_s=6)
    assert [sms.text for sms in sandbox.platform.messages] == ["once"]
    assert len(sandbox.platform.journal) == 2


@needs_faketime
async def test_a_retry_does_not_wait_for_a_clock_that_was_set_back(tmp_path: Path) -> None:
    """An alarm must not come an hour late, because somebody has mended the clock."""
    clock = Clock(tmp_path)
    clock.set(3600)
    async with provider() as sandbox:
        sandbox.platform.faults.append(Fault(answer="У нас закончились SMS"))
        async with clocked(tmp_path, sandbox, clock) as gateway:
            assert (await asyncio.to_thread(offer, Mail("alarm"), gateway.port())).startswith("250")
            await gateway.event("sms.deferred")
            clock.set(0)
            await gateway.event("sms.submitted", timeout_s=6)


@needs_faketime
async def test_validity_is_what_the_clock_says(tmp_path: Path) -> None:
    """The control: the clock that these tests set is the one that expires mails."""
    clock = Clock(tmp_path)
    async with provider() as sandbox:
        sandbox.platform.faults.append(Fault(answer="У нас закончились SMS", times=1_000_000))
        relay = {"first_retry": "1s", "max_retry": "1s", "validity": "2h"}
        async with clocked(tmp_path, sandbox, clock, relay=relay) as gateway:
            assert (await asyncio.to_thread(offer, Mail("old"), gateway.port())).startswith("250")
            await gateway.event("sms.deferred")
            clock.set(3600)
            await gateway.event("sms.deferred", 3)
            assert [job["state"] for job in await jobs_of(gateway.config)] == ["queued"]
            clock.set(7300)
            await gateway.event("sms.expired")
