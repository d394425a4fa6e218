"""What changes for us with the mails, the sessions and what is in the store."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

from gateway.service.figures import Figures
from tests.benchmarks import plots
from tests.benchmarks.claims import YEAR_S, fill, opened
from tests.benchmarks.generator import Wishes
from tests.benchmarks.runs import Peer, run, said
from tests.benchmarks.systems import ours
from tests.benchmarks.tables import Runs, median

DAY_S = 86400.0


async def ourselves(at: Peer, seconds: float, store: str, backlog: Sequence[int], rows: int) -> dict[str, Runs]:
    """By our own generator, on a store that grows: nothing in it, then what waits, at last also what is finished."""
    mails, result = int(400 * seconds), dict[str, Runs]()

    async def each(part: str, wanted: dict[str, Wishes]) -> None:
        runs = result.setdefault(part, {})
        with tempfile.TemporaryDirectory(prefix="bench-", ignore_cleanup_errors=True) as folder:
            async with ours(1, store)(Path(folder), at.port) as running:
                await run(running, at, Wishes(200), relays=True)
                for label, wishes in wanted.items():
                    runs[label] = [said(await run(running, at, wishes, relays=True, paced=True), part, label)]

    def at_both_rates(label: str) -> dict[str, Wishes]:
        return {label: Wishes(mails), f"{label}, 200/s": Wishes(int(200 * seconds), 200)}

    kinds = {
        "windows-1251, base64, template": Wishes(mails, form="template"),
        "STARTTLS and AUTH, connection kept": Wishes(mails, tls=True),
        "STARTTLS and AUTH, each mail": Wishes(mails // 4, tls=True, keep=False),
    }
    await each("mails", at_both_rates("plain ASCII") | kinds)
    await each("size", {f"{size / 1000:g} KB": Wishes(mails, size=size) for size in (500, 5_000, 50_000)})
    await each("sessions", {str(n): Wishes(mails, sessions=n) for n in (1, 20, 200)})
    for (had, _), (waiting, finished) in pairwise([(0, 0), *((n, 0) for n in backlog), (backlog[-1], rows)]):
        await grow(store, finished, waiting - had, after=had)
        label = f"{waiting:,} waiting" + (f", {finished:,} finished" if finished else "")
        await each("store", at_both_rates(label))
    return result


async def grow(store: str, finished: int, waiting: int, after: int) -> None:
    """So many more SMS; what waits is due tomorrow."""
    async with opened(store) as own:
        await Figures(own, YEAR_S).count()  # what comes in with an older date is not counted then, beside the runs
    tomorrow = time.time() + DAY_S
    later = f"UPDATE jobs SET due_at = {tomorrow}, expires_at = {tomorrow + DAY_S} WHERE state = 'queued'"
    await fill(store, finished, waiting, time.time() - 3600, [later], after=after)
    os.sync()  # or the first commits wait until the disk has taken all of that


def draw(out: Path, results: dict[str, dict[str, Runs]]) -> None:
    """SVG, of all engines."""
    for part, title in (("sessions", "Mails a second, by sessions"), ("size", "Mails a second, by size of a mail")):
        found = {
            f"{engine}, {key}": [median(runs, key) for runs in result[part].values()]
            for engine, result in results.items()
            for key in ("accepted", "relayed")
        }
        steps = list(next(iter(results.values()))[part])
        plots.lines(out / f"{part}.svg", title, "mails/s", steps, found)
