"""SMSC.ru's channels and comments, which it reads from the text of a message (seed 003), and texts that only look so.

What a sender writes must never choose a channel or add a parameter: the account's permission and ``Job.channel`` do.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import unquote_plus

from gateway.model import Channel, Job
from gateway.verdicts import CHANNEL_TEXT, Refused

COMMENT = "\n~~~\n"
_PREFIX = re.compile(r"(\s*)(__)([A-Za-z]{1,10}__)")
_RULER = re.compile(r"^(\s*)~~~(\s*)$", re.MULTILINE)
_PARAMETER = re.compile(r"^(\s*)(subj|voice|bot)(\s*:)", re.MULTILINE | re.IGNORECASE)
_CODE = re.compile(r"[0-9]{4,8}")
_HLR = re.compile(r"\b(id|stat|err|imsi|msc|mcc|mnc|cn|net|rcn|rnet):(\S*)")


def neutral(text: str) -> str:
    """The text with as little changed as keeps it a text: ``__CALL__`` at its beginning → ``_ _CALL__``, a line ``~~~``
    → ``~~ ~``. Everything else stays as it is, and what is neutral stays so."""
    text = _PREFIX.sub(r"\1_ _\3", text, count=1) if _PREFIX.match(text) else text
    return _RULER.sub(r"\1~~ ~\2", text)


def dressed(job: Job) -> str:
    """What SMSC.ru is to be given as text over SMPP. Raises ``Refused`` (FORMAT) for a Telegram code that is none."""
    text = neutral(job.text)
    detail = " ".join(job.detail.split())
    match job.channel:
        case Channel.EMAIL:
            text = f"__MAIL__: {_without_parameters(text)}\nsubj:{detail}"
        case Channel.CALL:
            text = f"__CALL__: {_without_parameters(text)}" + (f"\nvoice:{detail}" if detail else "")
        case Channel.VIBER:
            text = f"__VIBER__: {text}"
        case Channel.SOC:
            text = f"__SOC__: {text}"
        case Channel.TELEGRAM:
            text = f"__TGM__: {telegram_code(job.text)}"
        case Channel.BOT:
            text = f"__BOT__: {_without_parameters(text)}\nbot:@{detail.removeprefix('@')}"
        case Channel.HLR:
            text = "__HLR__"
        case Channel.PING:
            text = "__PING__"
    comment = " ".join(job.comment.split())
    return f"{text}{COMMENT}{comment}" if comment else text


def telegram_code(text: str) -> str:
    """The code, 4 to 8 digits. Raises ``Refused`` (FORMAT)."""
    if not _CODE.fullmatch(text.strip()):
        raise Refused(CHANNEL_TEXT, channel=Channel.TELEGRAM.value)
    return text.strip()


def hlr(text: str) -> Mapping[str, str]:
    """The result of an HLR request: ``imsi``, ``cn`` (country), ``net`` (operator), ``rcn`` and ``rnet`` (roaming) …;
    what is empty is left out, what is url-encoded is decoded."""
    found = {key: unquote_plus(value, errors="replace") for key, value in _HLR.findall(text)}
    return {key: value for key, value in found.items() if value and key not in {"id", "stat"}}


def _without_parameters(text: str) -> str:
    return _PARAMETER.sub(r"\1\2 \3", text)
