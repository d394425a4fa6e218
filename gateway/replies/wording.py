"""The sentences of ``texts/*.yaml``: for every reason what is wrong and how to mend it, in each language."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any

from gateway.verdicts import AUTH, AUTH_LATER, Refusal, Values

LANGUAGES = ("en", "ru", "uk")
MAX_LINE = 400
"""Characters of an SMTP reply line; RFC 5321 §4.5.3.1.5 allows 512 octets with the line end."""


@cache
def catalog(language: str) -> Mapping[str, Any]:
    """The file of a language: ``reasons`` and ``words``."""
    import yaml  # noqa: PLC0415  (who refuses nothing needs no words)

    text = files("gateway.replies").joinpath("texts", f"{language}.yaml").read_text("utf-8")
    loaded: Mapping[str, Any] = yaml.load(text, yaml.CBaseLoader)  # noqa: S506  (strings only)
    return loaded


def word(key: str, language: str) -> str:
    """A fixed word or phrase of the replies."""
    return str(catalog(language)["words"][key])


def sentence(refusal: Refusal, language: str) -> tuple[str, str]:
    """What is wrong, and how to mend it. The sender's own words in it are on one line and printable."""
    texts = catalog(language)["reasons"][refusal.reason.key]
    values = defaultdict(lambda: "…", _printable(refusal.values))
    return texts["what"].format_map(values), texts["fix"].format_map(values)


def smtp_line(refusal: Refusal) -> str:
    """``550 5.7.1 FORBIDDEN sender not allowed``: ASCII, one line, the code first."""
    what = sentence(refusal, "en")[0]
    line = f"{refusal.verdict.smtp} {refusal.code} {what}"
    return line.encode("ascii", "replace").decode("ascii")[:MAX_LINE]


def auth_line(refusal: Refusal) -> str:
    """The answer to a failed SMTP AUTH: 535 or 454 (RFC 4954 §6), another temporary fault as it is."""
    line, code = smtp_line(refusal), {AUTH: "535", AUTH_LATER: "454"}.get(refusal.verdict)
    return f"{code}{line[3:]}" if code else line


def _printable(values: Values) -> dict[str, str]:
    return {key: "".join(c if c.isprintable() else "?" for c in str(value))[:200] for key, value in values.items()}
