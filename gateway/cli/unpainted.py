"""A library without what it prints in colours."""

from __future__ import annotations

import sys
from importlib import import_module


def load(name: str) -> None:
    """Import it as if there were no rich: structlog brings it and pygments, a tenth of a start, for tracebacks that
    nobody sees here."""
    is_free = "rich" not in sys.modules
    if is_free:
        sys.modules["rich"] = None  # type: ignore[assignment]
    try:
        import_module(name)
    finally:
        if is_free:
            del sys.modules["rich"]
