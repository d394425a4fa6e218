"""Nobody reads the log any more, or its disk is full: mails, calls and settlements go on, each exactly once."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.history import jobs_of
from tests.process import ENVIRONMENT, provider
from tests.running import Client, listener, template, write_config


def closed_pipe() -> int:
    reader, writer = os.pipe()
    os.close(reader)
    return writer


def full_disk() -> int:
    return os.open("/dev/full", os.O_WRONLY)


@asynccontextmanager
async def gateway(config: Path, stderr: int) -> AsyncIterator[asyncio.subprocess.Process]:
    """A daemon that is ready: it cannot say so in its log, but to systemd."""
    systemd = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    systemd.setblocking(False)
    systemd.bind(str(config.parent / "notify"))
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "gateway", "serve", "--config", str(config)),
        stderr=stderr,
        env={**ENVIRONMENT, "NOTIFY_SOCKET": str(config.parent / "notify")},
    )
    os.close(stderr)
    try:
        async with asyncio.timeout(60):
            assert await asyncio.get_running_loop().sock_recv(systemd, 100) == b"READY=1"
        yield process
    finally:
        systemd.close()
        if process.returncode is None:
            process.terminate()
        async with asyncio.timeout(30):
            await process.wait()


@pytest.mark.parametrize("lost", [closed_pipe, full_disk])
async def test_what_cannot_be_logged_is_done_all_the_same(lost: object, tmp_path: Path) -> None:
    async with provider() as sandbox:
        door = f"unix:{tmp_path}/door"
        changes = {"providers": sandbox.settings, "listeners": [listener(bind=door)], "log": {"level": "debug"}}
        config = write_config(tmp_path, changes)
        async with gateway(config, lost()) as process:  # type: ignore[operator]
            client = Client(*await asyncio.open_unix_connection(f"{tmp_path}/door"))
            await client.answer()
            await client.say("EHLO client")
            answer = await client.mail(template(password="wrong"), "emailtosms@sms.example.com")
            assert answer.startswith("550 5.7.8 AUTH")
            answer = await client.mail(template("once"), "emailtosms@sms.example.com")
            assert answer.startswith("250 2.0.0 OK")
            await sandbox.messages(1)
            client.close()
            process.terminate()
            async with asyncio.timeout(30):
                assert await process.wait() == 0
        assert [sms.text for sms in sandbox.platform.messages] == ["once"]
        assert [job["state"] for job in await jobs_of(config)] == ["submitted"]
