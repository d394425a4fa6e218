"""One run of one system: what it accepts and relays, what that costs, how long a mail waits."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from typing import Any

from tests.benchmarks.generator import Wishes
from tests.benchmarks.processes import busy_s, cpu_s, memory_kb
from tests.benchmarks.systems import Running
from tests.process import ENVIRONMENT

IDLE = (1000, 5000)


@dataclass(frozen=True, slots=True)
class Figures:
    """Of one run."""

    accepted: float
    """Mails a second."""
    relayed: float
    """0: it relays nothing."""
    cpu_s: float
    """Of a thousand mails, all processes of the system."""
    others: float
    """Share of the machine's CPUs that neither system, generator nor peer took."""
    waits: dict[str, float]
    """Milliseconds since the end of DATA: ``250 p50``, ``request p99`` …; empty: not looked at."""


class Peer:
    """The provider: ``peer.py``, in a process of its own."""

    def __init__(self, process: asyncio.subprocess.Process, port: int) -> None:
        self._process, self.port = process, port

    @property
    def pid(self) -> int:
        """Its process."""
        return self._process.pid

    async def report(self) -> dict[str, Any]:
        """What came since the last time."""
        assert self._process.stdout is not None
        self._process.send_signal(signal.SIGUSR1)
        line: dict[str, Any] = json.loads(await self._process.stdout.readline())
        return line


@asynccontextmanager
async def peer() -> AsyncIterator[Peer]:
    """Running."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.benchmarks.peer"), stdout=asyncio.subprocess.PIPE, env=ENVIRONMENT
    )
    assert process.stdout is not None
    try:
        yield Peer(process, int(await process.stdout.readline()))
    finally:
        process.terminate()
        await process.wait()


async def run(running: Running, at: Peer, wishes: Wishes, *, relays: bool, paced: bool = False) -> Figures:
    """``paced``: by our generator, which looks at each mail; else by Postfix's ``smtp-source``."""
    await at.report()
    cpu, busy, began = cpu_s(running.pids), busy_s(), time.time()
    own = cpu_s([os.getpid(), at.pid])
    said = await (_generated if paced else _smtp_source)(running.port, wishes)
    accepted_at = time.time()
    arrived, last, waits = 0, accepted_at, dict[str, float]()
    async with asyncio.timeout(300):
        while relays and arrived < wishes.mails:
            report = await at.report()
            arrived, last = arrived + report["count"], max(last, report["last"])
            if report["count"] and paced:  # of several reports the worst
                waits = {key: max(report[key], waits.get(key, 0.0)) for key in ("p50_ms", "p99_ms")}
            if arrived < wishes.mails:
                await asyncio.sleep(0.1)
    ended = time.time()
    spent = cpu_s(running.pids) - cpu
    others = busy_s() - busy - spent - (cpu_s([os.getpid(), at.pid]) - own)
    return Figures(
        accepted=said.get("per_second") or wishes.mails / (accepted_at - began),
        relayed=wishes.mails / (last - began) if relays else 0.0,
        cpu_s=spent / wishes.mails * 1000,
        others=max(0.0, others / (ended - began) / (os.cpu_count() or 1)),
        waits=_named("250", said) | _named("request", waits) if paced else {},
    )


def _named(what: str, found: dict[str, float]) -> dict[str, float]:
    return {f"{what} {key[:3]}": found[key] for key in ("p50_ms", "p99_ms") if key in found}


async def _generated(port: int, wishes: Wishes) -> dict[str, float]:
    command = (sys.executable, "-m", "tests.benchmarks.generator", str(port), json.dumps(asdict(wishes)))
    found: dict[str, float] = json.loads(await _output(*command))
    return found


async def _smtp_source(port: int, wishes: Wishes) -> dict[str, float]:
    """Its own mails have a Message-ID each; those of its files have none."""
    options = ["-s", str(wishes.sessions), "-m", str(wishes.mails), "-f", "alerts@bank.example", "-t", wishes.to]
    options += ["-S", wishes.subject, "-l", "150", *(["-d"] if wishes.keep else [])]
    await _output("smtp-source", *options, f"127.0.0.1:{port}")
    return {}


async def _output(*command: str) -> bytes:
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE, env=ENVIRONMENT
    )
    out, errors = await process.communicate()
    if process.returncode:
        raise RuntimeError(f"{command[:4]}: {errors.decode()[-300:]}")
    return out


def said(figures: Figures, *what: object) -> dict[str, Any]:
    """As they are kept; and printed, for who waits."""
    waits = ", ".join(f"{key} {value:.1f} ms" for key, value in figures.waits.items())
    speed = f"{figures.accepted:.0f}/s in, {figures.relayed:.0f}/s out, {figures.cpu_s:.2f} CPU s"
    print(*what, f"{speed}, others {figures.others:.0%}", waits, flush=True)
    return asdict(figures)


async def size(running: Running) -> dict[str, float]:
    """Start-up, and memory with and without clients that say nothing."""
    figures = {"start_s": running.started_in_s, "idle_mb": memory_kb(running.pids) / 1024}
    clients: list[asyncio.StreamWriter] = []
    before = memory_kb(running.pids)
    for count in IDLE:
        try:
            async with asyncio.timeout(60):
                while len(clients) < count:
                    reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
                    await reader.readline()
                    clients.append(writer)
            figures[f"kb_per_client_{count}"] = (memory_kb(running.pids) - before) / count
        except (OSError, TimeoutError):
            break  # Postfix has a process for each client, and as many as it allows
    for writer in clients:
        writer.close()
    return figures
