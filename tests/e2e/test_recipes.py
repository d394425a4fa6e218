"""The recipes of Connect, run as they are printed: with real programs, to a running gateway."""

from __future__ import annotations

import asyncio
import json
import os
import pwd
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.daemon import Daemon
from gateway.policy.permissions import Scope
from gateway.recipes import filled
from gateway.service.connect import facts
from gateway.service.tokens import Tokens
from tests.browser import CONSOLE, base
from tests.e2e.test_postfix import DAEMONS, folder, postfix
from tests.running import ACCOUNT, handsets, port, running, subject_mail

__all__ = ["folder"]

EXIM = shutil.which("exim4") or shutil.which("exim") or ""
ANYBODY = {**ACCOUNT, "senders": ["*"]}
EXIM_CONF = """
primary_hostname = mta.bank.example
spool_directory = {folder}/spool
log_file_path = {folder}/log_%slog
pid_file_path = {folder}/pid
exim_user = {user}
never_users =
qualify_domain = bank.example
begin routers
{routers}
begin transports
{transports}
begin retry
* * F,1h,5m
"""


@pytest.fixture
async def daemon(tmp_path: Path) -> AsyncIterator[Daemon]:
    async with running(tmp_path, CONSOLE, [ANYBODY]) as daemon:
        yield daemon


def recipe(daemon: Daemon, name: str) -> list[str]:
    """Its steps, with the secrets that only people know."""
    known = replace(
        facts(daemon._configuration, account="test_user", console=base(daemon)), port=port(daemon), host="127.0.0.1"
    )
    texts = [step.text for step in filled(name, known).steps]
    return [text.replace("KEY", "0a1b2c").replace("PASSWORD", "qwerty12") for text in texts]


async def run(*command: str, stdin: str = "") -> str:
    def call() -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(command, input=stdin.encode(), capture_output=True, timeout=30, check=False)

    done = await asyncio.to_thread(call)
    said = (done.stdout + done.stderr).decode("utf-8", "replace")
    assert done.returncode == 0, said
    return said


@pytest.mark.parametrize(
    ("name", "command"),
    [
        ("curl", ["bash", "-o", "pipefail", "-ec"]),
        ("swaks", ["bash", "-ec"]),
        ("python", [sys.executable, "-c"]),
        ("php", ["php"]),
    ],
)
async def test_programs(daemon: Daemon, name: str, command: list[str]) -> None:
    if shutil.which(command[0]) is None or (name in ("curl", "swaks") and shutil.which(name) is None):
        pytest.skip(f"{name} is not installed")
    (script,) = recipe(daemon, name)
    await (run(*command, stdin=script) if name == "php" else run(*command, script))
    (sms,) = await handsets(daemon, 1)
    assert (sms.originator, sms.destination) == ("My Bank", "79001234567")
    assert sms.text == f"Hello from {'PHP' if name == 'php' else name.capitalize() if name == 'python' else name}"


@pytest.mark.skipif(not EXIM or os.geteuid() != 0, reason="needs Exim, and root to run it")
async def test_exim(daemon: Daemon, folder: Path) -> None:
    routers, transports = recipe(daemon, "exim")
    owner = pwd.getpwnam("Debian-exim")
    (folder / "spool").mkdir()
    os.chown(folder / "spool", owner.pw_uid, owner.pw_gid)
    os.chown(folder, owner.pw_uid, owner.pw_gid)
    conf = folder / "exim.conf"
    values = {"folder": folder, "user": owner.pw_name, "routers": routers, "transports": transports}
    conf.write_text(EXIM_CONF.format(**values))
    mail = subject_mail("My Bank;0a1b2c;", "Hello from Exim").decode()
    await run(
        EXIM, "-C", str(conf), "-odf", "-oi", "-f", "alerts@bank.example", "79101234567@sms.example.com", stdin=mail
    )
    (sms,) = await handsets(daemon, 1)
    assert sms.text == "Hello from Exim"


@pytest.mark.skipif(os.geteuid() != 0 or not DAEMONS.exists(), reason="needs Postfix, and root to run one")
async def test_postfix(daemon: Daemon, folder: Path) -> None:
    main, transport, _ = recipe(daemon, "postfix")
    assert main.splitlines()[0] == "relay_domains = sms.example.com"
    domain, hop = transport.splitlines()[0].split()
    assert domain == "sms.example.com"
    async with postfix(folder, hop) as mta:
        mail = subject_mail("My Bank;0a1b2c;", "Hello from Postfix")
        await asyncio.to_thread(mta.send, mail, "79101234567@sms.example.com")
        (sms,) = await handsets(daemon, 1)
    assert sms.text == "Hello from Postfix"


async def test_the_http_api(daemon: Daemon) -> None:
    if shutil.which("curl") is None or "--json" not in await run("curl", "--help", "all"):
        pytest.skip("curl is not installed, or too old for --json")
    (script,) = recipe(daemon, "http")
    _, secret = await Tokens(daemon.store).create("recipe", frozenset({Scope.READ, Scope.SEND}), "test")
    script = script.replace("TOKEN", secret)
    first, again = await run("bash", "-ec", script), await run("bash", "-ec", script)
    assert json.loads(first)["mail"] == json.loads(again)["mail"]
    (sms,) = await handsets(daemon, 1)
    assert sms.text == "Hello from the API"
