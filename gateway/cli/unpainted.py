"""Libraries without what they print in colours."""

from __future__ import annotations

import sys
from importlib import import_module


def load(*names: str) -> None:
    """Import them as if there were no rich: for tracebacks and a command of their own, which nobody sees here,
    structlog and httpx bring it and pygments, a tenth of a start."""
    is_free = "rich" not in sys.modules
    if is_free:
        sys.modules["rich"] = None  # type: ignore[assignment]
    try:
        for name in names:
            import_module(name)
    finally:
        if is_free:
            del sys.modules["rich"]
