"""``server.workers: 2``: the doors, the reload and the end are as with one process, and a process may die."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from gateway.sandbox.platform import Fault
from tests.faults import SOAK
from tests.history import SERVICE, judge, say, seed, settled
from tests.load import Load, hurried, is_alive, load, remember_everything, until
from tests.process import Program, Provider, command, free_port, provider
from tests.running import ACCOUNT, listener, template, write_config
from tests.scrape import scraped
from tests.smarthost import Smarthost
from tests.tracing import family

WORKERS = 2
KILLS = 20 if SOAK else 2
engines = pytest.mark.parametrize("store_url", ["sqlite", *(["postgresql"] if SOAK else [])], indirect=True)
"""PostgreSQL in the long form; test_nodes kills on it each time."""


def settings(sandbox: Provider, store_url: str, port: int = 0) -> dict[str, Any]:
    return {
        "server": {"hostname": "sms.example.com", "workers": WORKERS},
        "listeners": [listener(bind=f"127.0.0.1:{port}")],
        "providers": sandbox.settings,
        "store": {"url": store_url},
        "relay": {"first_retry": "1s", "max_retry": "2s"},
        "log": {"format": "json"},
    }


def workers(gateway: Program) -> list[int]:
    """The children that live."""
    return [pid for pid in family(gateway.process.pid)[1:] if is_alive(pid)]


@asynccontextmanager
async def started(config: Path, *wrapper: str) -> AsyncIterator[Program]:
    gateway = await Program.start(config, *wrapper)
    try:
        yield gateway
    finally:
        pids = family(gateway.process.pid)[1:]
        await gateway.stop()
        assert not [pid for pid in pids if is_alive(pid)], "a worker has outlived its supervisor"


def slow_answers(sandbox: Provider, delay_s: float = 0.3) -> None:
    """So that there are calls in flight when a process dies."""
    sandbox.platform.faults.append(Fault(delay_s=delay_s, times=1_000_000))


async def judged(traffic: Load, sandbox: Provider, config: Path) -> None:
    """Everything acknowledged went out once, and nobody was sent away for good."""
    sandbox.platform.faults.clear()
    verdict = judge(traffic.mails, await settled(config), sandbox.platform, Smarthost())
    say({key: value for key, value in vars(verdict).items() if key != "faults"})
    assert verdict.faults == []
    assert verdict.ok == len(traffic.mails)
    assert traffic.permanent == []


# ── which worker serves ──────────────────────────────────────────────────────────────────────────


@dataclass
class Talk:
    """A connection, and the process at its other end."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    @classmethod
    async def to(cls, port: int) -> Talk:
        talk = cls(*await asyncio.open_connection("127.0.0.1", port))
        assert (await talk.answer()).startswith("220")
        return talk

    async def answer(self) -> str:
        async with asyncio.timeout(20):
            while (line := (await self.reader.readline()).decode()) and line[3:4] == "-":
                pass
        return line.rstrip()

    async def say(self, line: str) -> str:
        self.writer.write(line.encode() + b"\r\n")
        return await self.answer()

    async def begin(self) -> str:
        await self.say("EHLO client")
        await self.say("MAIL FROM:<alerts@bank.example>")
        await self.say(f"RCPT TO:<{SERVICE}>")
        return await self.say("DATA")

    async def mail(self, content: bytes) -> str:
        assert (await self.begin()).startswith("354")
        self.writer.write(content + b"\r\n")
        return await self.say(".")

    def server(self, pids: list[int]) -> int:
        """As the kernel knows it: whose descriptor the other end of this connection is."""
        mine, other = (self.writer.get_extra_info(name)[1] for name in ("sockname", "peername"))
        rows = [row.split() for row in Path("/proc/net/tcp").read_text().splitlines()[1:]]
        inode = next(r[9] for r in rows if int(r[1][-4:], 16) == other and int(r[2][-4:], 16) == mine)
        return next(
            p for p in pids if any(_target(fd) == f"socket:[{inode}]" for fd in Path(f"/proc/{p}/fd").iterdir())
        )


def _target(link: Path) -> str:
    try:
        return str(link.readlink())
    except OSError:
        return ""


@asynccontextmanager
async def a_talk_with_each(gateway: Program) -> AsyncIterator[list[Talk]]:
    """Connections are made until every worker has one."""
    pids = workers(gateway)
    found: dict[int, Talk] = {}
    talks: list[Talk] = []
    try:
        while found.keys() != set(pids):
            assert len(talks) < 90, "a worker serves nobody"
            talks.append(await Talk.to(gateway.port()))
            found.setdefault(talks[-1].server(pids), talks[-1])
        yield list(found.values())
    finally:
        for talk in talks:
            talk.writer.close()
            with suppress(ConnectionError):
                await talk.writer.wait_closed()


async def ask_each(gateway: Program, originator: str, text: str) -> set[str]:
    """What each worker says to a mail with this originator: the first two words."""
    answers = set()
    async with a_talk_with_each(gateway) as talks:
        for number, talk in enumerate(talks):
            content = template(f"{text} {number}").replace(b"My Bank", originator.encode())
            answers.add(" ".join((await talk.mail(content)).split()[:2]))
    return answers


async def test_every_worker_serves_and_reloads(tmp_path: Path, store_url: str) -> None:
    async with provider() as sandbox:
        config = write_config(tmp_path, settings(sandbox, store_url))
        async with started(config) as gateway:
            assert len(workers(gateway)) == WORKERS
            assert await ask_each(gateway, "My Bank", "one") == {"250 2.0.0"}
            assert await ask_each(gateway, "My Shop", "two") == {"550 5.7.1"}
            write_config(tmp_path, settings(sandbox, store_url), [ACCOUNT | {"originators": ["My Bank", "My Shop"]}])
            gateway.process.send_signal(signal.SIGHUP)
            await gateway.event("config.reloaded", WORKERS)
            assert await ask_each(gateway, "My Shop", "three") == {"250 2.0.0"}
            (tmp_path / "accounts.yaml").write_text("accounts: [{login: test_user, pasword: x}]")
            gateway.process.send_signal(signal.SIGHUP)
            refused = await gateway.event("config.refused")
            assert "pasword" in refused["why"]
            assert await ask_each(gateway, "My Shop", "four") == {"250 2.0.0"}
            assert sum(event["event"] == "config.reloaded" for event in gateway.log) == WORKERS
            texts = [sms.text for sms in await sandbox.messages(3 * WORKERS)]
        assert sorted(texts) == sorted(f"{text} {n}" for text in ("one", "three", "four") for n in range(WORKERS))


# ── deaths ───────────────────────────────────────────────────────────────────────────────────────


@engines
async def test_workers_are_killed_under_load(tmp_path: Path, store_url: str) -> None:
    chance = random.Random(seed())
    async with provider() as sandbox:
        remember_everything(sandbox)
        slow_answers(sandbox)
        config = write_config(tmp_path, settings(sandbox, store_url))
        async with started(config) as gateway:
            async with load(gateway.port()) as traffic:
                for kills in range(1, KILLS + 1):
                    await traffic.more(10 + chance.randrange(20))
                    victim = workers(gateway)[kills % WORKERS]
                    os.kill(victim, signal.SIGKILL)
                    died = await gateway.event("worker.died", kills)
                    assert (died["pid"], died["code"]) == (victim, -signal.SIGKILL)
                    await until(lambda: len(workers(gateway)) == WORKERS)
                await traffic.more(20)
            await judged(traffic, sandbox, config)
            async with a_talk_with_each(gateway):
                pass
        assert [entry for entry in sandbox.platform.journal if entry["answer"].startswith("error")], (
            "no call was in flight: this proved little"
        )


@engines
async def test_the_supervisor_is_killed_under_load(tmp_path: Path, store_url: str) -> None:
    """Nobody tells the workers: they notice, finish what they have and go. The next start needs no help."""
    async with provider() as sandbox:
        remember_everything(sandbox)
        slow_answers(sandbox)
        config = write_config(tmp_path, settings(sandbox, store_url, free_port()))
        gateway = await Program.start(config)
        orphans = workers(gateway)
        async with load(gateway.port()) as traffic:
            await traffic.more(20)
            os.kill(gateway.process.pid, signal.SIGKILL)
            await until(lambda: not any(map(is_alive, orphans)), timeout_s=15)
            assert await gateway.process.wait() == -signal.SIGKILL
            async with started(config) as successor:
                await traffic.more(20)
                traffic.end.set()
                await judged(traffic, sandbox, config)
                assert successor.port() == gateway.port()


@engines
async def test_a_frozen_worker_is_replaced(tmp_path: Path, store_url: str) -> None:
    async with provider() as sandbox:
        remember_everything(sandbox)
        slow_answers(sandbox)
        config = write_config(tmp_path, settings(sandbox, store_url))
        async with started(config, *hurried(tmp_path, {"gateway.supervisor.HUNG_S": 3.0})) as gateway:
            async with load(gateway.port()) as traffic:
                await traffic.more(20)
                victim = workers(gateway)[0]
                os.kill(victim, signal.SIGSTOP)
                assert (await gateway.event("worker.hung"))["pid"] == victim
                assert (await gateway.event("worker.died"))["pid"] == victim
                await until(lambda: len(workers(gateway)) == WORKERS)
                await traffic.more(20)
            await judged(traffic, sandbox, config)
            async with a_talk_with_each(gateway):
                pass


# ── figures ──────────────────────────────────────────────────────────────────────────────────────


async def test_the_figures_are_those_of_all_workers(tmp_path: Path) -> None:
    """Whoever answers; a death takes nothing from them but the connections that died with it."""
    port, connections = free_port(), {"listener": "lan"}
    async with provider() as sandbox:
        changes = settings(sandbox, f"sqlite:///{tmp_path}/gateway.db") | {"metrics": {"bind": f"127.0.0.1:{port}"}}
        config = write_config(tmp_path, changes)

        async def figures() -> set[tuple[float, ...]]:
            """What several scrapes, of one worker or another, have seen."""
            seen = [await scraped(port) for _ in range(6)]
            accepted = {"dialect": "template", "result": "accepted"}
            return {
                (
                    page("mails_received_total", **accepted),
                    page("smtp_connections_active", **connections),
                    page("messages_total", provider="main", status="submitted"),
                    page("config_last_reload_successful"),
                )
                for page in seen
            }

        async def becomes(*wanted: float) -> None:
            async with asyncio.timeout(60):
                while (seen := await figures()) != {wanted}:
                    say({"wanted": wanted, "seen": seen})
                    await asyncio.sleep(0.1)

        async with started(config) as gateway:
            async with a_talk_with_each(gateway) as talks:
                for number, talk in enumerate(talks):
                    assert (await talk.mail(template(f"one {number}"))).startswith("250")
                await sandbox.messages(WORKERS)
            await becomes(WORKERS, 0, WORKERS, 1)
            before = workers(gateway)
            async with a_talk_with_each(gateway):
                talks = [await Talk.to(gateway.port()) for _ in range(4)]
                everybody = (await scraped(port))("smtp_connections_active", **connections)
                os.kill(before[0], signal.SIGKILL)
                await gateway.event("worker.died")
                await until(lambda: len(workers(gateway)) == WORKERS)
                async with asyncio.timeout(60):
                    while len(seen := await figures()) > 1 or not 1 <= next(iter(seen))[1] < everybody:
                        await asyncio.sleep(0.1)
                assert {(page[0], page[2], page[3]) for page in seen} == {(WORKERS, WORKERS, 1)}
                for talk in talks:
                    talk.writer.close()
            async with a_talk_with_each(gateway) as talks:  # the successor goes on where the dead one was
                for number, talk in enumerate(talks):
                    assert (await talk.mail(template(f"two {number}"))).startswith("250")
                await sandbox.messages(2 * WORKERS)
            await becomes(2 * WORKERS, 0, 2 * WORKERS, 1)
            (tmp_path / "accounts.yaml").write_text("accounts: [{login: test_user, pasword: x}]")
            gateway.process.send_signal(signal.SIGHUP)
            await gateway.event("config.refused")
            await becomes(2 * WORKERS, 0, 2 * WORKERS, 0)
        write_config(tmp_path, changes)
        async with started(config):
            await becomes(0, 0, 0, 1)


# ── the end ──────────────────────────────────────────────────────────────────────────────────────


@engines
async def test_term_under_load(tmp_path: Path, store_url: str) -> None:
    """A mail whose DATA has begun is finished, by each worker; who comes now is sent away at once."""
    async with provider() as sandbox:
        remember_everything(sandbox)
        slow_answers(sandbox)
        port = free_port()
        config = write_config(tmp_path, settings(sandbox, store_url, port))
        gateway = await Program.start(config)
        async with load(port) as traffic:
            await traffic.more(20)
            async with a_talk_with_each(gateway) as talks:
                for number, talk in enumerate(talks):
                    assert (await talk.begin()).startswith("354")
                    talk.writer.write(template(f"half {number}")[:200])
                gateway.process.terminate()
                await gateway.event("gateway.stopping", 1 + WORKERS)
                await until(lambda: _is_refused(port), timeout_s=5)
                for number, talk in enumerate(talks):
                    talk.writer.write(template(f"half {number}")[200:] + b"\r\n")
                    assert (await talk.say(".")).startswith("250")
                    assert (await talk.answer()).startswith("421")
            assert await gateway.stop() == 0
            async with started(config):
                await sandbox.messages(WORKERS)
                traffic.end.set()
                await until(lambda: all(mail.acknowledged for mail in traffic.mails))
                await settled(config)
        halves = [sms for sms in sandbox.platform.messages if sms.text.startswith("half")]
        assert sorted(sms.text for sms in halves) == [f"half {number}" for number in range(WORKERS)]


async def test_term_while_a_worker_waits_for_its_restart(tmp_path: Path) -> None:
    """It is not started any more."""
    async with provider() as sandbox:
        config = write_config(tmp_path, settings(sandbox, f"sqlite:///{tmp_path}/gateway.db"))
        gateway = await Program.start(config)
        async with a_talk_with_each(gateway) as talks:
            busy, idle = talks
            assert (await busy.begin()).startswith("354")
            victim = idle.server(workers(gateway))
            os.kill(victim, signal.SIGKILL)
            died = await gateway.event("worker.died")
            assert died["restart_s"] == 1
            gateway.process.terminate()
            await gateway.event("gateway.stopping", WORKERS)
            survivor = workers(gateway)
            deadline = asyncio.get_running_loop().time() + 2 * died["restart_s"]
            while asyncio.get_running_loop().time() < deadline:
                assert workers(gateway) == survivor
                await asyncio.sleep(0.05)
            busy.writer.write(template("last") + b"\r\n")
            assert (await busy.say(".")).startswith("250")
        assert await gateway.stop() == 0


def _is_refused(port: int) -> bool:
    """Neither taken nor left to wait."""
    with socket.socket() as client:
        client.settimeout(0.5)
        try:
            client.connect(("127.0.0.1", port))
            return client.recv(100).startswith(b"421")
        except ConnectionError:
            return True
        except TimeoutError:
            return False


# ── not twice ────────────────────────────────────────────────────────────────────────────────────


async def test_one_gateway_for_one_file(tmp_path: Path) -> None:
    async with provider() as sandbox:
        config = write_config(tmp_path, settings(sandbox, f"sqlite:///{tmp_path}/gateway.db"))
        async with started(config) as gateway:
            for amount in (WORKERS, 1):
                other = tmp_path / f"other{amount}"
                other.mkdir()
                changes = settings(sandbox, f"sqlite:///{tmp_path}/gateway.db")
                changes["server"]["workers"] = amount
                code, _, err = await command("serve", "--config", str(write_config(other, changes)))
                assert code == os.EX_CONFIG
                assert "another gateway serves from it" in err
                assert len(err.splitlines()) == 1
            os.kill(workers(gateway)[0], signal.SIGKILL)  # the claim does not die with one of those that share it
            await gateway.event("worker.died")
            code, _, err = await command("serve", "--config", str(other / "gateway.yaml"))
            assert (code, "another gateway serves from it" in err) == (os.EX_CONFIG, True)
            assert (await gateway.mail(template("still here"), SERVICE)).startswith("250")


async def test_a_port_in_use(tmp_path: Path, store_url: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        async with provider() as sandbox:
            config = write_config(tmp_path, settings(sandbox, store_url, taken.getsockname()[1]))
            code, _, err = await command("serve", "--config", str(config))
    assert code == os.EX_CONFIG
    assert "listeners[0].bind" in err
    assert "Address already in use" in err
    assert len(err.splitlines()) == 1
