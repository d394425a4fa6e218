"""Side by side: ``python -m tests.benchmarks.compare``. Interleaved rounds, medians, ratios.

The generator is Postfix's ``smtp-source``: mails to a number, originator, login and password in the subject, each with
a Message-ID of its own. It counts what is accepted; the peer counts what is relayed.
"""

from __future__ import annotations

import asyncio
import json
import os
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.benchmarks.__main__ import reported
from tests.benchmarks.processes import busy_s, cpu_s, memory_kb
from tests.benchmarks.systems import Running, System, systems
from tests.process import ENVIRONMENT

ROUNDS = int(os.environ.get("ROUNDS", "3"))
SECONDS = float(os.environ.get("SECONDS", "4"))
"""About so long lasts one run."""
SESSIONS = os.environ.get("SESSIONS", "20")
IDLE = (1000, 5000)
SUBJECT = "My Bank;user;qwerty12;"
LENGTH = os.environ.get("LENGTH", "150")
"""Bytes of a mail's text."""


@dataclass(frozen=True, slots=True)
class Figures:
    """Of one run."""

    accepted: float
    """Mails a second."""
    relayed: float
    cpu_s: float
    """Of a thousand mails, all processes of the system."""
    others: float
    """Share of the machine's CPUs that neither system, generator nor peer took."""


async def main() -> None:
    """Run, print, and write ``figures.json`` into the folder that the first argument names."""
    found = systems(os.environ.get("STORE"))
    wanted = [one for one in found if not one.missing and (len(sys.argv) < 3 or one.name in sys.argv[2:])]
    for one in found:
        if one.missing:
            print(f"left out: {one.name}: needs {one.missing}")
    peer = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.benchmarks.peer"), stdout=asyncio.subprocess.PIPE, env=ENVIRONMENT
    )
    assert peer.stdout is not None
    port = int(await peer.stdout.readline())
    runs: dict[str, dict[str, list[Figures]]] = defaultdict(lambda: defaultdict(list))
    sizes: dict[str, dict[str, float]] = {}
    try:
        for number in range(ROUNDS):
            for system in wanted:
                with tempfile.TemporaryDirectory(prefix="bench-", ignore_cleanup_errors=True) as name:
                    folder = Path(name)
                    async with system.start(folder, port) as running:
                        if number == 0:
                            sizes[system.name] = await size(running)
                        for way in ("kept", "new"):
                            figures = await run(system, running, peer, kept=way == "kept")
                            runs[way][system.name].append(figures)
                            print(
                                f"{number + 1} {way} {system.name}: {figures.accepted:.0f}/s in, "
                                f"{figures.relayed:.0f}/s out, {figures.cpu_s:.2f} CPU s, others {figures.others:.0%}",
                                flush=True,
                            )
    finally:
        peer.terminate()
        await peer.wait()
    result = {
        "runs": {way: {name: [asdict(f) for f in all_] for name, all_ in found.items()} for way, found in runs.items()},
        "sizes": sizes,
    }
    if len(sys.argv) > 1:
        Path(sys.argv[1], "figures.json").write_text(json.dumps(result, indent=1))
    print(table(runs, sizes))


async def size(running: Running) -> dict[str, float]:
    """Start-up and memory."""
    figures = {"start_s": running.started_in_s, "idle_mb": memory_kb(running.pids) / 1024}
    clients: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []
    before = memory_kb(running.pids)
    for count in IDLE:
        try:
            async with asyncio.timeout(60):
                while len(clients) < count:
                    clients.append(await asyncio.open_connection("127.0.0.1", running.port))
                    await clients[-1][0].readline()
            figures[f"kb_per_client_{count}"] = (memory_kb(running.pids) - before) / count
        except (OSError, TimeoutError):
            break  # Postfix has a process for each client, and as many as it allows
    for _, writer in clients:
        writer.close()
    return figures


async def run(system: System, running: Running, peer: asyncio.subprocess.Process, *, kept: bool) -> Figures:
    """One run of one system."""
    mails = int(system.per_second * SECONDS)
    await reported(peer)
    cpu, busy, began = cpu_s(running.pids), busy_s(), time.time()
    own = cpu_s([os.getpid(), peer.pid])
    await generate(system, running.port, mails, kept=kept)
    accepted_at = time.time()
    arrived, last = 0, accepted_at
    async with asyncio.timeout(300):
        while system.relays and arrived < mails:
            report = await reported(peer)
            arrived, last = arrived + report["count"], max(last, report["last"])
            if arrived < mails:
                await asyncio.sleep(0.1)
    ended = time.time()
    spent = cpu_s(running.pids) - cpu
    others = busy_s() - busy - spent - (cpu_s([os.getpid(), peer.pid]) - own)
    return Figures(
        accepted=mails / (accepted_at - began),
        relayed=mails / (last - began) if system.relays else 0.0,
        cpu_s=spent / mails * 1000,
        others=max(0.0, others / (ended - began) / (os.cpu_count() or 1)),
    )


async def generate(system: System, port: int, mails: int, *, kept: bool) -> None:
    """smtp-source, to its end."""
    options = ["-s", SESSIONS, "-m", str(mails), "-f", "alerts@bank.example", "-t", system.recipient]
    options += ["-S", SUBJECT, "-l", LENGTH]
    process = await asyncio.create_subprocess_exec(
        "smtp-source", *(["-d"] if kept else []), *options, f"127.0.0.1:{port}", stderr=asyncio.subprocess.PIPE
    )
    _, errors = await process.communicate()
    if process.returncode:
        raise RuntimeError(f"{system.name}: {errors.decode()[-300:]}")


def table(runs: dict[str, dict[str, list[Figures]]], sizes: dict[str, dict[str, float]]) -> str:
    """Markdown: medians, and each as a multiple of Postfix with pipe and curl."""
    lines = ["| | accepted/s, kept | new | relayed/s, kept | new | CPU s per 1000, kept | new | start, s | idle, MB |"]
    lines.append("|---|" + "---|" * 8)
    for name in sizes:
        kept, new = (runs[way][name] for way in ("kept", "new"))
        cells = [f"{median(kept, 'accepted'):.0f}", f"{median(new, 'accepted'):.0f}"]
        cells += [f"{median(kept, 'relayed'):.0f}", f"{median(new, 'relayed'):.0f}"]
        cells += [f"{median(kept, 'cpu_s'):.2f}", f"{median(new, 'cpu_s'):.2f}"]
        cells += [f"{sizes[name]['start_s']:.2f}", f"{sizes[name]['idle_mb']:.0f}"]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def median(figures: list[Figures], key: str) -> float:
    """Of the rounds."""
    return float(statistics.median(getattr(one, key) for one in figures))


if __name__ == "__main__":
    asyncio.run(main())
