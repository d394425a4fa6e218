"""Templates: a tree of YAML whose strings hold placeholders, ``{name}`` or ``{name:format}``.

Filling gives values, not text: whoever encodes them (a query, a form, JSON) escapes them. So no value can leave its
place. One rule decides what is left out: a string with an empty placeholder, and whatever held templates, and nothing
but such ones. So a key for the callback address is absent where we have no such address, and a mapping that is there
for its sake, too.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from urllib.parse import quote

_HOLE = re.compile(r"\{([a-z0-9_]+)(?::([a-z]+))?\}")
_CONSTANTS: Mapping[str, object] = {"true": True, "false": False}


def _number(text: str) -> str:
    return text if re.fullmatch(r"[0-9]{1,20}", text) is None else str(int(text))


FORMATS: Mapping[str, Callable[[str], str]] = {
    "number": _number,
    "hex": lambda text: text.encode("utf-16-be", "surrogatepass").hex().upper(),
    "url": lambda text: quote(text, safe="", errors="replace"),
    "if": lambda text: "",
}
"""``number``: a JSON number where it stands alone. ``hex``: UTF-16BE in hexadecimal digits. ``url``: inside an address
that is itself a value. ``if``: nothing, but left out with the name: ``yes{callback_url:if}``."""


def names(tree: Any) -> Iterator[tuple[str, str]]:
    """Each placeholder: its name and its format, or an empty one."""
    if isinstance(tree, str):
        yield from ((hole[1], hole[2] or "") for hole in _HOLE.finditer(tree) if not _is_constant(hole[1]))
    elif isinstance(tree, Mapping | list | tuple):
        for inner in tree.values() if isinstance(tree, Mapping) else tree:
            yield from names(inner)


Words = Mapping[str, str]


def fill(tree: Any, words: Words) -> Any:
    """The tree with the words in their places, without what is left out; None where that is all of it.

    A string that is one placeholder and no more keeps its type in JSON: ``{destination:number}`` is a number, and so
    is ``{5}``; ``{true}`` and ``{false}`` are themselves.
    """
    return prepare(tree)(words)


def prepare(tree: Any) -> Callable[[Words], Any]:
    """``fill`` for a tree that is filled again and again."""
    filler = _prepared(tree)

    def filled(words: Words) -> Any:
        value, given = filler(words)
        return None if given == {False} else value

    return filled


_Filler = Callable[[Words], tuple[Any, set[bool]]]
"""The value, and whether its words, and those of its parts, were given."""


def _prepared(tree: Any) -> _Filler:
    if isinstance(tree, str):
        return _prepared_text(tree)
    if not isinstance(tree, Mapping | list | tuple):
        return lambda words: (tree, set())
    is_mapping = isinstance(tree, Mapping)
    inner = tree.items() if isinstance(tree, Mapping) else enumerate(tree)
    rows = [(key, _prepared(one)) for key, one in inner]

    def filled(words: Words) -> tuple[Any, set[bool]]:
        kept: dict[Any, Any] = {}
        told: set[bool] = set()
        for key, filler in rows:
            value, given = filler(words)
            told |= given
            if given != {False}:
                kept[key] = value
        return (kept if is_mapping else list(kept.values())), told

    return filled


def _prepared_text(text: str) -> _Filler:
    needed = [name for name, _ in names(text)]
    whole = _HOLE.fullmatch(text)
    if whole is not None and whole[1] in _CONSTANTS:
        constant = _CONSTANTS[whole[1]]
        return lambda words: (constant, set())
    is_number = whole is not None and (whole[2] == "number" or whole[1].isdigit())

    def filled(words: Words) -> tuple[Any, set[bool]]:
        value: Any = _HOLE.sub(lambda hole: _word(hole, words), text)
        if is_number and value.isdecimal() and len(value) <= 20:
            value = int(value)
        return value, {all(words[name] for name in needed)} if needed else set()

    if whole is not None and whole[2] is None and not is_number:  # most are so
        name = whole[1]
        return lambda words: (words[name], {bool(words[name])})
    return filled


def _word(hole: re.Match[str], words: Words) -> str:
    if _is_constant(hole[1]):
        return hole[1]
    word = words[hole[1]]
    return FORMATS[hole[2]](word) if hole[2] else word


def _is_constant(name: str) -> bool:
    return name in _CONSTANTS or name.isdigit()
