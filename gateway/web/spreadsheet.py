"""CSV for spreadsheets."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable


def line(cells: Iterable[object]) -> str:
    """One line. What a spreadsheet would take for a formula is made text."""
    written = io.StringIO()
    csv.writer(written).writerow(map(_harmless, cells))
    return written.getvalue()


def _harmless(cell: object) -> object:
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(("=", "+", "-", "@", "\t", "\r")) else cell
