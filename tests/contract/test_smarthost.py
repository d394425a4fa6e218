"""A login at the smarthost never crosses the network in clear."""

from __future__ import annotations

import asyncio

import pytest

from gateway.model import Reply
from gateway.replies.send import Postponed, Smarthost


async def test_no_password_without_tls_when_somebody_has_taken_starttls_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.replies.send._is_loopback", lambda _host: False)
    heard: list[bytes] = []
    ended = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 mx\r\n")
        while line := await reader.readline():
            heard.append(line)
            writer.write(b"250-mx\r\n250 AUTH PLAIN LOGIN\r\n" if line.startswith(b"EHLO") else b"250 OK\r\n")
        writer.close()
        await writer.wait_closed()
        ended.set()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        url = f"smtp://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        smarthost = Smarthost(url, user="sms", password="hush", hostname="sms.example.com")
        with pytest.raises(Postponed):
            await smarthost.send(Reply("a@b.example", b"Subject: x\r\n\r\nx"))
        async with asyncio.timeout(10):
            await ended.wait()
    assert heard[0].startswith(b"EHLO")
    assert not [line for line in heard if line.startswith((b"AUTH", b"MAIL"))]
