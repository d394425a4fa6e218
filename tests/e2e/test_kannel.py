"""A real Kannel as an independent peer of the preset ``kannel``: bearerbox, smsbox, and an SMSC that is this test."""

from __future__ import annotations

import asyncio
import shutil
import socket
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import unquote_to_bytes

import pytest
from aiohttp import web

from gateway.lifecycle import State
from gateway.model import Callback, Deferred, Outcome, Pushed, Scope, Submitted
from gateway.providers.declarative.driver import Declarative
from gateway.providers.declarative.settings import HttpSettings
from gateway.providers.http import HttpUpstream
from gateway.testing import attempt

pytestmark = pytest.mark.skipif(
    shutil.which("bearerbox") is None or shutil.which("smsbox") is None, reason="needs Kannel"
)

CONFIG = """
group = core
admin-port = {admin}
admin-interface = 127.0.0.1
admin-password = secret
smsbox-port = {boxes}
smsbox-interface = 127.0.0.1
box-allow-ip = "127.0.0.1"
box-deny-ip = "*.*.*.*"
dlr-storage = internal
store-file = {folder}/store

group = smsc
smsc = fake
smsc-id = test
port = {smsc}
connect-allow-ip = 127.0.0.1

group = smsbox
bearerbox-host = 127.0.0.1
sendsms-port = {http}
sendsms-interface = 127.0.0.1

group = sendsms-user
username = corp
password = "p&s+w%rd"
max-messages = 5
concatenation = true
"""


@dataclass(frozen=True)
class Kannel:
    url: str
    smsc_port: int


def free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports: list[int] = [made.getsockname()[1] for made in sockets]
    for made in sockets:
        made.close()
    return ports


@pytest.fixture
def kannel(tmp_path: Path) -> Iterator[Kannel]:
    admin, boxes, smsc, http = free_ports(4)
    config = tmp_path / "kannel.conf"
    config.write_text(CONFIG.format(admin=admin, boxes=boxes, smsc=smsc, http=http, folder=tmp_path))
    running = []
    try:
        for program, port in (("bearerbox", boxes), ("smsbox", http)):
            with (tmp_path / f"{program}.log").open("wb") as log:
                running.append(subprocess.Popen([program, str(config)], stdout=log, stderr=log, cwd=tmp_path))
            listening(port)
        yield Kannel(f"http://127.0.0.1:{http}", smsc)
    finally:
        for process in reversed(running):
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(10)


def listening(port: int) -> None:
    """Neither of them tells when it is ready."""
    for _ in range(100):
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            time.sleep(0.1)
        else:
            return
    raise AssertionError(f"nothing listens on {port}")


@pytest.fixture
async def callbacks() -> AsyncIterator[tuple[str, asyncio.Queue[Callback]]]:
    heard: asyncio.Queue[Callback] = asyncio.Queue()

    async def hear(request: web.Request) -> web.Response:
        query = tuple((key, str(value)) for key, value in request.query.items())
        await heard.put(Callback(request.method, str(request.url), query))
        return web.Response(text="")

    application = web.Application()
    application.router.add_route("*", "/callbacks/main/{token}", hear)
    runner = web.AppRunner(application)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    server: Any = site._server
    yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/callbacks/main/0123456789abcdef", heard
    await runner.cleanup()


def upstream(kannel: Kannel, callback_url: str, password: str = "p&s+w%rd") -> HttpUpstream:
    settings = HttpSettings.model_validate(
        {"driver": "http", "preset": "kannel", "url": kannel.url, "user": "corp", "password": password}
    )
    return HttpUpstream.of(Declarative(settings, callback_url), settings)


async def send(upstream: HttpUpstream, text: str) -> Outcome:
    plain = attempt(text=text)
    (outcome,) = await upstream.submit([replace(plain, job=replace(plain.job, id="J-1/+?", originator="MyBank"))])
    return outcome


def read_line(line: bytes) -> tuple[str, str, str]:
    """The protocol of Kannel's fake SMSC: originator, destination, coding, text."""
    originator, destination, coding, text = line.decode().split(" ", 3)
    return originator, destination, text if coding == "text" else unquote_to_bytes(text).decode("utf-16-be")


@pytest.mark.parametrize("text", ["Hello & welcome, 100% +1 [€]", "Привет"])
async def test_an_sms_goes_through_a_real_kannel_and_is_reported(
    kannel: Kannel, callbacks: tuple[str, asyncio.Queue[Callback]], text: str
) -> None:
    url, heard = callbacks
    reader, writer = await asyncio.open_connection("127.0.0.1", kannel.smsc_port)
    main = upstream(kannel, url)
    try:
        assert await send(main, text) == Submitted("J-1/+?")
        line = (await asyncio.wait_for(reader.readline(), 20)).rstrip(b"\n")
        assert read_line(line) == ("MyBank", "79101234567", text)
        pushed: Pushed = main.read_callback(await asyncio.wait_for(heard.get(), 20))
        told = [(receipt.provider_id, receipt.raw, receipt.state) for receipt in pushed.receipts]
        assert told == [("J-1/+?", "8", State.SUBMITTED)]  # the fake SMSC acknowledges, and knows no handsets
    finally:
        await main.close()
        writer.close()


async def test_a_wrong_password_stops_the_account(kannel: Kannel) -> None:
    main = upstream(kannel, "", password="wrong")
    try:
        outcome = await send(main, "Hello")
    finally:
        await main.close()
    assert isinstance(outcome, Deferred)
    assert outcome.scope is Scope.PROVIDER
    assert "Authorization failed" in outcome.why
