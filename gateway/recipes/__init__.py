"""How to connect what sends mail: recipes as data (``data/NAME.yaml``), filled in with this gateway's addresses. Pure.

In a recipe ``«host»`` stands for a field of ``Facts``, ``«% if … %»`` as in Jinja. A recipe holds no secret: where one
belongs, it says ``PASSWORD`` or ``KEY``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cache
from importlib.resources import files
from typing import Any

import yaml
from jinja2 import Environment, StrictUndefined

GROUPS = ("program", "server", "monitoring", "office", "device")
"""In the order in which they are shown."""
_TEMPLATES = Environment(
    autoescape=False,  # noqa: S701  (configuration files and shell, not HTML; the page escapes)
    undefined=StrictUndefined,
    variable_start_string="«",
    variable_end_string="»",
    block_start_string="«%",
    block_end_string="%»",
    comment_start_string="«#",
    comment_end_string="#»",
    trim_blocks=True,
    lstrip_blocks=True,
    keep_trailing_newline=True,
)


@dataclass(frozen=True, slots=True)
class Facts:
    """Of the gateway, a listener and an account."""

    host: str
    """As clients reach the listener."""
    port: int
    domain: str
    """For ``number@domain``."""
    service: str
    """The service address of the template dialect."""
    account: str
    originator: str
    number: str = "79001234567"
    """An example."""
    sender: str = "alerts@example.com"
    lmtp: bool = False
    tls: str = ""
    """``starttls``, ``implicit`` or empty."""
    trusted: bool = True
    """Its clients' network is trusted: no login."""
    socket: str = ""
    """The path, for a listener on a Unix socket."""
    console: str = "http://127.0.0.1:8025"
    """The console's address, without a slash at the end."""

    @property
    def subject(self) -> str:
        """Of the address dialect, with a key."""
        return f"{self.originator};KEY;"


@dataclass(frozen=True, slots=True)
class Step:
    """Something to copy, and where it belongs."""

    where: str
    text: str


@dataclass(frozen=True, slots=True)
class Recipe:
    """Filled in."""

    name: str
    title: str
    group: str
    about: str
    steps: tuple[Step, ...]


@cache
def names() -> tuple[str, ...]:
    """Of all recipes, by group and title."""
    found = {
        item.name.removesuffix(".yaml"): _loaded(item.name.removesuffix(".yaml"))
        for item in files(__name__).joinpath("data").iterdir()
        if item.name.endswith(".yaml")
    }
    return tuple(sorted(found, key=lambda name: (GROUPS.index(found[name]["group"]), found[name]["title"].lower())))


def heading(name: str) -> tuple[str, str]:
    """Title and group. Raises ``KeyError``."""
    if name not in names():
        raise KeyError(name)
    return _loaded(name)["title"], _loaded(name)["group"]


def filled(name: str, facts: Facts, language: str = "en") -> Recipe:
    """The recipe for this gateway. Raises ``KeyError`` for a name that is none."""
    title, group = heading(name)
    values = {**asdict(facts), "subject": facts.subject}
    recipe = _loaded(name)
    return Recipe(
        name=name,
        title=title,
        group=group,
        about=_render(_in(recipe["about"], language), values).strip(),
        steps=tuple(
            Step(_render(_in(step["where"], language), values), text)
            for step in recipe["steps"]
            if (text := _render(step["text"], values).strip("\n"))
        ),
    )


@cache
def _loaded(name: str) -> Mapping[str, Any]:
    text = files(__name__).joinpath("data", f"{name}.yaml").read_text("utf-8")
    recipe: Mapping[str, Any] = yaml.load(text, yaml.CBaseLoader)  # noqa: S506  (strings only)
    return recipe


def _in(words: str | Mapping[str, str], language: str) -> str:
    return words if isinstance(words, str) else words.get(language, words["en"])


def _render(text: str, values: Mapping[str, Any]) -> str:
    return _TEMPLATES.from_string(text).render(values)
