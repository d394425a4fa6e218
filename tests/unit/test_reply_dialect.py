"""Answers to forwarded SMS: whose they are, and what of them is new."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.dialects.reply import ReplyDialect
from gateway.model import Conversation, ReceivedEmail
from gateway.text.quoting import new_text
from gateway.verdicts import Refused

DIALECT = ReplyDialect("sms.example.com", "sixteen characters")
ADDRESS = DIALECT.address("79107654321", "79990001122")


def mail(text: str, automatic: str = "") -> ReceivedEmail:
    return ReceivedEmail("Re: SMS", text, (), "", automatic, (), ())


def test_an_answer_goes_back_from_our_number() -> None:
    assert DIALECT.claims(ADDRESS.upper())
    submission = DIALECT.parse(mail("Да, ждём!\n\n> Буду в 5"), (ADDRESS,), lambda login: False)
    assert (submission.text, submission.originator) == ("Да, ждём!", "79990001122")
    assert [asked.typed for asked in submission.destinations] == ["79107654321"]
    assert submission.credential == Conversation("79990001122")


@pytest.mark.parametrize("sender", ["MegaFon", "", "12", "7910765432100000"])
def test_who_has_no_number_cannot_be_answered(sender: str) -> None:
    assert DIALECT.address(sender, "79990001122") == ""


def test_an_address_that_we_have_not_made() -> None:
    for forged in (
        ADDRESS.replace("79107654321", "79107654322"),
        ADDRESS.replace("79990001122", "79990001123"),
        ReplyDialect("sms.example.com", "another key, sixteen").address("79107654321", "79990001122"),
    ):
        assert DIALECT.claims(forged)
        with pytest.raises(Refused) as caught:
            DIALECT.parse(mail("x"), (forged,), lambda login: False)
        assert caught.value.refusal.code == "AUTH"


@pytest.mark.parametrize(
    "other", ["79107654321@sms.example.com", "reply-1@sms.example.com", ADDRESS.replace("sms.", "")]
)
def test_other_addresses_are_not_its_own(other: str) -> None:
    assert not DIALECT.claims(other)


def test_a_machines_answer_is_not_sent() -> None:
    with pytest.raises(Refused) as caught:
        DIALECT.parse(mail("I am on holiday", "Auto-Submitted"), (ADDRESS,), lambda login: False)
    assert caught.value.refusal.code == "FORBIDDEN"


def test_nothing_new() -> None:
    with pytest.raises(Refused) as caught:
        DIALECT.parse(mail("> Буду в 5\n"), (ADDRESS,), lambda login: False)
    assert caught.value.refusal.reason.key == "text_empty"


@pytest.mark.parametrize(
    ("text", "new"),
    [
        ("Hello", "Hello"),
        ("Hello\n\n-- \nIvan", "Hello"),
        ("Hello\n> quoted\nmore", "Hello"),
        ("Да\n\nчт, 12 мар. 2026 г. в 10:15, email2sms <sms@sms.example.com>:\n> x", "Да"),
        ("Да\n\n12.03.2026 10:15, email2sms пишет:\nx", "Да"),
        ("Так\n\nчт, 12 бер. 2026 р. о 10:15 email2sms <a@b.example> пише:\n\n> x", "Так"),
        ("Yes\n\nOn Thu, 12 Mar 2026 at 10:15, email2sms\n<sms@sms.example.com> wrote:\n\n> x", "Yes"),
        ("Yes\n\nOn Thu, 12 Mar 2026, Ivan wrote:\n\nx", "Yes"),
        ("Да\n\n-----Исходное сообщение-----\nОт: x", "Да"),
        ("Yes\n________________________________\nFrom: a\nSent: b", "Yes"),
        ("Yes\n\nFrom: sms@sms.example.com\nSent: Thursday\nTo: x\n\nold", "Yes"),
        ("Да\n\nОт: sms@sms.example.com\nОтправлено: четверг\nКому: x\n\nстарое", "Да"),
        ("From: Moscow with love", "From: Moscow with love"),
        ("He wrote to me", "He wrote to me"),
        ("", ""),
    ],
)
def test_what_is_new(text: str, new: str) -> None:
    assert new_text(text) == new


@given(st.text(alphabet=st.sampled_from("a >:-_\nfromwrote<от"), max_size=200))
def test_it_is_a_beginning(text: str) -> None:
    lines = [line.rstrip() for line in text.split("\n")]
    assert "\n".join(lines).strip().startswith(new_text(text))


def test_hostile_lines_take_no_time() -> None:
    for hostile in ("a" * 100_000 + " wrote", "wrote " * 20_000, "From: " * 20_000, "-" * 100_000, "<" * 100_000):
        assert new_text(hostile + "\n" + hostile)
