"""Where the gateway's reply mails arrive: a real SMTP server in the test's loop."""

from __future__ import annotations

import asyncio
import email
import email.policy
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from email.message import EmailMessage

from aiosmtpd.smtp import SMTP, Envelope, Session


class Smarthost:
    """Takes everything unless told otherwise."""

    def __init__(self) -> None:
        self.port = 0
        self.refuse_with = ""
        self.envelopes: list[Envelope] = []
        self._arrived = asyncio.Event()

    async def handle_RCPT(
        self, _server: SMTP, _session: Session, envelope: Envelope, address: str, _: list[str]
    ) -> str:
        if self.refuse_with:
            return self.refuse_with
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:
        self.envelopes.append(envelope)
        self._arrived.set()
        return "250 OK"

    async def mails(self, count: int, timeout_s: float = 15) -> list[EmailMessage]:
        """The mails, once there are that many."""
        async with asyncio.timeout(timeout_s):
            while len(self.envelopes) < count:
                self._arrived.clear()
                await self._arrived.wait()
        parse = email.message_from_bytes
        return [parse(e.original_content or b"", policy=email.policy.default) for e in self.envelopes]


@asynccontextmanager
async def smarthost() -> AsyncIterator[Smarthost]:
    """Listen on a free port of the loopback."""
    handler = Smarthost()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: SMTP(handler, loop=loop), "127.0.0.1", 0)
    handler.port = server.sockets[0].getsockname()[1]
    try:
        yield handler
    finally:
        server.close()
