"""A YAML file as plain strings, lists and mappings, with the line of every key.

Scalars stay strings, so ``+7999…``, ``0123`` and ``no`` mean what they look like. Duplicate keys are errors:
YAML's usual "the last one wins" hides half of an admin's change.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from gateway.settings.faults import ConfigError

Key = tuple[str | int, ...]
"""The way to a value: ``("listeners", 0, "bind")``."""

_NOTHING = frozenset({"", "~", "null"})
"""What YAML writers mean by no value, unless they quote it."""
_VARIABLE = re.compile(r"\$\{([^}]*)\}")


@dataclass(frozen=True, slots=True)
class Document:
    """The data of a file, and where each key stands."""

    path: Path
    content: Any
    lines: Mapping[Key, int] = field(default_factory=dict)

    def at(self, key: Key) -> str:
        """``file:line: key`` for an error message; the line of the nearest key that the file has."""
        for length in range(len(key), -1, -1):
            if key[:length] in self.lines:
                return f"{self.path}:{self.lines[key[:length]]}: {dotted(key)}"
        return f"{self.path}: {dotted(key)}"


def dotted(key: Key) -> str:
    """``listeners[0].bind``."""
    text = ""
    for part in key:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text or "the file"


def read(path: Path) -> Document:
    """Read and parse. Raises ``ConfigError`` for a file that is missing, no YAML, or has a key twice."""
    try:
        text = path.read_text("utf-8-sig")
    except OSError as error:
        raise ConfigError(
            f"{path}: {error.strerror}; give the file with --config, or make one: email2sms init"
        ) from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: not UTF-8 at byte {error.start}; save the file as UTF-8") from None
    try:
        node = yaml.compose(text, yaml.CBaseLoader)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise ConfigError(f"{path}:{line}: not YAML: {error.problem}") from None
    except yaml.YAMLError as error:
        raise ConfigError(f"{path}: not YAML: {' '.join(str(error).split())}") from None
    lines: dict[Key, int] = {}
    content = _plain(node, (), path, lines) if node is not None else None
    return Document(path, {} if content is None else content, lines)


def _plain(node: yaml.Node, key: Key, path: Path, lines: dict[Key, int]) -> Any:
    lines.setdefault(key, node.start_mark.line + 1)
    if isinstance(node, yaml.SequenceNode):
        return [_plain(item, (*key, index), path, lines) for index, item in enumerate(node.value)]
    if isinstance(node, yaml.MappingNode):
        content: dict[str, Any] = {}
        for name_node, value in node.value:
            name, line = str(name_node.value), name_node.start_mark.line + 1
            here = (*key, name)
            if name in content:
                raise ConfigError(f"{path}:{line}: {dotted(here)}: the key is here twice; first in line {lines[here]}")
            lines[here] = line
            content[name] = _plain(value, here, path, lines)
        return content
    if isinstance(node, yaml.ScalarNode) and not node.style and node.value in _NOTHING:
        return None
    where = f"{path}:{node.start_mark.line + 1}: {dotted(key)}"
    return _VARIABLE.sub(lambda match: _variable(match[1], where), node.value)


def _variable(name: str, where: str) -> str:
    value = os.environ.get(name)
    if value is None:
        raise ConfigError(f"{where}: the environment has no variable {name!r}; set it, or use a *_file key")
    return value
