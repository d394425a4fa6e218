"""The log: one event a line on standard error. No secrets, no bodies, no full phone numbers.

Where it cannot be written (a closed pipe, a full disk), lines are dropped and counted: whoever logs never learns.
"""

from __future__ import annotations

import json
import logging
import re
import sys
from typing import Literal, TextIO, cast

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from gateway import metrics
from gateway.sms.numbers import mask
from gateway.watch.lines import Lines

_TELLING = re.compile(r"(DETAIL: +)[^\n]*|(?<![\w.])\+?\d{10,15}(?![\w.])")
"""Numbers, and the row that PostgreSQL refuses: it shows it, with the words of the SMS."""
_NOT_NUMBERS = frozenset({"provider_id", "timestamp", "queue_id", "job", "first"})
CHATTY = ("httpx", "httpcore", "aiohttp", "mail.log", "mail.error", "asyncio", "alembic", "sqlalchemy")
"""Their INFO and DEBUG print URLs with passwords, or the lines of a mail."""


def mask_numbers(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Whatever looks like a phone number in any value is masked, wherever it came from."""
    for key, value in event.items():
        if isinstance(value, str) and key not in _NOT_NUMBERS:
            event[key] = _TELLING.sub(_hidden, value)
    return event


def _hidden(found: re.Match[str]) -> str:
    return f"{found[1]}(hidden)" if found[1] else mask(found[0])


def _without_none(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    return {key: value for key, value in event.items() if value is not None}


def _count_alerts(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    if event.get("alert"):
        metrics.alerts[str(event["event"])].inc()
    return event


_encode = json.JSONEncoder(ensure_ascii=False, default=repr).encode
"""``json.dumps`` would make an encoder for each line."""


def _json(_logger: WrappedLogger, _method: str, event: EventDict) -> str:
    return _encode(event)


def set_up(level: str, form: Literal["auto", "json", "console"]) -> None:
    """Configure structlog and the standard library's logging for this process."""
    lines = _standard_error()
    colourful = lines.isatty()
    console = form == "console" or (form == "auto" and colourful)
    shared: list[Processor] = [
        structlog.processors.add_log_level,
        _count_alerts,
        structlog.processors.TimeStamper(fmt="%H:%M:%S" if console else "iso", utc=not console),
        _without_none,
        structlog.processors.format_exc_info,  # before the masking: a traceback quotes what it fell over
        mask_numbers,
    ]
    renderer: list[Processor] = (
        [structlog.dev.ConsoleRenderer(colors=colourful, sort_keys=False)] if console else [_json]
    )
    structlog.configure(
        processors=[*shared, *renderer],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=structlog.WriteLoggerFactory(lines),
        cache_logger_on_first_use=True,
    )
    logging.basicConfig(stream=lines, level=logging.WARNING, format="%(levelname)s %(name)s %(message)s")
    for name in CHATTY:
        logging.getLogger(name).setLevel(logging.WARNING)


def _standard_error() -> TextIO:
    """Whatever stands in its place inside a test or another program has no descriptor, and does not break."""
    try:
        return cast(TextIO, Lines(sys.stderr.fileno()))
    except (OSError, ValueError, AttributeError):
        return sys.stderr
