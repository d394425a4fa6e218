from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.dialects.template import TemplateDialect
from gateway.model import Channel, Password, ReceivedEmail, Submission
from gateway.verdicts import Refused

SERVICE = "emailtosms@sms.example.com"
DIALECT = TemplateDialect(frozenset({SERVICE}))
HEAD = "SmsUser=u\nPassword=secret77\nSourceAddress=My Bank\nPhoneNumber=79101234567\n"


def parse(text: str) -> Submission:
    mail = ReceivedEmail("ignored", text, (), "", "", (), ())
    return DIALECT.parse(mail, (SERVICE,), lambda login: False)


def numbers(submission: Submission) -> list[str]:
    return [asked.typed for asked in submission.destinations]


@pytest.mark.parametrize(
    ("mail", "text"),
    [
        (HEAD + "text", "text"),
        (HEAD + "\ntext", "text"),
        ("\n\n" + HEAD + "a\n\nb\n\n", "a\n\nb"),
        ("  smsuser=u\n\n password = secret77 \nSOURCEADDRESS=My Bank\nPhonenumber=79101234567\ntext", "text"),
        ("PhoneNumber=79101234567\nSourceAddress=My Bank\nPassword=secret77\nSmsUser=u\ntext", "text"),
        (HEAD + "==|| НАЧАЛО ТЕКСТА ||==\ntext\n==|| КОНЕЦ ТЕКСТА ||==\nsignature", "text"),
        (HEAD + "Total=5\nPhoneNumber=not a key any more", "Total=5\nPhoneNumber=not a key any more"),
        (HEAD + " indented", " indented"),
    ],
)
def test_text(mail: str, text: str) -> None:
    submission = parse(mail)
    assert submission.text == text
    assert submission.credential == Password("u", "secret77")
    assert submission.originator == "My Bank"
    assert numbers(submission) == ["79101234567"]


@pytest.mark.parametrize(
    ("field", "expected"),
    [
        ("79101234567,79102345678", ["79101234567", "79102345678"]),
        ("79101234567, 79102345678;79103456789", ["79101234567", "79102345678", "79103456789"]),
        ("79101234567 79102345678", ["79101234567", "79102345678"]),
        ("79101234567,\n79102345678", ["79101234567", "79102345678"]),
        ("79101234567\n79102345678", ["79101234567", "79102345678"]),
        ("79101234567\n,79102345678", ["79101234567", "79102345678"]),
        ("+7 (910) 123-45-67", ["+7 (910) 123-45-67"]),
        ("+7 910 123-45-67, +7 910 234-56-78", ["+7 910 123-45-67", "+7 910 234-56-78"]),
        ("12,abc", ["12", "abc"]),
    ],
)
def test_numbers(field: str, expected: list[str]) -> None:
    submission = parse(HEAD.replace("79101234567", field) + "text")
    assert numbers(submission) == expected
    assert submission.text == "text"


def test_a_number_alone_may_be_the_text() -> None:
    submission = parse(HEAD + "79102345678")
    assert (numbers(submission), submission.text) == (["79101234567"], "79102345678")


def test_a_code_is_text() -> None:
    assert parse(HEAD + "123456").text == "123456"


@pytest.mark.parametrize(
    ("mail", "reason"),
    [
        ("", "fields_missing"),
        (HEAD, "text_empty"),
        (HEAD + " \n", "text_empty"),
        ("hello\n" + HEAD, "line_not_understood"),
        (HEAD.replace("SmsUser=u\n", "") + "text", "line_not_understood"),
        (HEAD.replace("My Bank", "") + "text", "fields_missing"),
        ("Password=other\n" + HEAD + "text", "field_repeated"),
        (HEAD + "Password=other", "field_repeated"),
        (HEAD.replace("Password", "Passwort") + "text", "line_not_understood"),
    ],
)
def test_refused(mail: str, reason: str) -> None:
    with pytest.raises(Refused) as caught:
        parse(mail)
    assert caught.value.refusal.reason.key == reason
    assert "secret77" not in str(caught.value.refusal.values)


def test_the_secret_is_in_no_repr_and_no_note() -> None:
    submission = parse(HEAD + "text")
    assert "secret77" not in repr(submission)
    assert "secret77" not in repr(submission.notes)


WORD = st.text(st.characters(categories=["L", "N"]), min_size=1, max_size=8)
TEXT = st.text(st.characters(exclude_categories=["Cc", "Zs", "Zl", "Zp", "Cs"]), min_size=1, max_size=60).filter(
    lambda text: "=" not in text and not any(c.isdigit() for c in text)
)


@given(WORD, WORD, TEXT, st.permutations(range(4)), st.sampled_from([str.upper, str.lower, str.title, str]))
def test_whatever_is_rendered_is_read(login: str, password: str, text: str, order: list[int], case: type[str]) -> None:
    values = {"SmsUser": login, "Password": password, "SourceAddress": "My Bank", "PhoneNumber": "79101234567"}
    fields = [f"{case(key)}={value}" for key, value in values.items()]
    submission = parse("\n".join([*(fields[index] for index in order), text]))
    assert submission.credential == Password(login, password)
    assert submission.text == text


# ── our own lines ────────────────────────────────────────────────────────────────────────────────


def test_channel_detail_and_comment() -> None:
    lines = "Channel = Email\nDetail=Ваш заказ\ncomment=order 17\n"
    for mail in (lines + HEAD + "text", HEAD + lines + "text"):
        wishes = parse(mail).wishes
        assert (wishes.channel, wishes.detail, wishes.comment) == (Channel.EMAIL, "Ваш заказ", "order 17")


def test_they_are_text_once_the_text_has_begun() -> None:
    assert parse(HEAD + "text\nChannel=hlr").text == "text\nChannel=hlr"
    assert parse(HEAD + "\nChannel=hlr").text == "Channel=hlr"


@pytest.mark.parametrize("channel", ["hlr", "ping"])
def test_a_question_needs_no_text(channel: str) -> None:
    assert parse(f"{HEAD}Channel={channel}").text == ""


def test_a_channel_that_does_not_exist() -> None:
    with pytest.raises(Refused) as caught:
        parse(f"{HEAD}Channel=pigeon\ntext")
    assert caught.value.refusal.reason.key == "channel_unknown"


# ── what mailers do to it ────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "mail",
    [
        HEAD.replace("=", "＝") + "text",
        HEAD.replace("=", ": ") + "text",
        HEAD.replace("SmsUser", "• Sms User").replace("Phone", "- Phone ") + "text",
        HEAD.replace("\n", " ").strip() + "\ntext",
        HEAD.replace("\n", " ") + "text",
        HEAD.replace("79101234567", "79101234567<tel:+79101234567>") + "text",
        HEAD.replace("79101234567", "<tel:+79101234567>") + "text",
        HEAD.replace("79101234567", "79101234567<mailto:79101234567>") + "text",
        HEAD.replace("79101234567", "[tel:79101234567]") + "text",
        HEAD.replace("79101234567", "8 (910) 123-45-67") + "text",
        HEAD.replace("79101234567", "8 (910) 123-45-67<tel:+79101234567>") + "text",
        HEAD.replace("My Bank", "“My Bank”") + "text",
        HEAD.replace("secret77", "«secret77»") + "text",
        HEAD.replace("=u", "=u<mailto:u>") + "text",
    ],
)
def test_repaired(mail: str) -> None:
    submission = parse(mail)
    assert submission.credential == Password("u", "secret77")
    assert (submission.originator, submission.text) == ("My Bank", "text")
    assert [typed.lstrip("+") for typed in numbers(submission)] == ["79101234567"]
    assert any(note.what.startswith("repaired: ") for note in submission.notes)
    assert not any("secret77" in repr(note) or "9101234567" in repr(note) for note in submission.notes)


@pytest.mark.parametrize(
    "mail",
    [
        HEAD + "Password: 1234",
        HEAD + "• SmsUser: you",
        HEAD + "Sms User=you PhoneNumber=79102345678",
    ],
)
def test_what_is_the_text_or_the_password_is_not_repaired(mail: str) -> None:
    submission = parse(mail)
    assert numbers(submission) == ["79101234567"]
    assert submission.text == mail.rpartition("\n")[2]
    assert not [note for note in submission.notes if note.what.startswith("repaired")]


def test_a_link_to_another_number_is_refused_and_the_repairs_before_it_are_told() -> None:
    with pytest.raises(Refused) as caught:
        parse("Sms User=u\n" + HEAD.split("\n", 1)[1].replace("79101234567", "79101234567<tel:+79102345678>") + "text")
    assert caught.value.refusal.reason.key == "link_differs"
    assert [note.what for note in caught.value.notes] == ["repaired: SmsUser= was written otherwise"]


@pytest.mark.parametrize("password", ['"secret"', "<tel:79102345678>", "x<tel:79>"])
def test_a_password_keeps_its_own_marks(password: str) -> None:
    assert parse(HEAD.replace("secret77", password) + "text").credential == Password("u", password)


def test_eight_is_a_country_code_elsewhere() -> None:
    assert numbers(parse(HEAD.replace("79101234567", "81312345678") + "text")) == ["81312345678"]
