"""Side by side with what a user would pick instead: ``make bench``. All on the loopback, in turns; medians and ratios.

    python -m tests.benchmarks [--out FOLDER] [--rounds 3] [--seconds 4] [--only PART] [SYSTEM …]

Parts: throughput, latency, ourselves.

Absolute figures move from run to run: compare what ran side by side. ``$STORE`` is the URL of a PostgreSQL;
without it the one of the tests is used.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import tempfile
from collections import defaultdict
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tests.benchmarks import plots
from tests.benchmarks.claims import place
from tests.benchmarks.generator import Wishes
from tests.benchmarks.runs import Figures, Peer, peer, run, size
from tests.benchmarks.systems import Start, System, ours, systems

WAYS = {"kept": True, "new": False}
RATES = (100, 500, 1000)
COUNTED_S = 100.0
"""After its start a gateway counts for the overview, once, what is in a store that was never counted."""
Runs = dict[str, list[Figures]]
Plain = dict[str, list[dict[str, Any]]]
Sizes = dict[str, dict[str, float]]


async def throughput(found: Sequence[System], at: Peer, rounds: int, seconds: float) -> tuple[dict[str, Plain], Sizes]:
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
                        runs[way][system.name].append(f := await run(running, at, wishes, relays=system.relays))
                        said(number + 1, way, system.name, f)
                    if number == 0:
                        sizes[system.name] = await size(running)
    return {way: plain(all_) for way, all_ in runs.items()}, sizes


async def latency(found: Sequence[System], at: Peer, seconds: float) -> dict[str, Plain]:
    """At a rate that the system can do, by our own generator."""
    result: dict[str, Plain] = {}
    for rate in RATES:
        runs: Runs = {}
        for system in found:
            if system.per_second < rate * 1.2 or not system.relays:
                continue
            with tempfile.TemporaryDirectory(prefix="bench-", ignore_cleanup_errors=True) as name:
                async with system.start(Path(name), at.port) as running:
                    await run(running, at, Wishes(rate, rate, to=system.recipient), relays=True, paced=True)
                    wishes = Wishes(int(rate * seconds), rate, to=system.recipient)
                    runs[system.name] = [f := await run(running, at, wishes, relays=True, paced=True)]
                    said(rate, "/s", system.name, f)
        result[str(rate)] = plain(runs)
    return result


async def ourselves(at: Peer, seconds: float) -> dict[str, Plain]:
    """What changes with mails, sessions and what is in the store; by our own generator."""
    mails, result = int(400 * seconds), dict[str, Plain]()

    async def each(name: str, start: Start, rows: dict[str, Wishes], wait_s: float = 0.0) -> Runs:
        runs: Runs = {}
        with tempfile.TemporaryDirectory(prefix="bench-", ignore_cleanup_errors=True) as folder:
            async with start(Path(folder), at.port) as running:
                await run(running, at, Wishes(200), relays=True)
                await asyncio.sleep(wait_s)
                for label, wishes in rows.items():
                    runs[label] = [f := await run(running, at, wishes, relays=True, paced=True)]
                    said(name, label, "ourselves", f)
        return runs

    kinds = {
        "plain ASCII": Wishes(mails),
        "windows-1251, base64, template": Wishes(mails, form="template"),
        "STARTTLS and AUTH, connection kept": Wishes(mails, tls=True),
        "STARTTLS and AUTH, each mail": Wishes(mails // 4, tls=True, keep=False),
    }
    result["mails"] = plain(await each("mails", ours(1), kinds))
    sizes = {label: Wishes(mails, size=s) for label, s in (("0.5 KB", 500), ("5 KB", 5_000), ("50 KB", 50_000))}
    result["size"] = plain(await each("size", ours(1), sizes))
    sessions = {str(n): Wishes(mails, sessions=n) for n in (1, 20, 200)}
    result["sessions"] = plain(await each("sessions", ours(1), sessions))
    stores = {"empty": (0, 0), "100,000 waiting": (0, 100_000), "1,000,000 waiting": (0, 1_000_000)}
    stores |= {"1,000,000 finished": (1_000_000, 0)}
    for label, (finished, waiting) in stores.items():
        start = ours(1, finished=finished, waiting=waiting)
        rows = {label: Wishes(mails), f"{label}, 200/s": Wishes(int(200 * seconds), 200)}
        result[f"store {label}"] = plain(await each("store", start, rows, COUNTED_S if finished else 0.0))
    return result


def said(*what: object) -> None:
    """For who waits."""
    *words, f = what
    assert isinstance(f, Figures)
    waits = ", ".join(f"{key} {value:.1f} ms" for key, value in f.waits.items())
    print(
        *words,
        f"{f.accepted:.0f}/s in, {f.relayed:.0f}/s out, {f.cpu_s:.2f} CPU s, others {f.others:.0%}",
        waits,
        flush=True,
    )


def plain(runs: Runs) -> Plain:
    """For JSON."""
    return {name: [asdict(figures) for figures in found] for name, found in runs.items()}


def median(found: list[dict[str, Any]], key: str) -> float:
    """Of the rounds."""
    return float(statistics.median(one[key] for one in found))


def table(result: dict[str, Plain], sizes: Sizes) -> str:
    """Markdown, of the throughput."""
    heads = [
        "",
        "accepted/s, kept",
        "new",
        "relayed/s, kept",
        "new",
        "CPU s per 1000, kept",
        "new",
        "start, s",
        "idle, MB",
    ]
    heads += ["kB per idle client: 1,000", "5,000"]
    lines = ["| " + " | ".join(heads) + " |", "|---|" + "---|" * (len(heads) - 1)]
    for name, own in sizes.items():
        kept, new = result["kept"][name], result["new"][name]
        cells = [f"{median(found, key):,.0f}" for key in ("accepted", "relayed") for found in (kept, new)]
        cells += [f"{median(found, 'cpu_s'):.2f}" for found in (kept, new)]
        cells += [f"{own['start_s']:.2f}", f"{own['idle_mb']:.0f}"]
        cells += [f"{own[key]:.1f}" if (key := f"kb_per_client_{n}") in own else "–" for n in (1000, 5000)]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def draw(out: Path, result: dict[str, Plain]) -> None:
    """SVG."""
    for way, title in (("kept", "connections kept"), ("new", "a connection for each mail")):
        relayed = {name: median(found, "relayed") for name, found in result[way].items()}
        plots.bars(out / f"relayed-{way}.svg", f"Relayed, {title}", "mails/s", {k: v for k, v in relayed.items() if v})
        cost = {name: median(found, "cpu_s") for name, found in result[way].items()}
        plots.bars(out / f"cpu-{way}.svg", f"CPU seconds per 1,000 mails, {title}", "s", cost, least=True)
    accepted = {name: median(found, "accepted") for name, found in result["kept"].items() if name != "smtp-sink"}
    plots.bars(out / "accepted-kept.svg", "Accepted, connections kept", "mails/s", accepted)


def draw_ourselves(out: Path, result: dict[str, Plain]) -> None:
    """SVG."""
    for part, title in (("sessions", "Mails a second, by sessions"), ("size", "Mails a second, by size of a mail")):
        rows = result[part]
        found = {key: [median(runs, key) for runs in rows.values()] for key in ("accepted", "relayed")}
        plots.lines(out / f"{part}.svg", title, "mails/s", list(rows), found)


async def main() -> None:
    """Run what is wanted, print it, and write it into the folder."""
    reader = argparse.ArgumentParser()
    reader.add_argument("--out", type=Path)
    reader.add_argument("--rounds", type=int, default=3)
    reader.add_argument("--seconds", type=float, default=4.0)
    reader.add_argument("--only", choices=("throughput", "latency", "ourselves"))
    reader.add_argument("systems", nargs="*")
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
            print(table(found, sizes))
            keep(options.out, "throughput", {**found, "sizes": sizes})
            if options.out:
                draw(options.out, found)
        if options.only in (None, "latency"):
            keep(options.out, "latency", await latency(wanted, at, options.seconds))
        if options.only in (None, "ourselves"):
            alone = await ourselves(at, options.seconds)
            keep(options.out, "ourselves", alone)
            if options.out:
                draw_ourselves(options.out, alone)


def keep(out: Path | None, name: str, part: object) -> None:
    """A part that is done, whatever becomes of the others."""
    if out:
        (out / f"{name}.json").write_text(json.dumps(part, indent=1) + "\n")


if __name__ == "__main__":
    asyncio.run(main())
