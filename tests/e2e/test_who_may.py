"""People of the console as an operator meets them: by the command line, with several processes, over HTTPS."""

from __future__ import annotations

import asyncio
import json
import ssl
import subprocess
from functools import partial
from pathlib import Path
from typing import Any

import argon2
import httpx
import pytest
from structlog.testing import capture_logs
from typer.testing import CliRunner

from gateway.cli.app import app
from tests.e2e.test_workers import started
from tests.process import free_port
from tests.running import listener, running, write_config

PASSWORD = "correct horse"


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """argon2 as it is, at a thousandth of its price."""
    cheap = partial(argon2.PasswordHasher, time_cost=1, memory_cost=64, parallelism=1)
    monkeypatch.setattr("gateway.service.credentials.PasswordHasher", cheap)


def test_users_by_the_command_line(tmp_path: Path, quick: None) -> None:
    config = ("--config", str(write_config(tmp_path, {"console": {"url": "https://sms.example.com"}})))

    def told(*words: str, stdin: str = "") -> tuple[int, str]:
        with capture_logs():
            result = CliRunner().invoke(app, [*words, *config], input=stdin)
        return result.exit_code, result.output.strip()

    def listed(noun: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = json.loads(told(noun, "list", "--json")[1])
        return found

    assert "email2sms user link" in told("user", "list")[1]
    first, second = told("user", "link")[1], told("user", "link")[1]
    assert first.startswith("https://sms.example.com/welcome/")
    assert first != second
    assert told("user", "add", "Anna", "--role", "admin", "--password", stdin="short\n")[0] == 64
    assert told("user", "add", "Anna", "--role", "admin", "--password", stdin=f"{PASSWORD}\n") == (0, "anna: added")
    code, link = told("user", "add", "shop", "--account", "test_user", "--texts")
    assert (code, link.startswith("https://")) == (0, True)
    assert told("user", "add", "anna") == (1, "there is a user of that login")
    assert told("user", "add", "a b")[0] == 64
    assert told("user", "link")[0] == 64  # there are users: whose is it to be?
    assert [(user["login"], user["role"], user["accounts"]) for user in listed("user")] == [
        ("anna", "admin", None),
        ("shop", "viewer", ["test_user"]),
    ]
    assert told("user", "set", "shop", "--role", "operator", "--account", "*", "--no-texts") == (0, "shop: changed")
    changed = listed("user")[1]
    assert (changed["role"], changed["accounts"], changed["texts"]) == ("operator", None, False)
    assert told("user", "set", "anna", "--role", "viewer")[0] == 1  # the last admin
    assert told("user", "set", "nobody", "--texts")[0] == 67
    assert told("user", "disable", "ANNA") == (1, "he is the last admin: make another one first")
    assert told("user", "remove", "anna")[0] == 1
    assert told("user", "disable", "shop") == (0, "shop: disabled")
    assert listed("user")[1]["disabled"] is True
    assert told("user", "enable", "shop")[0] == 0
    assert told("user", "passwd", "shop", stdin=f"{PASSWORD}\n")[0] == 0
    assert told("user", "link", "nobody")[0] == 67
    code, secret = told("token", "create", "zabbix", "--scope", "send", "--user", "anna", "--expires", "90d")
    assert (code, secret.startswith("e2s_")) == (0, True)
    assert told("token", "create", "x", "--expires", "soon")[0] == 64
    assert told("token", "create", "x", "--user", "nobody")[0] == 67
    (token,) = listed("token")
    assert (token["name"], token["login"], token["scopes"]) == ("zabbix", "anna", ["send"])
    assert secret not in json.dumps(token)
    assert "zabbix" in told("token", "list")[1]
    assert told("token", "revoke", token["id"])[0] == 0
    assert told("token", "revoke", token["id"])[0] == 1
    assert told("user", "remove", "shop")[0] == 0
    whats = [entry["what"] for entry in listed_audit(told)]
    assert whats == [
        "user.remove",
        "token.revoke",
        "token.create",
        "user.password",
        "user.change",
        "user.change",
        "user.change",
        "user.add",
        "user.add",
        "user.link",
        "user.link",
    ]
    everything = b"".join(file.read_bytes() for file in (tmp_path / "var").glob("gateway.db*"))
    for hidden in (PASSWORD, secret, link.rpartition("/")[2]):
        assert hidden.encode() not in everything


def listed_audit(told: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(told("audit", "--json")[1])
    return found


async def test_with_several_processes_one_link_is_good(tmp_path: Path) -> None:
    port = free_port()
    changes = {
        "server": {"hostname": "sms.example.com", "workers": 2},
        "listeners": [listener()],
        "providers": {"main": {"driver": "targetsms", "url": "http://127.0.0.1:9/", "user": "u", "password": "p"}},
        "console": {"bind": f"127.0.0.1:{port}"},
        "log": {"format": "json"},
    }
    async with started(write_config(tmp_path, changes)) as gateway:
        told = await gateway.event("console.welcome")
        # Each connection may meet another process.
        answers = []
        for _ in range(6):
            async with httpx.AsyncClient(timeout=30) as client:
                answers.append((await client.get(told["link"])).status_code)
        assert answers == [200] * 6
        given = {"login": "anna", "password": PASSWORD, "again": PASSWORD}

        async def comes() -> tuple[int, str]:
            async with httpx.AsyncClient(timeout=30) as client:
                answer = await client.post(told["link"], data=given)
                return answer.status_code, answer.headers.get("set-cookie", "").partition(";")[0]

        come = await asyncio.gather(*(comes() for _ in range(4)))
        assert sorted(status for status, _ in come) == [303, 403, 403, 403]
        (cookie,) = [cookie for status, cookie in come if status == 303]
        for _ in range(6):
            async with httpx.AsyncClient(headers={"Cookie": cookie}) as client:
                assert (await client.get(f"http://127.0.0.1:{port}/api/v1/me")).json()["login"] == "anna"
        assert len([event for event in gateway.log if event["event"] == "console.welcome"]) == 1


@pytest.fixture
def certificate(tmp_path: Path) -> dict[str, str]:
    key, cert = str(tmp_path / "tls.key"), str(tmp_path / "tls.crt")
    words = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost"
    names = ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", cert]
    subprocess.run([*words.split(), *names], check=True, capture_output=True)
    return {"certificate": cert, "key": key}


async def test_https_of_its_own(tmp_path: Path, certificate: dict[str, str], quick: None) -> None:
    with capture_logs() as events:
        async with running(tmp_path, {"console": {"bind": "127.0.0.1:0", "tls": certificate}}) as daemon:
            assert daemon.console is not None
            trust = ssl.create_default_context(cafile=certificate["certificate"])
            base = f"https://{daemon.console.where}"
            (told,) = [event for event in events if event["event"] == "console.welcome"]
            assert told["link"].startswith("https://")
            async with httpx.AsyncClient(base_url=base, verify=trust, timeout=30) as client:
                path = "/welcome/" + told["link"].rpartition("/")[2]
                answer = await client.post(path, data={"login": "anna", "password": PASSWORD, "again": PASSWORD})
                assert answer.headers["set-cookie"].startswith("__Host-email2sms=")
                assert "Secure" in answer.headers["set-cookie"]
                assert answer.headers["strict-transport-security"]
                assert (await client.get("/api/v1/me")).json()["login"] == "anna"
            async with httpx.AsyncClient(timeout=30) as client:
                with pytest.raises(httpx.RemoteProtocolError):
                    await client.get(base.replace("https:", "http:"))
