"""The gateway's own mails to itself. No door lets one in: only the service that writes them knows this dialect."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.dialects import KnownLogin
from gateway.model import Asked, Operator, ReceivedEmail, Submission

ADDRESS = "heartbeat@localhost"
"""From whom, and to whom."""


@dataclass(frozen=True, slots=True)
class HeartbeatDialect:
    """The text is the SMS, everything else stands in the configuration."""

    login: str
    originator: str
    numbers: tuple[str, ...]
    charset: str = "utf-8"
    name: str = "heartbeat"

    def claims(self, recipient: str) -> bool:
        """Its own address."""
        return recipient == ADDRESS

    def parse(self, mail: ReceivedEmail, recipients: tuple[str, ...], known_login: KnownLogin) -> Submission:
        """As an operator sends."""
        return Submission(
            dialect=self.name,
            form=self.name,
            credential=Operator(self.login),
            originator=self.originator,
            destinations=tuple(Asked(number, recipients[0]) for number in self.numbers),
            text=mail.text.strip(),
            recipient=recipients[0],
            max_destinations=len(self.numbers),
        )
