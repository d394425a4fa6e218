"""Sends mails at a rate, or as fast as it can, and says how long each waited for its 250.

    python -m tests.benchmarks.generator PORT '{"mails": 1000, "rate": 100, …}'

Each text is unique and holds the moment at which the end of DATA was written, for the peer to read. (Postfix's
``smtp-source``, which needs a tenth of the CPU, measures what can be done without a look at single mails.)
"""

from __future__ import annotations

import asyncio
import base64
import json
import ssl
import sys
import time
from dataclasses import dataclass

import uvloop

HEAD = (
    "From: alerts@bank.example\r\nTo: {to}\r\nSubject: {subject}\r\nMessage-ID: <{id}@bank.example>\r\n"
    "MIME-Version: 1.0\r\nContent-Type: {type}\r\n{more}\r\n"
)
TEMPLATE = "SmsUser=user\r\nPassword=qwerty12\r\nSourceAddress=My Bank\r\nPhoneNumber=79101234567\r\n"
TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
TLS.check_hostname, TLS.verify_mode = False, ssl.CERT_NONE
LOGIN = base64.b64encode(b"\0user\0qwerty12")


@dataclass(frozen=True, slots=True)
class Wishes:
    """What is sent, and how."""

    mails: int
    rate: float = 0.0
    """A second; 0: as fast as it goes."""
    sessions: int = 20
    keep: bool = True
    """Connections; else one for each mail."""
    to: str = "79101234567@sms.example.com"
    subject: str = "My Bank;user;qwerty12;"
    size: int = 500
    """Bytes of a mail; what is more than its text is an attachment."""
    form: str = "plain"
    """``template``: windows-1251 in base64, the credential in the text."""
    tls: bool = False
    """STARTTLS and AUTH first."""

    def mail(self, number: int) -> bytes:
        """One of them."""
        text = f"Code {number} t={time.time_ns()} is for you only, tell it nobody. " + "text " * 16
        kind, more, to, subject = "text/plain; charset=us-ascii", "", self.to, self.subject
        if self.form == "template":
            kind, more = "text/plain; charset=windows-1251", "Content-Transfer-Encoding: base64\r\n"
            to, subject = "emailtosms@sms.example.com", "x"
            words = TEMPLATE + f"Код {number} t={time.time_ns()} никому не говорите. " + "текст " * 16
            text = base64.encodebytes(words.encode("cp1251")).decode().replace("\n", "\r\n")
        if (filler := self.size - len(text) - 400) > 0:
            part = f"--b\r\nContent-Type: {kind}\r\n{more}\r\n{text}\r\n--b\r\n"
            lines = "\r\n".join(["QUJD" * 18] * (filler // 74 + 1))
            text = f"{part}Content-Type: application/pdf\r\nContent-Transfer-Encoding: base64\r\n\r\n{lines}\r\n--b--"
            kind, more = 'multipart/mixed; boundary="b"', ""
        head = HEAD.format(to=to, subject=subject, id=f"{number}.{time.time_ns()}", type=kind, more=more)
        return (head + text).encode() + b"\r\n.\r\n"

    @property
    def recipient(self) -> str:
        """For RCPT."""
        return "emailtosms@sms.example.com" if self.form == "template" else self.to


class Counter:
    """How many are sent, and how long each waited."""

    def __init__(self, wishes: Wishes) -> None:
        self.wishes, self.taken, self.done = wishes, 0, 0
        self.started = time.perf_counter()
        self.waits: list[float] = []

    async def take(self) -> int | None:
        """The next number, at its moment; None at the end."""
        if self.taken >= self.wishes.mails:
            return None
        number = self.taken = self.taken + 1
        if self.wishes.rate:
            await asyncio.sleep(max(0.0, self.started + number / self.wishes.rate - time.perf_counter()))
        return number


async def say(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, line: bytes) -> bytes:
    """One command; the last line of the answer."""
    writer.write(line)
    while True:
        answer = await reader.readuntil(b"\n")
        if answer[3:4] != b"-":
            return answer


async def connect(port: int, wishes: Wishes) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Up to the first MAIL."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    await reader.readuntil(b"\n")
    await say(reader, writer, b"EHLO client\r\n")
    if wishes.tls:
        assert (await say(reader, writer, b"STARTTLS\r\n")).startswith(b"220")
        await writer.start_tls(TLS)
        await say(reader, writer, b"EHLO client\r\n")
        assert (await say(reader, writer, b"AUTH PLAIN " + LOGIN + b"\r\n")).startswith(b"235")
    return reader, writer


async def session(port: int, counter: Counter) -> None:
    """One client."""
    wishes = counter.wishes
    envelope = (b"MAIL FROM:<alerts@bank.example>\r\n", f"RCPT TO:<{wishes.recipient}>\r\n".encode(), b"DATA\r\n")
    number = await counter.take()
    while number is not None:
        reader, writer = await connect(port, wishes)
        while number is not None:
            for line in envelope:
                await say(reader, writer, line)
            began = time.perf_counter()
            answer = await say(reader, writer, wishes.mail(number))
            counter.waits.append(time.perf_counter() - began)
            assert answer.startswith(b"250"), answer
            counter.done += 1
            number = await counter.take()
            if not wishes.keep:
                break
        writer.write(b"QUIT\r\n")
        writer.close()


async def main(port: int, wishes: Wishes) -> None:
    """Run and print the figures as JSON."""
    counter = Counter(wishes)
    await asyncio.gather(*(session(port, counter) for _ in range(wishes.sessions)))
    waits = sorted(counter.waits)
    figures = {"per_second": counter.done / (time.perf_counter() - counter.started)}
    figures |= {"p50_ms": waits[len(waits) // 2] * 1000, "p99_ms": waits[len(waits) * 99 // 100] * 1000}
    print(json.dumps(figures))


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1]), Wishes(**json.loads(sys.argv[2]))))
