"""A start takes as long as its imports: each verb pays for what it uses."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.service.opening import open_store
from gateway.settings.load import load
from tests.process import command, free_port
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
