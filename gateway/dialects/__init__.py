"""Ways to write a submission in an email. Each is one file of the same shape; pure functions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from gateway.model import ReceivedEmail, Submission

KnownLogin = Callable[[str], bool]
"""Whether an account of that login exists: the address dialect's form a and form e differ in nothing else."""


REPAIRED = "repaired: "
"""How a note begins that tells of a repair: the reply mail repeats it when the mail is refused."""


class Dialect(Protocol):
    """The seam. ``gateway/README.md`` tells how to add one."""

    @property
    def name(self) -> str:
        """As in the configuration, the log and the metrics."""
        ...

    @property
    def charset(self) -> str:
        """What a mail that declares no charset is written in."""
        ...

    def claims(self, recipient: str) -> bool:
        """Whether a mail to this envelope recipient is written in this dialect."""
        ...

    def parse(self, mail: ReceivedEmail, recipients: tuple[str, ...], known_login: KnownLogin) -> Submission:
        """What the mail asks for. Raises ``Refused`` (FORMAT) naming the field that is missing or wrong."""
        ...


def split_address(recipient: str) -> tuple[str, str]:
    """Local part (unquoted) and lower-case domain."""
    local, _, domain = recipient.rpartition("@")
    if local.startswith('"') and local.endswith('"') and len(local) > 1:
        local = local[1:-1].replace("\\", "")
    return local, domain.lower()
