"""Which providers may carry a destination, in which order."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Route:
    """Numbers that begin with ``prefix`` (E.164 digits; empty: all) go to these providers, the first one first."""

    prefix: str
    providers: tuple[str, ...]


def route(destination: str, routes: Iterable[Route]) -> tuple[str, ...]:
    """The providers of the longest matching prefix; none when no route takes the number."""
    matching = [r for r in routes if destination.startswith(r.prefix)]
    return max(matching, key=lambda r: len(r.prefix)).providers if matching else ()
