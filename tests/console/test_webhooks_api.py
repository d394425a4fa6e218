"""The webhooks of the accounts: what could not be told, once more, and one to try."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import httpx
import pytest

from gateway.daemon import Daemon
from gateway.policy.permissions import Scope
from gateway.service.tokens import Tokens
from tests.browser import CONSOLE, base
from tests.e2e.test_receipts import WEBHOOK_KEY, program_of_the_owner
from tests.running import ACCOUNT, Client, running, template


async def program(daemon: Daemon, *accounts: str) -> httpx.AsyncClient:
    _, token = await Tokens(daemon.store).create(
        "ops", frozenset(Scope), "root", accounts=frozenset(accounts) if accounts else None
    )
    return httpx.AsyncClient(base_url=f"{base(daemon)}/api/v1", headers={"Authorization": f"Bearer {token}"})


async def until(client: httpx.AsyncClient, state: str, count: int) -> list[dict[str, Any]]:
    async with asyncio.timeout(10):
        while len(found := (await client.get("/webhooks", params={"state": state})).json()["items"]) < count:
            await asyncio.sleep(0.02)
    items: list[dict[str, Any]] = found
    return items


async def test_what_was_given_up_is_told_once_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.service.webhooks.GIVE_UP_S", 0.0)
    async with program_of_the_owner([500, 200, 200, 200]) as (url, heard):
        accounts = [{**ACCOUNT, "webhook": {"url": url, "secret": WEBHOOK_KEY}}, {"login": "shop"}]
        async with running(tmp_path, CONSOLE, accounts) as daemon, await program(daemon) as client:
            daemon.platform.deliver_after_s = float("inf")
            mail = await Client.connect(daemon)
            await mail.say("EHLO x")
            await mail.mail(template("Секрет"), "emailtosms@sms.example.com")
            (call,) = await until(client, "failed", 1)
            assert (call["account"], call["type"], call["status"]) == ("test_user", "message", "submitted")
            assert (call["error"], call["due_at"]) == ("HTTP 500", None)
            async with await program(daemon, "shop") as tenant:
                assert (await tenant.get("/webhooks")).json() == {"items": [], "next": None}
                assert (await tenant.get("/webhooks?account=test_user")).status_code == 404
                assert (await tenant.post(f"/webhooks/{call['id']}/retry")).status_code == 404
                assert (await tenant.post("/webhooks/test?account=test_user")).status_code == 404
            assert (await client.post(f"/webhooks/{call['id']}/retry")).status_code == 204
            (told,) = await until(client, "told", 1)
            assert (told["id"], told["error"]) == (call["id"], "")
            assert (await client.post(f"/webhooks/{call['id']}/retry")).status_code == 404  # it was heard

            made = (await client.post("/webhooks/test?account=test_user")).json()["id"]
            assert (await client.post("/webhooks/test?account=shop")).status_code == 409
            await until(client, "told", 2)
            events = [await (await asyncio.wait_for(heard.get(), 5)).json() for _ in range(3)]
            assert [(event["id"], event["type"]) for event in events] == [
                (call["id"], "message"),
                (call["id"], "message"),
                (made, "test"),
            ]
            page = (await client.get("/webhooks?limit=1")).json()
            assert (page["items"][0]["id"], page["next"]) == (made, made)
            page = (await client.get(f"/webhooks?limit=1&before={made}")).json()
            assert page["items"][0]["id"] == call["id"]
            audit = (await client.get("/audit?what=webhook.retry")).json()["items"]
            assert [one["subject"] for one in audit] == [str(call["id"])]
