"""Side by side with what a user would pick instead: ``make bench``. All on the loopback, in turns; medians and ratios.

    python -m tests.benchmarks [--out FOLDER] [--rounds 3] [--seconds 4] [--only PART] [SYSTEM …]
    python -m tests.benchmarks --only ourselves [--backlog 100000,1000000] [--rows 10000000] ["email2sms, SQLite"]

Parts: ``throughput``, as fast as each system goes; ``latency``, at rates that it can do; ``ourselves``, what changes
for "email2sms, SQLite" and "email2sms, PostgreSQL" with mails, sessions and what is in the store: first little, then
each ``--backlog`` of waiting SMS, at last also ``--rows`` finished ones (ten million: minutes, and 13 GB in the
temporary folder, for each of the two).

Absolute figures move from run to run: compare what ran side by side. ``$STORE`` is the URL of an empty PostgreSQL,
which keeps what is filled in; without it the one of the tests is used.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import tempfile
from collections import defaultdict
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path

from tests.benchmarks import plots, tables
from tests.benchmarks.claims import numbers, place
from tests.benchmarks.generator import Wishes
from tests.benchmarks.ourselves import draw as draw_ourselves
from tests.benchmarks.ourselves import ourselves
from tests.benchmarks.runs import Peer, peer, run, said, size
from tests.benchmarks.systems import System, systems
from tests.benchmarks.tables import Runs, median

WAYS = {"kept": True, "new": False}
RATES = (100, 500, 1000)
Sizes = dict[str, dict[str, float]]


async def throughput(found: Sequence[System], at: Peer, rounds: int, seconds: float) -> tuple[dict[str, Runs], Sizes]:
    """As fast as it goes, by ``smtp-source``: connections kept, and a new one for each mail."""
    runs: dict[str, Runs] = {way: defaultdict(list) for way in WAYS}
    sizes: Sizes = {}
    for number in range(rounds):
        for system in found:
            with tempfile.TemporaryDirectory(prefix="bench-", ignore_cleanup_errors=True) as name:
                async with system.start(Path(name), at.port) as running:
                    await run(running, at, Wishes(100, to=system.recipient), relays=system.relays)
                    for way, keep in WAYS.items():
                        wishes = Wishes(int(system.per_second * seconds), to=system.recipient, keep=keep)
                        figures = await run(running, at, wishes, relays=system.relays)
                        runs[way][system.name].append(said(figures, number + 1, way, system.name))
                    if number == 0:
                        sizes[system.name] = await size(running)
    return runs, sizes


async def latency(found: Sequence[System], at: Peer, seconds: float) -> dict[str, Runs]:
    """At a rate that the system can do, by our own generator."""
    result: dict[str, Runs] = {str(rate): {} for rate in RATES}
    for rate in RATES:
        for system in found:
            if system.per_second < rate * 1.2 or not system.relays:
                continue
            with tempfile.TemporaryDirectory(prefix="bench-", ignore_cleanup_errors=True) as name:
                async with system.start(Path(name), at.port) as running:
                    await run(running, at, Wishes(rate, rate, to=system.recipient), relays=True, paced=True)
                    wishes = Wishes(int(rate * seconds), rate, to=system.recipient)
                    figures = await run(running, at, wishes, relays=True, paced=True)
                    result[str(rate)][system.name] = [said(figures, rate, "/s", system.name)]
    return result


def draw(out: Path, result: dict[str, Runs]) -> None:
    """SVG."""
    for way, title in (("kept", "connections kept"), ("new", "a connection for each mail")):
        relayed = {name: median(found, "relayed") for name, found in result[way].items()}
        plots.bars(out / f"relayed-{way}.svg", f"Relayed, {title}", "mails/s", {k: v for k, v in relayed.items() if v})
        cost = {name: median(found, "cpu_s") for name, found in result[way].items()}
        plots.bars(out / f"cpu-{way}.svg", f"CPU seconds per 1,000 mails, {title}", "s", cost, least=True)
    accepted = {name: median(found, "accepted") for name, found in result["kept"].items() if name != "smtp-sink"}
    plots.bars(out / "accepted-kept.svg", "Accepted, connections kept", "mails/s", accepted)


async def main() -> None:
    """Run what is wanted, print it, and write it into the folder."""
    reader = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    reader.add_argument("--out", type=Path)
    reader.add_argument("--rounds", type=int, default=3)
    reader.add_argument("--seconds", type=float, default=4.0)
    reader.add_argument("--only", choices=("throughput", "latency", "ourselves"))
    reader.add_argument("--backlog", type=numbers, default=[100_000, 1_000_000])
    reader.add_argument("--rows", type=int, default=1_000_000)
    reader.add_argument("systems", nargs="*", metavar="SYSTEM")
    options = reader.parse_args()
    async with AsyncExitStack() as stack:
        store = os.environ.get("STORE") or stack.enter_context(place("postgresql"))
        wanted: list[System] = []
        for one in systems(store):
            if one.missing:
                print(f"left out: {one.name}: needs {one.missing}")
            elif not options.systems or one.name in options.systems:
                wanted.append(one)
        at = await stack.enter_async_context(peer())
        if options.only in (None, "throughput"):
            found, sizes = await throughput(wanted, at, options.rounds, options.seconds)
            keep(options.out, "throughput", {**found, "sizes": sizes}, tables.throughput(found, sizes))
            if options.out:
                draw(options.out, found)
        if options.only in (None, "latency"):
            paced = await latency(wanted, at, options.seconds)
            keep(options.out, "latency", paced, tables.latency(paced))
        if options.only in (None, "ourselves"):
            alone: dict[str, dict[str, Runs]] = {}
            for engine, url in {"SQLite": stack.enter_context(place("sqlite")), "PostgreSQL": store}.items():
                if f"email2sms, {engine}" in {one.name for one in wanted}:
                    alone[engine] = await ourselves(at, options.seconds, url, options.backlog, options.rows)
                    keep(options.out, f"ourselves-{engine}", alone[engine], tables.ourselves(alone[engine]))
            if options.out and alone:
                draw_ourselves(options.out, alone)


def keep(out: Path | None, name: str, part: object, table: str) -> None:
    """A part that is done, whatever becomes of the others."""
    print(f"\n{name}\n\n{table}\n", flush=True)
    if out:
        (out / f"{name}.json").write_text(json.dumps(part, indent=1) + "\n")
        (out / f"{name}.md").write_text(table + "\n")


if __name__ == "__main__":
    asyncio.run(main())
