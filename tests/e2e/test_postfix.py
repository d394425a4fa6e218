"""A real Postfix of its own, in a folder of its own: the recipes of deploy/postfix/README.md."""

from __future__ import annotations

import asyncio
import os
import pwd
import shutil
import smtplib
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.postfix import instance
from tests.process import Program, command, free_port, provider
from tests.running import LOOPBACK, subject_mail, template, write_config

DAEMONS = Path("/usr/lib/postfix/sbin")
SERVICE = "emailtosms@sms.example.com"
PHONE = "79101234567@sms.example.com"

pytestmark = pytest.mark.skipif(os.geteuid() != 0 or not DAEMONS.exists(), reason="needs Postfix, and root to run one")

MAIN = """
mydestination = bank.example
virtual_mailbox_domains =
local_transport = virtual
virtual_transport = virtual
virtual_mailbox_base = {folder}/mail
virtual_mailbox_maps = static:inbox
virtual_uid_maps = static:{uid}
virtual_gid_maps = static:{gid}
virtual_minimum_uid = 1
transport_maps = inline:{{ {{sms.example.com = {transport}}} }}
email2sms_destination_recipient_limit = 1
"""
MASTER = """
smtp unix - - n - - smtp
lmtp unix - - n - - lmtp
virtual unix - n n - - virtual
email2sms unix - n n - 4 pipe
  flags=q user=nobody argv={inject} -f ${{sender}} -- ${{recipient}}
"""


class Postfix:
    """A running instance. Mail for bank.example lands in ``inbox``."""

    def __init__(self, folder: Path, port: int) -> None:
        self.folder, self.port = folder, port

    def send(self, content: bytes, *recipients: str) -> None:
        with smtplib.SMTP("127.0.0.1", self.port) as client:
            client.sendmail("alerts@bank.example", recipients, content)

    async def bounce(self) -> str:
        """The text of the first mail in the inbox."""
        inbox = self.folder / "mail" / "inbox"
        async with asyncio.timeout(20):
            while not inbox.exists():
                await asyncio.sleep(0.1)
        return inbox.read_text("utf-8", "replace")

    @property
    def log(self) -> str:
        return (self.folder / "queue" / "postfix.log").read_text()


@pytest.fixture
def folder() -> Iterator[Path]:
    """Open to Postfix's own user, which pytest's folders are not."""
    path = Path(tempfile.mkdtemp(prefix="postfix-"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)


@asynccontextmanager
async def postfix(folder: Path, transport: str, inject: str = "/bin/false") -> AsyncIterator[Postfix]:
    port, owner = free_port(), pwd.getpwnam("postfix")
    main = MAIN.format(folder=folder, transport=transport, uid=owner.pw_uid, gid=owner.pw_gid)
    async with instance(folder, port, main, MASTER.format(inject=inject), ["mail"]):
        yield Postfix(folder, port)


@asynccontextmanager
async def gateway(folder: Path, protocol: str) -> AsyncIterator[tuple[Program, str]]:
    """A gateway that refuses in the dialogue; its process and the Postfix transport that leads to it."""
    async with provider() as sandbox:
        door = {"name": "mta", "bind": "127.0.0.1:0", "protocol": protocol, "trust": LOOPBACK, "on_refusal": "reject"}
        config = write_config(folder, {"providers": sandbox.settings, "log": {"format": "json"}, "listeners": [door]})
        running = await Program.start(config)
        running.sandbox = sandbox  # type: ignore[attr-defined]
        port = running.port("mta")
        try:
            yield running, f"lmtp:inet:127.0.0.1:{port}" if protocol == "lmtp" else f"smtp:[127.0.0.1]:{port}"
        finally:
            await running.stop()


@pytest.mark.parametrize("protocol", ["smtp", "lmtp"])
async def test_a_mail_goes_through_and_a_refusal_bounces(folder: Path, protocol: str) -> None:
    async with gateway(folder, protocol) as (running, transport), postfix(folder, transport) as mta:
        await asyncio.to_thread(mta.send, template("через Postfix"), SERVICE)
        (sms,) = await running.sandbox.messages(1)  # type: ignore[attr-defined]
        assert sms.text == "через Postfix"
        await asyncio.to_thread(mta.send, template(password="wrong"), SERVICE)
        bounce = await mta.bounce()
        assert "550 5.7.8 AUTH wrong login, password or key" in " ".join(bounce.split())


async def test_lmtp_of_three_numbers_two_are_sent(folder: Path) -> None:
    async with gateway(folder, "lmtp") as (running, transport), postfix(folder, transport) as mta:
        to = [f"{number}@sms.example.com" for number in ("79101234567", "79161234567", "79102345678")]
        await asyncio.to_thread(mta.send, subject_mail("My Bank;0a1b2c;"), *to)
        sent = await running.sandbox.messages(2)  # type: ignore[attr-defined]
        assert {sms.destination for sms in sent} == {"79101234567", "79102345678"}
        bounce = " ".join((await mta.bounce()).split())
        assert "550 5.7.1 BANNED number 7916***4567 is on the stop list" in bounce
        assert "<79161234567@sms.example.com>" in bounce
        assert "<79101234567@sms.example.com>" not in bounce


async def test_a_gateway_that_is_away_gets_the_mail_later(folder: Path) -> None:
    async with gateway(folder, "smtp") as (running, transport), postfix(folder, transport) as mta:
        await running.kill()
        await asyncio.to_thread(mta.send, template("later"), SERVICE)
        async with asyncio.timeout(20):
            while "status=deferred" not in mta.log:
                await asyncio.sleep(0.1)
        config = running.config.read_text().replace("127.0.0.1:0", f"127.0.0.1:{transport.rpartition(':')[2]}")
        running.config.write_text(config)
        again = await Program.start(running.config)
        try:
            await asyncio.to_thread(
                subprocess.run, ["postqueue", "-c", str(folder / "conf"), "-f"], capture_output=True, check=False
            )
            (sms,) = await running.sandbox.messages(1)  # type: ignore[attr-defined]
            assert sms.text == "later"
        finally:
            await again.stop()


async def test_pipe(folder: Path) -> None:
    python = interpreter_of_nobody()
    async with provider() as sandbox:
        (folder / "gateway").mkdir()
        config = write_config(folder / "gateway", {"providers": sandbox.settings})
        os.chown(folder / "gateway", pwd.getpwnam("nobody").pw_uid, -1)
        async with postfix(folder, "email2sms:", f"{python} -m gateway inject --config {config}") as mta:
            await asyncio.to_thread(mta.send, template("через pipe"), SERVICE)
            await asyncio.to_thread(mta.send, template(password="wrong"), SERVICE)
            bounce = " ".join((await mta.bounce()).split())
            assert "Command output: 5.7.8 AUTH wrong login, password or key" in bounce or "AUTH wrong login" in bounce
            async with asyncio.timeout(20):
                while "status=sent (delivered via email2sms service" not in mta.log:
                    await asyncio.sleep(0.1)
        code, out, _ = await command("queue", "list", "--config", str(config), "--json")
        assert (code, '"queued": 1' in out) == (0, True)
        config.write_text(config.read_text() + "log: {format: json}\n")
        running = await Program.start(config)
        try:
            assert [sms.text for sms in await sandbox.messages(1)] == ["через pipe"]
        finally:
            await running.stop()


def interpreter_of_nobody() -> str:
    """A Python that the pipe's user may run, with our packages. Root's own may lie where only root can look."""
    packages = ":".join([str(Path(__file__).parents[2]), *(path for path in sys.path if "site-packages" in path)])
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    for python in (sys.executable, f"/usr/bin/python{version}"):
        wrapper = f"/usr/bin/env PYTHONPATH={packages} {python}"
        tried = subprocess.run(
            ["setpriv", "--reuid=nobody", "--clear-groups", *wrapper.split(), "-c", "import gateway.daemon"],
            capture_output=True,
            check=False,
            cwd="/",
        )
        if tried.returncode == 0:
            return wrapper
    pytest.skip("the user nobody cannot run this Python")
