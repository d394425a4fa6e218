"""Relatives of our dialects, by configuration: where credential, number and text stand is described in YAML.

``FieldsFamily``   key and value a line, in the body (Clickatell)
``SubjectFamily``  number in the address, fields in the subject (BulkGate)
``PlainFamily``    number in the address, no credential: who speaks SMTP vouches (devices, monitoring)
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from gateway.dialects import KnownLogin, split_address
from gateway.model import ApiKey, Asked, Credential, Password, ReceivedEmail, Speaker, Submission
from gateway.sms.numbers import split
from gateway.verdicts import (
    FAMILY_FIELD_MISSING,
    FAMILY_LINE,
    FAMILY_SUBJECT,
    FIELD_REPEATED,
    ONE_RECIPIENT_ONLY,
    TEXT_EMPTY,
    Refused,
)


class Role(StrEnum):
    """What a field means."""

    LOGIN = "login"
    PASSWORD = "password"  # noqa: S105
    KEY = "key"
    ORIGINATOR = "originator"
    DESTINATION = "destination"
    TEXT = "text"
    LIST = "list"
    IGNORED = "ignored"


@dataclass(frozen=True, slots=True)
class FieldsFamily:
    """Mail to a service address. A text goes on in the lines below it, until the next key."""

    name: str
    addresses: frozenset[str]
    keys: Mapping[str, Role]
    """In lower case."""
    separator: str = ":"
    charset: str = "utf-8"
    max_destinations: int = 20

    def claims(self, recipient: str) -> bool:
        """A configured service address, in any letter case."""
        return recipient.lower() in self.addresses

    def parse(self, mail: ReceivedEmail, recipients: tuple[str, ...], known_login: KnownLogin) -> Submission:
        """A key may be repeated for destinations (more numbers) and texts (more lines), not for others."""
        found: dict[Role, str] = {}
        last: Role | None = None
        for number, line in enumerate(mail.text.split("\n"), 1):
            key, separator, value = line.partition(self.separator)
            role = self.keys.get(key.strip().lower()) if separator else None
            if role is not None:
                _add(found, role, value.strip(), key.strip(), number)
                last = role
            elif last is Role.TEXT:
                found[Role.TEXT] += "\n" + line.rstrip()
            elif line.strip():
                raise Refused(FAMILY_LINE, line=number, family=self.name)
        asked = tuple(Asked(number, recipients[0]) for number in split(found.get(Role.DESTINATION, "")))
        if not asked and not found.get(Role.LIST):
            raise Refused(FAMILY_FIELD_MISSING, missing=self._key(Role.DESTINATION), family=self.name)
        return Submission(
            dialect=self.name,
            form="fields",
            credential=_credential(found, self.name),
            originator=found.get(Role.ORIGINATOR, ""),
            destinations=() if found.get(Role.LIST) else asked,
            text=_text(found.get(Role.TEXT, "")),
            recipient=recipients[0],
            list_id=found.get(Role.LIST) or None,
            max_destinations=self.max_destinations,
        )

    def _key(self, role: Role) -> str:
        return next((key for key, meaning in self.keys.items() if meaning is role), role.value)


@dataclass(frozen=True, slots=True)
class SubjectFamily:
    """Mail to ``<destination>@domain``; the body is the text."""

    name: str
    domains: frozenset[str]
    fields: tuple[Role, ...]
    optional: tuple[Role, ...] = ()
    separator: str = ";"
    charset: str = "utf-8"
    max_destinations: int = 20

    def claims(self, recipient: str) -> bool:
        """An address in a configured domain, in any letter case."""
        return split_address(recipient)[1] in self.domains

    def parse(self, mail: ReceivedEmail, recipients: tuple[str, ...], known_login: KnownLogin) -> Submission:
        """As many fields as are described, the last separator optional."""
        if (fault := mail.subject_fault) is not None:
            raise Refused(fault.reason, **fault.values)
        parts = [part.strip() for part in mail.subject.split(self.separator)]
        if len(parts) > 1 and not parts[-1]:
            parts.pop()
        roles = self.fields + self.optional
        if not len(self.fields) <= len(parts) <= len(roles) or not all(parts[: len(self.fields)]):
            expected = self.separator.join([*self.fields, *(f"[{role}]" for role in self.optional)])
            raise Refused(FAMILY_SUBJECT, fields=len(parts), expected=expected)
        found: dict[Role, str] = {
            role: part for role, part in zip(roles, parts, strict=False) if role is not Role.IGNORED
        }
        list_id = found.get(Role.LIST) or None
        if list_id and len({recipient.lower() for recipient in recipients}) > 1:
            raise Refused(ONE_RECIPIENT_ONLY, form=self.name)
        return Submission(
            dialect=self.name,
            form="subject",
            credential=_credential(found, self.name),
            originator=found.get(Role.ORIGINATOR, ""),
            destinations=() if list_id else _from_addresses(recipients),
            text=_text(mail.text),
            recipient=recipients[0],
            list_id=list_id,
            max_destinations=self.max_destinations,
        )


@dataclass(frozen=True, slots=True)
class PlainFamily:
    """Mail to ``<destination>@domain`` from whoever has logged in by SMTP AUTH, or from a trusted network for
    ``account``. Nothing in the mail is a credential, so it stands only with a verified sender."""

    name: str
    domains: frozenset[str]
    text: str = "body"
    """``subject``, ``body`` or ``both``."""
    account: str = ""
    originator: str = ""
    charset: str = "utf-8"
    max_destinations: int = 20

    def claims(self, recipient: str) -> bool:
        """An address in a configured domain, in any letter case."""
        return split_address(recipient)[1] in self.domains

    def parse(self, mail: ReceivedEmail, recipients: tuple[str, ...], known_login: KnownLogin) -> Submission:
        """The subject counts only where it is part of the text."""
        if self.text != "body" and (fault := mail.subject_fault) is not None:
            raise Refused(fault.reason, **fault.values)
        parts = {"subject": [mail.subject], "body": [mail.text], "both": [mail.subject, mail.text]}[self.text]
        return Submission(
            dialect=self.name,
            form="plain",
            credential=Speaker(self.account),
            originator=self.originator,
            destinations=_from_addresses(recipients),
            text=_text("\n".join(part for part in parts if part.strip())),
            recipient=recipients[0],
            max_destinations=self.max_destinations,
        )


def _add(found: dict[Role, str], role: Role, value: str, key: str, line: int) -> None:
    before = found.get(role)
    if role is Role.IGNORED or before is None:
        found[role] = value
    elif role in (Role.DESTINATION, Role.TEXT):
        found[role] = f"{before}{',' if role is Role.DESTINATION else chr(10)}{value}"
    elif before != value:
        raise Refused(FIELD_REPEATED, field=re.sub(r"\W", "?", key), line=line)


def _credential(found: Mapping[Role, str], family: str) -> Credential:
    login, password, key = (found.get(role, "") for role in (Role.LOGIN, Role.PASSWORD, Role.KEY))
    if key:
        return ApiKey(key, login=login or None)
    if not login or not password:
        raise Refused(FAMILY_FIELD_MISSING, missing="login" if not login else "password", family=family)
    return Password(login, password)


def _from_addresses(recipients: tuple[str, ...]) -> tuple[Asked, ...]:
    return tuple(Asked(split_address(recipient)[0], recipient) for recipient in recipients)


def _text(text: str) -> str:
    text = "\n".join(line.rstrip() for line in text.split("\n")).strip()
    if not text:
        raise Refused(TEXT_EMPTY)
    return text
