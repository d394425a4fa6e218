"""Dialect 2: the destination in the address, the credential in the subject (AlphaSMS, seed 001).

a  <destination>@domain   originator;login;password;
b  <login>@domain         originator;                     to the account's own number
c  <login>@domain         originator;login;password;list;
d  <destination>@domain   originator;key;
e  <login>@domain         originator;key;list;
"""

from __future__ import annotations

from dataclasses import dataclass

from gateway.dialects import KnownLogin, split_address
from gateway.model import ApiKey, Asked, Credential, NoSecret, Note, Password, ReceivedEmail, Submission
from gateway.verdicts import ONE_RECIPIENT_ONLY, SUBJECT_NOT_UNDERSTOOD, TEXT_EMPTY, Refused


@dataclass(frozen=True, slots=True)
class AddressDialect:
    """Mail to any address of a configured domain; the body is the text."""

    domains: frozenset[str]
    charset: str = "utf-8"
    max_text_length: int = 500
    max_destinations: int = 20
    name: str = "address"

    def claims(self, recipient: str) -> bool:
        """An address in a configured domain, in any letter case."""
        return split_address(recipient)[1] in self.domains

    def parse(self, mail: ReceivedEmail, recipients: tuple[str, ...], known_login: KnownLogin) -> Submission:
        """Tell the five forms apart by the number of fields; a and e by whether field 2 is a login."""
        if (fault := mail.subject_fault) is not None:
            raise Refused(fault.reason, **fault.values)
        originator, *rest = _fields(mail.subject)
        local = split_address(recipients[0])[0]
        asked = tuple(Asked(split_address(recipient)[0], recipient) for recipient in recipients)
        credential: Credential
        list_id: str | None = None
        match rest:
            case [login, password] if known_login(login):
                form, credential = "a", Password(login, password)
            case []:
                form, credential = "b", NoSecret(local)
            case [login, password, wanted]:
                form, credential, list_id = "c", Password(login, password), wanted
            case [key]:
                form, credential = "d", ApiKey(key)
            case [key, wanted]:
                form, credential, list_id = "e", ApiKey(key, login=local), wanted
            case _:
                raise Refused(SUBJECT_NOT_UNDERSTOOD, fields=len(rest) + 1)
        if form not in "ad":
            if len({recipient.lower() for recipient in recipients}) > 1:
                raise Refused(ONE_RECIPIENT_ONLY, form=form)
            asked = ()
        text = "\n".join(line.rstrip() for line in mail.text.split("\n")).strip()
        if not text:
            raise Refused(TEXT_EMPTY)
        return Submission(
            dialect=self.name,
            form=form,
            credential=credential,
            originator=originator,
            destinations=asked,
            text=text,
            recipient=recipients[0],
            list_id=list_id,
            own_number=form == "b",
            max_destinations=self.max_destinations,
            max_text_length=self.max_text_length,
            notes=(Note("dialect", f"form {form}", {"fields": len(rest) + 1}),),
        )


def _fields(subject: str) -> list[str]:
    """The subject cut at ``;``, the last one optional. Raises ``Refused`` when a field is empty."""
    fields = [part.strip() for part in subject.split(";")]
    if len(fields) > 1 and not fields[-1]:
        fields.pop()
    if not all(fields):
        raise Refused(SUBJECT_NOT_UNDERSTOOD, fields=len(fields) if subject.strip() else 0)
    return fields
