"""Who wrote a mail, where that is beyond doubt: mail programs disagree about every other From field.

Only what is certain may be compared with what a signature or a border MTA says ("Composition Kills", USENIX 2020;
the cases of espoofer are in ``tests/unit/test_senders.py``).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from email.message import Message

from gateway.mail.headers import raw

_LOCAL = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*"
_LABEL = r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
_SPEC = rf"({_LOCAL}@{_LABEL}(?:\.{_LABEL})+)"
_QUOTED = r'"[^"\\@<>,\r\n]*"'
_NAME = rf"(?:{_QUOTED}|[^\"\\()<>@,;:\x00-\x08\x0a-\x1f\x7f])*"
_FIELD = re.compile(rf"[ \t]*(?:{_SPEC}|{_NAME}<{_SPEC}>)[ \t]*")
MAX_ADDRESS = 254


def author(message: Message) -> str:
    """The address in the only From field, lower-cased; empty when there is any doubt which address that is.

    Doubt: no or several From fields, several addresses, routes, comments, escapes, an address in the name,
    characters outside of ASCII in the address.
    """
    fields = raw(message, "From")
    match = _FIELD.fullmatch(fields[0].rstrip("\r\n")) if len(fields) == 1 and len(fields[0]) < 1000 else None
    found = (match[1] or match[2]).lower() if match else ""
    return found if len(found) <= MAX_ADDRESS else ""


def domain_of(address: str) -> str:
    """Behind the last @, lower-cased, without a final dot."""
    return address.rpartition("@")[2].lower().rstrip(".")


def names_all(message: Message, recipients: Iterable[str]) -> bool:
    """Whether To and Cc name each envelope recipient.

    A signature does not cover the envelope: whoever has got a signed mail can send it on to anybody (RFC 6376 §8.6).
    """
    named = " ".join(raw(message, "To") + raw(message, "Cc")).lower()
    return all(
        re.search(rf"(?<![\w.+@-]){re.escape(recipient.lower())}(?![\w@-]|\.\w)", named) for recipient in recipients
    )
