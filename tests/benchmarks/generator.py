"""Sends template mails as fast as it can, or at a rate.

    python -m tests.benchmarks.generator PORT SESSIONS MAILS KEEP RATE

Each text is unique and holds the moment at which the end of DATA was written, for the peer to read.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time

import uvloop

HEAD = (
    "From: alerts@bank.example\r\nTo: emailtosms@sms.example.com\r\nSubject: x\r\nMessage-ID: <{id}@bank.example>\r\n"
    "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=windows-1251\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"
    "SmsUser=user\r\nPassword=qwerty12\r\nSourceAddress=My Bank\r\nPhoneNumber=79101234567\r\n"
)
ENVELOPE = b"MAIL FROM:<alerts@bank.example>\r\n", b"RCPT TO:<emailtosms@sms.example.com>\r\n", b"DATA\r\n"


class Counter:
    """How many are sent, and how long each waited for its 250."""

    def __init__(self, mails: int, rate: float) -> None:
        self.left, self.rate, self.done = mails, rate, 0
        self.started = time.perf_counter()
        self.waits: list[float] = []

    def take(self) -> int | None:
        """The next number, or None at the end."""
        if not self.left:
            return None
        self.left -= 1
        return self.left


async def session(port: int, counter: Counter, keep: bool) -> None:
    """One client."""
    while counter.left:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        await reader.readuntil(b"\r\n")
        writer.write(b"HELO client\r\n")
        await reader.readuntil(b"\r\n")
        while (number := counter.take()) is not None:
            await paced(counter, number)
            for line in ENVELOPE:
                writer.write(line)
                await reader.readuntil(b"\r\n")
            head = HEAD.format(id=f"{number}.{time.time_ns()}")
            began = time.perf_counter()
            body = f"Код: {number} t={time.time_ns()} Никому не говорите его. " + "текст " * 20
            writer.write((head + body).encode("cp1251") + b"\r\n.\r\n")
            answer = await reader.readuntil(b"\r\n")
            counter.waits.append(time.perf_counter() - began)
            assert answer.startswith(b"250"), answer
            counter.done += 1
            if not keep:
                break
        writer.close()


async def paced(counter: Counter, number: int) -> None:
    """Wait for this mail's moment."""
    if counter.rate:
        due = counter.started + (counter.done + 1) / counter.rate
        await asyncio.sleep(max(0.0, due - time.perf_counter()))


async def main(port: int, sessions: int, mails: int, keep: bool, rate: float) -> None:
    """Run and print the figures as JSON."""
    counter = Counter(mails, rate)
    await asyncio.gather(*(session(port, counter, keep) for _ in range(sessions)))
    seconds = time.perf_counter() - counter.started
    waits = sorted(counter.waits)
    figures = {"seconds": seconds, "per_second": counter.done / seconds}
    figures |= {"p50_ms": waits[len(waits) // 2] * 1000, "p99_ms": waits[len(waits) * 99 // 100] * 1000}
    print(json.dumps(figures))


if __name__ == "__main__":
    port, sessions, mails, keep = (int(argument) for argument in sys.argv[1:5])
    uvloop.run(main(port, sessions, mails, bool(keep), float(sys.argv[5])))
