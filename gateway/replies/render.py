"""Notice → the finished mail. Its header holds our own words only: what a sender wrote could add fields to it."""

from __future__ import annotations

import re
import secrets
import textwrap
from collections.abc import Iterator
from datetime import datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime

from gateway.lifecycle import State
from gateway.model import Notice, Reply, Told
from gateway.replies import dsn
from gateway.replies.wording import sentence, word
from gateway.sms.numbers import mask
from gateway.verdicts import Refusal

# Without "?": Python decodes encoded words in the fields that it writes, and one can hold a line end and a Bcc.
_MESSAGE_ID = re.compile(r"<[\x21-\x3b\x3d\x40-\x7e]{1,248}>")
_ADDRESS = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9.-]{1,253}")
_WIDTH = 76


def render(notice: Notice, *, sender: str, hostname: str, now: float) -> Reply:
    """The mail for a notice. ``sender`` is our own address. Raises ``ValueError`` for a recipient that is no
    plain address (the guard lets none through)."""
    if not _ADDRESS.fullmatch(notice.to):
        raise ValueError("not a plain address")
    language = notice.language
    code, subject = _subject(notice)
    message = EmailMessage(policy=SMTP)
    message["From"] = Address("email2sms", addr_spec=sender)
    message["To"] = Address(addr_spec=notice.to)
    message["Subject"] = f"{code}: {word(subject, language)} [{notice.mail_id}]"
    message["Date"] = format_datetime(datetime.fromtimestamp(now).astimezone())
    message["Message-ID"] = f"<{notice.mail_id}.{secrets.token_hex(4)}@{hostname}>"
    message["Auto-Submitted"] = "auto-replied"
    message["X-Auto-Response-Suppress"] = "All"
    message["Content-Language"] = language
    if _MESSAGE_ID.fullmatch(notice.message_id):
        message["In-Reply-To"] = notice.message_id
        message["References"] = notice.message_id
    body = "\n".join([code, "", *_explained(notice), *_understood(notice), "", "-- ", word("footer", language)])
    message.set_content(body + "\n", charset="utf-8", cte="base64")
    if notice.dsn is not None:
        dsn.add(message, notice, hostname)
    return Reply(notice.to, message.as_bytes())


def _subject(notice: Notice) -> tuple[str, str]:
    """The bare code, and which phrase follows it."""
    if notice.refusal is not None:
        return notice.refusal.code, "subject_refused"
    codes = list(dict.fromkeys(_code(told) for told in notice.told))
    code = codes[0] if len(codes) == 1 else f"{codes[0]} …"
    states = {told.state for told in notice.told}
    if not notice.is_failure:
        is_result = any(told.details for told in notice.told)
        delivered = "subject_result" if is_result else "subject_delivered"
        return code, delivered if states == {State.DELIVERED} else "subject_sent"
    of_all = {
        State.SUBMITTED: "subject_held",
        State.UNCERTAIN: "subject_uncertain",
        State.UNDELIVERED: "subject_undelivered",
    }
    if len(states) == 1 and (subject := of_all.get(*states)):
        return code, subject
    return code, "subject_refused" if len(notice.told) == 1 else "subject_partly"


def _code(told: Told) -> str:
    return told.refusal.code if told.refusal is not None else told.state.value.upper()


def _explained(notice: Notice) -> Iterator[str]:
    language = notice.language
    if notice.refusal is not None:
        yield from _advice(notice.refusal, language)
        return
    advised: set[tuple[str, str]] = set()
    for told in notice.told:
        state = word(f"state_{told.state.value}", language)
        yield f"{mask(told.destination)}: {_code(told)}, {state}"
        yield from (f"  {_printable(key)}: {_printable(value)}" for key, value in told.details.items())
    for told in notice.told:
        if told.refusal is not None and (words := sentence(told.refusal, language)) not in advised:
            advised.add(words)
            yield ""
            yield from _advice(told.refusal, language, f"{_code(told)}: " if len(notice.told) > 1 else "")
    remarks = [told.remark for told in notice.told if told.state is State.SUBMITTED and told.remark]
    if remarks:
        held = any("held" in remark for remark in remarks)
        yield ""
        yield from _wrapped(word("remark_held" if held else "remark_seen", language))
    if any(told.state is State.UNDELIVERED for told in notice.told):
        yield ""
        yield from _wrapped(word("remark_undelivered", language))


def _advice(refusal: Refusal, language: str, prefix: str = "") -> Iterator[str]:
    what, fix = sentence(refusal, language)
    yield from _wrapped(f"{prefix}{what[:1].upper()}{what[1:]}.")
    yield ""
    yield from _wrapped(f"{word('how_to_fix', language)}: {fix}")


def _understood(notice: Notice) -> Iterator[str]:
    received = datetime.fromtimestamp(notice.received_at).astimezone().strftime("%Y-%m-%d %H:%M:%S %z")
    rows = [
        ("dialect", notice.dialect),
        ("account", notice.account),
        ("originator", notice.originator),
        ("received_at", received),
        ("queue_id", notice.mail_id),
    ]
    yield ""
    yield f"{word('understood', notice.language)}:"
    repaired = str(notice.refusal.values.get("repaired", "")) if notice.refusal is not None else ""
    rows += [("repaired", what) for what in repaired.split("; ")]
    for key, value in rows:
        if value:
            yield f"  {word(key, notice.language)}: {_printable(value)}"


def _printable(text: str) -> str:
    return "".join(c if c.isprintable() else "?" for c in text)[:60]


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(text, _WIDTH, break_long_words=False, break_on_hyphens=False)
