"""Phones: what is sent rings on the shelf, its buttons drive the receipts, its switches make answers go wrong."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx

from gateway.daemon import Daemon
from gateway.daemon.console import console_of
from gateway.policy.people import User
from gateway.policy.permissions import Role
from gateway.service.audit import Wanted
from tests.browser import CONSOLE, PHONE, accessible, base, chromium, link, needs_chromium, picture, signed_in
from tests.running import ACCOUNT, Client, handsets, running, template

SERVICE = "emailtosms@sms.example.com"
ACCOUNTS = [{**ACCOUNT, "originators": ["My Bank", "79990001122"], "incoming": {"numbers": ["79990001122"]}}]
LONG = "Уважаемый клиент! Ваша карта заблокирована по вашей просьбе. Новую можно забрать в отделении на Тверской, 7."


async def send(daemon: Daemon, *texts: str, numbers: str = "79101234567") -> None:
    client = await Client.connect(daemon)
    await client.say("EHLO x")
    for text in texts:
        await client.mail(template(text, numbers=numbers), SERVICE)
    client.close()


@needs_chromium
async def test_a_shelf_of_handsets(tmp_path: Path) -> None:
    async with running(tmp_path, CONSOLE, ACCOUNTS) as daemon, chromium() as browser:
        daemon.platform.deliver_after_s = float("inf")
        async with signed_in(browser, daemon) as watched:
            page = watched.page
            await page.goto("/phones")
            await page.get_by_role("heading", name="No SMS yet").wait_for()
            await send(daemon, "Код 4711. Никому его не говорите.")
            await send(daemon, LONG, numbers="79102345678, 79035550101")
            await page.get_by_text("Код 4711").wait_for()
            await page.locator(".phone").nth(2).wait_for()
            first = page.get_by_role("region", name="+79101234567")
            await first.get_by_role("button", name="Deliver").click()
            await first.locator(".state.delivered").wait_for()
            await page.get_by_role("region", name="+79035550101").get_by_role("button", name="Expire").click()
            await page.locator(".state.expired").wait_for()
            await first.get_by_placeholder("Reply as this phone").fill("Спасибо!")
            await first.get_by_role("button", name="Send the reply").click()
            await page.get_by_text("The reply has come in at +79990001122").wait_for()
            assert await first.get_by_placeholder("Reply as this phone").input_value() == ""
            await page.get_by_role("button", name='is "503, busy"').click()
            await page.get_by_text("1 answer will go wrong").wait_for()
            await picture(page, "phones-wide-light")
            await accessible(page)
            states = await daemon.store.read(
                lambda c: c.exec_driver_sql("SELECT state FROM jobs ORDER BY state").scalars().all()
            )
            assert list(states) == ["delivered", "expired", "submitted"]
            assert await came_in(daemon) == [("79101234567", "79990001122")]
            await page.get_by_role("link", name="Show the parts").click()
            await page.locator(".bubble.part").first.wait_for()
        async with signed_in(browser, daemon, size=PHONE, dark=True, language="ru") as narrow:
            await narrow.page.goto("/phones")
            await narrow.page.get_by_text("Код 4711").wait_for()
            await picture(narrow.page, "phones-phone-dark")
            assert await narrow.page.evaluate("document.documentElement.scrollWidth <= innerWidth")
            await accessible(narrow.page)


async def came_in(daemon: Daemon) -> list[tuple[str, str]]:
    """Who wrote to which of our numbers."""
    asked = "SELECT sender, destination FROM incoming"
    async with asyncio.timeout(10):
        while not (rows := await daemon.store.read(lambda c: c.exec_driver_sql(asked).all())):
            await asyncio.sleep(0.02)
    return [(row[0], row[1]) for row in rows]


@asynccontextmanager
async def signed_in_client(daemon: Daemon) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=base(daemon)) as client:
        await client.get(link(daemon))
        page = await client.get("/phones")
        client.headers["X-CSRF-Token"] = page.text.partition('name="csrf" value="')[2].partition('"')[0]
        yield client


async def test_the_api_of_the_phones(tmp_path: Path) -> None:
    async with running(tmp_path, CONSOLE, ACCOUNTS) as daemon, signed_in_client(daemon) as client:
        daemon.platform.deliver_after_s = float("inf")
        await send(daemon, LONG)
        await handsets(daemon, 1)
        (sms,) = (await client.get("/api/v1/phones")).json()["items"]
        assert (sms["to"], sms["from"], sms["segments"], sms["state"]) == ("79101234567", "My Bank", 2, "send")
        assert "".join(sms["parts"]) == sms["text"] == LONG

        url = f"/api/v1/phones/{sms['id']}/state"
        assert (await client.post(url, json={"state": "delay"})).json()["waits"] is True
        daemon.platform.deliver_after_s = 0.0
        assert (await client.get("/api/v1/phones")).json()["items"][0]["state"] == "send", "it waits for a decision"
        await told(client, url, {"state": "reject"}, daemon, "undelivered")
        assert (await client.post(url, json={"state": "fly"})).status_code == 422
        assert (await client.post("/api/v1/phones/1/state", json={"state": "deliver"})).status_code == 404

        assert (await client.post("/api/v1/phones/faults", json={"trouble": "refused"})).status_code == 204
        await send(daemon, "второе")
        await state_of_the_last(daemon, "failed")
        assert (await client.post("/api/v1/phones/faults", json={"trouble": "lost"})).status_code == 204
        assert (await client.delete("/api/v1/phones/faults")).status_code == 204
        assert not daemon.platform.faults

        reply: dict[str, Any] = {"from": "+7 910 123-45-67", "text": "Да"}
        assert (await client.post("/api/v1/phones/replies", json=reply)).json() == {"to": "79990001122"}
        assert await came_in(daemon) == [("79101234567", "79990001122")]
        assert (await client.post("/api/v1/phones/replies", json={**reply, "to": "7999"})).status_code == 409
        assert (await client.post("/api/v1/phones/replies", json={**reply, "from": "x"})).status_code == 422
        assert (await client.delete("/api/v1/phones")).status_code == 204
        assert (await client.get("/api/v1/phones")).json()["items"] == []


async def told(client: httpx.AsyncClient, url: str, body: dict[str, str], daemon: Daemon, state: str) -> None:
    """The receipt comes with the answer, once the SMS's id is known."""
    await state_of_the_last(daemon, "submitted")
    assert (await client.post(url, json=body)).status_code == 200
    await state_of_the_last(daemon, state)


async def state_of_the_last(daemon: Daemon, state: str) -> None:
    asked = "SELECT state FROM jobs ORDER BY created_at DESC LIMIT 1"
    async with asyncio.timeout(10):
        while await daemon.store.read(lambda c: c.exec_driver_sql(asked).scalar()) != state:
            await asyncio.sleep(0.02)


async def test_whose_texts_are_shown_is_written_down_once(tmp_path: Path) -> None:
    async with running(tmp_path, CONSOLE, ACCOUNTS) as daemon, signed_in_client(daemon) as client:
        daemon.platform.deliver_after_s = float("inf")
        audit = console_of(daemon).audit

        async def looks() -> list[tuple[str, str, str]]:
            found, _ = await audit.search(Wanted(), 50)
            return [(look.who, look.via, look.subject) for look in found if look.what == "text"]

        assert await looks() == []  # an empty shelf
        await send(daemon, "первое", numbers="79101234567,79102345678")
        first, second = (sms.id for sms in reversed(await handsets(daemon, 2)))
        async with httpx.AsyncClient(base_url=base(daemon)) as viewer:
            await viewer.get(link(daemon, User("vera", Role.OPERATOR)))
            assert "первое" not in (await viewer.get("/phones")).text
            assert (await viewer.get("/api/v1/phones")).json()["items"][0]["text"] is None
        assert await looks() == []
        shelf = await client.get("/phones/shelf")
        assert "первое" in shelf.text
        assert [(who, via, set(said.removeprefix("phones: ").split(", "))) for who, via, said in await looks()] == [
            ("admin", "console", {first, second})
        ]
        await client.get("/phones")
        await client.get("/api/v1/phones")
        assert len(await looks()) == 1
        await send(daemon, "второе")
        third = (await handsets(daemon, 3))[-1].id
        headers = {"HX-Request": "true"}
        assert (await client.post(f"/phones/{third}/state", data={"decision": "deliver"}, headers=headers)).is_success
        assert (await looks())[0] == ("admin", "console", f"phones: {third}")
        found, _ = await audit.search(Wanted(), 2)
        assert "phones.decide" in [look.what for look in found]  # the look does not hide what was done

        async def full(*_given: Any) -> None:
            raise OSError("disk full")

        await send(daemon, "третье")
        await handsets(daemon, 4)
        daemon.store.write = full  # type: ignore[method-assign, assignment]
        assert "третье" not in (await client.get("/api/v1/phones")).text


async def test_without_a_sandbox_there_are_no_phones(tmp_path: Path) -> None:
    real = {"driver": "targetsms", "url": "http://127.0.0.1:1/sendsms.php", "user": "x", "password": "x"}
    changes = {**CONSOLE, "providers": {"main": real}}
    async with running(tmp_path, changes) as daemon, httpx.AsyncClient(base_url=base(daemon)) as client:
        await client.get(link(daemon))
        assert (await client.get("/phones")).status_code == 404
        assert (await client.get("/api/v1/phones")).status_code == 404
        assert 'href="/phones"' not in (await client.get("/")).text
