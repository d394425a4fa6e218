"""The first ten minutes: a gateway with fake handsets, one mail through it, and what to try next."""

from __future__ import annotations

import asyncio
import email
import email.policy
import smtplib
import socket
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Annotated

import typer
from aiosmtpd.smtp import SMTP, Envelope, Session
from rich.markup import escape
from rich.panel import Panel
from rich.text import Text

from gateway.cli.configure import new_password
from gateway.cli.screen import console
from gateway.policy.permissions import Role
from gateway.sandbox.platform import Sms
from gateway.settings.load import Configuration

NUMBER = "79101234567"
SENDER = "you@example.com"
SERVICE = "emailtosms@sms.example.com"

_GATEWAY = """
server: {{hostname: sms.example.com}}
store: {{url: "sqlite:///{folder}/gateway.db"}}
listeners:
  - {{name: lan, bind: "127.0.0.1:{smtp}", trust: ["127.0.0.0/8"], on_refusal: reply}}
dialects:
  template: {{addresses: ["emailtosms@sms.example.com", "email2sms@sms.example.com"]}}
  address: {{domains: ["sms.example.com"]}}
providers:
  main: {{driver: sandbox}}
routes: [{{providers: [main]}}]
console: {{bind: "127.0.0.1:{web}"}}
replies: {{from: "sms@sms.example.com", smarthost: "smtp://127.0.0.1:{sink}"}}
log: {{level: {level}}}
"""
_ACCOUNTS = """
accounts:
  - login: demo
    password: "{password}"
    phone: "79101234567"
    senders: ["*"]
    originators: ["Demo", "My Bank"]
    lists: {{"12345": ["79101234567", "79102345678"]}}
"""


def demo(
    once: Annotated[bool, typer.Option("--once", help="Stop after the first SMS.")] = False,
    verbose: Annotated[bool, typer.Option("--verbose", help="Show the gateway's log too.")] = False,
) -> None:
    """Start a gateway with fake handsets, send one mail through it, and keep running."""
    with tempfile.TemporaryDirectory(prefix="email2sms-demo-") as folder, suppress(KeyboardInterrupt):
        asyncio.run(_Demo(Path(folder), verbose).run(once))


class _Mailbox:
    """Where reply mails arrive."""

    def __init__(self) -> None:
        self.mails: list[bytes] = []

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:
        content = envelope.original_content or b""
        self.mails.append(content)
        message = email.message_from_bytes(content, policy=email.policy.default)
        body = message.get_body(("plain",))
        text = body.get_content().strip() if body is not None else ""
        title = escape(f"✉ reply to {message['To']}: {message['Subject']}")
        console.print(Panel(Text(text), title=title, border_style="yellow"))
        return "250 2.0.0 OK"


class _Demo:
    def __init__(self, folder: Path, verbose: bool) -> None:
        self._folder = folder
        self._password = new_password()
        self._smtp, self._web, self._sink = (_free_port(wanted) for wanted in (2525, 8025, 2500))
        self._rang = asyncio.Event()
        self._level = "info" if verbose else "error"

    async def run(self, once: bool) -> None:
        from gateway.daemon import Daemon  # noqa: PLC0415
        from gateway.settings.load import load  # noqa: PLC0415
        from gateway.watch.log import set_up  # noqa: PLC0415

        set_up(self._level, "auto")
        values = {"folder": self._folder, "password": self._password, "level": self._level}
        ports = {"smtp": self._smtp, "web": self._web, "sink": self._sink}
        (self._folder / "gateway.yaml").write_text(_GATEWAY.format(**values, **ports), "utf-8")
        (self._folder / "accounts.yaml").write_text(_ACCOUNTS.format(**values), "utf-8")
        mailbox = _Mailbox()
        loop = asyncio.get_running_loop()
        sink = await loop.create_server(lambda: SMTP(mailbox, loop=loop), "127.0.0.1", self._sink)
        configuration = load(self._folder / "gateway.yaml")
        link = await _admin(configuration)
        daemon = Daemon(configuration)
        await daemon.start()
        daemon.platform.rings = self._show
        try:
            await self._first_sms()
            if not once:
                self._what_next(link)
                await asyncio.Event().wait()
        finally:
            await daemon.stop()
            sink.close()

    async def _first_sms(self) -> None:
        mail = _template_mail(self._password)
        body = mail.decode("cp1251").partition("\r\n\r\n")[2].strip()
        console.print(f"[dim]A mail to {SERVICE}, in windows-1251, by SMTP to 127.0.0.1:{self._smtp}:[/]")
        console.print(Panel(Text(body), title="✉ mail", border_style="blue"))
        answer = await asyncio.to_thread(_send, self._smtp, mail)
        console.print(f"[dim]{answer}[/]")
        await asyncio.wait_for(self._rang.wait(), 30)

    def _show(self, sms: Sms) -> None:
        subtitle = f"{sms.alphabet}, {sms.segments} segment(s), {time.strftime('%H:%M:%S')}"
        title = f"📱 +{sms.destination}  from {escape(sms.originator)}"
        console.print(Panel(Text(sms.text), title=title, subtitle=subtitle, border_style="green"))
        self._rang.set()

    def _what_next(self, link: str) -> None:
        subject = f"Demo;demo;{self._password};"
        console.print(
            f"""
[bold]The gateway is running.[/]  SMTP: 127.0.0.1:{self._smtp}   Console, signed in by this link, once:

  [link]{link}[/]

[bold]Try it[/] (account demo, password {self._password}, originators Demo and My Bank):

  swaks --server 127.0.0.1:{self._smtp} --from {SENDER} --to {NUMBER}@sms.example.com \\
        --header "Subject: {subject}" --body "Hello from swaks"

  printf 'Subject: {subject}\\n\\nHello from curl\\n' | \\
  curl smtp://127.0.0.1:{self._smtp} --mail-from {SENDER} --mail-rcpt {NUMBER}@sms.example.com -T -

Change the password in the subject and see the reply that the sender would get. In the console, Messages tells
the story of each mail, and Phones has the handsets.
[dim]Ctrl-C stops the gateway and removes everything.[/]
""",
            highlight=False,
            soft_wrap=True,
        )


async def _admin(configuration: Configuration) -> str:
    """Somebody who may do everything in the console, and the link by which he comes in."""
    from gateway.service.credentials import Credentials  # noqa: PLC0415
    from gateway.service.opening import open_store  # noqa: PLC0415
    from gateway.service.people import People, User  # noqa: PLC0415

    credentials, store = Credentials(), await open_store(configuration, exclusive=False)
    try:
        people = People(store, lambda: configuration, credentials)
        await people.add(User("you", Role.ADMIN, texts=True), "demo")
        return await people.link("you", enters=True)
    finally:
        credentials.close()
        await store.close()


def _template_mail(password: str) -> bytes:
    return (
        f"From: {SENDER}\r\nTo: {SERVICE}\r\nSubject: SMS\r\n"
        "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=windows-1251\r\n\r\n"
        f"SmsUser=demo\r\nPassword={password}\r\nSourceAddress=My Bank\r\nPhoneNumber={NUMBER}\r\n"
        "Добрый день! Ваш заказ готов.\r\n"
    ).encode("cp1251")


def _send(port: int, mail: bytes) -> str:
    with smtplib.SMTP("127.0.0.1", port, local_hostname="localhost") as client:
        client.ehlo()
        client.mail(SENDER)
        client.rcpt(SERVICE)
        code, answer = client.data(mail)
    return f"{code} {answer.decode('ascii', 'replace')}"


def _free_port(wanted: int) -> int:
    """The wanted port, or any other when something has it already."""
    for port in (wanted, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with suppress(OSError):
                probe.bind(("127.0.0.1", port))
                return int(probe.getsockname()[1])
    raise OSError("no free port on 127.0.0.1")
