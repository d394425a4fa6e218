"""Which events somebody wants: a line such as ``kind:failed account:shop -provider:main 192.0.2``.

The keys are those of the search for messages, as far as an event knows them.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping

from gateway.service.events import Event
from gateway.sms.numbers import mask

Wanted = Callable[[Event], bool]

KEYS: Mapping[str, Callable[[Event], str]] = {
    "kind": lambda event: event.kind.value,
    "account": lambda event: event.account or "",
    "status": lambda event: event.state.value if event.state else event.kind.value,
    "verdict": lambda event: event.verdict,
    "provider": lambda event: event.provider,
    "listener": lambda event: event.listener,
    "peer": lambda event: event.peer,
    "id": lambda event: event.job or event.mail,
    "to": lambda event: event.to,
}


def wanted(line: str) -> Wanted:
    """All words must fit, in any order; ``-`` before one: must not. Raises ``ValueError`` for an unknown key."""
    try:
        words = shlex.split(line)
    except ValueError:  # a quotation mark that is still being typed
        words = line.split()
    tests = [_test(word) for word in words]
    return lambda event: all(test(event) for test in tests)


def _test(word: str) -> Wanted:
    if word.startswith("-") and len(word) > 1:
        test = _test(word[1:])
        return lambda event: not test(event)
    key, colon, value = word.partition(":")
    if not colon:
        return lambda event: any(word.lower() in of(event).lower() for of in (*KEYS.values(), _what))
    if key not in KEYS:
        raise ValueError(f"{key}: is no key here; {', '.join(KEYS)} are")
    if key == "to":
        return _to(value)
    of, values = KEYS[key], value.lower().split(",")
    if key in ("id", "peer"):
        return lambda event: any(of(event).lower().startswith(one) for one in values)
    return lambda event: of(event).lower() in values


def _to(value: str) -> Wanted:
    """A whole number fits its mask; digits fit the beginning or the end of one."""
    digits = value.strip("+*")
    if len(digits) > 9:
        return lambda event: event.to == mask(digits)
    return lambda event: event.to.startswith(digits) or event.to.endswith(digits)


def _what(event: Event) -> str:
    return event.what
