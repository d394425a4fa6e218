"""What mail programs and offices add to a text, cut by the account's wishes. A note says how much went, never what."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from gateway.model import Note
from gateway.text.links import joined
from gateway.text.monitoring import shortened
from gateway.text.quoting import without_quotations

MAX_CHARACTERS = 100_000
"""More than the longest SMS has (255 parts), and all that is looked at: a hostile text costs 0.3 s at most."""
_BLANKS = re.compile(r"\n{3,}")


class LinePattern(Protocol):
    """A compiled pattern, however it was compiled."""

    def search(self, line: bytes) -> object | None:
        """Something, if it is found in the line (UTF-8)."""


def line_pattern(pattern: str) -> LinePattern:
    """Compile with RE2, for which no text is slow: ``re`` needs hours for ``(a+)+$`` and a line of 40 letters.

    Raises ``ValueError``, also for what RE2 leaves out: look-around and back-references.
    """
    import re2  # noqa: PLC0415  (who has no patterns does not pay for it)

    options = re2.Options()
    options.case_sensitive = False
    options.log_errors = False
    options.max_mem = 1 << 20
    try:
        compiled: LinePattern = re2.compile(pattern, options)
    except re2.error as error:
        said = error.args[0].decode("utf-8", "replace") if error.args else "not understood"
        raise ValueError(f"no regular expression of RE2: {said}; see github.com/google/re2/wiki/Syntax") from None
    if compiled.search(b""):
        raise ValueError("is found in an empty line, so it would cut everything; name what stands there")
    return compiled


@dataclass(frozen=True, slots=True)
class Cuts:
    """What is cut. The default cuts nothing."""

    end_markers: tuple[str, ...] = ()
    """The text ends before the first."""
    cut_from: tuple[LinePattern, ...] = ()
    """The first line in which one is found goes, and all below."""
    quotes: bool = False
    monitoring: bool = False
    links: bool = False
    blank_lines: bool = False
    max_lines: int | None = None


def cut(text: str, cuts: Cuts, notes: list[Note]) -> str:
    """All cuts in order. One that would leave nothing is not made: a wrong text in an alarm is better than none."""
    steps: tuple[tuple[object, str, Callable[[str], str]], ...] = (
        (cuts.end_markers, "cut at an end marker", lambda text: _before_marker(text, cuts.end_markers)),
        (cuts.cut_from, "cut from a pattern of the account", lambda text: _before_pattern(text, cuts.cut_from)),
        (cuts.quotes, "quoted mail left out", without_quotations),
        (cuts.monitoring, "monitoring mail made short", lambda text: shortened(text) or text),
        (cuts.links, "links made whole", joined),
        (cuts.blank_lines, "blank lines left out", _without_blanks),
        (cuts.max_lines, "cut after so many lines", lambda text: _first_lines(text, cuts.max_lines or 0)),
    )
    if len(text) > MAX_CHARACTERS and any(wanted for wanted, _, _ in steps):
        notes.append(Note("text", "only the beginning looked at", {"characters": MAX_CHARACTERS}))
        text = text[:MAX_CHARACTERS]
    for wanted, what, step in steps:
        if wanted and (shorter := step(text)) != text:
            values: dict[str, str | int] = {
                "lines": text.count("\n") - shorter.count("\n"),
                "characters": len(text) - len(shorter),
            }
            if shorter.strip():
                notes.append(Note("text", what, values))
                text = shorter
            else:
                notes.append(Note("text", f"not {what}: nothing would be left", values))
    return text


def _before_marker(text: str, markers: tuple[str, ...]) -> str:
    found = re.search("|".join(map(re.escape, markers)), text, re.IGNORECASE)
    return text[: found.start()].rstrip() if found else text


def _before_pattern(text: str, patterns: tuple[LinePattern, ...]) -> str:
    lines = text.split("\n")
    for index, line in enumerate(lines):
        encoded = line.encode("utf-8", "replace")
        if any(pattern.search(encoded) for pattern in patterns):
            return "\n".join(lines[:index]).rstrip()
    return text


def _without_blanks(text: str) -> str:
    return _BLANKS.sub("\n\n", "\n".join(line.rstrip() for line in text.split("\n"))).strip("\n")


def _first_lines(text: str, limit: int) -> str:
    lines = text.split("\n")
    filled = [index for index, line in enumerate(lines) if line.strip()]
    return "\n".join(lines[: filled[limit - 1] + 1]) if len(filled) > limit else text
