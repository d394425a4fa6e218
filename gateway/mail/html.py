"""HTML → the text that a person sees in it, in time and memory that grow with the document and no faster."""

from __future__ import annotations

import re

from gateway.verdicts import MAIL_TOO_COMPLEX, Refused

MAX_TAGS = 20_000
"""Half a second of work. A long thread of mails from Outlook has some thousands."""

_META_CHARSET = re.compile(rb"<meta[^>]{0,200}charset\s*=\s*[\"']?\s*([A-Za-z0-9_\-]{1,40})", re.IGNORECASE)
_PADDING = re.compile(r"(?<=\S) {2,}(?=\S)")
"""Useless in a handset's letters of any width, and paid for."""
_XML_DECLARATION = re.compile(r"^\s*<\?xml[^>]*\?>")


def charset(data: bytes) -> str | None:
    """The charset that the document itself names, for parts whose header names none."""
    match = _META_CHARSET.search(data[:4096])
    return match[1].decode("ascii") if match else None


def to_text(document: str) -> str:
    """Visible text, one line for each block; scripts, styles, hidden elements and link targets are left out.

    Raises ``Refused`` (FORMAT) for a document of too many elements.
    """
    stripped = _XML_DECLARATION.sub("", document).strip()
    if not stripped:
        return ""
    if stripped.count("<") > 2 * MAX_TAGS or stripped.count("<") - stripped.count("</") > MAX_TAGS:
        raise Refused(MAIL_TOO_COMPLEX, what="HTML tags", limit=MAX_TAGS)
    from gateway.mail.visible import visible  # noqa: PLC0415  (lxml, for mails in HTML)

    lines = visible(stripped).split("\n")
    return "\n".join(_PADDING.sub(" ", line.strip()) for line in lines).strip()
