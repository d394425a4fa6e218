"""What a user would pick instead, and the yardsticks: each on the loopback, in a folder of its own.

mailrise and Haraka are looked for in ``$BENCH_HOME`` (``python -m tests.benchmarks.systems`` puts them there); what
is missing is left out, and named.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import yaml
from sqlalchemy import make_url

from tests.benchmarks.processes import tree
from tests.postfix import instance
from tests.process import ENVIRONMENT, free_port
from tests.running import LOOPBACK, write_config

HOME = Path(os.environ.get("BENCH_HOME", Path.home() / ".cache" / "email2sms-bench"))
ACCOUNT = {"login": "user", "password": "qwerty12", "senders": ["*"], "originators": ["My Bank"]}
PHONE = "79101234567@sms.example.com"


@dataclass(frozen=True, slots=True)
class Running:
    """One that accepts."""

    port: int
    root: int
    """The process under which all of it lives."""
    started_in_s: float
    """From the start of the process to the first banner."""

    @property
    def pids(self) -> list[int]:
        """All processes of it."""
        return tree(self.root)


Start = Callable[[Path, int], AbstractAsyncContextManager[Running]]


@dataclass(frozen=True, slots=True)
class System:
    """``start(folder, port of the provider)``."""

    name: str
    start: Start
    per_second: int
    """About so many: how many mails a run takes follows from it."""
    relays: bool = True
    durable: bool = False
    """On disk before the 250."""
    recipient: str = PHONE
    missing: str = ""
    """What is not installed."""


@asynccontextmanager
async def program(*command: str, port: int, folder: Path) -> AsyncIterator[Running]:
    """A process that accepts on the port."""
    began = time.perf_counter()
    with (folder / "log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(*command, cwd=folder, env=ENVIRONMENT, stdout=log, stderr=log)
    try:
        accepts = asyncio.create_task(accepting(port))
        await asyncio.wait([accepts, ended := asyncio.create_task(process.wait())], return_when=asyncio.FIRST_COMPLETED)
        if ended.done():
            accepts.cancel()
            raise RuntimeError((folder / "log").read_text("utf-8", "replace")[-1000:])
        await accepts
        yield Running(port, process.pid, time.perf_counter() - began)
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


async def accepting(port: int) -> None:
    """Until somebody greets."""
    async with asyncio.timeout(60):
        while True:
            try:
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
                if await reader.readline():
                    writer.close()
                    return
            except ConnectionError:
                pass
            await asyncio.sleep(0.01)


# ── ourselves ────────────────────────────────────────────────────────────────────────────────


def ours(workers: int, store: str | None = None, *, relays: bool = True) -> Start:
    """The gateway, with a provider that has no duplicate window: ``smtp-source``'s mails are all equal. Nothing is too
    old for it, so that it only does what the mails need. ``store``: its URL; else a file in the gateway's folder.
    Without ``relays`` the kill switch is on."""

    @asynccontextmanager
    async def start(folder: Path, peer: int) -> AsyncIterator[Running]:
        port = free_port()
        send = {"path": "/sendsms.php", "query": {"dadr": "{destination}", "sadr": "{originator}", "text": "{text}"}}
        described = {"url": f"http://127.0.0.1:{peer}", "send": send, "taken": {"match": r"^\d", "id_match": r"^(\d+)"}}
        tls = {"certificate": str(folder / "tls.crt"), "key": str(folder / "tls.key"), "mode": "starttls"}
        make = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
        make += ["-keyout", tls["key"], "-out", tls["certificate"], "-days", "2", "-subj", "/CN=localhost"]
        await asyncio.to_thread(subprocess.run, make, check=True, capture_output=True)
        listener = {"name": "lan", "bind": f"127.0.0.1:{port}", "trust": LOOPBACK, "on_refusal": "reject", "tls": tls}
        # What is remembered of a store stays beside it, or the next run would take it for a backup and hold what waits.
        database = make_url(store).database if store else folder / "gateway.db"
        caps = {"max_connections": 6000, "max_connections_per_client": 6000}
        changes = {
            "providers": {"main": {"driver": "http", "describe": described, "max_in_flight": 50, "poll": False}},
            "server": {"hostname": "sms.example.com", "workers": workers, "epoch_file": f"{database}.epoch"},
            "store": {"url": store or f"sqlite:///{database}"},
            "retention": {"texts": "1800d", "records": "1800d", "figures": "1800d"},
            "listeners": [{**listener, **caps}],
        }
        config = write_config(folder, changes, [ACCOUNT])
        command = (sys.executable, "-m", "gateway")
        async with program(*command, "serve", "--config", str(config), port=port, folder=folder) as running:
            if not relays:
                hold = [*command, "hold", "--all", "--config", str(config)]
                await asyncio.to_thread(subprocess.run, hold, env=ENVIRONMENT, check=True, capture_output=True)
            yield running

    return start


# ── instead of us ────────────────────────────────────────────────────────────────────────────

_MAIN = """
mydestination =
relay_transport = {transport}
transport_maps =
smtpd_client_connection_count_limit = 0
sms_destination_recipient_limit = 1
"""
_MASTER = """
discard unix - - n - - discard
sms unix - n n - 20 pipe
  flags=q user=nobody argv={script} ${{recipient}}
"""
_SCRIPT = """#!/bin/sh
text=$(sed '1,/^$/d')
exec curl -sf -G http://127.0.0.1:{peer}/sendsms.php --data-urlencode "dadr=${{1%%@*}}" --data-urlencode "text=$text"
"""


def postfix(transport: str) -> Start:
    """An instance of its own: ``sms`` is pipe(8) to a shell script with curl, ``discard`` only stores."""

    @asynccontextmanager
    async def start(folder: Path, peer: int) -> AsyncIterator[Running]:
        port, script = free_port(), folder / "sms.sh"
        folder.chmod(0o755)
        script.write_text(_SCRIPT.format(peer=peer))
        script.chmod(0o755)
        began = time.perf_counter()
        main, master = _MAIN.format(transport=transport), _MASTER.format(script=script)
        async with instance(folder, port, main, master):
            await accepting(port)
            running = int((folder / "queue" / "pid" / "master.pid").read_text())
            yield Running(port, running, time.perf_counter() - began)

    return start


@asynccontextmanager
async def mailrise(folder: Path, peer: int) -> AsyncIterator[Running]:
    """aiosmtpd to Apprise."""
    port = free_port()
    to = {"sms": {"urls": [f"json://127.0.0.1:{peer}/"]}}
    content = {"configs": to, "listen": {"host": "127.0.0.1", "port": port}}
    (folder / "mailrise.conf").write_text(yaml.safe_dump(content))
    command = (str(HOME / "mailrise/bin/mailrise"), str(folder / "mailrise.conf"))
    async with program(*command, port=port, folder=folder) as running:
        yield running


_HARAKA_PLUGIN = """
const http = require('http');
const agent = new http.Agent({keepAlive: true, maxSockets: 50});
exports.hook_lookup_rdns = function (next) { next(OK, 'localhost'); };  // it would ask a DNS server for each client
exports.hook_rcpt = function (next) { next(OK); };
exports.hook_queue = function (next, connection) {
  connection.transaction.message_stream.get_data((data) => {
    const options = {port: PEER, path: '/', method: 'POST', agent, headers: {'Content-Length': data.length}};
    const request = http.request(options, (answer) => { answer.resume(); answer.on('end', () => next(OK)); });
    request.on('error', () => next(DENYSOFT));
    request.end(data);
  });
};
"""


@asynccontextmanager
async def haraka(folder: Path, peer: int) -> AsyncIterator[Running]:
    """Node, with twelve lines that hand the whole mail on; one process, as it comes."""
    port = free_port()
    (folder / "plugins").mkdir()
    shutil.copytree(HOME / "haraka/node_modules/Haraka/config", folder / "config")
    (folder / "plugins" / "sms.js").write_text(_HARAKA_PLUGIN.replace("PEER", str(peer)))
    (folder / "config" / "plugins").write_text("sms\n")
    (folder / "config" / "smtp.ini").write_text(f"listen=127.0.0.1:{port}\nnodes=0\n")
    (folder / "config" / "loglevel").write_text("ERROR\n")
    (folder / "config" / "me").write_text("mta.bank.example\n")
    command = ("node", str(HOME / "haraka/node_modules/Haraka/bin/haraka"), "-c", str(folder))
    async with program(*command, port=port, folder=folder) as running:
        yield running


# ── yardsticks ───────────────────────────────────────────────────────────────────────────────


@asynccontextmanager
async def smtp_sink(folder: Path, _peer: int) -> AsyncIterator[Running]:
    """Postfix's own: C, stores nothing. The generator's ceiling."""
    port = free_port()
    user = ("-u", "nobody") if os.geteuid() == 0 else ()
    async with program("smtp-sink", *user, f"127.0.0.1:{port}", "1000", port=port, folder=folder) as running:
        yield running


@asynccontextmanager
async def no_op(folder: Path, _peer: int) -> AsyncIterator[Running]:
    """Bare aiosmtpd on uvloop: our library's ceiling."""
    port = free_port()
    command = (sys.executable, "-m", "tests.benchmarks.noop", str(port))
    async with program("env", f"PYTHONPATH={Path.cwd()}", *command, port=port, folder=folder) as running:
        yield running


def _absent(*needed: Path | str) -> str:
    return ", ".join(str(one) for one in needed if not (Path(one).exists() or shutil.which(str(one))))


def systems(store: str) -> list[System]:
    """All; ``store``: the URL of a PostgreSQL."""
    root = "" if os.geteuid() == 0 else "root, to run a Postfix"
    mta = _absent("postfix") or root
    sink = _absent("smtp-sink")
    node = _absent("node", HOME / "haraka/node_modules/Haraka")
    rise = _absent(HOME / "mailrise/bin/mailrise")
    return [
        System("smtp-sink", smtp_sink, 10000, relays=False, missing=sink),
        System("aiosmtpd, no-op", no_op, 2000, relays=False),
        System("Postfix, stores only", postfix("discard"), 1200, relays=False, durable=True, missing=mta),
        System("Postfix + pipe + curl", postfix("sms"), 150, durable=True, missing=mta),
        System("mailrise", mailrise, 300, recipient="sms@mailrise.xyz", missing=rise),
        System("Haraka + plug-in", haraka, 1200, missing=node),
        System("email2sms, SQLite", ours(1), 700, durable=True),
        System("email2sms, SQLite, 2 workers", ours(2), 1200, durable=True),
        System("email2sms, SQLite, 2 workers, on hold", ours(2, relays=False), 1500, relays=False, durable=True),
        System("email2sms, PostgreSQL", ours(1, store), 600, durable=True),
        System("email2sms, PostgreSQL, 2 workers", ours(2, store), 900, durable=True),
    ]


def install() -> None:
    """Put mailrise and Haraka into ``$BENCH_HOME``."""
    (HOME / "haraka").mkdir(parents=True, exist_ok=True)
    subprocess.run([sys.executable, "-m", "venv", str(HOME / "mailrise")], check=True)
    subprocess.run([str(HOME / "mailrise/bin/pip"), "install", "--quiet", "mailrise"], check=True)
    subprocess.run(["npm", "install", "--silent", "--prefix", str(HOME / "haraka"), "Haraka"], check=True)


if __name__ == "__main__":
    install()
