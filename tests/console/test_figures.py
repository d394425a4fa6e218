"""Figures, reports and providers as programs see them: the API, and the command line on the same store."""

from __future__ import annotations

import asyncio
import csv
import io
import json
from pathlib import Path
from typing import Any

import httpx
from typer.testing import CliRunner

from gateway.cli.app import app
from gateway.daemon import Daemon
from tests.browser import CONSOLE, base, link
from tests.running import Client, handsets, running, template


async def test_figures_reports_and_providers(tmp_path: Path) -> None:
    changes: dict[str, Any] = {
        **CONSOLE,
        "providers": {"main": {"driver": "sandbox"}, "spare": {"driver": "sandbox"}},
        "routes": [{"providers": ["main", "spare"]}],
    }
    async with running(tmp_path, changes) as daemon, httpx.AsyncClient(base_url=base(daemon)) as client:
        assert (await client.get("/api/v1/figures")).status_code == 401
        await client.get(link(daemon))
        await _send(daemon)
        await daemon.figures.count()

        found = (await client.get("/api/v1/figures")).json()
        day = found["day"]
        assert (day["mails"], day["sms"], day["submitted"], day["dropped"]) == (1, 2, 2, 1)
        assert day["segments_by_alphabet"] == {"UCS-2": 2}
        assert day["errors"][0]["verdict"] == "BANNED"
        assert day["accepted_to_submitted"]["p99"] is not None
        assert len(found["hours"]) == 24
        assert len(found["five_minutes"]) == 12

        report = (await client.get("/api/v1/reports", params={"by": "account"})).json()
        assert [(row["name"], row["sms"]) for row in report["items"]] == [("test_user", 2)]
        assert (await client.get("/api/v1/reports", params={"by": "error"})).json()["counts"][0]["count"] == 1
        assert (await client.get("/api/v1/reports", params={"from": "2026-02-30"})).status_code == 422
        wrong = await client.get("/api/v1/reports", params={"from": "2026-02-02", "to": "2026-02-01"})
        assert wrong.json()["detail"] == "it begins (2026-02-02) after its end (2026-02-01)"
        sheet = await client.get("/api/v1/reports.csv", params={"by": "day", "excel": "true", "language": "ru"})
        assert sheet.content.startswith("\ufeffday;mails;".encode())
        assert "attachment" in sheet.headers["content-disposition"]

        listed = (await client.get("/api/v1/providers")).json()["items"]
        assert [(one["name"], one["condition"]) for one in listed] == [("main", "ok"), ("spare", "ok")]
        assert listed[0]["last_success_at"] is not None
        assert (await client.get("/api/v1/providers/none/balance")).status_code == 404

        refused = await client.post("/api/v1/providers/main/test")
        assert refused.status_code == 403, "a browser brings the token"
        token = {"X-CSRF-Token": (await client.get("/")).text.partition('"X-CSRF-Token": "')[2].partition('"')[0]}
        tested = (await client.post("/api/v1/providers/main/test", headers=token)).json()
        assert (tested["ok"], tested["asked"]) == (True, "balance")
        assert (await client.post("/api/v1/providers/main/nothing", headers=token)).status_code == 422
        for verb, body in (("hold", {"why": "bill"}), ("hold", None)):
            done = await client.post(f"/api/v1/providers/spare/{verb}", headers=token, json=body)
            assert done.json() == {"changed": True}
        held = (await client.get("/api/v1/providers")).json()["items"][1]
        assert held["condition"] == "held"
        assert (await client.post("/api/v1/providers/spare/resume", headers=token)).json() == {"changed": True}
        assert (await client.post("/api/v1/providers/spare/resume", headers=token)).json() == {"changed": False}
        assert (await client.post("/api/v1/providers/spare/unpause", headers=token)).json() == {"changed": False}
        await daemon.providers.balances.ask("main")
        money = (await client.get("/api/v1/providers/main/balance")).json()
        assert (money["low"], money["why"]) == (False, "")
        assert float(money["amount"]) > 0


async def _send(daemon: Daemon) -> None:
    client = await Client.connect(daemon)
    await client.say("EHLO x")
    numbers = "79101234567,79101234568,79161234567"
    assert (await client.mail(template(numbers=numbers), "emailtosms@sms.example.com")).startswith("250")
    await handsets(daemon, 2)


def test_the_command_line_knows_the_same(tmp_path: Path) -> None:
    async def serve() -> None:
        async with running(tmp_path) as daemon:
            await _send(daemon)

    asyncio.run(serve())
    config = ["--config", str(tmp_path / "gateway.yaml")]

    def run(*words: str, code: int = 0) -> str:
        result = CliRunner().invoke(app, [*words, *config])
        assert result.exit_code == code, result.output
        return result.output

    report = json.loads(run("report", "--json"))
    assert [(row["account"], row["sms"], row["dropped"]) for row in report["rows"]] == [("test_user", 2, 1)]
    rows = csv.DictReader(io.StringIO(run("report", "--by", "provider", "--csv")))
    assert [(row["provider"], row["sms"], row["dropped"]) for row in rows] == [("main", "2", "0"), ("", "0", "1")]
    assert "test_user" in run("report")
    assert "number … is on the stop list" in run("report", "--by", "error", "--csv")
    run("report", "--by", "nothing", code=64)
    tested = json.loads(run("provider", "test", "--json"))
    assert (tested["main"]["ok"], tested["main"]["asked"]) == (True, "balance")
    assert "was not paused" in run("provider", "unpause", "main", code=1)
