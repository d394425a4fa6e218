"""The ``email2sms`` command: a door onto the service, for people and scripts."""

from __future__ import annotations

import gc
import os
import sys

EX_CONFIG = 78
EX_TEMPFAIL = 75
COLLECT_EVERY = 20_000
"""Allocations between two looks for garbage. Python's 700 make an eighth of the start, in which nothing is garbage."""

is_program = False
"""This process is the command, and not another that calls a verb: the log may be set up for it."""


def main() -> None:
    """Run the command. A configuration that cannot be used ends it with 78, a database that is away with 75
    (sysexits.h)."""
    global is_program  # noqa: PLW0603 (one for the process, as its standard error)
    gc.set_threshold(COLLECT_EVERY)
    from gateway.cli.app import app  # noqa: PLC0415  (a broken pipe or Ctrl-C during the imports shows no traceback)
    from gateway.settings.faults import ConfigError, Unavailable  # noqa: PLC0415

    is_program = True
    try:
        app()
    except ConfigError as error:
        print(error, file=sys.stderr)
        sys.exit(EX_CONFIG)
    except Unavailable as error:
        print(error, file=sys.stderr)
        sys.exit(EX_TEMPFAIL)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
