"""A client's view of the door: greetings, envelopes, answers."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.running import Client, handsets, listener, running, subject_mail, template

SERVICE = "emailtosms@sms.example.com"


async def test_a_mail_becomes_an_sms(tmp_path: Path) -> None:
    async with running(tmp_path) as daemon:
        client = await Client.connect(daemon)
        await client.say("EHLO client")
        assert (await client.mail(template("Привет, мир"), SERVICE)).startswith("250 2.0.0 OK queued as ")
        (sms,) = await handsets(daemon, 1)
        assert (sms.destination, sms.originator, sms.text) == ("79101234567", "My Bank", "Привет, мир")
        assert (await client.say("QUIT")).startswith("221")


async def test_ehlo_says_what_is_kept(tmp_path: Path) -> None:
    async with running(tmp_path) as daemon:
        client = await Client.connect(daemon)
        lines = {line[4:] for line in (await client.say("EHLO client")).split("\n")}
        assert {
            "PIPELINING",
            "8BITMIME",
            "SMTPUTF8",
            "SIZE 10485760",
            "ENHANCEDSTATUSCODES",
            "AUTH PLAIN LOGIN",
        } <= lines
        assert "STARTTLS" not in lines


async def test_everything_in_one_packet(tmp_path: Path) -> None:
    async with running(tmp_path) as daemon:
        client = await Client.connect(daemon)
        envelope = b"MAIL FROM:<alerts@bank.example>\r\nRCPT TO:<%s>\r\nDATA\r\n" % SERVICE.encode()
        client.send(
            b"EHLO c\r\n"
            + envelope
            + template("one")
            + b"\r\n.\r\n"
            + envelope
            + template("two")
            + b"\r\n.\r\nQUIT\r\n"
        )
        answers = [await client.answer() for _ in range(10)]
        assert [answer[:3] for answer in answers] == [
            "250",
            "250",
            "250",
            "354",
            "250",
            "250",
            "250",
            "354",
            "250",
            "221",
        ]
        assert sorted(sms.text for sms in await handsets(daemon, 2)) == ["one", "two"]


@pytest.mark.parametrize(
    ("command", "reply"),
    [
        ("MAIL FROM:<>", "250 2.1.0"),
        ("MAIL FROM:<a@b.example> SIZE=1000 BODY=8BITMIME", "250 2.1.0"),
        ("MAIL FROM:<a@b.example> AUTH=<> RET=HDRS ENVID=QQ314159", "250 2.1.0"),
        ("mail from: <a@b.example>", "250 2.1.0"),
        ("MAIL FROM:<@relay.example:a@b.example>", "250 2.1.0"),
        ('MAIL FROM:<"a b"@b.example>', "250 2.1.0"),
        ("MAIL FROM:a@b.example", "501 5.1.7"),
        ("MAIL FROM:<a@b.example> SIZE=10485761", "552 5.3.4 LIMIT"),
        ("MAIL FROM:<юзер@b.example>", "553 5.6.7"),
        ("MAIL FROM:<юзер@b.example> SMTPUTF8", "250 2.1.0"),
        ("MAIL FROM:<a@b@c>", "501 5.1.7"),
        ("MAIL FROM:<a b@c.example>", "501 5.1.7"),
        ("MAIL FROM:<a@b.example", "501 5.1.7"),
        ("MAIL FROM:<a@b.example>\x07", "501 5.1.7"),
        ("MAIL a@b.example", "501 5.5.4"),
        ("MAIL FROM:<a@b.example> SIZE==", "501 5.5.4"),
        ("RCPT TO:<a@b.example>", "503 5.5.1"),
        ("DATA", "503 5.5.1"),
        ("VRFY x", "252 "),
        ("EXPN x", "502 5.5.1"),
        ("BDAT 10 LAST", "500 5.5.1"),
        ("NOOP", "250 2.0.0"),
        ("RSET", "250 2.0.0"),
        ("HELP", "214 "),
        ("", "500 5.5.1"),
        ("LHLO x", "500 5.5.1"),
        ("STARTTLS", "502 5.5.1"),
    ],
)
async def test_commands(tmp_path: Path, command: str, reply: str) -> None:
    async with running(tmp_path) as daemon:
        client = await Client.connect(daemon)
        await client.say("EHLO client")
        assert (await client.say(command)).startswith(reply)


@pytest.mark.parametrize(
    ("recipient", "reply"),
    [
        ("emailtosms@sms.example.com", "250 2.1.5"),
        ("EMAILTOSMS@SMS.Example.COM", "250 2.1.5"),
        ("79101234567@sms.example.com", "250 2.1.5"),
        ("test_user@sms.example.com", "250 2.1.5"),
        ("7910123456@sms.example.com", "550 5.1.3 NUMBER"),
        ("victim@other.example", "550 5.7.1 FORBIDDEN"),
        ("victim%other.example@relay.example", "550 5.7.1 FORBIDDEN"),
        ('"victim@other.example"@relay.example', "550 5.7.1 FORBIDDEN"),
        ("@sms.example.com:victim@other.example", "550 5.7.1 FORBIDDEN"),
        ("postmaster", "550 5.7.1 FORBIDDEN"),
        ("a@sms.example.com.evil.example", "550 5.7.1 FORBIDDEN"),
        ("", "553 5.1.3"),
    ],
)
async def test_no_open_relay(tmp_path: Path, recipient: str, reply: str) -> None:
    async with running(tmp_path) as daemon:
        client = await Client.connect(daemon)
        await client.say("EHLO client")
        await client.say("MAIL FROM:<alerts@bank.example>")
        assert (await client.say(f"RCPT TO:<{recipient}>")).startswith(reply)


async def test_recipients_of_two_dialects_are_sent_separately(tmp_path: Path) -> None:
    async with running(tmp_path) as daemon:
        client = await Client.connect(daemon)
        await client.say("EHLO client")
        await client.say("MAIL FROM:<alerts@bank.example>")
        assert (await client.say(f"RCPT TO:<{SERVICE}>")).startswith("250")
        assert (await client.say("RCPT TO:<79101234567@sms.example.com>")).startswith("452 4.5.3")
        assert (await client.say("RCPT TO:<email2sms@sms.example.com>")).startswith("250")


@pytest.mark.parametrize(
    ("recipient", "content", "reply"),
    [
        (SERVICE, template(password="wrong"), "550 5.7.8 AUTH"),
        (SERVICE, template(password="123456789"), "550 5.7.8 AUTH password longer than 8"),
        (SERVICE, template(numbers="79161234567"), "550 5.7.1 BANNED"),
        (SERVICE, template(numbers=",".join(["79101234567"] * 21)), "552 5.3.4 LIMIT 21 destinations"),
        (SERVICE, template(""), "554 5.6.0 FORMAT the text is empty"),
        (SERVICE, template().replace(b"SmsUser", b"User"), "554 5.6.0 FORMAT line 1 not understood"),
        (SERVICE, template().replace(b"My Bank", b"Evil"), "550 5.7.1 FORBIDDEN originator Evil"),
        (SERVICE, template().replace(b"My Bank", b"A much too long name"), "550 5.7.1 FORBIDDEN originator of a wrong"),
        (SERVICE, template().replace(b"windows-1251", b"klingon"), "554 5.6.1 CHARSET charset klingon"),
        (SERVICE, template().replace(b"windows-1251", b"utf-8"), "554 5.6.1 CHARSET text is not utf-8"),
        (SERVICE, template().replace(b"alerts@bank", b"evil@bank"), "550 5.7.1 FORBIDDEN sender not allowed"),
        ("79101234567@sms.example.com", subject_mail("My Bank;0a1b2c;", "x" * 501), "552 5.3.4 LIMIT text of 501"),
        ("79101234567@sms.example.com", subject_mail("My Bank;wrong1;"), "550 5.7.8 AUTH"),
        ("test_user@sms.example.com", subject_mail("My Bank;0a1b2c;777;"), "550 5.1.1 NO LIST"),
        ("79101234567@sms.example.com", subject_mail("My Bank"), "550 5.7.8 AUTH"),
        ("79101234567@sms.example.com", subject_mail("a;b;c;d;e;"), "554 5.6.0 FORMAT subject"),
    ],
)
async def test_refusals_in_the_dialogue(tmp_path: Path, recipient: str, content: bytes, reply: str) -> None:
    async with running(tmp_path) as daemon:
        client = await Client.connect(daemon)
        await client.say("EHLO client")
        assert (await client.mail(content, recipient)).startswith(reply)
        assert not daemon.platform.messages


async def test_quota_defers_so_that_the_client_keeps_the_mail(tmp_path: Path) -> None:
    from tests.running import ACCOUNT

    async with running(tmp_path, accounts=[{**ACCOUNT, "limits": {"per_hour": 1}}]) as daemon:
        client = await Client.connect(daemon)
        await client.say("EHLO client")
        assert (await client.mail(template("one"), SERVICE)).startswith("250")
        assert (await client.mail(template("two"), SERVICE)).startswith("452 4.5.3 LIMIT")


async def test_the_same_mail_again_is_one_message(tmp_path: Path) -> None:
    async with running(tmp_path) as daemon:
        client = await Client.connect(daemon)
        await client.say("EHLO client")
        content = template(more="Message-ID: <1@bank.example>\r\n")
        first = await client.mail(content, SERVICE)
        again = await client.mail(content, SERVICE)
        assert again == f"250 2.0.0 DUPLICATE not sent twice, queued as {first.split()[-1]}"
        without_id = [await client.mail(template("same"), SERVICE) for _ in range(2)]
        assert len({first, *without_id}) == 3


async def test_a_disabled_account_is_forbidden(tmp_path: Path) -> None:
    from tests.running import ACCOUNT

    async with running(tmp_path, accounts=[{**ACCOUNT, "enabled": False}]) as daemon:
        client = await Client.connect(daemon)
        await client.say("EHLO client")
        assert (await client.mail(template(), SERVICE)).startswith("550 5.7.1 FORBIDDEN Email2SMS is not activated")


async def test_lmtp_answers_for_each_recipient(tmp_path: Path) -> None:
    async with running(tmp_path, {"listeners": [listener(protocol="lmtp")]}) as daemon:
        client = await Client.connect(daemon)
        assert (await client.say("EHLO client")).startswith("500")
        assert (await client.say("LHLO client")).startswith("250")
        await client.say("MAIL FROM:<alerts@bank.example>")
        for number in ("79101234567", "79161234567", "79102345678"):
            assert (await client.say(f"RCPT TO:<{number}@sms.example.com>")).startswith("250")
        assert (await client.say("RCPT TO:<x@other.example>")).startswith("550")
        await client.say("DATA")
        client.send(subject_mail("My Bank;0a1b2c;") + b"\r\n.\r\n")
        answers = [await client.answer() for _ in range(3)]
        assert [answer[:9] for answer in answers] == ["250 2.0.0", "550 5.7.1", "250 2.0.0"]
        assert (await client.say("NOOP")).startswith("250")  # and no fourth answer
        assert {sms.destination for sms in await handsets(daemon, 2)} == {"79101234567", "79102345678"}


async def test_lmtp_refuses_the_whole_for_each_recipient(tmp_path: Path) -> None:
    async with running(tmp_path, {"listeners": [listener(protocol="lmtp")]}) as daemon:
        client = await Client.connect(daemon)
        await client.say("LHLO client")
        await client.say("MAIL FROM:<alerts@bank.example>")
        for number in ("79101234567", "79102345678"):
            await client.say(f"RCPT TO:<{number}@sms.example.com>")
        await client.say("DATA")
        client.send(subject_mail("My Bank;wrong1;") + b"\r\n.\r\n")
        assert [(await client.answer())[:14] for _ in range(2)] == ["550 5.7.8 AUTH"] * 2


async def test_unix_socket(tmp_path: Path) -> None:
    path = tmp_path / "lmtp.sock"
    changes = {"listeners": [{"name": "mta", "bind": f"unix:{path}", "protocol": "lmtp"}]}
    async with running(tmp_path, changes) as daemon:
        assert path.stat().st_mode & 0o777 == 0o660
        client = Client(*await asyncio.open_unix_connection(str(path)))
        assert "LMTP" in await client.answer()
        await client.say("LHLO postfix")
        assert (await client.mail(template(), SERVICE)).startswith("250")
        assert len(await handsets(daemon, 1)) == 1
        client.close()
    assert not path.exists()


async def test_a_stale_unix_socket_is_replaced(tmp_path: Path) -> None:
    import socket

    path = tmp_path / "lmtp.sock"
    with socket.socket(socket.AF_UNIX) as left_over:
        left_over.bind(str(path))
    changes = {"listeners": [{"name": "mta", "bind": f"unix:{path}", "protocol": "lmtp"}]}
    async with running(tmp_path, changes):
        assert path.is_socket()


async def test_a_fault_of_ours_is_temporary_and_says_nothing(tmp_path: Path) -> None:
    async with running(tmp_path) as daemon:
        client = await Client.connect(daemon)
        await client.say("EHLO client")

        await daemon.store.write(lambda connection: connection.exec_driver_sql("ALTER TABLE mails RENAME TO gone"))
        answer = await client.mail(template(), SERVICE)
        assert answer.startswith("451 4.3.0 BUSY temporary fault, queue id ")
        await daemon.store.write(lambda connection: connection.exec_driver_sql("ALTER TABLE gone RENAME TO mails"))
        assert (await client.mail(template(), SERVICE)).startswith("250")


async def test_a_half_closed_client_gets_its_answer(tmp_path: Path) -> None:
    async with running(tmp_path) as daemon:
        client = await Client.connect(daemon)
        envelope = b"EHLO c\r\nMAIL FROM:<alerts@bank.example>\r\nRCPT TO:<%s>\r\nDATA\r\n" % SERVICE.encode()
        client.send(envelope + template() + b"\r\n.\r\n")
        client.writer.write_eof()
        answers = [await client.answer() for _ in range(5)]
        assert answers[-1].startswith("250 2.0.0 OK queued as")
        assert len(await handsets(daemon, 1)) == 1


async def test_a_client_that_leaves_after_the_dot_stops_nothing(tmp_path: Path) -> None:
    async with running(tmp_path) as daemon:
        client = await Client.connect(daemon)
        envelope = b"EHLO c\r\nMAIL FROM:<alerts@bank.example>\r\nRCPT TO:<%s>\r\nDATA\r\n" % SERVICE.encode()
        client.send(envelope + template() + b"\r\n.\r\n")
        await client.writer.drain()
        assert (await client.answer()).startswith("250-")
        client.writer.transport.abort()
        assert len(await handsets(daemon, 1)) == 1


async def test_dots_are_unstuffed(tmp_path: Path) -> None:
    async with running(tmp_path) as daemon:
        client = await Client.connect(daemon)
        await client.say("EHLO client")
        await client.mail(template("a\r\n..b\r\n...\r\nc"), SERVICE)
        assert (await handsets(daemon, 1))[0].text == "a\n.b\n..\nc"


async def test_devices_without_manners_are_taken_by_a_lenient_listener(tmp_path: Path) -> None:
    async with running(tmp_path, {"listeners": [listener(lenient=True)]}) as daemon:
        client = await Client.connect(daemon)  # no HELO, bare LF throughout, no brackets
        for line in ("MAIL FROM: alerts@bank.example", f"RCPT TO: {SERVICE}", "DATA"):
            client.send(line + "\n")
            assert (await client.answer())[:3] in ("250", "354")
        client.send(template("от камеры").replace(b"\r\n", b"\n") + b"\n.\n")
        assert (await client.answer()).startswith("250")
        assert (await handsets(daemon, 1))[0].text == "от камеры"


async def test_a_cap_on_spending_is_told_as_a_limit_that_refills(tmp_path: Path) -> None:
    from tests.running import ACCOUNT

    capped = [{**ACCOUNT, "limits": {"segments_per_day": "3"}}]
    async with running(tmp_path, accounts=capped) as daemon:
        client = await Client.connect(daemon)
        await client.say("EHLO client")
        assert (await client.mail(template("ы" * 100), SERVICE)).startswith("250")  # two parts
        answer = await client.mail(template("ю" * 100), SERVICE)
        assert answer == "452 4.5.3 LIMIT daily limit of 3 SMS parts reached, try again later"
        assert (await client.mail(template("short"), SERVICE)).startswith("250")
