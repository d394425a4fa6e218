"""Mail from the programs that people use, to a gateway process."""

from __future__ import annotations

import asyncio
import base64
import json
import shutil
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from gateway.sandbox.platform import Sms
from tests.process import Program, Provider, program, provider
from tests.running import ACCOUNT, listener

SERVICE = "emailtosms@sms.example.com"
PHONE = "79101234567@sms.example.com"
SENDER = "alerts@bank.example"
BODY = "SmsUser=test_user\nPassword=qwerty12\nSourceAddress=My Bank\nPhoneNumber={numbers}\n{text}\n"


class House:
    """A gateway and what arrives behind it."""

    def __init__(self, gateway: Program, sandbox: Provider, folder: Path) -> None:
        self.gateway, self.sandbox, self.folder = gateway, sandbox, folder

    async def run(self, *arguments: str, stdin: bytes = b"", check: bool = True) -> str:
        """Run a program; what it printed."""
        return await asyncio.to_thread(self._run, arguments, stdin, check)

    def _run(self, arguments: tuple[str, ...], stdin: bytes, check: bool) -> str:
        if shutil.which(arguments[0]) is None:
            pytest.skip(f"{arguments[0]} is not installed")
        done = subprocess.run(arguments, input=stdin, capture_output=True, timeout=60, check=False, cwd=self.folder)
        out = (done.stdout + done.stderr).decode("utf-8", "replace")
        assert not check or done.returncode == 0, out
        return out

    async def one(self) -> Sms:
        """The only SMS."""
        (sms,) = await self.sandbox.messages(1)
        return sms

    @property
    def server(self) -> str:
        return f"127.0.0.1:{self.gateway.port()}"


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async with provider() as sandbox, program(tmp_path, sandbox) as gateway:
        yield House(gateway, sandbox, tmp_path)


async def swaks(house: House, *arguments: str, stdin: bytes = b"", check: bool = True) -> str:
    base = ("swaks", "--server", house.server, "--helo", "client", "--from", SENDER)
    return await house.run(*base, *arguments, stdin=stdin, check=check)


@pytest.mark.parametrize("count", [1, 20, 21])
async def test_swaks_template_in_windows_1251(house: House, count: int) -> None:
    numbers = [f"791012345{n:02}" for n in range(count)]
    (house.folder / "body").write_bytes(BODY.format(numbers=",".join(numbers), text="Привет — №1").encode("cp1251"))
    kind = "Content-Type: text/plain; charset=windows-1251"
    out = await swaks(house, "--to", SERVICE, "--add-header", kind, "--body", "@body", check=count < 21)
    if count == 21:
        assert "552 5.3.4 LIMIT 21 destinations, at most 20" in out
        return
    sent = await house.sandbox.messages(count)
    assert {(sms.destination, sms.text) for sms in sent} == {(number, "Привет — №1") for number in numbers}


@pytest.mark.parametrize(
    ("to", "subject", "numbers"),
    [
        pytest.param("79102345678", "My Bank;test_user;qwerty12;", ["79102345678"], id="a"),
        pytest.param("test_user", "My Bank;", ["79101234567"], id="b"),
        pytest.param("test_user", "My Bank;test_user;qwerty12;12345;", ["79101234567", "79102345678"], id="c"),
        pytest.param("79102345678", "My Bank;0a1b2c;", ["79102345678"], id="d"),
        pytest.param("test_user", "My Bank;0a1b2c;12345;", ["79101234567", "79102345678"], id="e"),
    ],
)
async def test_swaks_address_forms(house: House, to: str, subject: str, numbers: list[str]) -> None:
    await swaks(house, "--to", f"{to}@sms.example.com", "--header", f"Subject: {subject}", "--body", "hello")
    sent = await house.sandbox.messages(len(numbers))
    assert sorted((sms.destination, sms.originator, sms.text) for sms in sent) == [
        (n, "My Bank", "hello") for n in numbers
    ]


async def test_curl_without_any_header(house: House) -> None:
    mail = BODY.format(numbers="79101234567", text="Датчик: дверь открыта").encode()
    url = f"smtp://{house.server}"
    await house.run("curl", "-sS", url, "--mail-from", SENDER, "--mail-rcpt", SERVICE, "-T", "-", stdin=mail)
    assert (await house.one()).text == "Датчик: дверь открыта"


async def test_mutt_in_koi8(house: House) -> None:
    (house.folder / "muttrc").write_text(
        f'set smtp_url="smtp://{house.server}/"\nset from="{SENDER}"\nset envelope_from=yes\nset ssl_force_tls=no\n'
        'set send_charset="koi8-r"\nset charset="utf-8"\nset copy=no\nset record=""\nset signature=""\n'
    )
    body = BODY.format(numbers="79101234567", text="Ёлка, щука, ъ").encode()
    await house.run("env", "LC_ALL=C.UTF-8", "mutt", "-n", "-F", "muttrc", "-s", "sms", SERVICE, stdin=body)
    assert (await house.one()).text == "Ёлка, щука, ъ"


async def test_php_mail(house: House) -> None:
    """``mail()`` hands over to a sendmail command; here it is ours, as on a host without an MTA."""
    import sys

    sendmail = f"{sys.executable} -m gateway inject --config {house.gateway.config} -f {SENDER} -- {SERVICE}"
    subject = "x"
    body = BODY.format(numbers="79101234567", text="из PHP").replace("\n", "\\n")
    code = f'exit(mail("{SERVICE}", "{subject}", "{body}", "Content-Type: text/plain; charset=UTF-8") ? 0 : 1);'
    await house.run("php", "-d", f"sendmail_path={sendmail}", "-r", code)
    assert (await house.one()).text == "из PHP"


NODE = """
const net = require('net');
const lines = ['EHLO node', 'MAIL FROM:<%(sender)s>', 'RCPT TO:<%(service)s>', 'DATA', %(body)s + '\\r\\n.', 'QUIT'];
const socket = net.connect(%(port)d, '127.0.0.1');
let seen = '';
socket.on('data', chunk => {
  seen += chunk;
  if (/^\\d{3} [^\\n]*\\n$/m.test(chunk.toString()) && lines.length) socket.write(lines.shift() + '\\r\\n');
});
socket.on('end', () => process.exit(/250 2.0.0 OK queued/.test(seen) ? 0 : 1));
"""


async def test_node(house: House) -> None:
    head = "Subject: x\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\n"
    text = base64.encodebytes(BODY.format(numbers="79101234567", text="из Node").encode()).decode()
    body = json.dumps(head + text.replace("\n", "\r\n"))
    values = {"sender": SENDER, "service": SERVICE, "body": body, "port": house.gateway.port()}
    await house.run("node", "-e", NODE % values)
    assert (await house.one()).text == "из Node"


async def test_python_email_with_many_parts(house: House) -> None:
    from email.message import EmailMessage

    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = SENDER, PHONE, "My Bank;0a1b2c;"
    message.set_content("Тревога: температура 80 °C\n")
    message.add_alternative("<p>Тревога: <b>температура</b> 80 °C</p>", subtype="html")
    message.add_attachment(b"\x89PNG" * 1000, maintype="image", subtype="png", filename="chart.png")
    assert (await house.gateway.mail(message.as_bytes(), PHONE)).startswith("250")
    assert (await house.one()).text == "Тревога: температура 80 °C"


OUTLOOK = """<html xmlns:o="urn:schemas-microsoft-com:office:office"><head>
<meta http-equiv=Content-Type content="text/html; charset=windows-1251">
<style><!-- p.MsoNormal {margin:0cm;} --></style>
</head><body lang=RU><div class=WordSection1>
<p class=MsoNormal>SmsUser=test_user<o:p></o:p></p><p class=MsoNormal>Password=qwerty12<o:p></o:p></p>
<p class=MsoNormal>SourceAddress=My&nbsp;Bank<o:p></o:p></p>
<p class=MsoNormal>PhoneNumber=<a href="tel:+79101234567">+7 (910) 123-45-67</a><o:p></o:p></p>
<p class=MsoNormal>Уважаемый клиент!<o:p></o:p></p><p class=MsoNormal>Ваш заказ №&nbsp;5 готов.<o:p></o:p></p>
<p class=MsoNormal><o:p>&nbsp;</o:p></p><p class=MsoNormal>-- <o:p></o:p></p>
<p class=MsoNormal>Иван Петров<o:p></o:p></p>
</div></body></html>"""


async def test_outlook(house: House) -> None:
    head = (
        f"From: {SENDER}\r\nTo: {SERVICE}\r\nSubject: sms\r\nX-Mailer: Microsoft Outlook 16.0\r\nMIME-Version: 1.0\r\n"
    )
    kind = 'Content-Type: text/html; charset="windows-1251"\r\nContent-Transfer-Encoding: 8bit\r\n\r\n'
    mail = (head + kind + OUTLOOK.replace("\n", "\r\n")).encode("cp1251")
    assert (await house.gateway.mail(mail, SERVICE)).startswith("250")
    sms = await house.one()
    assert (sms.originator, sms.destination) == ("My Bank", "79101234567")
    assert sms.text == "Уважаемый клиент!\nВаш заказ № 5 готов."


async def test_swaks_with_tls_and_a_hashed_password(tmp_path: Path) -> None:
    from argon2 import PasswordHasher

    key, cert = tmp_path / "tls.key", tmp_path / "tls.crt"
    request = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    names = ["-keyout", str(key), "-out", str(cert), "-days", "2", "-subj", "/CN=localhost"]
    subprocess.run([*request, *names], check=True, capture_output=True)
    account: dict[str, Any] = {k: v for k, v in ACCOUNT.items() if k != "password"}
    account["password_hash"] = PasswordHasher().hash("qwerty12")
    changes = {"listeners": [listener(trust=[], tls={"certificate": str(cert), "key": str(key)})]}
    async with provider() as sandbox, program(tmp_path, sandbox, changes, [account]) as gateway:
        house = House(gateway, sandbox, tmp_path)
        to = ("--to", PHONE, "--header", "Subject: My Bank;test_user;qwerty12;", "--body", "over TLS")
        assert "530 5.7.0" in await swaks(house, *to, check=False)
        login = ("--tls", "--auth", "LOGIN", "--auth-user", "test_user", "--auth-password")
        assert "535 5.7.8 AUTH" in await swaks(house, *to, *login, "wrong", check=False)
        await swaks(house, *to, *login, "qwerty12")
        assert (await house.one()).text == "over TLS"
