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
    reasons = (
        (not address, "null reverse-path"),
        (bool(automatic), f"automatic mail: {automatic}"),
        (not verified, "unverified sender"),
        (not _ADDRESS.fullmatch(address), "not a plain address"),
        (bool(_NOBODY.fullmatch(address)), "nobody reads that address"),
        (is_ours(address), "our own address"),
    )
    return next((why for holds, why in reasons if holds), "")
