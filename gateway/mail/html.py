"""HTML → the text that a person sees in it."""

from __future__ import annotations

import re
from functools import cache

from inscriptis import get_text
from inscriptis.css_profiles import STRICT_CSS_PROFILE
from inscriptis.html_properties import Display
from inscriptis.model.config import ParserConfig
from inscriptis.model.html_element import HtmlElement

_META_CHARSET = re.compile(rb"<meta[^>]{0,200}charset\s*=\s*[\"']?\s*([A-Za-z0-9_\-]{1,40})", re.IGNORECASE)
_PADDING = re.compile(r"(?<=\S) {2,}(?=\S)")
"""Between the columns of a table: useless in a handset's letters of any width, and paid for."""
_XML_DECLARATION = re.compile(r"^\s*<\?xml[^>]*\?>")


@cache
def _config() -> ParserConfig:
    # A browser leaves a line between paragraphs; Outlook makes a paragraph of each line, and an SMS pays for it.
    css = {**STRICT_CSS_PROFILE, "p": HtmlElement(display=Display.block)}
    return ParserConfig(css=css, display_links=False, display_images=False)


def charset(data: bytes) -> str | None:
    """The charset that the document itself names, for parts whose header names none."""
    match = _META_CHARSET.search(data[:4096])
    return match[1].decode("ascii") if match else None


def to_text(document: str) -> str:
    """Visible text, one line for each block; scripts, styles, hidden elements and link targets are left out."""
    stripped = _XML_DECLARATION.sub("", document).strip()
    if not stripped:
        return ""
    lines = get_text(stripped, _config()).split("\n")
    return "\n".join(_PADDING.sub(" ", line.strip()) for line in lines).strip()
