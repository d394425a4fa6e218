"""What the operator can do about a rejection, in words, in three languages: ``en.yaml``, ``ru.yaml``, ``uk.yaml``.

The sentences of ``replies/texts`` are for senders; where they are all there is to say, they serve here, too.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from ipaddress import ip_address, ip_network
from typing import Any

import yaml

from gateway.replies.wording import sentence
from gateway.service.rejections import MANY, Rejection

__all__ = ["Advice", "advise"]


@dataclass(frozen=True, slots=True)
class Advice:
    """Sentences."""

    what: str
    fix: str


@cache
def catalog(language: str) -> Mapping[str, Any]:
    """The file of a language."""
    text = files("gateway.service.advice").joinpath(f"{language}.yaml").read_text("utf-8")
    loaded: Mapping[str, Any] = yaml.load(text, yaml.CBaseLoader)  # noqa: S506  (strings only)
    return loaded


def advise(rejection: Rejection, language: str) -> Advice:
    """What was wrong, and what to do."""
    words = catalog(language)
    given = words["reasons"].get(rejection.reason, {})
    values = defaultdict(lambda: "…", _values(rejection, words))
    what, fix = given.get("what", ""), given.get("fix", "")
    if (refusal := rejection.refusal) is not None:
        what, for_sender = sentence(refusal, language)
        fix = fix.format_map(values) or for_sender
    elif what:
        what, fix = what.format_map(values), fix.format_map(values)
    else:  # written by a newer version
        what = rejection.reason
    return Advice(what, " ".join(part for part in (fix, _about_network(rejection, given, values, words)) if part))


def _values(rejection: Rejection, words: Mapping[str, Any]) -> dict[str, str]:
    values = {name: str(value) for name, value in rejection.values.items()}
    return values | {
        "listener": rejection.listener,
        "peer": {"": words["local"], MANY: words["many"]}.get(rejection.peer, rejection.peer),
        "network": _network(rejection.peer),
        "sender": rejection.sender or "<>",
        "recipient": ", ".join(rejection.recipients) or "…",
        "account": rejection.account or words["nobody"],
        "reply": rejection.reply,
    }


def _about_network(
    rejection: Rejection, given: Mapping[str, str], values: Mapping[str, str], words: Mapping[str, Any]
) -> str:
    """Where being trusted would help: an address of the operator's own networks may be trusted, no other."""
    if given.get("trust") is None or rejection.trusted or not values["network"]:
        return ""
    kind = "home" if _is_private(rejection.peer) else "away"
    return str(words["trust"][kind]).format_map(values)


def _network(peer: str) -> str:
    """Around an address of a private network its /24, or /64."""
    try:
        if "/" in peer:
            return peer
        address = ip_address(peer)
    except ValueError:
        return ""
    length = (
        {4: 24, 6: 64}[address.version] if address.is_private and not address.is_loopback else address.max_prefixlen
    )
    return str(ip_network((address.packed, length), strict=False))


def _is_private(peer: str) -> bool:
    return ip_network(peer, strict=False).is_private
