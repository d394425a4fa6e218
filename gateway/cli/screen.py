"""What verbs show to people."""

from __future__ import annotations

from rich.console import Console
from rich.markup import escape

from gateway.model import Note

console = Console()


def note_words(note: Note) -> tuple[str, str]:
    """A note of the trail as two cells of a table."""
    return escape(note.what), escape(", ".join(f"{key} {value}" for key, value in note.values.items()))
