"""Dialect 1: the template of TargetSMS and Stream Telecom (seeds 000 and 004).

SmsUser=<login>
Password=<password>
SourceAddress=<originator>
PhoneNumber=<phone>[,<phone>…]
<text, one or more lines>

Three further lines are ours: ``Channel=``, ``Detail=`` (what the channel needs: the subject of an email, a call's
voice, a bot's name) and ``Comment=``. They count only among the four, and none of them is needed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from gateway.dialects import REPAIRED, KnownLogin, repairs
from gateway.model import TEXTLESS, Asked, Channel, Note, Password, ReceivedEmail, Submission, Wishes
from gateway.sms.numbers import is_number, split
from gateway.verdicts import CHANNEL_UNKNOWN, FIELD_REPEATED, FIELDS_MISSING, LINE_NOT_UNDERSTOOD, TEXT_EMPTY, Refused

KEYS = {
    "smsuser": "SmsUser",
    "password": "Password",
    "sourceaddress": "SourceAddress",
    "phonenumber": "PhoneNumber",
}
OPTIONAL = {"channel": "Channel", "detail": "Detail", "comment": "Comment"}
_NAMES = {**KEYS, **OPTIONAL}
_FIELD = re.compile(rf"\s*({'|'.join(_NAMES)})\s*=\s*(.*?)\s*", re.IGNORECASE)
_NEEDED = r"Sms ?User|Password|Source ?Address|Phone ?Number"
_LOOSE = re.compile(rf"[\s•·*–—-]*({_NEEDED})\s*[=＝﹦:：]\s*(.*?)\s*", re.IGNORECASE)
"""A field as mailers and people spoil it. Counts only for a key that is needed and not there yet: a text may begin
with ``Password: 1234``."""
_JOINED = re.compile(rf"\s(?=(?:{_NEEDED})\s*[=＝﹦])", re.IGNORECASE)
_NUMBERS_AND_TEXT = re.compile(r"((?:\+?[0-9][0-9().\-]{9,18}[,;\s]+)+)([^\W\d].*)", re.DOTALL)
"""Where all lines were joined: the numbers end where the first word begins."""
KEYS_NEEDED = frozenset(KEYS.values())
_NUMBERS = re.compile(r"(?:[,;\s]*\+?(?:[0-9][().\-]*){10,15})+[,;\s]*")
"""What may follow a comma at a line's end: too long for a code, though perhaps a wrong number."""
_LETTER = re.compile(r"[^\W\d_]")
"""In no number: most texts begin with one."""
_BEGIN = re.compile(r"\s*=+\s*\|\|\s*НАЧАЛО ТЕКСТА\s*\|\|\s*=+\s*", re.IGNORECASE)
_END = re.compile(r"\s*=+\s*\|\|\s*КОНЕЦ ТЕКСТА\s*\|\|\s*=+\s*", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class TemplateDialect:
    """Mail to a service address; the subject is ignored, credentials and destinations head the body."""

    addresses: frozenset[str]
    charset: str = "windows-1251"
    max_destinations: int = 20
    password_max_length: int | None = 8
    name: str = "template"

    def claims(self, recipient: str) -> bool:
        """A configured service address, in any letter case."""
        return recipient.lower() in self.addresses

    def parse(self, mail: ReceivedEmail, recipients: tuple[str, ...], known_login: KnownLogin) -> Submission:
        """Read the four fields in any order, then the text."""
        template = _Template()
        try:
            return self._submission(template, mail.text, recipients[0])
        except Refused as refused:
            refused.notes = tuple(template.notes)
            raise

    def _submission(self, template: _Template, text: str, recipient: str) -> Submission:
        for line in text.split("\n"):
            template.take(line)
        values = template.finish()
        wishes = _wishes(values)
        if not template.text.strip() and wishes.channel not in TEXTLESS:
            raise Refused(TEXT_EMPTY)
        return Submission(
            dialect=self.name,
            form="template",
            credential=Password(values["SmsUser"], values["Password"]),
            originator=values["SourceAddress"],
            destinations=tuple(Asked(number, recipient) for number in split(values["PhoneNumber"])),
            text=template.text,
            recipient=recipient,
            max_destinations=self.max_destinations,
            password_max_length=self.password_max_length,
            wishes=wishes,
            notes=tuple(template.notes),
        )


@dataclass(slots=True)
class _Template:
    """The lines read so far: first fields, then text."""

    values: dict[str, str] = field(default_factory=dict)
    numbers_open: bool = False
    """The line before was part of PhoneNumber, so a line of numbers may go on with it."""
    lines: list[str] | None = None
    """The text's lines; None while the header goes on."""
    ended: bool = False
    taken_for_numbers: list[tuple[str, str]] = field(default_factory=list)
    """Lines that only their look made part of PhoneNumber, each with the field's value before it."""
    number: int = 0
    notes: list[Note] = field(default_factory=list)
    text: str = ""

    def take(self, line: str) -> None:
        self.number += 1
        if self.ended:
            return
        if "||" in line and (_BEGIN.fullmatch(line) or _END.fullmatch(line)):
            self.ended = self.lines is not None and bool(_END.fullmatch(line))
            self.notes.append(Note("dialect", "decorative line dropped", {"line": self.number}))
        elif self.lines is not None:
            self.lines.append(line)
        else:
            self._header(line)

    def _header(self, line: str) -> None:
        pieces = self._pieces(line)
        for piece in pieces:
            if match := _FIELD.fullmatch(piece):
                self._field(_NAMES[match[1].lower()], match[2])
            elif (loose := _LOOSE.fullmatch(piece)) and (key := _key(loose[1])) not in self.values:
                self._repaired(f"{key}= was written otherwise")
                self._field(key, loose[2])
            else:
                self._not_a_field(piece)
        ends_in_numbers = len(pieces) > 1 and self.numbers_open and self.values.keys() >= KEYS_NEEDED
        if ends_in_numbers and (found := _NUMBERS_AND_TEXT.fullmatch(self.values["PhoneNumber"])):
            self.values["PhoneNumber"], self.lines = found[1], [found[2]]

    def _pieces(self, line: str) -> list[str]:
        """The line, or the lines that it was made of: each begins with a needed key that is not there yet."""
        pieces = _JOINED.split(line)
        if len(pieces) < 2:
            return pieces
        keys = [_key(match[1]) if (match := _LOOSE.fullmatch(piece)) else "" for piece in pieces]
        if "" in keys or len({*keys, *self.values}) < len(keys) + len(self.values):
            return [line]
        self._repaired("joined lines parted")
        return pieces

    def _repaired(self, what: str) -> None:
        self.notes.append(Note("dialect", f"{REPAIRED}{what}", {"line": self.number}))

    def _field(self, key: str, value: str) -> None:
        value = self._cleaned(key, value) if key in KEYS_NEEDED else value
        before = self.values.get(key)
        if key == "PhoneNumber":
            self.values[key] = f"{before},{value}" if before else value
        elif before and before != value:
            raise Refused(FIELD_REPEATED, field=key, line=self.number)
        else:
            self.values[key] = value
        self.numbers_open = key == "PhoneNumber"

    def _cleaned(self, key: str, value: str) -> str:
        """Brackets and straight quotation marks may be a password's own."""
        if key == "Password":
            clean = value if value.startswith('"') else repairs.without_quotes(value)
        else:
            clean = repairs.without_quotes(repairs.without_links(value))
        if clean != value:
            self._repaired(f"link or quotation marks taken off {key}")
        return clean

    def _not_a_field(self, line: str) -> None:
        stripped = line.strip()
        if self.numbers_open and (bare := repairs.without_links(stripped)) != stripped:
            stripped = bare
        complete = self.values.keys() >= KEYS_NEEDED
        numbers = self.values.get("PhoneNumber", "") if self.numbers_open else ""
        wants_more = numbers.endswith((",", ";"))
        if not stripped:
            self.numbers_open = wants_more
            if complete and not wants_more:
                self.lines = []
        elif numbers and (wants_more or stripped.startswith((",", ";"))) and _NUMBERS.fullmatch(stripped):
            self._go_on(numbers, stripped)
        elif numbers and not _LETTER.search(stripped) and all(map(is_number, split(stripped))):
            self.taken_for_numbers.append((numbers, line))
            self._go_on(numbers, stripped)
        elif complete:
            self.lines = [line]
        else:
            missing = ", ".join(key for key in KEYS.values() if key not in self.values)
            raise Refused(LINE_NOT_UNDERSTOOD, line=self.number, missing=missing)

    def _go_on(self, numbers: str, line: str) -> None:
        self.values["PhoneNumber"] = f"{numbers},{line}"
        self.notes.append(Note("dialect", "numbers go on in the next line", {"line": self.number}))

    def finish(self) -> dict[str, str]:
        """The four fields, once all lines are taken. Sets ``text``."""
        missing = [key for key in KEYS.values() if not self.values.get(key)]
        if missing:
            raise Refused(FIELDS_MISSING, missing=", ".join(missing))
        if (dialled := repairs.numbers(typed := self.values["PhoneNumber"])) != ",".join(_parts(typed)):
            self._repaired("8 before a number made 7")
            self.values["PhoneNumber"] = dialled
        self.text = "\n".join(line.rstrip() for line in self.lines or ()).strip("\n")
        if not self.text and self.taken_for_numbers:  # "call this number": the number is the text
            self.values["PhoneNumber"] = self.taken_for_numbers[0][0]
            self.text = "\n".join(line.strip() for _, line in self.taken_for_numbers)
            self.notes.append(Note("dialect", "the last numbers are the text: there is no other"))
        return self.values


def _key(written: str) -> str:
    return KEYS[written.replace(" ", "").lower()]


def _parts(field: str) -> list[str]:
    return [part.strip() for part in re.split(r"[,;\n]", field)]


def _wishes(values: Mapping[str, str]) -> Wishes:
    name = values.get("Channel", "").casefold() or Channel.SMS.value
    try:
        channel = Channel(name)
    except ValueError:
        raise Refused(CHANNEL_UNKNOWN, channel=name[:20], known=", ".join(Channel)) from None
    return Wishes(channel, detail=values.get("Detail", ""), comment=values.get("Comment", ""))
