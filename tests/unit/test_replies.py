"""The words of the replies, and the mail that holds them."""

from __future__ import annotations

import email
import email.policy
import re
from email.message import EmailMessage

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.lifecycle import State
from gateway.model import Notice, Told
from gateway.replies.render import render
from gateway.replies.wording import LANGUAGES, catalog, smtp_line
from gateway.verdicts import CREDENTIALS_WRONG, LIST_UNKNOWN, PROVIDER_REFUSED, REASONS, Refusal


def placeholders(text: str) -> set[str]:
    return set(re.findall(r"{(\w+)}", text))


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_reason_has_its_sentence_in_every_language(language: str) -> None:
    english, texts = catalog("en"), catalog(language)
    assert set(texts["reasons"]) == set(REASONS)
    assert set(texts["words"]) == set(english["words"])
    for key, sentence in texts["reasons"].items():
        assert set(sentence) == {"what", "fix"}
        assert placeholders(sentence["what"]) == placeholders(english["reasons"][key]["what"]), key


def test_the_english_one_fits_an_smtp_line() -> None:
    for key, sentence in catalog("en")["reasons"].items():
        assert sentence["what"].isascii(), key
        assert len(sentence["what"]) <= 80, key


def notice(**changes: object) -> Notice:
    usual: dict[str, object] = {
        "mail_id": "M7Y2VXRN3FBVA",
        "to": "alerts@bank.example",
        "language": "en",
        "message_id": "<1@bank.example>",
        "refusal": Refusal(CREDENTIALS_WRONG),
        "told": (),
        "dialect": "template",
        "account": "user",
        "originator": "My Bank",
        "received_at": 1_800_000_000.0,
    }
    return Notice(**{**usual, **changes})  # type: ignore[arg-type]


def rendered(**changes: object) -> EmailMessage:
    reply = render(notice(**changes), sender="sms@sms.example.com", hostname="sms.example.com", now=1_800_000_000.0)
    parsed = email.message_from_bytes(reply.message, policy=email.policy.default)
    assert isinstance(parsed, EmailMessage)
    return parsed


def test_the_header_is_ours() -> None:
    mail = rendered()
    assert str(mail["From"]) == "email2sms <sms@sms.example.com>"
    assert str(mail["Subject"]) == "AUTH: SMS not sent [M7Y2VXRN3FBVA]"
    assert (mail["Auto-Submitted"], mail["In-Reply-To"]) == ("auto-replied", "<1@bank.example>")
    assert mail.get_content().splitlines()[0] == "AUTH"


FIELDS = {"From", "To", "Subject", "Date", "Message-ID", "Auto-Submitted", "X-Auto-Response-Suppress"}
FIELDS |= {"Content-Language", "In-Reply-To", "References", "Content-Type", "Content-Transfer-Encoding", "MIME-Version"}


@given(st.text(max_size=80), st.text(max_size=80), st.text(max_size=80))
def test_nothing_that_a_sender_writes_reaches_the_header(message_id: str, originator: str, words: str) -> None:
    refusals = Refusal(LIST_UNKNOWN, {"list": words}), Refusal(PROVIDER_REFUSED, {"code": 1, "text": words})
    for refusal in refusals:
        for hostile in (message_id, f"<x@y.example>\r\nBcc: {message_id}", "<=?utf-8?Q?=0ABcc:x?=@y.example>"):
            mail = rendered(message_id=hostile, originator=originator, refusal=refusal)
            assert set(mail.keys()) <= FIELDS
    line = smtp_line(refusals[0])
    assert line.isascii()
    assert "\n" not in line
    assert "\r" not in line


def test_a_report_on_several() -> None:
    told = (
        Told("79101234567", State.FAILED, Refusal(PROVIDER_REFUSED, {"code": 9, "text": "Текст отклонен"})),
        Told("79102345678", State.SUBMITTED, None, remark="held by provider until the bill is paid"),
    )
    text = rendered(refusal=None, told=told, language="ru").get_content()
    assert "7910***4567: MSG:9, не отправлено" in text
    assert "7910***5678: SUBMITTED, принято провайдером" in text
    assert "Текст отклонен" in text
    assert "как только будет пополнен счёт" in text
    assert "79101234567" not in text


@pytest.mark.parametrize("to", ["", "a b@c.example", "a@b.example\r\nBcc: x@y.example", "юзер@b.example"])
def test_only_plain_addresses(to: str) -> None:
    with pytest.raises(ValueError, match="plain address"):
        rendered(to=to)


def test_what_was_mended_in_the_mail_is_told() -> None:
    values = {"repaired": "joined lines parted; 8 before a number made 7"}
    text = rendered(refusal=Refusal(CREDENTIALS_WRONG, values)).get_content().replace("\r\n", "\n")
    assert "mended in the mail: joined lines parted\n" in text
    assert "mended in the mail: 8 before a number made 7\n" in text
    assert "mended" not in rendered().get_content()
