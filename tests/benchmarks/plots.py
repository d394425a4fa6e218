"""Figures as SVG: bars, and lines over named steps. For a README: on white or on black."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path

WIDTH, ROW, LEFT = 780, 24, 255
TOP = 34
INK, OURS, OTHERS = "#808080", "#1a9e6a", "#8aa0b8"
COLOURS = (OURS, "#2f6fb5", "#c2632d", "#8a4fb0")


def bars(path: Path, title: str, unit: str, values: Mapping[str, float], *, least: bool = False) -> None:
    """One bar each; ours are green. ``least``: the shorter the better."""
    longest = max(values.values())
    shapes = []
    for number, (name, value) in enumerate(values.items()):
        y, length = TOP + number * ROW, (WIDTH - LEFT - 70) * value / longest
        colour = OURS if name.startswith("email2sms") else OTHERS
        shapes.append(_text(LEFT - 8, y + 13, name, 'text-anchor="end"'))
        shapes.append(f'<rect x="{LEFT}" y="{y}" width="{max(1.0, length):.1f}" height="{ROW - 7}" fill="{colour}"/>')
        shapes.append(_text(LEFT + length + 6, y + 13, shown(value)))
    _write(path, title, f"{unit}, less is better" if least else unit, shapes, TOP + len(values) * ROW)


def lines(path: Path, title: str, unit: str, over: Sequence[str], values: Mapping[str, Sequence[float]]) -> None:
    """A line each, over the same steps."""
    height = 170
    most = max(max(line) for line in values.values()) * 1.1
    xs = [LEFT + number * (WIDTH - LEFT - 40) / max(1, len(over) - 1) for number in range(len(over))]
    shapes = []
    for part in (0, 0.5, 1):
        y = TOP + height * (1 - part)
        shapes.append(f'<path d="M{LEFT} {y}H{WIDTH - 30}" stroke="{INK}" stroke-opacity="0.3"/>')
        shapes.append(_text(LEFT - 8, y + 4, shown(most * part), 'text-anchor="end"'))
    shapes += [_text(x, TOP + height + 18, label, 'text-anchor="middle"') for x, label in zip(xs, over, strict=True)]
    for number, (name, line) in enumerate(values.items()):
        colour = COLOURS[number % len(COLOURS)]
        points = " ".join(f"{x:.1f},{TOP + height * (1 - y / most):.1f}" for x, y in zip(xs, line, strict=True))
        shapes.append(f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2.5"/>')
        shapes.append(_text(0, TOP + 14 + number * 18, name, f'fill="{colour}"'))
    _write(path, title, unit, shapes, TOP + height + 26)


def shown(value: float) -> str:
    """Three digits of it."""
    digits = 0 if value >= 100 or value == 0 else max(0, 2 - math.floor(math.log10(abs(value))))
    return f"{value:,.{min(digits, 2)}f}"


def _text(x: float, y: float, what: str, more: str = "") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" {more}>{escape(what)}</text>'


def _write(path: Path, title: str, unit: str, shapes: Sequence[str], height: float) -> None:
    heads = (_text(0, 16, title, 'font-weight="bold"'), _text(WIDTH, 16, unit, 'text-anchor="end"'))
    body = "\n".join([*heads, *shapes])
    path.write_text(
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:.0f}" font-family="sans-serif" '
        f'font-size="13" fill="{INK}">\n{body}\n</svg>\n',
        "utf-8",
    )
