"""An SMS that came in → the mail in which it is forwarded. The header holds our own words and checked numbers only."""

from __future__ import annotations

from datetime import datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime

from gateway.model import Incoming, Reply
from gateway.replies.wording import word


def forward(
    sms: Incoming, sms_id: str, *, to: str, reply_to: str, sender: str, hostname: str, language: str, now: float
) -> Reply:
    """The mail. ``reply_to`` takes an answer that goes back as SMS; empty: none does."""
    message = EmailMessage(policy=SMTP)
    message["From"] = Address("email2sms", addr_spec=sender)
    message["To"] = Address(addr_spec=to)
    if reply_to:
        message["Reply-To"] = Address(addr_spec=reply_to)
    message["Subject"] = f"{word('sms_from', language)} {_shown(sms.sender)}"
    message["Date"] = format_datetime(datetime.fromtimestamp(now).astimezone())
    message["Message-ID"] = f"<{sms_id}@{hostname}>"
    message["Auto-Submitted"] = "auto-generated"
    message["Content-Language"] = language
    how = word("sms_answer" if reply_to else "sms_no_answer", language)
    numbers = f"{word('sms_from', language)} {_shown(sms.sender)} → {_shown(sms.destination)}"
    message.set_content(f"{sms.text}\n\n-- \n{numbers}\n{how}\n", charset="utf-8", cte="base64")
    return Reply(to, message.as_bytes())


def _shown(number: str) -> str:
    """Digits with a plus; of a name only what cannot change a header."""
    if number.isascii() and number.isdigit() and len(number) > 6:
        return f"+{number}"
    return "".join(char for char in number if char.isascii() and (char.isalnum() or char in " .-_"))[:15] or "?"
