"""What verbs show to people."""

from __future__ import annotations

from rich.console import Console
from rich.markup import escape

from gateway.model import Note

console = Console()


def note_words(note: Note) -> tuple[str, str]:
    """A note of the trail as two cells of a table; the parts of a mail one below the other."""
    from gateway.mail.outline import MADE_OF  # noqa: PLC0415  (who shows no trail reads no mails)

    glue = "\n" if note.what == MADE_OF else ", "
    return escape(note.what), escape(glue.join(f"{key} {value}" for key, value in note.values.items()))
