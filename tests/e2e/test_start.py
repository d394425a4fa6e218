"""A start takes as long as its imports: each verb pays for what it uses."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from gateway.service.opening import open_store
from gateway.settings.load import load
from tests.process import ENVIRONMENT, command, free_port
from tests.running import template, write_config

SITES = {"fastapi", "starlette", "uvicorn", "jinja2", "babel", "authlib"}
NETWORK = {"aiohttp", "httpx", "aiosmtpd", "aiosmtplib", "asyncpg", "dns.resolver", "opentelemetry"}
STORE = {"sqlalchemy", "alembic", "cryptography"}
THE_REST = {
    "phonenumbers",
    "structlog.dev",
    "prometheus_client",
    "rich.console",
    "pygments",
    "lxml",
    "inscriptis",
    "iuliia",
    "re2",
}
HEAVY = SITES | NETWORK | STORE | THE_REST
"""But pydantic: typer reads every argument with it."""

NEEDED: dict[str, set[str]] = {
    "--version": set(),
    "segments": {"rich.console"},
    "health": set(),
    "inject": {"sqlalchemy", "phonenumbers", "structlog.dev", "prometheus_client"},
}


@pytest.mark.parametrize("verb", NEEDED)
async def test_a_verb_imports_nothing_heavy_that_it_does_not_need(tmp_path: Path, verb: str) -> None:
    file = write_config(tmp_path, {"metrics": {"bind": f"127.0.0.1:{free_port()}"}})
    await (await open_store(load(file), exclusive=False)).close()  # only the first start of all makes the tables
    config = ("--config", str(file))
    words, stdin, wanted = {
        "--version": ((), b"", 0),
        "segments": (("Hello",), b"", 0),
        "health": (config, b"", 1),
        "inject": ((*config, "-f", "alerts@bank.example", "emailtosms@sms.example.com"), template(), 0),
    }[verb]
    code, _, err = await command(verb, *words, stdin=stdin, PYTHONPROFILEIMPORTTIME="1")
    assert code == wanted, err
    imported = {line.rpartition("|")[2].strip() for line in err.splitlines() if line.startswith("import time:")}
    assert "gateway.cli.app" in imported
    assert imported & HEAVY == NEEDED[verb]


FORKED = """
import asyncio, sys
from pathlib import Path
from gateway.daemon import Daemon
from gateway.daemon.ahead import import_ahead
from gateway.service.opening import open_store
from gateway.settings.load import load

configuration = load(Path(sys.argv[1]))

async def prepare():
    await (await open_store(configuration, exclusive=False)).close()

async def run():
    daemon = Daemon(configuration)
    await daemon.start()
    await daemon.stop()

asyncio.run(prepare())
import_ahead(configuration)
before = set(sys.modules)
asyncio.run(run())
print("imported after:", *(set(sys.modules) - before))
"""


def test_what_a_worker_needs_is_imported_before_the_fork(tmp_path: Path) -> None:
    sites = {name: {"bind": f"127.0.0.1:{free_port()}"} for name in ("console", "metrics")}
    away = {"driver": "targetsms", "url": "http://127.0.0.1:1/", "user": "corp", "password": "secret"}
    file = write_config(tmp_path, {"providers": {"main": away}, **sites})
    ran = subprocess.run(
        [sys.executable, "-c", FORKED, file], env=ENVIRONMENT, stdout=subprocess.PIPE, text=True, check=True, timeout=60
    )
    _, _, after = ran.stdout.rpartition("imported after:")
    assert not {name for name in after.split() if name.partition(".")[0] in HEAVY - {"uvicorn"} | {"gateway", "h11"}}


async def test_health_asks_though_the_rest_of_the_file_is_wrong(tmp_path: Path) -> None:
    bind = f"127.0.0.1:{free_port()}"
    file = write_config(tmp_path, {"metrics": {"bind": bind}, "routes": "none"})
    code, out, _ = await command("health", "--config", str(file))
    assert (code, f"no answer at {bind}" in out) == (1, True)
    code, _, err = await command("health", "--config", str(write_config(tmp_path, {"metrics": {"bind": "nowhere"}})))
    assert (code, "metrics.bind" in err) == (78, True)


async def test_a_verb_that_is_misspelt_is_named() -> None:
    code, _, err = await command("segmets", "Hello")
    assert (code, "'segments'" in err) == (2, True)


async def test_completion_knows_the_verbs_and_theirs() -> None:
    for typed, offered in (("se", "send segments"), ("queue re", "release retry")):
        words = f"email2sms {typed}"
        ask = {
            "COMP_WORDS": words,
            "COMP_CWORD": str(len(typed.split())),
            "_PYTHON _M GATEWAY_COMPLETE": "complete_bash",
        }
        code, out, _ = await command(stdin=b"", **ask)
        assert (code, set(offered.split()) <= set(out.split())) == (0, True), out
