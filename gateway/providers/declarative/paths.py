"""Dotted paths into JSON and forms: ``messages.0.status``, and ``*`` for each: ``sms.*.sms_id``.

Not JSONPath: its libraries bring filters, scripts and recursive descent, none of which ten providers need, and each of
which an answer from outside could make expensive.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

MAX_FOUND = 1000
MAX_ID = 200
"""Characters of a provider's id: an index of the store holds it."""
MAX_AMOUNT = 40
"""Characters of a price, with its currency."""
MAX_TEXT = 10_000
"""Characters of an answer that regular expressions see."""

_DECODER = json.JSONDecoder(parse_float=str, parse_int=str)


def parse(text: str) -> Any:
    """JSON with its numbers as they are written. Raises ``ValueError`` for what is none, or too deep."""
    try:
        return _DECODER.decode(text)
    except RecursionError:
        raise ValueError("too deep") from None


def find(tree: Any, path: str) -> list[Any]:
    """What stands at the path: nothing, one, or with ``*`` many."""
    found = [tree]
    for step in path.split("."):
        found = [inner for node in found for inner in _step(node, step)][:MAX_FOUND]
    return found


def texts(tree: Any, path: str) -> list[str]:
    """The same, as text: ``true`` and ``false`` for what JSON calls so. No nulls, no mappings, no lists."""
    return [_text(node) for node in find(tree, path) if isinstance(node, str | bool)]


def first(tree: Any, path: str) -> str:
    """The first text at the path that is not empty; otherwise empty."""
    return next((text for text in texts(tree, path) if text), "") if path else ""


def _step(node: Any, step: str) -> Iterator[Any]:
    if isinstance(node, Mapping):
        if step == "*":
            yield from node.values()
        elif step in node:
            yield node[step]
    elif isinstance(node, list):
        if step == "*":
            yield from node
        elif step.isdigit() and int(step) < len(node):
            yield node[int(step)]


def _text(node: str | bool) -> str:
    return str(node).lower() if isinstance(node, bool) else node
