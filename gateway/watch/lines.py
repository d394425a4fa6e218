"""Lines to a descriptor that may be gone: a log that cannot be written stops nothing but the log."""

from __future__ import annotations

import os
import threading


class Lines:
    """A text stream for structlog and ``logging``. What cannot be written is dropped and counted; as soon as writing
    works again, a line says how many.

    Past Python's own stream: that keeps what it could not write, and fails with it again and again.
    """

    encoding = "utf-8"

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._lock = threading.Lock()
        self.dropped = 0
        """Since the last line that could be written."""
        self._in_a_line = False
        """A disk that is full may take the beginning of one."""

    def write(self, text: str) -> int:
        """All of it or, as far as that is in our hands, nothing. Never raises."""
        data = text.encode(self.encoding, "backslashreplace")
        with self._lock:
            if self.dropped or self._in_a_line:
                data = self._after_a_gap() + data
            if self._put(data):
                self.dropped = 0
            else:
                self.dropped += 1
        return len(text)

    def _after_a_gap(self) -> bytes:
        newline = b"\n" if self._in_a_line else b""
        if not self.dropped:
            return newline
        return newline + b'{"event": "log.dropped", "level": "warning", "count": %d}\n' % self.dropped

    def _put(self, data: bytes) -> bool:
        left = memoryview(data)
        try:
            while left:
                left = left[os.write(self._descriptor, left) :]
        except OSError:
            self._in_a_line = len(left) < len(data) or self._in_a_line
            return False
        self._in_a_line = False
        return True

    def flush(self) -> None:
        """Nothing is kept back."""

    def isatty(self) -> bool:
        """Whether somebody looks at it."""
        try:
            return os.isatty(self._descriptor)
        except OSError:
            return False
