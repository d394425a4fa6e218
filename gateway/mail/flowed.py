"""format=flowed (RFC 3676): paragraphs that the client wrapped become one line again."""

from __future__ import annotations

SIGNATURE = "-- "


def unflow(text: str, *, delete_space: bool) -> str:
    """Join soft-wrapped lines. ``delete_space`` is DelSp=yes (§4.2): the space before the break is not text."""
    lines: list[str] = []
    paragraph, paragraph_depth = "", 0
    for line in text.split("\n"):
        content = line.lstrip(">")
        depth = len(line) - len(content)
        content = content.removeprefix(" ")  # space-stuffing, §4.4
        if paragraph and depth != paragraph_depth:
            lines.append(_quoted(paragraph, paragraph_depth))
            paragraph = ""
        paragraph_depth = depth
        if content.endswith(" ") and content != SIGNATURE:
            paragraph += content[:-1] if delete_space else content
            continue
        lines.append(_quoted(paragraph + content, depth))
        paragraph = ""
    if paragraph:
        lines.append(_quoted(paragraph, paragraph_depth))
    return "\n".join(lines)


def _quoted(content: str, depth: int) -> str:
    return f"{'>' * depth} {content}" if depth else content
