"""Figures as Markdown."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

Runs = dict[str, list[dict[str, Any]]]
"""The figures (``runs.Figures``) of each round, by what ran."""

_PREFIXES = {"size": "mail of ", "sessions": "sessions: "}


def median(found: list[dict[str, Any]], key: str) -> float:
    """Of the rounds."""
    return float(statistics.median(one[key] for one in found))


def throughput(result: dict[str, Runs], sizes: Mapping[str, Mapping[str, float]]) -> str:
    """A system a line."""
    heads = ["accepted/s, kept", "new", "relayed/s, kept", "new", "CPU s per 1000, kept", "new", "start, s", "idle, MB"]
    rows = {}
    for name, own in sizes.items():
        kept, new = result["kept"][name], result["new"][name]
        cells = [f"{median(found, key):,.0f}" for key in ("accepted", "relayed") for found in (kept, new)]
        cells += [f"{median(found, 'cpu_s'):.2f}" for found in (kept, new)]
        cells += [f"{own['start_s']:.2f}", f"{own['idle_mb']:.0f}"]
        rows[name] = cells + [f"{own[key]:.1f}" if (key := f"kb_per_client_{n}") in own else "–" for n in (1000, 5000)]
    return _markdown([*heads, "kB per idle client: 1,000", "5,000"], rows)


def latency(result: dict[str, Runs]) -> str:
    """A system a line, two columns a rate."""
    heads = [head for rate in result for head in (f"{int(rate):,}/s: 250", "request")]
    names = dict.fromkeys(name for runs in result.values() for name in runs)
    return _markdown(heads, {name: [c for runs in result.values() for c in _waits(runs.get(name))] for name in names})


def ourselves(result: dict[str, Runs]) -> str:
    """What changed, a line each."""
    rows = {}
    for part, runs in result.items():
        for label, found in runs.items():
            cells = [f"{median(found, 'accepted'):.0f}", f"{median(found, 'relayed'):.0f}"]
            rows[_PREFIXES.get(part, "") + label] = [*cells, f"{median(found, 'cpu_s'):.2f}", *_waits(found)]
    heads = ["accepted/s", "relayed/s", "CPU s per 1000", "250, p50 / p99 ms", "request, p50 / p99 ms"]
    return _markdown(heads, rows)


def _waits(found: list[dict[str, Any]] | None) -> list[str]:
    if not found:
        return ["–", "–"]
    waits = found[0]["waits"]
    return [
        f"{waits[f'{what} p50']:.1f} / {waits[f'{what} p99']:.1f}" if waits.get(f"{what} p50") else "not seen"
        for what in ("250", "request")
    ]


def _markdown(heads: Sequence[str], rows: Mapping[str, Sequence[str]]) -> str:
    lines = ["|  | " + " | ".join(heads) + " |", "|---" * (len(heads) + 1) + "|"]
    return "\n".join([*lines, *("| " + " | ".join([name, *cells]) + " |" for name, cells in rows.items())])
