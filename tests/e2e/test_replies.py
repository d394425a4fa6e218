"""Refusals and failures, as the sender's mail reader shows them."""

from __future__ import annotations

from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest

from gateway.sandbox.platform import Cut, Fault
from tests.process import Program, program, provider
from tests.running import ACCOUNT, listener, subject_mail, template
from tests.smarthost import Smarthost, smarthost

SERVICE = "emailtosms@sms.example.com"
PHONE = "79101234567@sms.example.com"
UNKNOWN = "Квота исчерпана наполовину"


def answering(host: Smarthost, **replies: Any) -> dict[str, Any]:
    """The configuration of a gateway that answers by mail."""
    section = {"from": "sms@sms.example.com", "smarthost": f"smtp://127.0.0.1:{host.port}", **replies}
    return {"listeners": [listener(on_refusal="reply")], "replies": section}


def text_of(mail: EmailMessage) -> str:
    assert mail.get_content_type() == "text/plain"
    content: str = mail.get_content()
    return content


REFUSED = [
    (SERVICE, template(password="wrong"), "AUTH"),
    (SERVICE, template(password="123456789"), "AUTH"),
    (SERVICE, template().replace(b"alerts@bank", b"evil@bank"), "FORBIDDEN"),
    (SERVICE, template().replace(b"My Bank", b"Evil"), "FORBIDDEN"),
    (SERVICE, template(numbers="79161234567"), "BANNED"),
    ("test_user@sms.example.com", subject_mail("My Bank;0a1b2c;777;"), "NO LIST"),
    (SERVICE, template(""), "FORMAT"),
    (SERVICE, template().replace(b"windows-1251", b"klingon"), "CHARSET"),
    (SERVICE, template(numbers=",".join(["79101234567"] * 21)), "LIMIT"),
    (PHONE, subject_mail("My Bank;0a1b2c;", "x" * 501), "LIMIT"),
    (SERVICE, template(numbers="7921123456"), "NUMBER"),
]


async def test_every_refusal_is_answered_by_mail(tmp_path: Path) -> None:
    async with smarthost() as host, provider() as sandbox:
        changes = answering(host, per_hour=100)
        async with program(tmp_path, sandbox, changes) as gateway:
            for number, (recipient, content, _) in enumerate(REFUSED):
                answer = await gateway.mail(b"Message-ID: <%d@bank.example>\r\n" % number + content, recipient)
                assert answer.startswith("250 2.0.0 OK queued as"), answer
            mails = await host.mails(len(REFUSED))
        assert not sandbox.platform.messages
    by_id = {str(mail["In-Reply-To"]): mail for mail in mails}
    for number, (_, _, code) in enumerate(REFUSED):
        mail = by_id[f"<{number}@bank.example>"]
        assert str(mail["Subject"]).startswith(f"{code}: SMS not sent [")
        assert text_of(mail).splitlines()[0] == code
        assert mail["To"] == "alerts@bank.example"
        assert mail["References"] == f"<{number}@bank.example>"
        assert mail["Auto-Submitted"] == "auto-replied"
    whole = "\n".join(text_of(mail) for mail in mails) + gateway.raw_log
    for secret in ("qwerty12", "wrong\n", "123456789", "0a1b2c", "79161234567", "7921123456", "verysecret"):
        assert secret not in whole
    assert {envelope.mail_from for envelope in host.envelopes} == {"<>"} or not any(e.mail_from for e in host.envelopes)


@pytest.mark.parametrize(
    ("language", "subject", "sentence"),
    [
        ("en", "SMS not sent", "Wrong login, password or key."),
        ("ru", "SMS не отправлено", "Неверный логин, пароль или ключ."),
        ("uk", "SMS не надіслано", "Невірний логін, пароль або ключ."),
    ],
)
async def test_the_account_chooses_the_language(tmp_path: Path, language: str, subject: str, sentence: str) -> None:
    async with smarthost() as host, provider() as sandbox:
        accounts = [{**ACCOUNT, "language": language}]
        async with program(tmp_path, sandbox, answering(host), accounts) as gateway:
            await gateway.mail(template(password="wrong"), SERVICE)
            (mail,) = await host.mails(1)
    assert str(mail["Subject"]).startswith(f"AUTH: {subject} [")
    assert sentence in text_of(mail)


@pytest.mark.parametrize(
    ("answer", "code", "sentence"),
    [
        ("Номер телефона присутствует в стоп-листе.", "BANNED", "on the provider's stop list"),
        ("Error_SMS_Declined", "MSG:9", "The provider refused"),
        (UNKNOWN, "MSG:0", "Unknown answer of the provider"),
        (
            "Недостаточно средств. SMS будет отправлена как только вы пополните счет",
            "SUBMITTED",
            "when the bill is paid",
        ),
    ],
)
async def test_what_the_provider_says_is_told(tmp_path: Path, answer: str, code: str, sentence: str) -> None:
    async with smarthost() as host, provider() as sandbox:
        sandbox.platform.faults.append(Fault(answer=answer))
        async with program(tmp_path, sandbox, answering(host)) as gateway:
            await gateway.mail(template(), SERVICE)
            (mail,) = await host.mails(1)
            if answer == UNKNOWN:
                assert (await gateway.event("sms.rejected"))["alert"] is True
    text = " ".join(text_of(mail).split())
    assert text.startswith(f"{code} 7910***4567: {code}, ")
    assert sentence in text


async def test_one_mail_tells_of_all_destinations(tmp_path: Path) -> None:
    async with smarthost() as host, provider() as sandbox:
        sandbox.platform.faults.append(Fault(answer="Error_SMS_Declined", destination="79102345678"))
        async with program(tmp_path, sandbox, answering(host)) as gateway:
            await gateway.mail(template(numbers="79101234567,79102345678,79161234567,12"), SERVICE)
            (mail,) = await host.mails(1)
            assert [sms.destination for sms in await sandbox.messages(1)] == ["79101234567"]
    text = text_of(mail)
    assert "7910***5678: MSG:9" in text
    assert "7916***4567: BANNED" in text
    assert "***: NUMBER" in text
    assert "7910***4567" not in text


async def test_a_lost_answer_that_cannot_be_found_out(tmp_path: Path) -> None:
    """No window: two destinations in one request."""
    async with smarthost() as host, provider() as sandbox:
        sandbox.platform.faults.append(Fault(cut=Cut.AFTER))
        settings = sandbox.settings
        settings["main"]["group"] = 2
        changes = {**answering(host), "providers": settings}
        async with program(tmp_path, sandbox, changes) as gateway:
            await gateway.mail(template(numbers="79101234567,79102345678"), SERVICE)
            (mail,) = await host.mails(1)
            assert str(mail["Subject"]).startswith("UNCERTAIN: SMS perhaps not sent")
            assert (await gateway.event("sms.uncertain"))["alert"] is True
        assert len(sandbox.platform.journal) == 1


@pytest.mark.parametrize(
    "more",
    [
        "Auto-Submitted: auto-generated\r\n",
        "Precedence: bulk\r\n",
        "List-Id: <x.example>\r\n",
        "X-Auto-Response-Suppress: All\r\n",
    ],
)
async def test_automatic_mail_is_refused_in_the_dialogue_instead(tmp_path: Path, more: str) -> None:
    async with smarthost() as host, provider() as sandbox, program(tmp_path, sandbox, answering(host)) as gateway:
        assert (await gateway.mail(template(password="wrong", more=more), SERVICE)).startswith("550 5.7.8 AUTH")
        assert (await gateway.mail(template(more=more), SERVICE)).startswith("250")
        await sandbox.messages(1)
    assert not host.envelopes


async def test_nobody_and_we_ourselves_get_no_mail(tmp_path: Path) -> None:
    accounts = [{**ACCOUNT, "senders": ["*"]}]
    async with (
        smarthost() as host,
        provider() as sandbox,
        program(tmp_path, sandbox, answering(host), accounts) as gateway,
    ):
        for sender in ("", "MAILER-DAEMON@bank.example", "sms@sms.example.com", "79101234567@sms.example.com"):
            assert (await gateway.mail(template(password="wrong"), SERVICE, sender=sender)).startswith("550 5.7.8 AUTH")
    assert not host.envelopes


async def test_an_unverified_sender_gets_no_mail(tmp_path: Path) -> None:
    async with smarthost() as host, provider() as sandbox:
        changes = answering(host)
        changes["listeners"] = [listener(on_refusal="reply", trust=[], accept_unverified=True)]
        async with program(tmp_path, sandbox, changes) as gateway:
            assert (await gateway.mail(template(password="wrong"), SERVICE)).startswith("550 5.7.8 AUTH")
            assert (await gateway.mail(template(numbers="79161234567"), SERVICE)).startswith("550 5.7.1 BANNED")
    assert not host.envelopes


async def test_at_most_so_many_replies_to_one_address(tmp_path: Path) -> None:
    async with (
        smarthost() as host,
        provider() as sandbox,
        program(tmp_path, sandbox, answering(host, per_hour=2)) as gateway,
    ):
        for _ in range(4):
            await gateway.mail(template(password="wrong"), SERVICE)
        await gateway.event("reply.suppressed", 2)
    assert len(host.envelopes) == 2


async def test_a_smarthost_that_refuses(tmp_path: Path) -> None:
    async with smarthost() as host, provider() as sandbox, program(tmp_path, sandbox, answering(host)) as gateway:
        host.refuse_with = "451 4.3.0 later"
        await gateway.mail(template(password="wrong"), SERVICE)
        assert "451" in (await gateway.event("reply.postponed"))["why"]
        host.refuse_with = "550 5.1.1 nobody here"
        await gateway.mail(template(password="wrong"), SERVICE)
        assert "550" in (await gateway.event("reply.dropped"))["why"]


async def test_a_smarthost_that_is_away_loses_nothing(tmp_path: Path) -> None:
    async with provider() as sandbox:
        gone = Smarthost()
        gone.port = 1
        async with program(tmp_path, sandbox, answering(gone)) as gateway:
            await gateway.mail(template(password="wrong"), SERVICE)
            await gateway.event("reply.postponed")
            await waiting_replies(gateway, 1)


async def waiting_replies(gateway: Program, count: int) -> None:
    import sqlite3

    with sqlite3.connect(gateway.config.parent / "var" / "gateway.db") as store:
        assert store.execute("select count(*) from outbox where state = 'pending'").fetchone() == (count,)
    store.close()
