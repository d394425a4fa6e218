"""Every place where the program can die, one after the other; and what a disk has seen when a client is told 250.

kill -9 leaves the kernel's page cache alone, so it proves nothing about fsync (reliability §8.1). The order of the
system calls does: by a check, and by playing the trace into fresh files up to the last sync before a 250.
"""

from __future__ import annotations

import asyncio
import itertools
import math
import os
import random
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from gateway.sandbox.platform import Fault
from tests.faults import SOAK
from tests.history import Mail, jobs_of, judge, say, seed, settled
from tests.process import Program, Provider, provider
from tests.running import listener, write_config
from tests.smarthost import Smarthost, smarthost
from tests.tracing import (
    SAYS,
    SYNCS,
    Call,
    after_power_loss,
    broken_promises,
    inject,
    needs_strace,
    read_trace,
    said_250,
    strace,
    trace_to,
)

pytestmark = needs_strace

UNSAFE = """
import re, runpy, sqlite3, sys
from sqlite3 import dbapi2

class Cursor(sqlite3.Cursor):
    def execute(self, sql, *values):
        return super().execute(re.sub("synchronous *= *[A-Z]+", "synchronous=OFF", sql), *values)

class Connection(sqlite3.Connection):
    def cursor(self, factory=Cursor):
        return super().cursor(factory)

    def execute(self, sql, *values):  # the log that is copied back now and then is synced, too
        return super().execute(sql.replace("wal_checkpoint(PASSIVE)", "user_version"), *values)

connect = sqlite3.connect
sqlite3.connect = dbapi2.connect = lambda *values, **named: connect(*values, factory=Connection, **named)
sys.path.insert(0, "")  # as -m does
sys.argv = sys.argv[3:]
runpy.run_module("gateway", run_name="__main__", alter_sys=True)
"""
"""The program without fsync: what proves a promise kept must find this one breaking it."""


def settings(sandbox: Provider, host: Smarthost, store_url: str, on_refusal: str) -> dict[str, Any]:
    changes: dict[str, Any] = {
        "providers": sandbox.settings,
        "store": {"url": store_url},
        "listeners": [listener(on_refusal=on_refusal)],
        "relay": {"first_retry": "1s", "max_retry": "1s"},
        "log": {"format": "json"},
    }
    if on_refusal == "reply":
        url = f"smtp://127.0.0.1:{host.port}"
        changes["replies"] = {"from": "sms@sms.example.com", "smarthost": url, "per_hour": 100_000}
    return changes


# ── what the disk has seen when the client hears 250 ─────────────────────────────────────────────


@dataclass
class Traced:
    """Some mails, sent one after the other under strace."""

    calls: list[Call]
    queue_ids: list[str]
    before: dict[str, bytes]
    """The store's files when the trace began."""
    changes: dict[str, Any]


on_sqlite = pytest.mark.parametrize("store_url", ["sqlite"], indirect=True)
engines = pytest.mark.parametrize("store_url", ["sqlite", *(["postgresql"] if SOAK else [])], indirect=True)


async def traced(folder: Path, store_url: str, *, safe: bool) -> Traced:
    (folder / "unsafe.py").write_text(UNSAFE)
    wrapper = () if safe else (sys.executable, str(folder / "unsafe.py"))
    async with provider() as sandbox, smarthost() as host:
        changes = settings(sandbox, host, store_url, "reply")
        gateway = await Program.start(write_config(folder, changes), *wrapper)
        try:
            path = Path(store_url.removeprefix("sqlite:///"))
            mails = [Mail(f"traced{index}", refused=index % 4 == 3) for index in range(12)]
            async with strace(gateway.process.pid, *trace_to(folder / "trace")):
                before = {str(file): file.read_bytes() for file in (path, path.with_name(path.name + "-wal"))}
                for mail in mails[:6]:
                    assert await asyncio.to_thread(mail.send, gateway.port())
                await asyncio.gather(*(asyncio.to_thread(mail.send, gateway.port()) for mail in mails[6:]))
                await sandbox.messages(9)
                await gateway.event("reply.sent", 3)
        finally:
            await gateway.stop()
    assert all(mail.acknowledged for mail in mails)
    queue_ids = [queue_id for mail in mails for queue_id in mail.queue_ids]
    return Traced(read_trace(folder / "trace"), queue_ids, before, changes)


@on_sqlite  # the order is shown on its own files
@pytest.mark.parametrize("safe", [True, False], ids=["as it is", "without sync"])
async def test_a_250_is_said_after_the_sync(tmp_path: Path, store_url: str, safe: bool) -> None:
    """Then the power fails: the mail is in what the disk has, if and only if the program syncs."""
    trace = await traced(tmp_path, store_url, safe=safe)
    assert len(trace.queue_ids) == 12
    assert any(call.name in SYNCS and call.target in trace.before for call in trace.calls) == safe
    broken = [] if safe else [f"{queue_id}: not synced before its 250" for queue_id in trace.queue_ids]
    assert broken_promises(trace.calls, trace.queue_ids) == broken
    sent = [queue_id for index, queue_id in enumerate(trace.queue_ids) if index % 4 != 3]  # refused ones are no jobs
    for queue_id in sent if SOAK else (sent[0], sent[-1]):
        jobs = await _after_power_loss(trace, queue_id, tmp_path / queue_id)
        assert [job["id"] for job in jobs if job["id"].startswith(queue_id)] == ([f"{queue_id}-1"] if safe else [])


async def _after_power_loss(trace: Traced, queue_id: str, folder: Path) -> list[dict[str, Any]]:
    """The jobs in a store that has what the disk had when this mail's 250 was said."""
    folder.mkdir()
    moment = said_250(trace.calls, queue_id).entered
    for path, content in after_power_loss(trace.calls, trace.before, moment).items():
        (folder / Path(path).name).write_bytes(content)
    url = f"sqlite:///{folder}/{Path(next(iter(trace.before))).name}"
    return await jobs_of(write_config(folder, trace.changes | {"store": {"url": url}}))


# ── the disk says no ─────────────────────────────────────────────────────────────────────────────


@on_sqlite
@pytest.mark.parametrize("dies", [False, True], ids=["lives on", "is killed"])
async def test_no_250_when_the_disk_is_full(tmp_path: Path, store_url: str, dies: bool) -> None:
    """The client keeps the mail; when it comes again, it becomes one SMS, whatever the failed try has left behind."""
    async with chain(tmp_path, store_url, "reject") as one:
        mail = one.new_mail()
        async with strace(one.gateway.process.pid, *inject("pwrite64", "error=ENOSPC")):
            assert not await asyncio.to_thread(mail.send, one.gateway.port())
        assert mail.answers[0].startswith("452 4.3.1 BUSY"), mail.answers
        if dies:
            await one.gateway.kill()
            one.gateway = await Program.start(one.config)
        await one.until_acknowledged(mail)
        await one.told(mail)
        await one.judge()


@on_sqlite
@pytest.mark.parametrize("call", ["fdatasync", *(["pwrite64"] if SOAK else [])])
async def test_no_second_sync_when_the_disk_fails(tmp_path: Path, store_url: str, call: str) -> None:
    """The process ends, as in a crash, and the next one reads what is really on the disk."""
    async with chain(tmp_path, store_url, "reject") as one:
        mail = one.new_mail()
        async with strace(one.gateway.process.pid, *inject(call, "error=EIO")):
            assert not await asyncio.to_thread(mail.send, one.gateway.port())
            assert await one.gateway.ended() == os.EX_IOERR
        assert (await one.gateway.event("store.broken"))["alert"]
        one.gateway = await Program.start(one.config)
        await one.until_acknowledged(mail)
        await one.told(mail)
        await one.judge()


@on_sqlite
async def test_an_answer_that_the_disk_refused(tmp_path: Path, store_url: str) -> None:
    """The disk is full for a moment, just when the provider answers. A job must not hang until somebody restarts."""
    async with chain(tmp_path, store_url, "reject") as one:
        mail = one.new_mail()
        one.sandbox.platform.faults.append(Fault(delay_s=1.5, destination=mail.number))
        await one.until_acknowledged(mail)
        await one.told(mail)
        async with strace(one.gateway.process.pid, *inject("pwrite64", "error=ENOSPC")):
            with suppress(TimeoutError):
                await one.gateway.event("relay.unrecorded", timeout_s=4)
        (job,) = await settled(one.config, timeout_s=5)
        assert job["state"] in {"submitted", "uncertain"}, one.gateway.raw_log


# ── every place to die ───────────────────────────────────────────────────────────────────────────


CALLS = ("pwrite64", *SYNCS, *SAYS)
POINTS = {"mail to SMS": 4, "refused mail to reply mail": 2}
"""How many of the places, besides the syncs, fit into a quarter of a minute. EMAIL2SMS_SOAK takes all."""


@dataclass
class Chain:
    """A program that is killed and started again on the same store, with one mail for each life."""

    config: Path
    gateway: Program
    sandbox: Provider
    host: Smarthost
    mails: list[Mail] = field(default_factory=list)

    def new_mail(self, story: str = "mail to SMS") -> Mail:
        index = len(self.mails)
        mail = Mail(f"point{index}", f"79{100_000_000 + index}", story.startswith("refused"), "declined" in story)
        if mail.declined:
            fault = Fault(answer="Error_SMS_Declined", times=1000, destination=mail.number)
            self.sandbox.platform.faults.append(fault)
        self.mails.append(mail)
        return mail

    async def told(self, mail: Mail) -> None:
        """Until the handset, or the sender, has it."""
        try:
            async with asyncio.timeout(20):
                while not self._arrived(mail):
                    await asyncio.sleep(0.01)
        except TimeoutError:
            raise AssertionError(f"lost: {mail}\n{self.gateway.raw_log}") from None

    def _arrived(self, mail: Mail) -> bool:
        if mail.refused or mail.declined:
            return any(mail.message_id.encode() in (e.original_content or b"") for e in self.host.envelopes)
        return any(sms.text == mail.text for sms in self.sandbox.platform.messages)

    async def until_acknowledged(self, mail: Mail) -> None:
        """The client comes again as often as it takes."""
        async with asyncio.timeout(20):
            while not mail.acknowledged:
                await asyncio.to_thread(mail.send, self.gateway.port())

    async def pass_whole(self, mail: Mail) -> None:
        """Until the program has written the end of the mail's story. It may have died between writing and saying so."""
        await asyncio.to_thread(mail.send, self.gateway.port())
        await self.told(mail)
        async with asyncio.timeout(20):
            while not self._closed(mail):
                await asyncio.sleep(0.01)

    def _closed(self, mail: Mail) -> bool:
        answered = mail.refused or mail.declined
        name, key = ("reply.sent", "queue_id") if answered else ("sms.submitted", "job")
        return any(e["event"] == name and e[key].partition("-")[0] in mail.queue_ids for e in self.gateway.log)

    async def dies_at(self, call: str, nth: int, mail: Mail) -> bool:
        """Kill at the nth such call of a thread, start again, finish the mail. False: it passed whole before."""
        async with strace(self.gateway.process.pid, *inject(call, "signal=KILL", str(nth))):
            whole = asyncio.create_task(self.pass_whole(mail))
            died = asyncio.create_task(self.gateway.process.wait())
            await asyncio.wait({whole, died}, return_when=asyncio.FIRST_COMPLETED, timeout=30)
        await asyncio.wait({died}, timeout=1)  # it may have been killed just when the mail had passed
        if not died.done():
            died.cancel()
            await whole
            return False
        await self._bury(whole, mail)
        self.gateway = await Program.start(self.config)
        await self.until_acknowledged(mail)
        await self.told(mail)
        with suppress(TimeoutError):  # the dead one may have written the end, and not come to say so
            async with asyncio.timeout(1):
                while not self._closed(mail):
                    await asyncio.sleep(0.01)
        return True

    async def _bury(self, whole: asyncio.Task[None], mail: Mail) -> None:
        """The client's try ends with the connection."""
        async with asyncio.timeout(25):
            while not mail.answers:
                await asyncio.sleep(0.01)
        whole.cancel()
        await asyncio.gather(whole, return_exceptions=True)
        assert await self.gateway.stop() == -signal.SIGKILL

    async def judge(self) -> None:
        """The end: every mail has its one story."""
        jobs = await settled(self.config)
        verdict = judge(self.mails, jobs, self.sandbox.platform, self.host)
        say({key: value for key, value in vars(verdict).items() if key != "faults"})
        assert verdict.faults == []
        assert verdict.ok + verdict.uncertain + verdict.replied == len(self.mails)


@asynccontextmanager
async def chain(folder: Path, store_url: str, on_refusal: str) -> AsyncIterator[Chain]:
    async with provider() as sandbox, smarthost() as host:
        config = write_config(folder, settings(sandbox, host, store_url, on_refusal))
        one = Chain(config, await Program.start(config), sandbox, host)
        try:
            yield one
        finally:
            await one.gateway.stop()


async def places(one: Chain, trace: Path, story: str) -> dict[str, int]:
    """How often each call is made by its busiest thread while one mail passes whole."""
    async with strace(one.gateway.process.pid, *trace_to(trace)):
        await one.pass_whole(one.new_mail(story))
    counts = Counter((call.name, call.thread) for call in read_trace(trace))
    return {name: max(n for (call, _), n in counts.items() if call == name) for name, _ in counts if name in CALLS}


@engines
@pytest.mark.parametrize("story", [*POINTS, *(["declined SMS to reply mail"] if SOAK else [])])
async def test_dies_at_every_place(tmp_path: Path, store_url: str, story: str) -> None:
    """Whether the client has heard 250 or not: after its repetition there is one SMS, or at least one reply."""
    async with chain(tmp_path, store_url, "reject" if story == "mail to SMS" else "reply") as one:
        await one.pass_whole(one.new_mail(story))  # the first call to a provider makes its row
        known = await places(one, tmp_path / "trace", story)
        points = [(call, nth) for call, count in known.items() for nth in range(1, count + 1)]
        if not SOAK:
            others = [point for point in points if point[0] not in SYNCS]
            step = math.ceil(len(others) / POINTS[story])
            points = [point for point in points if point[0] in SYNCS]
            points += others[random.Random(seed()).randrange(step) :: step]
        died = Counter[str]()
        for call, nth in points:
            died[call] += await one.dies_at(call, nth, one.new_mail(story))
        for call, count in known.items() if SOAK else ():  # and on, until a mail has passed whole
            for nth in itertools.count(count + 1):
                if not await one.dies_at(call, nth, one.new_mail(story)):
                    break
                died[call] += 1
        say(f"places: {known}; tried {len(points)}, died {dict(died)}; {_unheard(one.mails)} clients had no 250")
        await one.judge()
    assert sum(died.values()) > 0.7 * len(points)
    # A few places may all be on one side of it.
    assert not SOAK or 0 < _unheard(one.mails) < len(points), "all on one side of the 250"


def _unheard(mails: list[Mail]) -> int:
    return sum(not mail.answers[0].startswith("250") for mail in mails)
