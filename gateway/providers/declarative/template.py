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


def fill(tree: Any, words: Mapping[str, str]) -> Any:
    """The tree with the words in their places, without what is left out; None where that is all of it.

    A string that is one placeholder and no more keeps its type in JSON: ``{destination:number}`` is a number, and so
    is ``{5}``; ``{true}`` and ``{false}`` are themselves.
    """
    value, given = _fill(tree, words)
    return None if given == {False} else value


def _fill(tree: Any, words: Mapping[str, str]) -> tuple[Any, set[bool]]:
    if isinstance(tree, str):
        needed = [words[name] for name, _ in names(tree)]
        return _fill_text(tree, words), {all(needed)} if needed else set()
    if not isinstance(tree, Mapping | list | tuple):
        return tree, set()
    rows = tree.items() if isinstance(tree, Mapping) else enumerate(tree)
    filled = [(key, *_fill(inner, words)) for key, inner in rows]
    kept = {key: value for key, value, given in filled if given != {False}}
    told: set[bool] = set().union(*(given for _, _, given in filled))
    return (kept if isinstance(tree, Mapping) else list(kept.values())), told


def _fill_text(text: str, words: Mapping[str, str]) -> Any:
    whole = _HOLE.fullmatch(text)
    if whole is not None and whole[1] in _CONSTANTS:
        return _CONSTANTS[whole[1]]
    filled = _HOLE.sub(lambda hole: _word(hole, words), text)
    is_number = whole is not None and (whole[2] == "number" or whole[1].isdigit())
    return int(filled) if is_number and filled.isdecimal() and len(filled) <= 20 else filled


def _word(hole: re.Match[str], words: Mapping[str, str]) -> str:
    if _is_constant(hole[1]):
        return hole[1]
    word = words[hole[1]]
    return FORMATS[hole[2]](word) if hole[2] else word


def _is_constant(name: str) -> bool:
    return name in _CONSTANTS or name.isdigit()
