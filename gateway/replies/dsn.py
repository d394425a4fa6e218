"""The part of a reply that programs read: message/delivery-status (RFC 3464), for clients that asked (RFC 3461)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from email.message import EmailMessage, Message
from email.utils import format_datetime

from gateway.lifecycle import State
from gateway.model import Dsn, Notice, Told
from gateway.replies.wording import smtp_line
from gateway.verdicts import Refusal

_ACTIONS = {
    State.DELIVERED: ("delivered", "2.0.0"),
    State.SUBMITTED: ("relayed", "2.0.0"),
    State.UNCERTAIN: ("failed", "5.4.0"),
    State.EXPIRED: ("failed", "5.4.7"),
}
"""RFC 3464 §2.3.3 and RFC 3463. ``relayed``: the provider has it, and no receipt will come."""
_XTEXT = re.compile(r"\+([0-9A-F]{2})")


def heard(notice: Notice) -> Notice:
    """The notice without what the client does not want to hear: of recipients with NOTIFY=NEVER nothing, of
    failures only where FAILURE is among the words, or none was given."""
    if notice.dsn is None:
        return notice
    return replace(notice, told=tuple(told for told in notice.told if _wants(notice.dsn, told)))


def wants_refusal(notice: Notice) -> bool:
    """Whether a refusal of the whole mail is to be told."""
    words = notice.dsn.notify.values() if notice.dsn is not None else ()
    return not words or any("FAILURE" in given for given in words)


def _wants(dsn: Dsn, told: Told) -> bool:
    words = dsn.notify.get(told.recipient)
    return words is None or ("NEVER" not in words and ("FAILURE" in words or not told.is_failure))


def add(message: EmailMessage, notice: Notice, hostname: str) -> None:
    """Make a finished reply a multipart/report."""
    assert notice.dsn is not None
    message.make_mixed()
    message.replace_header("Content-Type", "multipart/report; report-type=delivery-status")
    status = EmailMessage()
    status.add_header("Content-Type", "message/delivery-status")
    status.set_payload([_of_mail(notice, hostname), *_of_recipients(notice, notice.dsn)])
    message.attach(status)


def _of_mail(notice: Notice, hostname: str) -> Message:
    fields = Message()
    fields["Reporting-MTA"] = f"dns; {hostname}"
    if envid := _decoded(notice.dsn.envid if notice.dsn else ""):
        fields["Original-Envelope-Id"] = envid
    fields["Arrival-Date"] = format_datetime(datetime.fromtimestamp(notice.received_at).astimezone())
    return fields


def _of_recipients(notice: Notice, dsn: Dsn) -> Iterator[Message]:
    if notice.refusal is not None:
        for recipient in dsn.notify:
            yield _fields(dsn, recipient, ("failed", ""), notice.refusal)
    for told in notice.told:
        yield _fields(dsn, told.recipient, _ACTIONS.get(told.state, ("failed", "5.0.0")), told.refusal)


def _fields(dsn: Dsn, recipient: str, action: tuple[str, str], refusal: Refusal | None) -> Message:
    fields = Message()
    if orcpt := _decoded(dsn.orcpt.get(recipient, "")):
        fields["Original-Recipient"] = orcpt.replace(";", "; ", 1)
    fields["Final-Recipient"] = f"rfc822; {_safe(recipient)}"
    fields["Action"] = action[0]
    fields["Status"] = f"5.{refusal.verdict.status}" if refusal is not None else action[1]
    if refusal is not None:
        fields["Diagnostic-Code"] = f"smtp; {_safe(smtp_line(refusal))}"
    return fields


def _decoded(xtext: str) -> str:
    """RFC 3461 §4."""
    return _safe(_XTEXT.sub(lambda match: chr(int(match[1], 16)), xtext))


def _safe(text: str) -> str:
    """Nothing that could begin another field."""
    return "".join(char if " " <= char <= "~" else "?" for char in text)[:500]
