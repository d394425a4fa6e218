"""Whether a mail was written by a machine that must not be answered (RFC 3834 §2)."""

from __future__ import annotations

from email.message import Message

_MAX_HOPS = 25
"""More Received fields than this is a loop (Postfix stops at 50)."""


def why(message: Message) -> str:
    """The field that forbids an automatic answer, or an empty string."""
    hops = 0
    for name, raw_value in message.raw_items():
        key, value = name.lower(), raw_value.strip().lower()
        if key == "auto-submitted" and value.partition(";")[0].strip() != "no":
            return "Auto-Submitted"
        if key == "precedence" and value in {"bulk", "list", "junk"}:
            return f"Precedence: {value}"
        if key.startswith("list-"):
            return "List-*"
        if key == "x-auto-response-suppress" and ("all" in value or "autoreply" in value):
            return "X-Auto-Response-Suppress"
        if key == "content-type" and value.startswith("multipart/report"):
            return "multipart/report"
        hops += key == "received"
    return "too many Received" if hops > _MAX_HOPS else ""
