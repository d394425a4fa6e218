"""Dialect 3: mails as SMSC.ru takes them (smsc.ru/api/smtp).

login:psw:id:time[,tz]:translit,format,sender[,test]:phones:mes
login:psw:id:time[,tz]:translit,format,sender[,test]::phone:text
phone:text …

An empty login means that ``psw`` is an API key. ``[text]…[/text]`` may stand around all of it, for programs that add
something of their own.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from gateway.dialects import KnownLogin
from gateway.model import (
    TEXTLESS,
    After,
    ApiKey,
    Asked,
    At,
    Between,
    Channel,
    Credential,
    Note,
    Password,
    ReceivedEmail,
    Submission,
    When,
    Wishes,
)
from gateway.sms.numbers import split
from gateway.verdicts import (
    FIELDS_MISSING,
    FORMAT_NOT_SUPPORTED,
    ID_NOT_VALID,
    SCHEDULE_NOT_SUPPORTED,
    SEVERAL_TEXTS,
    TEST_ONLY,
    TEXT_EMPTY,
    Refused,
)

FIELDS = ("login", "psw", "id", "time", "translit,format,sender", "phones", "mes")
FORMATS: Mapping[str, Channel] = {
    "": Channel.SMS,
    "0": Channel.SMS,
    "1": Channel.FLASH,
    "3": Channel.HLR,
    "6": Channel.PING,
    "8": Channel.EMAIL,
    "9": Channel.CALL,
    "10": Channel.VIBER,
    "11": Channel.SOC,
}
"""2 wap-push, 4 and 5 binary, 7 mms: refused."""
MOSCOW_S = 3 * 3600
"""``tz`` counts from Moscow's time."""
MAX_ID = 2_147_483_647

_WRAPPED = re.compile(r"\[text\](.*?)\[/text\]", re.DOTALL | re.IGNORECASE)
_DATE = re.compile(r"(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)")
_STAMP = re.compile(r"0(\d{9,10})")
_HOURS = re.compile(r"(\d{1,2})-(\d{1,2})")
_MINUTES = re.compile(r"\+(\d{1,6})")


@dataclass(frozen=True, slots=True)
class SmscDialect:
    """Mail to a service address; everything stands in the body, the subject is ignored."""

    addresses: frozenset[str]
    charset: str = "koi8-r"
    max_destinations: int = 100
    name: str = "smsc"

    def claims(self, recipient: str) -> bool:
        """A configured service address, in any letter case."""
        return recipient.lower() in self.addresses

    def parse(self, mail: ReceivedEmail, recipients: tuple[str, ...], known_login: KnownLogin) -> Submission:
        """Seven fields; only the last may hold colons."""
        login, psw, key, time, parameters, phones, mes = _fields(mail.text)
        wishes, sender = _wishes(time, parameters)
        notes = [Note("dialect", "client's id", {"id": key})] if _is_id(key) else []
        listed = not phones
        if listed and wishes.channel not in TEXTLESS:
            phones, mes = _list(mes)
        text = "\n".join(line.rstrip() for line in mes.split("\n")).strip()
        if not text and wishes.channel not in TEXTLESS:
            raise Refused(TEXT_EMPTY)
        credential: Credential = Password(login, psw) if login else ApiKey(psw)
        return Submission(
            dialect=self.name,
            form="list" if listed else "phones",
            credential=credential,
            originator=sender,
            destinations=tuple(Asked(number, recipients[0]) for number in split(phones)),
            text=text,
            recipient=recipients[0],
            max_destinations=self.max_destinations,
            wishes=wishes,
            notes=tuple(notes),
        )


def _fields(text: str) -> list[str]:
    """Raises ``Refused`` (FORMAT) naming what is missing."""
    wrapped = _WRAPPED.search(text)
    fields = (wrapped[1] if wrapped else text).lstrip("\ufeff\u00a0 \t\n").split(":", len(FIELDS) - 1)
    if len(fields) < len(FIELDS):
        raise Refused(FIELDS_MISSING, missing=", ".join(FIELDS[len(fields) :]))
    head = [field.strip(" \t\n\u00a0") for field in fields[:-1]]
    if not head[1] or any("\n" in field for field in head[:5]):
        raise Refused(FIELDS_MISSING, missing="psw" if not head[1] else "login:psw:id:time:translit,format,sender")
    return [*head, fields[-1]]


def _is_id(key: str) -> bool:
    """Whether one was given. Raises ``Refused`` for what is none."""
    if key in ("", "0"):
        return False
    if not (key.isascii() and key.isdigit() and 1 <= int(key[:11]) <= MAX_ID):
        raise Refused(ID_NOT_VALID, limit=MAX_ID)
    return True


def _wishes(time: str, parameters: str) -> tuple[Wishes, str]:
    """What is asked for besides, and the sender's name; ``.`` and nothing mean the account's own."""
    given = [part.strip() for part in parameters.split(",")]
    translit, form, sender, test = [*given, "", "", "", ""][:4]
    if test not in ("", "0"):
        raise Refused(TEST_ONLY)
    if form not in FORMATS or translit not in ("", "0", "1", "2"):
        shown = f"{translit},{form}"  # where a colon too many has moved the fields, it may be the password
        raise Refused(FORMAT_NOT_SUPPORTED, format=shown if re.fullmatch(r"[0-9,]{1,6}", shown) else "?")
    transliterate = True if translit in ("1", "2") else None
    return Wishes(FORMATS[form], when=_when(time), transliterate=transliterate), "" if sender == "." else sender


def _when(field: str) -> When | None:
    """``DDMMYYhhmm``, ``h1-h2``, ``0ts``, ``+m``; a time zone behind a comma. Raises ``Refused`` (FORMAT)."""
    time, _, zone = (part.strip() for part in field.partition(","))
    if time in ("", "0"):
        return None
    try:
        offset_s = MOSCOW_S + int(float(zone or 0) * 3600)
        if match := _DATE.fullmatch(time):
            day, month, year, hour, minute = map(int, match.groups())
            return At(datetime(2000 + year, month, day, hour, minute, tzinfo=UTC).timestamp() - offset_s)
        if match := _STAMP.fullmatch(time):
            return At(float(match[1]))
        if match := _MINUTES.fullmatch(time):
            return After(int(match[1]) * 60.0)
        if (match := _HOURS.fullmatch(time)) and int(match[1]) < 24 >= int(match[2]) and match[1] != match[2]:
            return Between(int(match[1]), int(match[2]), offset_s)
    except (ValueError, OverflowError):
        pass
    raise Refused(SCHEDULE_NOT_SUPPORTED)


def _list(lines: str) -> tuple[str, str]:
    """``phone:text`` lines → the phones and the one text. Raises ``Refused`` (FORMAT) where the texts differ."""
    pairs = [line.partition(":") for line in lines.strip().split("\n") if line.strip()]
    texts = {text.strip() for _, _, text in pairs}
    if not pairs or not all(colon for _, colon, _ in pairs):
        raise Refused(FIELDS_MISSING, missing="phone:text")
    if len(texts) > 1:
        raise Refused(SEVERAL_TEXTS, texts=len(texts))
    return ",".join(phone.strip() for phone, _, _ in pairs), texts.pop()
