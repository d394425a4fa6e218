"""The story of a mail: what each room noted, in the order in which it happened."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gateway.model import Note


def trail_row(mail_id: str, job_id: str | None, at: float, notes: Sequence[Note]) -> dict[str, Any]:
    """Notes on a mail, or on one of its jobs."""
    return {
        "mail_id": mail_id,
        "job_id": job_id,
        "at": at,
        "notes": [[note.room, note.what, dict(note.values)] for note in notes],
    }
