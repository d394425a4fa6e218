from __future__ import annotations

import pytest

from gateway.dialects.address import AddressDialect
from gateway.model import ApiKey, Credential, NoSecret, Password, ReceivedEmail, Submission
from gateway.verdicts import Refused

DIALECT = AddressDialect(frozenset({"sms.example.com"}))


def parse(subject: str, *recipients: str, text: str = "Hello") -> Submission:
    mail = ReceivedEmail(subject, text, (), "", "", (), ())
    to = tuple(f"{local}@sms.example.com" for local in recipients or ("79101234567",))
    return DIALECT.parse(mail, to, lambda login: login == "user")


@pytest.mark.parametrize(
    ("subject", "recipient", "form", "credential", "list_id"),
    [
        ("Bank;user;pass;", "79101234567", "a", Password("user", "pass"), None),
        ("Bank;user;pass", "79101234567", "a", Password("user", "pass"), None),
        (" Bank ; user ; pass ; ", "79101234567", "a", Password("user", "pass"), None),
        ("Bank;", "user", "b", NoSecret("user"), None),
        ("Bank", "user", "b", NoSecret("user"), None),
        ("Bank;user;pass;12345;", "user", "c", Password("user", "pass"), "12345"),
        ("Bank;key1;", "79101234567", "d", ApiKey("key1"), None),
        ("Bank;key1;12345;", "user", "e", ApiKey("key1", login="user"), "12345"),
        ("Bank;nobody;pass;", "79101234567", "e", ApiKey("nobody", login="79101234567"), "pass"),
    ],
)
def test_forms(subject: str, recipient: str, form: str, credential: Credential, list_id: str | None) -> None:
    submission = parse(subject, recipient)
    assert (submission.form, submission.originator, submission.list_id) == (form, "Bank", list_id)
    assert submission.credential == credential
    assert submission.own_number is (form == "b")
    assert [asked.typed for asked in submission.destinations] == ([recipient] if form in "ad" else [])


def test_several_recipients_are_several_destinations() -> None:
    submission = parse("Bank;key1;", "79101234567", "79102345678")
    assert [asked.typed for asked in submission.destinations] == ["79101234567", "79102345678"]


@pytest.mark.parametrize(
    ("subject", "recipients", "text", "reason"),
    [
        ("", ("79101234567",), "x", "subject_not_understood"),
        (";;;", ("79101234567",), "x", "subject_not_understood"),
        ("Bank;;pass;", ("79101234567",), "x", "subject_not_understood"),
        ("a;b;c;d;e;", ("79101234567",), "x", "subject_not_understood"),
        ("Bank;key1;", ("79101234567",), " \n ", "text_empty"),
        ("Bank;", ("user", "other"), "x", "one_recipient_only"),
        ("Bank;user;pass;12345;", ("user", "other"), "x", "one_recipient_only"),
    ],
)
def test_refused(subject: str, recipients: tuple[str, ...], text: str, reason: str) -> None:
    with pytest.raises(Refused) as caught:
        parse(subject, *recipients, text=text)
    assert caught.value.refusal.reason.key == reason


@pytest.mark.parametrize(
    ("recipient", "claimed"),
    [("79101234567@sms.example.com", True), ("x@SMS.EXAMPLE.COM", True), ("x@example.com", False), ("x", False)],
)
def test_claims(recipient: str, claimed: bool) -> None:
    assert DIALECT.claims(recipient) is claimed
