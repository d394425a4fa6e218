"""``/metrics``, ``/livez`` and ``/readyz`` of a running gateway, and ``email2sms health``."""

from __future__ import annotations

import asyncio
import json
import socket
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from gateway import metrics
from gateway.daemon import Daemon
from gateway.daemon.systemd import keep_watchdog_calm
from gateway.sandbox.platform import Fault
from gateway.service import health
from tests.process import command, free_port
from tests.running import ACCOUNT, Client, handsets, listener, running, subject_mail, template, write_config
from tests.scrape import get, scraped

SERVICE = "emailtosms@sms.example.com"
PHONE = "79101234567@sms.example.com"


@asynccontextmanager
async def monitored(folder: Path, **changes: Any) -> AsyncIterator[tuple[Daemon, int]]:
    port = free_port()
    async with running(
        folder, {"metrics": {"bind": f"127.0.0.1:{port}", "accounts": ["test_user"]}, **changes}
    ) as daemon:
        yield daemon, port


async def test_a_mail_is_counted_on_its_whole_way(tmp_path: Path) -> None:
    async with monitored(tmp_path) as (daemon, port):
        before = await scraped(port)
        client = await Client.connect(daemon)
        await client.say("EHLO client")
        await client.mail(template("Привет"), SERVICE)
        await client.mail(template(password="wrong"), SERVICE)
        await client.mail(subject_mail("nonsense"), PHONE)
        await client.mail(template("Дата", more="MIME-Version: 1.0\r\n").replace(b"windows-1251", b"us-ascii"), SERVICE)
        await client.say("AUTH PLAIN AHRlc3RfdXNlcgB3cm9uZw==")
        await handsets(daemon, 2)
        async with asyncio.timeout(10):
            while (after := await scraped(port))("messages_total", provider="main", status="submitted") - before(
                "messages_total", provider="main", status="submitted"
            ) < 2:
                await asyncio.sleep(0.02)

        def grown(name: str, **labels: str) -> float:
            return after(name, **labels) - before(name, **labels)

        assert grown("smtp_connections_total", listener="lan") == 1
        assert grown("smtp_connections_active", listener="lan") == 1
        assert grown("smtp_auth_failures_total", mechanism="PLAIN") == 1
        assert grown("mails_received_total", dialect="template", result="accepted") == 2
        assert grown("mails_received_total", dialect="template", result="refused") == 1
        assert grown("mails_refused_total", verdict="AUTH", reason="credentials_wrong") >= 1
        assert grown("charset_fallbacks_total", declared="ascii", used="windows-1251") == 1
        assert grown("message_parts_total", provider="main", encoding="ucs2") == 2
        assert grown("account_parts_total", account="test_user") == 2
        assert grown("accept_to_submit_seconds_count", provider="main") == 2
        assert grown("provider_requests_total", provider="main", operation="submit", outcome="ok") == 2
        assert after("provider_last_success_timestamp_seconds", provider="main") > 0
        assert after("store_up") == 1
        assert after("config_last_reload_successful") == 1
        client.close()


async def test_no_figure_tells_of_people(tmp_path: Path) -> None:
    """Nor of logins that are not named in the configuration."""
    async with monitored(tmp_path, metrics={"bind": f"127.0.0.1:{(port := free_port())}"}) as (daemon, _):
        client = await Client.connect(daemon)
        await client.say("EHLO client")
        await client.mail(template(), SERVICE)
        await client.mail(template().replace(b"windows-1251", b"x-79101234567"), SERVICE)
        await handsets(daemon, 1)
        _, page = await get(port, "/metrics")
        client.close()
    series = [line for line in page.splitlines() if not line.startswith("#")]
    for secret in ("7910", "alerts@", "My Bank", "127.0.0.1", "qwerty12"):
        assert not [line for line in series if secret in line.partition(" ")[0]]


async def test_what_the_provider_says_is_counted(tmp_path: Path) -> None:
    async with monitored(tmp_path) as (daemon, port):
        before = await scraped(port)
        daemon.platform.faults.append(Fault(answer="error: unknown trouble 4711"))
        client = await Client.connect(daemon)
        await client.say("EHLO client")
        await client.mail(template(), SERVICE)
        async with asyncio.timeout(10):
            while (await scraped(port))("messages_total", provider="main", status="rejected") == before(
                "messages_total", provider="main", status="rejected"
            ):
                await asyncio.sleep(0.02)
        client.close()


def test_what_others_choose_makes_few_series() -> None:
    for code in range(1000):
        metrics.provider_errors.few("chatty", str(code)).inc()
    mine = {key[1]: child for key, child in metrics.provider_errors.items() if key[0] == "chatty"}
    assert len(mine) == metrics.MOST_VALUES + 1
    assert mine[metrics.OTHER]._value.get() == 1000 - metrics.MOST_VALUES


async def test_ready_until_it_drains(tmp_path: Path) -> None:
    async with monitored(tmp_path) as (daemon, port):
        assert await get(port, "/livez") == (200, "ok\n")
        assert await get(port, "/readyz") == (200, "ok\n")
        daemon.end()
        assert await get(port, "/readyz") == (503, "process: stopping\n")
        assert (await get(port, "/livez"))[0] == 200


async def test_the_console_answers_probes_too(tmp_path: Path) -> None:
    async with monitored(tmp_path, console={"bind": "127.0.0.1:0"}) as (daemon, _):
        assert daemon.console is not None
        port = int(daemon.console.where.rpartition(":")[2])
        assert await get(port, "/livez") == (200, "ok\n")
        assert await get(port, "/readyz") == (200, "ok\n")
        daemon.end()
        assert await get(port, "/readyz") == (503, "process\n")


async def test_a_dead_provider_does_not_make_us_unready(tmp_path: Path) -> None:
    async with monitored(tmp_path) as (daemon, port):
        await daemon._workers["main"]._dispatch.pause("no money", 60)
        code, page = await get(port, "/readyz?verbose")
        found = json.loads(page)
        assert (code, found["ready"]) == (200, True)
        assert found["providers"] == [{"name": "main", "state": "paused", "why": "no money"}]
        assert (await scraped(port))("provider_circuit_open", provider="main") == 1


async def test_a_store_that_cannot_be_written_makes_us_unready(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "ANSWER_S", 0.2)
    async with monitored(tmp_path) as (_, port):
        other = sqlite3.connect(tmp_path / "var" / "gateway.db", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        try:
            code, page = await get(port, "/readyz")
            assert (code, page) == (503, "store: no answer in 0 seconds\n")
            assert (await get(port, "/livez"))[0] == 200
        finally:
            other.execute("ROLLBACK")
            other.close()


async def test_a_full_disk_makes_us_unready(tmp_path: Path) -> None:
    async with monitored(tmp_path, store={"min_free": 1 << 60}) as (_, port):
        code, page = await get(port, "/readyz?verbose")
        checks = {check["name"]: check["ok"] for check in json.loads(page)["checks"]}
        assert (code, checks) == (503, {"listeners": True, "store": True, "disk": False, "process": True})


async def test_the_balance_is_a_figure(tmp_path: Path) -> None:
    async with monitored(tmp_path) as (daemon, port):
        await daemon.providers.balances.ask("main")
        page = await scraped(port)
        assert page("provider_balance", provider="main", currency="RUR") > 0
        assert page("provider_balance_timestamp_seconds", provider="main") > 0


async def test_the_watchdog_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        systemd.setblocking(False)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        monkeypatch.setenv("WATCHDOG_USEC", "30000")
        telling = asyncio.create_task(keep_watchdog_calm())
        for _ in range(2):
            assert await asyncio.get_running_loop().sock_recv(systemd, 100) == b"WATCHDOG=1"
        telling.cancel()


async def test_a_failed_reload_shows(tmp_path: Path) -> None:
    async with monitored(tmp_path) as (daemon, port):
        before = await scraped(port)
        accounts = tmp_path / "accounts.yaml"
        good = accounts.read_text()
        accounts.write_text("accounts: [{login: x, pasword: y}]")
        daemon.reload()
        broken = await scraped(port)
        assert broken("config_last_reload_successful") == 0
        assert daemon.intake.knows(ACCOUNT["login"])
        accounts.write_text(good)
        daemon.reload()
        mended = await scraped(port)
        assert mended("config_last_reload_successful") == 1
        name = "config_last_reload_success_timestamp_seconds"
        assert before(name) == broken(name) < mended(name)


async def test_health_by_the_banner_where_there_are_no_metrics(tmp_path: Path) -> None:
    port = free_port()
    config = write_config(tmp_path, {"listeners": [listener(bind=f"127.0.0.1:{port}")]})
    code, out, _ = await command("health", "--config", str(config))
    assert (code, out.splitlines()[0]) == (
        1,
        f"NOT  lan: no answer at 127.0.0.1:{port}: [Errno 111] Connection refused",
    )
    async with running(tmp_path, {"listeners": [listener(bind=f"127.0.0.1:{port}")]}):
        code, out, _ = await command("health", "--config", str(config))
    assert (code, out) == (0, "ok   lan: answers 220\nok   store: writable\n")


async def test_health_waits_for_the_start(tmp_path: Path) -> None:
    changes = {"metrics": {"bind": f"127.0.0.1:{free_port()}"}}
    config = str(write_config(tmp_path, changes))
    code, out, _ = await command("health", "--json", "--config", config)
    assert (code, json.loads(out)["ready"]) == (1, False)
    waiting = asyncio.create_task(command("health", "--wait", "30s", "--config", config))
    async with running(tmp_path, changes):
        code, out, _ = await waiting
    assert code == 0
    assert out.splitlines() == [
        "ok   listeners: open",
        "ok   store: writable",
        "ok   disk: free above store.min_free",
        "ok   process: running",
        "     provider main: ok",
    ]
