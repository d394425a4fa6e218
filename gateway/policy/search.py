"""The one query language of the console, the command line and the API: ``account:shop status:failed after:2h``.

Words of the same key are alternatives, different keys must all hold, ``-`` before a key excludes. A word without a key
is an id or a number.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo
from enum import StrEnum

from gateway.lifecycle import State
from gateway.sms import numbers
from gateway.verdicts import REASONS, Refused


class Key(StrEnum):
    """What may be asked for."""

    TO = "to"
    """A phone number, in any spelling."""
    FROM = "from"
    """The originator that the handset shows, or the mail address of the sender."""
    ACCOUNT = "account"
    STATUS = "status"
    VERDICT = "verdict"
    PROVIDER = "provider"
    DIALECT = "dialect"
    ID = "id"
    """Of the mail, of the SMS, or the provider's."""
    AFTER = "after"
    BEFORE = "before"
    ANY = ""
    """No key was given: an id or a number."""


KEYS = tuple(key.value for key in Key if key is not Key.ANY)
TIMES = (Key.AFTER, Key.BEFORE)
REFUSED = "refused"
"""The status of what was refused before sending: a whole mail, or one of its destinations."""
OPEN = "open"
"""The status of all that is not at its end."""
_OPEN = (State.QUEUED, State.SUBMITTING, State.HELD, State.UNCERTAIN)
STATUSES = (*(state.value for state in State), REFUSED, OPEN)
MAX_LENGTH = 2000
MAX_VALUES = 50
"""Of one key: each may be a look of its own into an index."""


@dataclass(frozen=True, slots=True)
class Term:
    """One of ``values`` must hold, or none of them if ``denied``. The values are checked and in their one spelling."""

    key: Key
    values: tuple[str, ...]
    denied: bool = False


@dataclass(frozen=True, slots=True)
class Query:
    """Everything must hold. Nothing given: all there is."""

    terms: tuple[Term, ...] = ()
    after: float | None = None
    """Seconds since the epoch; that moment included."""
    before: float | None = None
    """That moment excluded."""

    def narrowed(self, key: Key, values: tuple[str, ...]) -> Query:
        """And one of these as well."""
        return Query((*self.terms, Term(key, values)), self.after, self.before)


class Mistake(Exception):
    """The query cannot be understood. ``what`` is one of ``MISTAKES``, ``word`` the word that is wrong."""

    def __init__(self, what: str, word: str, known: tuple[str, ...] = ()) -> None:
        self.what, self.word, self.known = what, word, known
        super().__init__(MISTAKES[what].format(word=word, known=", ".join(known)))


MISTAKES = {
    "key": "{word}: is no key; the keys are {known}. Put quotation marks around a word that has a colon in it",
    "value": "{word}: a value is missing after the colon",
    "quote": "{word} begins with a quotation mark that does not end",
    "status": "{word} is no status; it is one of {known}",
    "verdict": "{word} is no verdict; it is one of {known}",
    "time": "{word} is no time; write {known}",
    "once": "{word}: can be given only once, and not be excluded",
    "long": "the query is too long: {word}",
}
_TIME_FORMS = ("30m, 2h, 7d, 2w", "today, yesterday", "14:30", "2026-11-26", "2026-11-26T14:30")

# A value may be quoted after its key, a whole word by itself. A quotation mark inside is written twice.
_WORD = re.compile(r'\s*(-?)(?:([^\s":]*):)?(?:"((?:[^"]|"")*)"|(\S*))', re.DOTALL)
_PLAIN = re.compile(r'[^\s":]+')


def parse(text: str, now: datetime) -> Query:
    """What somebody means who types this at the time ``now``, whose zone is that of his clock. Raises ``Mistake``."""
    if len(text) > MAX_LENGTH:
        raise Mistake("long", f"{len(text)} of {MAX_LENGTH} characters")
    found: dict[tuple[Key, bool], list[str]] = {}
    times: dict[Key, float] = {}
    for key, value, denied in _words(text):
        if key in TIMES:
            if denied or key in times:
                raise Mistake("once", key.value)
            times[key] = _time(value, now)
            continue
        values = found.setdefault((key, denied), [])
        values += [one for one in _checked(key, value) if one not in values]
        if len(values) > MAX_VALUES:
            raise Mistake("long", f"{len(values)} of {MAX_VALUES} values of {key.value or 'one key'}")
    terms = tuple(Term(key, tuple(values), denied) for (key, denied), values in found.items())
    return Query(terms, times.get(Key.AFTER), times.get(Key.BEFORE))


def word(key: Key, value: str) -> str:
    """As it is written in a query: ``from:"My Bank"``."""
    prefix = f"{key.value}:" if key is not Key.ANY else ""
    plain = _PLAIN.fullmatch(value) and not value.startswith("-")
    return prefix + (value if plain else '"' + value.replace('"', '""') + '"')


def _words(text: str) -> Iterator[tuple[Key, str, bool]]:
    at, text = 0, text.replace("\0", " ").rstrip()  # PostgreSQL has no NUL
    while at < len(text):
        match = _WORD.match(text, at)
        assert match is not None  # it takes anything that is not blank
        at = match.end()
        minus, name, quoted, bare = match.groups()
        if bare is not None and bare.startswith('"'):
            raise Mistake("quote", bare)
        value = quoted.replace('""', '"') if quoted is not None else bare
        if name is None:
            if value.strip():
                yield Key.ANY, value.strip(), bool(minus)
            continue
        if name.lower() not in KEYS:
            raise Mistake("key", name, KEYS)
        if not value.strip():
            raise Mistake("value", name)
        yield Key(name.lower()), value.strip(), bool(minus)


def _checked(key: Key, value: str) -> tuple[str, ...]:
    match key:
        case Key.STATUS:
            return _status(value)
        case Key.VERDICT:
            return (_verdict(value),)
        case Key.TO:
            return _number(value)
        case Key.ID:
            return tuple(dict.fromkeys((value, value.upper())))
        case Key.ANY:
            return tuple(dict.fromkeys((value, value.upper(), *_number(value))))
        case Key.FROM:
            return (value.lower() if "@" in value else value,)
        case _:
            return (value,)


def _status(value: str) -> tuple[str, ...]:
    name = value.lower()
    if name not in STATUSES:
        raise Mistake("status", value, STATUSES)
    return tuple(state.value for state in _OPEN) if name == OPEN else (name,)


VERDICTS = tuple(sorted({reason.verdict.code for reason in REASONS.values()}))


def _verdict(value: str) -> str:
    """``no-list`` and ``NO LIST`` are the same; ``MSG:7`` is a provider's own code; a reason's key is narrower."""
    if value.lower() in REASONS:
        return value.lower()
    name = value.upper()
    spelled = name.replace("-", " ").replace("_", " ")
    if spelled in VERDICTS:
        return spelled
    if name.startswith("MSG:") and name != "MSG:":
        return f"MSG:{value[4:]}"
    raise Mistake("verdict", value, VERDICTS)


def _number(value: str) -> tuple[str, ...]:
    """The number, and the word as it is: what is no number was refused, and is stored as it was typed."""
    try:
        return tuple(dict.fromkeys((numbers.parse(value), value)))
    except Refused:
        return (value,)


# ── times ────────────────────────────────────────────────────────────────────────────────────

_AGO = re.compile(r"(\d{1,6})\s*(s|min|m|h|d|w)", re.ASCII)
_UNITS = {"s": 1, "m": 60, "min": 60, "h": 3600, "d": 86400, "w": 7 * 86400}
_CLOCK = re.compile(r"\d{1,2}:\d{2}(:\d{2})?", re.ASCII)


def _time(value: str, now: datetime) -> float:
    """A day means its beginning, on the clock of ``now``."""
    text = value.lower()
    if ago := _AGO.fullmatch(text):
        return now.timestamp() - int(ago[1]) * _UNITS[ago[2]]
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0, fold=0)
    if text in ("today", "yesterday"):
        return (midnight - timedelta(days=text == "yesterday")).timestamp()
    if _CLOCK.fullmatch(text):
        value = f"{midnight.date().isoformat()}T{text.zfill(5) if text.count(':') == 1 else text.zfill(8)}"
    try:
        return _in_zone(datetime.fromisoformat(value), now.tzinfo).timestamp()
    except (ValueError, OverflowError):
        raise Mistake("time", value, _TIME_FORMS) from None


def _in_zone(given: datetime, zone: tzinfo | None) -> datetime:
    return given if given.tzinfo is not None else given.replace(tzinfo=zone)
