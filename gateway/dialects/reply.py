"""An answer to a mail in which an incoming SMS was forwarded: it goes back to whoever had written.

Everything stands in the address that the mail is sent to, ``reply-NUMBER-OURS-MAC@domain``: the subscriber's number,
the number of ours that the SMS had come to, and a MAC by the gateway's key. Who may answer is the account whose number
it is.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from dataclasses import dataclass, field

from gateway.dialects import KnownLogin, split_address
from gateway.model import Asked, Conversation, Note, ReceivedEmail, Submission
from gateway.text.quoting import new_text
from gateway.verdicts import AUTOMATIC_ANSWER, CREDENTIALS_WRONG, ONE_RECIPIENT_ONLY, TEXT_EMPTY, Refused

_ADDRESS = re.compile(r"reply-(\d{3,15})-(\d{3,15})-([a-z2-7]{16})", re.IGNORECASE)
_MAC_OCTETS = 10


@dataclass(frozen=True, slots=True)
class ReplyDialect:
    """``domain`` is ours; ``key`` is a secret of the gateway's own."""

    domain: str
    key: str = field(repr=False)
    charset: str = "utf-8"
    name: str = "reply"

    def address(self, number: str, ours: str) -> str:
        """Where an answer to this subscriber goes; empty for a sender that is no number."""
        mac = self._mac(number, ours)
        address = f"reply-{number}-{ours}-{mac}"
        return f"{address}@{self.domain}" if _ADDRESS.fullmatch(address) else ""

    def claims(self, recipient: str) -> bool:
        """An address of this shape in the domain, whatever its MAC."""
        local, domain = split_address(recipient)
        return domain == self.domain and bool(_ADDRESS.fullmatch(local))

    def parse(self, mail: ReceivedEmail, recipients: tuple[str, ...], known_login: KnownLogin) -> Submission:
        """The text above the quotation. Raises ``Refused``: AUTH for an address that we have not made."""
        if len({recipient.lower() for recipient in recipients}) > 1:
            raise Refused(ONE_RECIPIENT_ONLY, form="reply")
        match = _ADDRESS.fullmatch(split_address(recipients[0])[0])
        assert match is not None
        number, ours, mac = match.groups()
        if not hmac.compare_digest(self._mac(number, ours), mac.lower()):
            raise Refused(CREDENTIALS_WRONG)
        if mail.automatic:
            raise Refused(AUTOMATIC_ANSWER)
        text = new_text(mail.text)
        if not text:
            raise Refused(TEXT_EMPTY)
        note = Note("dialect", "answer to an SMS", {"characters left out": len(mail.text) - len(text)})
        return Submission(
            dialect=self.name,
            form="reply",
            credential=Conversation(ours),
            originator=ours,
            destinations=(Asked(number, recipients[0]),),
            text=text,
            recipient=recipients[0],
            notes=(note,),
        )

    def _mac(self, number: str, ours: str) -> str:
        digest = hmac.new(self.key.encode(), f"{number}-{ours}".encode(), hashlib.sha256).digest()
        return base64.b32encode(digest[:_MAC_OCTETS]).decode().lower()
