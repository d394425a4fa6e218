"""Whether a mail may be answered by mail at all (RFC 3834 §2): never a loop, never backscatter."""

from __future__ import annotations

import re
from collections.abc import Callable

from gateway.model import Envelope

_NOBODY = re.compile(
    r"(?:mailer-daemon|postmaster|no-?reply|owner-.*|.*-request|.*-owner|.*-bounces?)@.*", re.IGNORECASE
)
_ADDRESS = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9.-]{1,253}")


def why_silent(envelope: Envelope, automatic: str, verified: str, is_ours: Callable[[str], bool]) -> str:
    """Why no reply mail may go to the envelope sender; empty when one may.

    ``automatic`` is the header that says a program wrote the mail, ``verified`` what verified the sender,
    ``is_ours`` tells our own addresses.
    """
    address = envelope.reverse_path
    if not address:
        return "null reverse-path"
    if automatic:
        return f"automatic mail: {automatic}"
    if not verified:
        return "unverified sender"
    if not _ADDRESS.fullmatch(address):
        return "not a plain address"
    if _NOBODY.fullmatch(address):
        return "nobody reads that address"
    if is_ours(address):
        return "our own address"
    return ""
