"""Which events somebody wants: the query language of messages, and what only events have: ``kind:``, ``listener:``,
``peer:``.

Words of the same key are alternatives, different keys must all hold, ``-`` before a key excludes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import datetime

from gateway.policy import search
from gateway.policy.search import Key, Mistake, Term
from gateway.service.events import Event, Kind
from gateway.sms.numbers import mask

Wanted = Callable[[Event], bool]

_OWN = re.compile(r'(?:(?<=\s)|^)(-?)(kind|listener|peer):(?:"([^"]*)"|(\S+))')
_UNKNOWN = frozenset({Key.FROM, Key.DIALECT})
KEYS = ("kind", "listener", "peer", *(key for key in search.KEYS if Key(key) not in _UNKNOWN))


def wanted(line: str, now: datetime | None = None) -> Wanted:
    """Raises ``ValueError`` for what cannot be understood, with words for people."""
    own: dict[tuple[str, bool], list[str]] = {}
    for minus, key, quoted, bare in _OWN.findall(line):
        own.setdefault((key, bool(minus)), []).append((quoted or bare).lower())
    try:
        query = search.parse(_OWN.sub(" ", line), now or datetime.now().astimezone())
    except Mistake as mistake:
        if mistake.what == "key":
            raise ValueError(f"{mistake.word}: is no key here; {', '.join(KEYS)} are") from None
        raise ValueError(str(mistake)) from None
    tests = [_own(key, tuple(values), denied) for (key, denied), values in own.items()]
    tests += [_term(term) for term in query.terms]
    tests += list(_times(query.after, query.before))
    return lambda event: all(test(event) for test in tests)


def _own(key: str, values: tuple[str, ...], denied: bool) -> Wanted:
    if key == "kind":
        if unknown := next((value for value in values if value not in list(Kind)), ""):
            raise ValueError(f"{unknown} is no kind; it is one of {', '.join(Kind)}")
        return lambda event: (event.kind.value in values) is not denied
    if key == "peer":
        return lambda event: event.peer.lower().startswith(values) is not denied
    return lambda event: (event.listener.lower() in values) is not denied


def _times(after: float | None, before: float | None) -> Iterator[Wanted]:
    if after is not None:
        yield lambda event: event.at >= after
    if before is not None:
        yield lambda event: event.at < before


def _term(term: Term) -> Wanted:
    values, denied = term.values, term.denied
    match term.key:
        case Key.ACCOUNT:
            folded = [value.lower() for value in values]
            return lambda event: ((event.account or "").lower() in folded) is not denied
        case Key.PROVIDER:
            folded = [value.lower() for value in values]
            return lambda event: (event.provider.lower() in folded) is not denied
        case Key.STATUS:
            return lambda event: ((event.state or event.kind).value in values) is not denied
        case Key.VERDICT:
            return lambda event: (event.verdict in values or event.what in values) is not denied
        case Key.TO:
            return lambda event: any(_is_to(event, value) for value in values) is not denied
        case Key.ID:
            return lambda event: any(_has_id(event, value) for value in values) is not denied
        case Key.ANY:
            return lambda event: any(_has(event, value) for value in values) is not denied
        case _:
            raise ValueError(f"{term.key.value}: is no key here; {', '.join(KEYS)} are")


def _is_to(event: Event, value: str) -> bool:
    """A whole number fits its mask; digits fit the beginning or the end of one."""
    digits = value.strip("+*")
    if not digits.isdigit():
        return False
    return event.to == mask(digits) if len(digits) > 9 else event.to.startswith(digits) or event.to.endswith(digits)


def _has_id(event: Event, value: str) -> bool:
    return value in (event.mail, event.job) or bool(event.job and event.job.startswith(f"{value}-"))


def _has(event: Event, value: str) -> bool:
    """A word without a key: an id, a number, or a part of anything that is shown."""
    if _has_id(event, value) or (len(value) > 9 and _is_to(event, value)):
        return True
    shown = (event.kind.value, event.account or "", event.provider, event.verdict, event.listener, event.peer)
    return any(value.lower() in one.lower() for one in (*shown, event.what))
