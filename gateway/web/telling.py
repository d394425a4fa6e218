"""A note of the trail in the reader's language. In the store, the API and the command line its words are English."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from gateway.service.wording import cause, what_and_fix
from gateway.verdicts import REASONS, Refusal
from gateway.web.wording import Words

_WORDS = frozenset({"why", "outcome", "answer", "declared", "quirks", "repaired", "tls"})
"""Keys of values in which words of ours stand, several with a semicolon between; in others is what somebody wrote."""
_BESIDE_A_REASON = ("verdict", "repaired")
"""What the sentence of a reason does not say."""


@dataclass(frozen=True, slots=True)
class Told:
    """What happened, and what was decided on."""

    what: str
    values: tuple[tuple[str, str], ...]
    """By what each is called."""


def told(room: str, what: str, values: Mapping[str, str | int], words: Words) -> Told:
    """For people to read."""
    given = dict(values)
    if (reason := REASONS.get(str(values.get("why", "")))) is not None:
        sentence = what_and_fix(Refusal(reason, values), words.language)[0]
        given = {key: values[key] for key in _BESIDE_A_REASON if key in values} | {"why": sentence}
    return Told(
        words.said("trail", what),
        tuple((words.said("trail_keys", key), _value(room, key, value, words)) for key, value in given.items()),
    )


def happened(what: str, words: Words) -> str:
    """What an event says; the reason of a refusal as a sentence, without what it is about."""
    return cause(what, words.language) if what in REASONS else words.said("trail", what)


def _value(room: str, key: str, value: str | int, words: Words) -> str:
    if isinstance(value, int):
        return words.number(value)
    if key in _WORDS or (room, key) == ("policy", "by"):  # by whom else is a login
        whole = words.said("trail", value)
        return "; ".join(words.said("trail", part) for part in value.split("; ")) if whole == value else whole
    return value
