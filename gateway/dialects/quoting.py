"""What somebody has written anew in an answer: the lines above the mail that is answered, without the signature.

Line by line, with patterns that cannot be made slow: an answer may come from anybody.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

_WROTE = r"(?:wrote|writes|пишет|писал|писала|написал|написала|написал\(а\)|пише|писав|написав|написала)"
_STOP = (
    re.compile(r"\s{0,8}>"),
    re.compile(r"-- ?"),
    re.compile(r"\s{0,8}_{10,}\s*"),
    re.compile(
        r"\s{0,8}-{2,}\s{0,4}(?:original message|исходное сообщение|пересылаемое сообщение|вихідне повідомлення|"
        r"оригінальне повідомлення)\s{0,4}-{2,}\s*",
        re.IGNORECASE,
    ),
    re.compile(r".{0,200}\b\d{1,2}:\d\d\b.{0,100}<[^<>\s]{3,200}@[^<>\s]{3,200}>:\s*"),
    re.compile(rf".{{1,300}}\b{_WROTE}[^:]{{0,120}}:\s*", re.IGNORECASE),
)
_FROM = re.compile(r"\s{0,8}\*?(?:from|от|от кого|від|від кого)\*?:\*?\s.*", re.IGNORECASE)
_SENT = re.compile(r"\s{0,8}\*?(?:sent|date|to|отправлено|дата|кому|надіслано)\*?:\*?\s.*", re.IGNORECASE)


def new_text(text: str) -> str:
    """Empty when there is nothing new."""
    lines = text.split("\n")
    end = next((index for index in range(len(lines)) if _begins_quotation(lines, index)), len(lines))
    return "\n".join(line.rstrip() for line in lines[:end]).strip()


def _begins_quotation(lines: Sequence[str], index: int) -> bool:
    line = lines[index]
    if len(line) > 1000:
        return False
    if any(pattern.fullmatch(line) if pattern is not _STOP[0] else pattern.match(line) for pattern in _STOP):
        return True
    following = lines[index + 1 : index + 4]
    if _FROM.fullmatch(line) and any(_SENT.fullmatch(other) for other in following):
        return True
    # "On Thu, 12 Mar 2026 at 10:15, Ivan Petrov\n<petrov@bank.example> wrote:"
    broken = bool(following) and following[0].startswith("<") and len(following[0]) < 200
    return broken and any(pattern.fullmatch(f"{line} {following[0]}") for pattern in _STOP[-2:])
