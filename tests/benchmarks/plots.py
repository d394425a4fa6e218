"""Figures as SVG: bars, and lines over named steps. For a README: on white or on black."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path

WIDTH, ROW, LEFT = 780, 24, 255
INK, OURS, OTHERS = "#808080", "#1a9e6a", "#8aa0b8"
COLOURS = ("#1a9e6a", "#2f6fb5", "#c2632d", "#8a4fb0")


def bars(path: Path, title: str, unit: str, values: Mapping[str, float], *, least: bool = False) -> None:
    """One bar each; ours are green. ``least``: the shorter the better."""
    top, longest = 34, max(values.values())
    rows = [f'<text x="0" y="16" font-weight="bold">{escape(title)}</text>']
    rows.append(
        f'<text x="{WIDTH}" y="16" text-anchor="end">{escape(unit)}{", less is better" if least else ""}</text>'
    )
    for number, (name, value) in enumerate(values.items()):
        y, length = top + number * ROW, (WIDTH - LEFT - 70) * value / longest
        colour = OURS if name.startswith("email2sms") else OTHERS
        rows.append(f'<text x="{LEFT - 8}" y="{y + 13}" text-anchor="end">{escape(name)}</text>')
        rows.append(f'<rect x="{LEFT}" y="{y}" width="{max(1.0, length):.1f}" height="{ROW - 7}" fill="{colour}"/>')
        rows.append(f'<text x="{LEFT + length + 6:.1f}" y="{y + 13}">{shown(value)}</text>')
    _write(path, rows, top + len(values) * ROW)


def lines(path: Path, title: str, unit: str, over: Sequence[str], values: Mapping[str, Sequence[float]]) -> None:
    """A line each, over the same steps."""
    top, height = 34, 170
    most = max(max(line) for line in values.values()) * 1.1
    step = (WIDTH - LEFT - 40) / max(1, len(over) - 1)
    rows = [f'<text x="0" y="16" font-weight="bold">{escape(title)}</text>']
    rows.append(f'<text x="{WIDTH}" y="16" text-anchor="end">{escape(unit)}</text>')
    for part in (0, 0.5, 1):
        y = top + height * (1 - part)
        rows.append(f'<path d="M{LEFT} {y}H{WIDTH - 30}" stroke="{INK}" stroke-opacity="0.3"/>')
        rows.append(f'<text x="{LEFT - 8}" y="{y + 4}" text-anchor="end">{shown(most * part)}</text>')
    for number, label in enumerate(over):
        x = LEFT + number * step
        rows.append(f'<text x="{x:.1f}" y="{top + height + 18}" text-anchor="middle">{escape(label)}</text>')
    for number, (name, line) in enumerate(values.items()):
        colour = COLOURS[number % len(COLOURS)]
        points = " ".join(
            f"{LEFT + i * step:.1f},{top + height * (1 - value / most):.1f}" for i, value in enumerate(line)
        )
        rows.append(f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2.5"/>')
        rows.append(f'<text x="0" y="{top + 14 + number * 18}" fill="{colour}">{escape(name)}</text>')
    _write(path, rows, top + height + 26)


def shown(value: float) -> str:
    """Three digits of it."""
    digits = 0 if value >= 100 or value == 0 else max(0, 2 - math.floor(math.log10(abs(value))))
    return f"{value:,.{min(digits, 2)}f}"


def _write(path: Path, rows: Sequence[str], height: float) -> None:
    body = "\n".join(rows)
    path.write_text(
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:.0f}" font-family="sans-serif" '
        f'font-size="13" fill="{INK}">\n{body}\n</svg>\n',
        "utf-8",
    )
