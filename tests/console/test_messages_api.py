"""Messages by the API, on a running gateway: search, look, send, change, take away."""

from __future__ import annotations

import asyncio
import csv
import io
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from gateway.daemon import Daemon
from gateway.policy.permissions import SCOPES, Role, Scope, Visitor
from gateway.web.gate import Gate, Visit
from tests.browser import CONSOLE, base
from tests.running import handsets, running
from tests.traffic import ACCOUNTS, send_all

ADMIN = Visitor("anna", SCOPES[Role.ADMIN] | {Scope.TEXTS})
VIEWER = Visitor("vera", SCOPES[Role.VIEWER])
TENANT = Visitor("tina", SCOPES[Role.OPERATOR], frozenset({"monitoring"}))
REPLIES = {"listeners": [{"name": "lan", "bind": "127.0.0.1:0", "trust": ["127.0.0.0/8"], "on_refusal": "reply"}]}
SMARTHOST = {"replies": {"from": "sms@sms.example.com", "smarthost": "smtp://127.0.0.1:9"}}


@dataclass
class Caller:
    """Whoever calls."""

    client: httpx.AsyncClient
    daemon: Daemon
    visitor: Visitor = ADMIN

    async def get(self, path: str, status: int = 200, **query: Any) -> Any:
        answer = await self.client.get(f"/api/v1{path}", params=query)
        assert answer.status_code == status, answer.text
        return answer.json()

    async def post(self, path: str, content: Any = None, status: int = 200, **headers: str) -> Any:
        answer = await self.client.post(f"/api/v1{path}", json=content, headers=headers)
        assert answer.status_code == status, answer.text
        return answer.json()

    async def nothing(self, q: str) -> None:
        """Until that is so."""
        async with asyncio.timeout(15):
            while await self.found(q):
                await asyncio.sleep(0.02)

    async def found(self, q: str, **query: Any) -> list[dict[str, Any]]:
        items: list[dict[str, Any]] = (await self.get("/messages", q=q, **query))["items"]
        return items


@asynccontextmanager
async def called(folder: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Caller]:
    """A gateway with some traffic behind it."""
    changes = {**CONSOLE, **REPLIES, **SMARTHOST}
    async with running(folder, changes, ACCOUNTS) as daemon, httpx.AsyncClient(base_url=base(daemon)) as client:
        caller = Caller(client, daemon)

        async def visit(_gate: Any, _request: Any, _cookie: str) -> Visit | None:
            return Visit(caller.visitor)

        monkeypatch.setattr(Gate, "visit", visit)
        await send_all(daemon)
        await caller.nothing("status:queued status:submitting")
        yield caller


async def test_what_happened_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with called(tmp_path, monkeypatch) as api:
        await api.nothing("status:open")  # the lost answer is asked for again
        whole = await api.found("")
        assert [one["at"] for one in whole] == sorted((one["at"] for one in whole), reverse=True)
        (failed,) = await api.found("status:failed -status:refused")
        assert (failed["to"], failed["verdict"], failed["account"]) == ("79105550001", "BANNED", "test_user")
        assert failed["what"]
        assert [one["id"] for one in await api.found("to:+7(910)555-00-01")] == [failed["id"]]
        assert [one["id"] for one in await api.found(failed["id"].lower())] == [failed["id"]]
        (refused,) = await api.found("verdict:AUTH")
        assert (refused["status"], refused["to"], refused["id"]) == ("refused", "", refused["mail"])
        by_page: list[Any] = []
        cursor: str | None = None
        while True:
            more: dict[str, Any] = {"cursor": cursor} if cursor is not None else {}
            page = await api.get("/messages", q="account:test_user", limit=2, **more)
            by_page += page["items"]
            if (cursor := page["next"]) is None:
                break
        assert by_page == await api.found("account:test_user")
        assert len(by_page) >= 6
        wrong = await api.get("/messages", 422, q="colour:red")
        assert wrong["detail"].startswith("q: colour: is no key; the keys are to, from, account")
        await api.get("/messages", 422, cursor="nonsense")

        story = await api.get(f"/messages/{failed['id']}")
        assert (story["mail"]["id"], story["messages"]) == (failed["mail"], [failed])
        trace = await api.get(f"/messages/{failed['mail']}/trace")
        assert {"door", "charset", "policy", "provider"} <= {step["room"] for step in trace["items"]}
        assert [call["outcome"] for call in trace["attempts"]] == ["rejected"]
        assert "79105550001" not in json.dumps(trace)
        await api.get("/messages/nothing", 404)

        exported = await api.get("/messages/export", q="account:test_user", format="json")
        assert exported == by_page
        table = (await api.client.get("/api/v1/messages/export", params={"q": "status:failed"})).text
        rows = list(csv.DictReader(io.StringIO(table.removeprefix("\ufeff"))))
        assert {row["id"] for row in rows} == {one["id"] for one in await api.found("status:failed")}
        looks = await api.daemon.store.read(_looks)
        assert ("anna", "export messages", "status:failed") in looks


def _looks(connection: Any) -> list[tuple[str, str, str]]:
    rows = connection.exec_driver_sql("select who, what, subject from audit order by id")
    return [tuple(row) for row in rows]


async def test_numbers_and_other_accounts_are_for_who_may_see_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with called(tmp_path, monkeypatch) as api:
        other = (await api.found("account:test_user status:submitted"))[0]
        api.visitor = VIEWER
        whole = await api.get("/messages/export", format="json")
        assert {one["to"] for one in whole if one["status"] == "submitted"} >= {"7910***4567", "7910***5678"}
        assert [one for one in whole if "79102345678" in json.dumps(one)] == []
        assert other["to"] not in json.dumps(await api.get(f"/messages/{other['id']}"))
        assert await api.daemon.store.read(_looks) == [], "what is masked may be taken away"
        await api.post(f"/messages/{other['id']}/retry", status=403)
        await api.post(
            "/messages", {"account": "test_user", "from": "My Bank", "to": ["79101234567"], "text": "x"}, 403
        )
        api.visitor = TENANT
        assert {one["account"] for one in await api.found("")} == {"monitoring"}
        assert await api.found("account:test_user") == []
        assert await api.found(other["id"]) == []
        await api.get(f"/messages/{other['id']}", 404)
        await api.get(f"/messages/{other['mail']}/trace", 404)
        await api.post(f"/messages/{other['id']}/cancel", status=404)
        assert (await api.post("/messages/bulk", {"change": "retry", "q": "account:test_user"}))["changed"] == 0
        stolen = {"account": "test_user", "from": "My Bank", "to": ["79101234567"], "text": "x"}
        await api.post("/messages", stolen, 403)
        api.visitor = replace(TENANT, accounts=frozenset())
        assert await api.found("") == []


async def test_sending_once_however_often_it_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with called(tmp_path, monkeypatch) as api:
        before = len(api.daemon.platform.messages)
        message = {"account": "test_user", "from": "Shop", "to": ["79106660001", "79161234567"], "text": "Заказ 17"}
        answers = await asyncio.gather(
            *(api.post("/messages", message, 202, **{"Idempotency-Key": "order-17"}) for _ in range(5))
        )
        assert answers == [answers[0]] * 5
        sent, stopped = answers[0]["items"]
        assert (sent["verdict"], sent["segments"], stopped["verdict"]) == ("", 1, "BANNED")
        assert stopped["what"]
        await handsets(api.daemon, before + 1)
        other = await api.post("/messages", {**message, "text": "x"}, 422, **{"Idempotency-Key": "order-17"})
        assert "another message" in other["detail"]
        api.visitor = replace(ADMIN, login="boris")
        again = await api.post("/messages", {**message, "text": "Other"}, 202, **{"Idempotency-Key": "order-17"})
        assert again["mail"] != answers[0]["mail"], "everybody has his own keys"
        await handsets(api.daemon, before + 2)
        (found,) = await api.found(f"id:{sent['id']}")
        assert (found["dialect"], found["from"]) == ("web", "Shop")

        wrong = await api.post("/messages", {**message, "from": "Nobody"}, 422)
        assert wrong["verdict"] == "FORBIDDEN"
        await api.post("/messages", {key: value for key, value in message.items() if key != "account"}, 422)
        api.visitor = replace(TENANT, scopes=frozenset({Scope.SEND}))
        own = await api.post("/messages", {"from": "Zabbix", "to": ["79106660002"], "text": "x"}, 202)
        assert own["items"][0]["to"] == "7910***0002"


async def test_mending_one_and_many(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with called(tmp_path, monkeypatch) as api:
        count = len(api.daemon.platform.messages)
        (failed,) = await api.found("status:failed -status:refused")
        await api.post(f"/messages/{failed['id']}/cancel", status=409)
        await api.post(f"/messages/{failed['mail']}/retry", status=404)
        assert await api.post(f"/messages/{failed['id']}/retry") == {"id": failed["id"], "status": "queued"}
        assert (await handsets(api.daemon, count + 1))[-1].text == "Платёж принят"
        trace = await api.get(f"/messages/{failed['id']}/trace")
        mended = [step for step in trace["items"] if step["room"] == "desk"]
        assert [(step["what"], step["values"]) for step in mended] == [("retry by an operator", {"by": "anna"})]

        await api.daemon._switch.hold(*_everything())
        numbers = [f"7910777000{n}" for n in range(4)]
        await api.post("/messages", {"account": "test_user", "from": "Shop", "to": numbers, "text": "late"}, 202)
        assert await api.post("/messages/bulk", {"change": "hold", "q": "from:Shop status:open"}) == {
            "changed": 4,
            "more": False,
        }
        assert [one["status"] for one in await api.found("from:Shop")] == ["held"] * 4
        one = (await api.found("from:Shop"))[0]["id"]
        assert (await api.post(f"/messages/{one}/release"))["status"] == "queued"
        assert (await api.post(f"/messages/{one}/hold"))["status"] == "held"
        assert (await api.post("/messages/bulk", {"change": "cancel", "q": "from:Shop"}))["changed"] == 4
        assert [one["status"] for one in await api.found("from:Shop")] == ["cancelled"] * 4
        assert ("anna", "cancel", "all: from:Shop") in await api.daemon.store.read(_looks)
        await api.post("/messages/bulk", {"change": "cancel", "q": "x:y"}, 422)


def _everything() -> tuple[Any]:
    from gateway.service.switch import Scope as Hold

    return (Hold.ALL,)
