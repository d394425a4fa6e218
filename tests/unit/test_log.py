"""What must not be in the log, wherever it comes from."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys

import pytest

from gateway.watch.lines import Lines

PROGRAM = """
import sys, structlog
from gateway.watch.log import set_up
set_up("info", sys.argv[1])
log = structlog.get_logger()
log.info("sms.sent", why="to +79101234567, twice", provider_id="79101234567000")
try:
    raise LookupError("79101234567 failed\\nDETAIL:  Failing row contains (79101234567, Ваш код 1234).")
except LookupError:
    log.exception("relay.fault", what="a look")
"""


@pytest.mark.parametrize("form", ["json", "console"])
def test_no_number_and_no_text(form: str) -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM, form], check=True, capture_output=True, text=True)
    assert done.stdout == ""
    assert "to 7910***4567, twice" in done.stderr or "to +791***4567, twice" in done.stderr
    assert "7910***4567 failed" in done.stderr
    assert "Traceback" in done.stderr
    assert "79101234567 " not in done.stderr
    assert "Ваш код" not in done.stderr
    assert "79101234567000" in done.stderr  # an id is no number


def test_lines_that_nobody_takes_are_counted() -> None:
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    lines = Lines(writer)
    while not lines.dropped:
        lines.write("x" * 5000 + "\n")
    lines.write("lost\n")
    taken = b""
    os.set_blocking(reader, False)
    with contextlib.suppress(BlockingIOError):
        while True:
            taken += os.read(reader, 65536)
    lines.write("again\n")
    after = os.read(reader, 65536)
    assert (taken + after).decode().splitlines()[-2:] == [
        '{"event": "log.dropped", "level": "warning", "count": 2}',
        "again",
    ]
    assert lines.dropped == 0
    os.close(reader)
    lines.write("to nobody\n")
    os.close(writer)
    lines.write("to nothing\n")
    assert lines.dropped == 2
