"""Charts, drawn on the server as SVG: numbers in, markup out. Colours are classes of the style sheet, every chart has a
title and a description, and the page can show the same numbers as a table."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from markupsafe import Markup

WIDTH, HEIGHT = 460, 190
"""Of the drawing, in its own units: about as wide as half a page, and readable on a phone."""
LEFT, RIGHT, TOP, BOTTOM = 44, 8, 10, 22
_TEXT = Markup('<text class="{}" x="{}" y="{}" text-anchor="{}">{}</text>')

Format = Callable[[float], str]


@dataclass(frozen=True, slots=True)
class Series:
    """One line or one layer of columns. None: nothing is known."""

    name: str
    style: str
    """``s1`` to ``s5``, ``good``, ``bad``, ``warn``, ``wait``."""
    values: Sequence[float | None]


@dataclass(frozen=True, slots=True)
class Rule:
    """A horizontal line that means something."""

    at: float
    words: str


@dataclass(frozen=True, slots=True)
class Chart:
    """A drawing, and the same as a table."""

    name: str
    """Unique on the page."""
    title: str
    drawing: Markup
    legend: tuple[Series, ...]
    heads: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...] = field(default=())


@dataclass(frozen=True, slots=True)
class Scale:
    """Values to heights: from ``low`` at the bottom to ``high``."""

    low: float
    high: float
    log: bool = False

    def y(self, value: float) -> float:
        """Where it is drawn."""
        low, high, value = self.low, self.high, min(max(value, self.low), self.high)
        if self.log:
            low, high, value = math.log10(low), math.log10(high), math.log10(value)
        share = (value - low) / (high - low) if high > low else 0.0
        return round(HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM), 1)


def nice(most: float) -> tuple[float, ...]:
    """Round steps from zero to at least ``most``."""
    if most <= 0:
        return 0.0, 1.0
    step = 10.0 ** math.floor(math.log10(most))
    step = next(step * factor for factor in (0.25, 0.5, 1.0, 2.5) if most / (step * factor) <= 4.001)
    if most >= 1:
        step = max(1.0, step)
    return tuple(step * n for n in range(math.ceil(most / step - 1e-9) + 1))


def nice_seconds(most: float) -> tuple[float, ...]:
    """The same for lengths of time."""
    steps = (1.0, 2.0, 5.0, 15.0, 30.0, 60.0, 120.0, 300.0, 900.0, 1800.0, 3600.0, 7200.0, 21600.0, 43200.0, 86400.0)
    step = next((step for step in steps if most / step <= 4), 86400.0 * max(1, math.ceil(most / 4 / 86400.0)))
    return tuple(step * n for n in range(max(1, math.ceil(most / step)) + 1))


def columns(name: str, title: str, labels: Sequence[str], series: Sequence[Series], shown: Format) -> Chart:
    """Stacked columns, one for each label."""
    heights = [sum(one.values[i] or 0.0 for one in series) for i in range(len(labels))]
    ticks = nice(max(heights, default=0.0))
    scale, step = Scale(0.0, ticks[-1]), (WIDTH - LEFT - RIGHT) / max(1, len(labels))
    drawn = [_frame(scale, ticks, shown)]
    for i, label in enumerate(labels):
        below, x = 0.0, LEFT + i * step + step * 0.14
        parts = ", ".join(f"{one.name} {shown(one.values[i] or 0.0)}" for one in series)
        bars = Markup("")
        for one in series:
            value = one.values[i] or 0.0
            if value > 0:
                top, bottom = scale.y(below + value), scale.y(below)
                bars += Markup('<rect class="{}" x="{:.1f}" y="{}" width="{:.1f}" height="{:.1f}" rx="1"/>').format(
                    one.style, x, top, step * 0.72, max(0.8, bottom - top)
                )
                below += value
        drawn.append(Markup("<g>{}<title>{}</title></g>").format(bars, f"{label}: {parts}"))
    drawn.append(_labels(labels, step, LEFT + step / 2))
    rows = tuple((label, *(shown(one.values[i] or 0.0) for one in series)) for i, label in enumerate(labels))
    return _chart(name, title, series, drawn, (labels, rows), shown)


def lines(  # noqa: PLR0913
    name: str,
    title: str,
    labels: Sequence[str],
    series: Sequence[Series],
    shown: Format,
    *,
    ticks: Sequence[float] = (),
    log: bool = False,
    rules: Sequence[Rule] = (),
    area: bool = False,
) -> Chart:
    """Lines over the same labels; where nothing is known they have gaps. ``ticks`` are needed for ``log``."""
    known = [value for one in series for value in one.values if value is not None]
    most = max([*known, *(rule.at for rule in rules)], default=0.0)
    marks = tuple(ticks) or nice(most)
    scale = Scale(marks[0], marks[-1], log)
    step = (WIDTH - LEFT - RIGHT) / max(1, len(labels) - 1)
    drawn = [_frame(scale, marks, shown)]
    for rule in rules:
        y = scale.y(rule.at)
        drawn.append(Markup('<line class="rule" x1="{}" x2="{}" y1="{}" y2="{}"/>').format(LEFT, WIDTH - RIGHT, y, y))
        drawn.append(_TEXT.format("rule-words", LEFT + 3, y - 4, "start", rule.words))
    for one in series:
        for piece in _pieces(one.values):
            points = [(LEFT + i * step, scale.y(value)) for i, value in piece]
            drawn.append(_line(points, one.style, area=area))
    drawn.append(_labels(labels, step, LEFT))
    rows = tuple(
        (label, *("–" if (value := one.values[i]) is None else shown(value) for one in series))
        for i, label in enumerate(labels)
    )
    return _chart(name, title, series, drawn, (labels, rows), shown)


def spark(values: Sequence[float]) -> Markup:
    """A small line without words: what it shows stands beside it."""
    most = max([*values, 1.0])
    step = 100 / max(1, len(values) - 1)
    points = [(round(i * step, 1), round(22 - value / most * 20, 1)) for i, value in enumerate(values)]
    path = " ".join(f"{x},{y}" for x, y in points)
    return Markup(
        '<svg class="spark" viewBox="0 0 100 24" preserveAspectRatio="none" aria-hidden="true">'
        '<polygon points="0,24 {0} 100,24"/><polyline points="{0}"/></svg>'
    ).format(path)


def bar(share: float, style: str = "s1") -> Markup:
    """A bar as long as the share; its number stands beside it."""
    width = round(min(max(share, 0.0), 1.0) * 100, 2)
    return Markup(
        '<svg class="bar" viewBox="0 0 100 10" preserveAspectRatio="none" aria-hidden="true">'
        '<rect class="back" width="100" height="10" rx="2"/><rect class="{}" width="{}" height="10" rx="2"/></svg>'
    ).format(style, width if width == 0 else max(0.6, width))


# ── pieces ───────────────────────────────────────────────────────────────────────────────────


def _frame(scale: Scale, ticks: Sequence[float], shown: Format) -> Markup:
    drawn = Markup("")
    for tick in ticks:
        y = scale.y(tick)
        drawn += Markup('<line class="grid" x1="{}" x2="{}" y1="{}" y2="{}"/>').format(LEFT, WIDTH - RIGHT, y, y)
        drawn += _TEXT.format("axis", LEFT - 5, y + 3.5, "end", shown(tick))
    return drawn


def _labels(labels: Sequence[str], step: float, start: float) -> Markup:
    """As many as there is room for."""
    every = next(n for n in _EVERY if len(labels) / n <= 7.01)
    drawn = Markup("")
    for i in range(0, len(labels), every):
        x = start + i * step
        anchor = "end" if x > WIDTH - RIGHT - 16 else "start" if x < LEFT + 4 and start == LEFT else "middle"
        drawn += _TEXT.format("axis", round(x, 1), HEIGHT - 6, anchor, labels[i])
    return drawn


_EVERY = (1, 2, 3, 4, 6, 8, 12, 16, 24, 48, 96, 10**9)


def _pieces(values: Sequence[float | None]) -> list[list[tuple[int, float]]]:
    pieces: list[list[tuple[int, float]]] = [[]]
    for i, value in enumerate(values):
        if value is None:
            pieces.append([])
        else:
            pieces[-1].append((i, value))
    return [piece for piece in pieces if piece]


def _line(points: Sequence[tuple[float, float]], style: str, *, area: bool) -> Markup:
    if len(points) == 1:
        return Markup('<circle class="{}" cx="{:.1f}" cy="{}" r="2.5"/>').format(style, *points[0])
    path = " ".join(f"{x:.1f},{y}" for x, y in points)
    drawn = Markup('<polyline class="{}" points="{}"/>').format(style, path)
    if not area:
        return drawn
    ground = HEIGHT - BOTTOM
    ends = f"{points[0][0]:.1f},{ground} {path} {points[-1][0]:.1f},{ground}"
    return Markup('<polygon class="{}" points="{}"/>').format(style, ends) + drawn


def _chart(
    name: str,
    title: str,
    series: Sequence[Series],
    drawn: Sequence[Markup],
    table: tuple[Sequence[str], tuple[tuple[str, ...], ...]],
    shown: Format,
) -> Chart:
    labels, rows = table
    told = [
        f"{one.name}: {shown(last)} ({labels[i]})"
        for one in series
        for i, last in [next(((i, v) for i, v in reversed(list(enumerate(one.values))) if v is not None), (0, None))]
        if last is not None
    ]
    drawing = Markup(
        '<svg class="chart" viewBox="0 0 {} {}" role="img" aria-labelledby="{}-title {}-desc">'
        '<title id="{}-title">{}</title><desc id="{}-desc">{}</desc>{}</svg>'
    ).format(WIDTH, HEIGHT, name, name, name, title, name, "; ".join(told), Markup("").join(drawn))
    return Chart(name, title, drawing, tuple(series), ("", *(one.name for one in series)), rows)
