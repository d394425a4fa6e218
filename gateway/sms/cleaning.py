"""Characters that make an SMS longer than it need be: typography that office programs put in, emoji."""

from __future__ import annotations

import re

_PLAIN = {
    **dict.fromkeys("“”„‟«»″〝〞", '"'),
    **dict.fromkeys("‘’‚‛′´`ʼ", "'"),
    **dict.fromkeys("–—―−‐‑‒", "-"),
    **dict.fromkeys(
        "\u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u202f\u3000\t", " "
    ),
    **dict.fromkeys("\u00ad\u200b\u200c\u200d\u2060\ufeff\u200e\u200f", ""),
    "…": "...",
    "•": "*",
    "·": "*",
    "№": "No.",
    "™": "(tm)",
    "©": "(c)",
    "®": "(r)",
    "\u2028": "\n",
    "\u2029": "\n",
}
_TYPOGRAPHY = str.maketrans(_PLAIN)
_EMOJI = re.compile(
    "["
    "\U0001f000-\U0001faff"  # pictures, faces, flags, skin tones
    "\u2600-\u27bf\u2b00-\u2bff\u2300-\u23ff"  # signs that are drawn as pictures
    "\ufe0e\ufe0f\u200d\u20e3\U000e0020-\U000e007f"  # what joins and colours them
    "]+"
)
_GAPS = re.compile(r"(?<=\S) {2,}(?=\S)")
_ENDS = re.compile(r" +$", re.MULTILINE)


def without_typography(text: str) -> str:
    """Typographic quotes, dashes, spaces and the like as a keyboard has them; zero-width characters left out."""
    return text.translate(_TYPOGRAPHY)


def without_emoji(text: str) -> str:
    """Pictures left out, and the spaces that stood around them drawn together."""
    cleaned = _EMOJI.sub("", text)
    return text if cleaned == text else _ENDS.sub("", _GAPS.sub(" ", cleaned))
