"""What somebody has written anew in an answer, in English, Russian and Ukrainian.

Line by line, with patterns that cannot be made slow: an answer may come from anybody.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

_WROTE = r"(?:wrote|writes|пишет|писал|писала|написал|написала|написал\(а\)|пише|писав|написав|написав\(ла\)|написала)"
_QUOTED = re.compile(r"\s{0,8}>.*")
_RULE = re.compile(r"\s{0,8}(?:_{10,})?\s*")
_LINE = re.compile(
    r"\s{0,8}-{2,}\s{0,4}(?:original message|исходное сообщение|пересылаемое сообщение|вихідне повідомлення|"
    r"оригінальне повідомлення)\s{0,4}-{2,}\s*",
    re.IGNORECASE,
)
_WORDS = (
    re.compile(r".{0,200}\b\d{1,2}:\d\d\b.{0,100}<[^<>\s]{3,200}@[^<>\s]{3,200}>:\s*"),
    re.compile(rf".{{1,300}}\b{_WROTE}[^:]{{0,120}}:\s*", re.IGNORECASE),
)
_INTRODUCTIONS = (_LINE, *_WORDS)
_STOP = (_QUOTED, re.compile(r"-- ?"), re.compile(r"\s{0,8}_{10,}\s*"), *_INTRODUCTIONS)
_FROM = re.compile(r"\s{0,8}\*?(?:from|от|от кого|від|від кого)\*?:\*?\s.*", re.IGNORECASE)
_SENT = re.compile(r"\s{0,8}\*?(?:sent|date|to|отправлено|дата|кому|надіслано)\*?:\*?\s.*", re.IGNORECASE)
_FIELD = re.compile(
    r"\s{0,8}\*?(?:sent|date|to|cc|subject|отправлено|дата|кому|копия|тема|надіслано|копія)\*?:\*?\s.*", re.IGNORECASE
)


def new_text(text: str) -> str:
    """The lines above the mail that is answered, without the signature. Empty when there is nothing new."""
    lines = text.split("\n")
    end = next((index for index in range(len(lines)) if _begins_quotation(lines, index, _STOP)), len(lines))
    return "\n".join(line.rstrip() for line in lines[:end]).strip()


def without_quotations(text: str) -> str:
    """Leave out the lines that begin with ``>`` and what introduces them, and everything below the header of a mail
    that is quoted whole. What is written between and below marked lines stays."""
    lines = text.split("\n")
    kept: list[str] = []
    index = 0
    while index < len(lines):
        if _QUOTED.match(lines[index]):
            index += 1
        elif (after := _after_introduction(lines, index)) is not None:
            index = after
        elif _begins_whole_mail(lines, index):
            while kept and _RULE.fullmatch(kept[-1]):  # Outlook draws a line above
                kept.pop()
            break
        else:
            kept.append(lines[index])
            index += 1
    return "\n".join(kept).strip("\n")


def _after_introduction(lines: Sequence[str], index: int) -> int | None:
    """The first line with a mark that this line introduces; None: it introduces none."""
    following = range(index + 1, min(index + 4, len(lines)))
    marked = next((other for other in following if _QUOTED.match(lines[other])), None)
    return marked if marked is not None and _begins_quotation(lines, index, _INTRODUCTIONS) else None


def _begins_whole_mail(lines: Sequence[str], index: int) -> bool:
    """A mail below is quoted without marks. Stricter than for marked lines: "The boss writes:" may be followed by the
    very thing that is to be told, so a date must stand there; a header must be one of three fields and more."""
    line = lines[index]
    if len(line) > 1000:
        return False
    if _FROM.fullmatch(line):
        return sum(bool(_FIELD.fullmatch(other)) for other in lines[index + 1 : index + 6]) > 1
    return bool(_LINE.fullmatch(line)) or (any(map(str.isdigit, line)) and _begins_quotation(lines, index, _WORDS))


def _begins_quotation(lines: Sequence[str], index: int, patterns: Sequence[re.Pattern[str]]) -> bool:
    line = lines[index]
    if len(line) > 1000:
        return False
    if any(pattern.fullmatch(line) for pattern in patterns):
        return True
    following = lines[index + 1 : index + 4]
    if _FROM.fullmatch(line) and any(_SENT.fullmatch(other) for other in following):
        return True
    # "On Thu, 12 Mar 2026 at 10:15, Ivan Petrov\n<petrov@bank.example> wrote:"
    broken = bool(following) and following[0].startswith("<") and len(following[0]) < 200
    return broken and any(pattern.fullmatch(f"{line} {following[0]}") for pattern in _WORDS)
