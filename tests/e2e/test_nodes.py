"""Two gateways on one database: one dies, one freezes, and both keep one rate and one duplicate window.

A node that beats no more is given up after 90 s; a process on the same machine only when it is gone. So the frozen
node runs in a PID namespace of its own, like a container, or with another boot id, like another machine; and all waits
are shortened together, in the proportion that keeps them safe (``HURRY``).
"""

from __future__ import annotations

import asyncio
import itertools
import os
import shlex
import signal
import socket
import subprocess
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from gateway.sandbox.platform import Fault
from tests.faults import SOAK
from tests.history import Mail, jobs_of, judge, say, settled
from tests.load import Load, hurried, load, offer, remember_everything, until
from tests.pgproxy import Fate, Line, PgProxy, pg_proxy
from tests.process import Program, Provider, provider
from tests.running import write_config
from tests.smarthost import Smarthost
from tests.tracing import family

HURRY = {
    "gateway.daemon.BEAT_S": 0.5,
    "gateway.service.presence.GIVE_UP_S": 3.0,  # more than the next two and a call's time-out, as 90 s is
    "gateway.spool.claims.START_WITHIN_S": 1.0,
    "gateway.providers.http.CONNECT_TIMEOUT_S": 0.5,
    "gateway.spool.claims.OVERDUE_S": 2.0,
    "gateway.spool.postgres.STATEMENT_S": 20.0,  # what was said to a frozen process is still heard
}
CALL_S = 1.0

CONTAINER = ("unshare", "--pid", "--fork", "--kill-child", "--mount-proc")
BOOT_ID = "/proc/sys/kernel/random/boot_id"


@dataclass
class Node:
    """A gateway, perhaps behind a wrapper."""

    program: Program
    config: Path

    @property
    def pid(self) -> int:
        """Of the gateway itself."""
        return family(self.program.process.pid)[-1]

    @property
    def port(self) -> int:
        return self.program.port()

    def count(self, event: str) -> int:
        return sum(entry["event"] == event for entry in self.program.log)

    def freeze(self) -> None:
        os.kill(self.pid, signal.SIGSTOP)

    def wake(self) -> None:
        os.kill(self.pid, signal.SIGCONT)

    async def kill(self) -> None:
        os.kill(self.pid, signal.SIGKILL)
        await self.program.kill()

    async def stop(self) -> None:
        with suppress(ProcessLookupError):  # unshare passes no TERM on
            self.wake()
            os.kill(self.pid, signal.SIGTERM)
        await self.program.stop()


def settings(sandbox: Provider, store_url: str, **of_provider: Any) -> dict[str, Any]:
    return {
        "providers": {"main": sandbox.settings["main"] | of_provider},
        "store": {"url": store_url},
        "relay": {"first_retry": "1s", "max_retry": "2s"},
        "log": {"format": "json"},
    }


@asynccontextmanager
async def node(folder: Path, changes: dict[str, Any], *wrapper: str) -> AsyncIterator[Node]:
    folder.mkdir()
    config = write_config(folder, changes)
    running = Node(await Program.start(config, *wrapper), config)
    try:
        yield running
    finally:
        await running.stop()
        (folder / "gateway.log").write_text(running.program.raw_log)


def elsewhere(folder: Path, where: str) -> tuple[str, ...]:
    """A wrapper: the program sees nobody else's processes, and perhaps another boot id. Skips where that may not be."""
    wrapper: tuple[str, ...] = CONTAINER
    if where == "machine":
        mine = folder / "boot_id"
        mine.write_text("00000000-0000-4000-8000-000000000001\n")
        bind = f'mount --bind {shlex.quote(str(mine))} {BOOT_ID} && exec "$@"'
        wrapper = (*CONTAINER, "--mount", "sh", "-c", bind, "sh")
    try:
        subprocess.run([*wrapper, "true"], check=True, capture_output=True, timeout=10)
    except (OSError, subprocess.SubprocessError) as error:
        pytest.skip(f"no namespaces here: {error}")
    return wrapper


def judged(traffic: Load, jobs: list[dict[str, Any]], sandbox: Provider) -> int:
    """Everything acknowledged has one story. How many of them are uncertain in the end."""
    verdict = judge(traffic.mails, jobs, sandbox.platform, Smarthost())
    say({key: value for key, value in vars(verdict).items() if key != "faults"})
    assert verdict.faults == []
    assert verdict.ok + verdict.uncertain == len(traffic.mails)
    assert traffic.permanent == []
    return verdict.uncertain


# ── a death ──────────────────────────────────────────────────────────────────────────────────────


async def test_a_node_is_killed_under_load(tmp_path: Path, postgres_url: str) -> None:
    """The other one notices at its next beat, and asks what became of the dead one's calls."""
    async with provider() as sandbox:
        remember_everything(sandbox)
        sandbox.platform.faults.append(Fault(delay_s=0.3, times=1_000_000))
        changes = settings(sandbox, postgres_url)
        async with node(tmp_path / "a", changes) as victim, node(tmp_path / "b", changes) as other:
            async with load(victim.port, other.port) as traffic:
                await traffic.more(40)
                await until(lambda: victim.count("sms.submitted") > 0 < other.count("sms.submitted"))
                pid = victim.pid
                await victim.kill()
                assert (await other.program.event("process.dead", timeout_s=8))["pid"] == pid
                await traffic.more(40)
            jobs = await settled(other.config)
            resolved = other.count("sms.uncertain")
    assert judged(traffic, jobs, sandbox) == 0
    assert resolved > 0, "no call was in flight: this proved little"
    assert sum(entry["answer"].startswith("error") for entry in sandbox.platform.journal) > 0


# ── a frozen node ────────────────────────────────────────────────────────────────────────────────


async def test_a_frozen_process_is_not_given_up(tmp_path: Path, postgres_url: str) -> None:
    """It is there, so it will go on; nobody else touches its calls."""
    async with provider() as sandbox:
        remember_everything(sandbox)
        sandbox.platform.faults.append(Fault(delay_s=0.3, times=1_000_000))
        changes = settings(sandbox, postgres_url, timeout=CALL_S)
        wrapper = hurried(tmp_path, HURRY)
        async with node(tmp_path / "a", changes, *wrapper) as frozen, node(tmp_path / "b", changes, *wrapper) as other:
            async with load(frozen.port, other.port, timeout_s=3) as traffic:
                await traffic.more(40)
                frozen.freeze()
                await asyncio.sleep(2 * HURRY["gateway.service.presence.GIVE_UP_S"])
                frozen.wake()
                await traffic.more(40)
            jobs = await settled(other.config)
            assert frozen.count("process.dead") == other.count("process.dead") == 0
    assert judged(traffic, jobs, sandbox) == 0


@pytest.mark.parametrize("where", ["machine", *(["container"] if SOAK else [])])
async def test_a_frozen_node_is_given_up_and_wakes(tmp_path: Path, postgres_url: str, where: str) -> None:
    """When it wakes, the provider's window is over: whatever it sent again would be on a handset twice.

    With EMAIL2SMS_SOAK the one on another machine stops inside a transaction; it takes the database 15 s to end that.
    """
    async with provider() as sandbox:
        remember_everything(sandbox)
        sandbox.platform.faults.append(Fault(delay_s=0.3, times=1_000_000))
        changes = settings(sandbox, postgres_url, timeout=CALL_S)
        hurry = hurried(tmp_path, HURRY)
        wrapper = (*elsewhere(tmp_path, where), *hurry)
        async with node(tmp_path / "a", changes, *wrapper) as frozen, node(tmp_path / "b", changes, *hurry) as other:
            async with load(frozen.port, other.port, timeout_s=3, pause_s=0.3) as traffic:
                await traffic.more(40)
                await _freeze(frozen, postgres_url, in_transaction=SOAK and where == "machine", calling=True)
                await other.program.event("process.dead")
                await until(lambda: other.count("sms.uncertain"))
                await traffic.more(20)
                traffic.end.set()
            before = await settled(other.config)
            assert not [job for job in before if job["state"] == "submitting"]
            asked = len(sandbox.platform.journal)
            sandbox.platform.window_s = 0.0
            frozen.wake()
            await frozen.program.event("sms.late_answer")
            # It lives on as a node like any other.
            taken = frozen.count("sms.submitted")
            mails: list[Mail] = []
            async with asyncio.timeout(20):
                while frozen.count("sms.submitted") == taken:
                    mails.append(Mail(f"after{len(mails)}"))
                    assert (await asyncio.to_thread(offer, mails[-1], frozen.port)).startswith("250")
            traffic.mails += mails
            jobs = await settled(other.config)
            story = {job["id"]: job["state"] for job in jobs}
            assert {job["id"]: story[job["id"]] for job in before} == {job["id"]: job["state"] for job in before}
    uncertain = judged(traffic, jobs, sandbox)
    assert len(sandbox.platform.journal) == asked + len(mails)
    # Nobody but the machine that asked can tell how old a question is.
    assert (uncertain > 0) == (where == "machine")


async def _freeze(frozen: Node, url: str, *, in_transaction: bool, calling: bool = False) -> None:
    """In the middle of a transaction, or between two; while it is ``calling`` the provider."""
    for _ in range(200):
        frozen.freeze()
        stuck = await _transactions(url)
        await asyncio.sleep(0.1)
        where_wanted = bool(stuck & await _transactions(url)) == in_transaction
        if where_wanted and (not calling or await _calls(url)):
            return
        frozen.wake()
        await asyncio.sleep(0.05)
    raise AssertionError("it never stood where it was wanted")


async def _transactions(url: str) -> set[tuple[int, object]]:
    """Those that wait for their client."""
    connection = await asyncpg.connect(url)
    rows = await connection.fetch("SELECT pid, xact_start FROM pg_stat_activity WHERE state = 'idle in transaction'")
    await connection.close()
    return {(row[0], row[1]) for row in rows}


async def _calls(url: str) -> int:
    """Of the node that sees nobody else's processes, so that its own number is a small one."""
    connection = await asyncpg.connect(url)
    mine = "SELECT count(*) FROM jobs JOIN processes p ON p.id = jobs.owner WHERE state = 'submitting' AND p.pid < 100"
    count: int = await connection.fetchval(mine)
    await connection.close()
    return count


@pytest.mark.parametrize("lost", [False, True], ids=["answered", "lost"])
async def test_frozen_between_the_claim_and_the_call(tmp_path: Path, postgres_url: str, lost: bool) -> None:
    """Exactly there: the claim is committed, the answer to the COMMIT is on its way to a process that stands still."""
    async with AsyncExitStack() as stack:
        sandbox = await stack.enter_async_context(provider())
        proxy = await stack.enter_async_context(pg_proxy(postgres_url))
        hurry = hurried(tmp_path, HURRY)
        wrapper = (*elsewhere(tmp_path, "container"), *hurry)
        other = await stack.enter_async_context(node(tmp_path / "b", settings(sandbox, postgres_url), *hurry))
        frozen = await stack.enter_async_context(node(tmp_path / "a", settings(sandbox, proxy.url), *wrapper))
        proxy.at_commit = _keep_claims
        await _freeze(other, postgres_url, in_transaction=False)  # so that it does not claim the job itself
        job = await _claimed(frozen, proxy, Mail("once"))
        other.wake()
        await _freeze(frozen, postgres_url, in_transaction=False)
        proxy.at_commit = lambda line: Fate.PASS
        if lost:
            for line in list(proxy.lines):
                if line.fate is Fate.KEEP:
                    line.cut()
        else:
            proxy.release()
        await other.program.event("process.dead")
        await other.program.event("sms.submitted")
        assert len(sandbox.platform.journal) == 1
        sandbox.platform.window_s = 0.0
        frozen.wake()
        if lost:
            await frozen.program.event("relay.fault")
        else:
            late = await frozen.program.event("sms.late_answer")
            assert late["job"] == job
        # Its next mail goes out by itself: it has understood that it lives.
        assert (await asyncio.to_thread(offer, Mail("next"), frozen.port)).startswith("250")
        await sandbox.messages(2)
        jobs = await settled(other.config)
        assert [entry["text"] for entry in sandbox.platform.journal] == ["once", "next"]
        assert Counter(entry["state"] for entry in jobs) == {"submitted": 2}


def _keep_claims(line: Line) -> Fate:
    return Fate.KEEP if b"INSERT INTO attempts" in line.said else Fate.PASS


async def _claimed(frozen: Node, proxy: PgProxy, mail: Mail) -> str:
    assert (await asyncio.to_thread(offer, mail, frozen.port)).startswith("250")
    async with asyncio.timeout(10):
        await proxy.kept.wait()
    (job,) = await jobs_of(frozen.config)
    assert job["state"] == "submitting"
    return str(job["id"])


async def test_frozen_while_it_connects(tmp_path: Path, postgres_url: str) -> None:
    """The call has begun, the kernel makes the connection while the process stands still: nothing is sent over it."""
    async with AsyncExitStack() as stack:
        sandbox = await stack.enter_async_context(provider())
        door = stack.enter_context(_Clogged())
        hurry = hurried(tmp_path, HURRY | {"gateway.providers.http.CONNECT_TIMEOUT_S": 1.5})
        wrapper = (*elsewhere(tmp_path, "container"), *hurry)
        clogged = settings(sandbox, postgres_url, url=f"http://127.0.0.1:{door.port}/sendsms.php", timeout=0.5)
        other = await stack.enter_async_context(node(tmp_path / "b", settings(sandbox, postgres_url), *hurry))
        frozen = await stack.enter_async_context(node(tmp_path / "a", clogged, *wrapper))
        await _freeze(other, postgres_url, in_transaction=False)  # so that it does not claim the job itself
        mail = asyncio.create_task(asyncio.to_thread(offer, Mail("once"), frozen.port))
        await until(door.is_waited_for)
        frozen.freeze()
        other.wake()
        accepted = asyncio.create_task(asyncio.to_thread(door.accept_the_last))
        await other.program.event("process.dead")
        await other.program.event("sms.submitted")
        with await accepted as connection:
            sandbox.platform.window_s = 0.0
            frozen.wake()
            await frozen.program.event("sms.late_answer")
            received = await asyncio.to_thread(_all_of, connection)
        assert received == b""
        await mail
        assert len(sandbox.platform.journal) == len(sandbox.platform.messages) == 1


class _Clogged:
    """A door whose queue is full: a SYN gets no answer, and the client's kernel sends it again until there is room."""

    def __init__(self) -> None:
        self._door = socket.create_server(("127.0.0.1", 0), backlog=0)
        self.port: int = self._door.getsockname()[1]
        self._fillers: list[socket.socket] = []

    def __enter__(self) -> _Clogged:
        for _ in range(10):
            filler = socket.socket()
            self._fillers.append(filler)
            filler.settimeout(0.3)
            try:
                filler.connect(("127.0.0.1", self.port))
            except TimeoutError:
                filler.close()
                self._fillers.pop()
                return self
        pytest.skip("this kernel's queue does not fill up")

    def __exit__(self, *_: object) -> None:
        for one in (*self._fillers, self._door):
            one.close()

    def is_waited_for(self) -> bool:
        """Some socket is in SYN_SENT towards us."""
        rows = [row.split() for row in Path("/proc/net/tcp").read_text().splitlines()[1:]]
        return any(int(row[2][-4:], 16) == self.port and row[3] == "02" for row in rows)

    def accept_the_last(self) -> socket.socket:
        """The one that comes after the fillers."""
        self._door.settimeout(15)
        for _ in self._fillers:
            self._door.accept()[0].close()
        connection, _ = self._door.accept()
        return connection


def _all_of(connection: socket.socket) -> bytes:
    connection.settimeout(10)
    received = b""
    with suppress(ConnectionError):
        while block := connection.recv(65536):
            received += block
    return received


# ── shared limits ────────────────────────────────────────────────────────────────────────────────


async def test_one_rate_for_both(tmp_path: Path, postgres_url: str) -> None:
    rate, mails = 5, [Mail(f"rate{index}") for index in range(30)]
    async with provider() as sandbox:
        changes = settings(sandbox, postgres_url, rate=rate)
        async with node(tmp_path / "a", changes) as one, node(tmp_path / "b", changes) as two:
            for index, mail in enumerate(mails):
                assert (await asyncio.to_thread(offer, mail, (one, two)[index % 2].port)).startswith("250")
            await sandbox.messages(len(mails))
            shares = [one.count("sms.submitted"), two.count("sms.submitted")]
        at = [entry["at"] for entry in sandbox.platform.journal]
    say(f"{shares} calls; seconds: {[round(moment - at[0], 2) for moment in at]}")
    assert min(shares) > 0
    for first in range(len(at)):
        for last in range(first + 1, len(at)):  # at most a second's worth is saved up; one call may be late on its way
            assert last - first <= rate * (at[last] - at[first]) + rate + 1
    assert at[-1] - at[0] < 2 * len(mails) / rate


async def test_one_duplicate_window_for_both(tmp_path: Path, postgres_url: str) -> None:
    """Three people send the same words to one number, through both nodes: one request in each window."""
    window_s = 4.0
    hurry = hurried(tmp_path, {"gateway.providers.targetsms.DUPLICATE_WINDOW_S": window_s})
    mails = [Mail("same") for _ in range(3)]
    async with provider() as sandbox:
        sandbox.platform.window_s = window_s * 60 / 70
        changes = settings(sandbox, postgres_url)
        async with node(tmp_path / "a", changes, *hurry) as one, node(tmp_path / "b", changes, *hurry) as two:
            sent = (asyncio.to_thread(_as_another, m, n, (one, two)[n % 2].port) for n, m in enumerate(mails))
            for answer in await asyncio.gather(*sent):
                assert answer.startswith("250")
            await sandbox.messages(len(mails))
        journal = list(sandbox.platform.journal)
    assert [entry["text"] for entry in journal] == ["same"] * 3
    at = [entry["at"] for entry in journal]  # of their arrival here: the first may have been slow to connect
    assert all(later - earlier >= window_s - 0.4 for earlier, later in itertools.pairwise(at)), at
    assert at[-1] - at[0] < 3 * window_s


def _as_another(mail: Mail, number: int, port: int) -> str:
    """Equal in everything that the provider sees, and a mail of its own."""
    other = _Same(mail.text, number=mail.number)
    other.copy = number
    return offer(other, port)


class _Same(Mail):
    copy = 0

    @property
    def message_id(self) -> str:
        return f"<{self.text}{self.copy}@bank.example>"
