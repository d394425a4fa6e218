"""Compose: the counter while one types, the dry run, the SMS, by page and by API."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx

from gateway.daemon import Daemon
from tests.browser import CONSOLE, PHONE, accessible, base, chromium, link, needs_chromium, picture, signed_in
from tests.running import ACCOUNT, handsets, running

PRICED = {**CONSOLE, "providers": {"main": {"driver": "sandbox", "prices": {"7": 3.5, "": 20}}}}


@needs_chromium
async def test_an_sms_by_hand(tmp_path: Path) -> None:
    async with running(tmp_path, PRICED) as daemon, chromium() as browser:
        async with signed_in(browser, daemon) as watched:
            page = watched.page
            await page.goto("/compose?account=test_user&originator=My Bank")
            await page.get_by_label("Numbers").fill("+7 (910) 123-45-67, 8 910 234 56 78; 12")
            await page.get_by_label("Text").fill("Backup of “nas-01” failed – see the log 🔥 " + "x" * 45)
            await page.locator("#counter mark", has_text="🔥").first.wait_for()
            counter = page.locator("#counter")
            assert "2 SMS" in await counter.inner_text()
            assert "left double quotation mark, character 11" in await counter.inner_text()
            assert "Russia" in await counter.inner_text()
            await counter.locator(".state.bad", has_text="12").wait_for()
            await picture(page, "compose-wide-light")
            await accessible(page)

            await page.get_by_role("button", name="Clean it: 1 SMS").click()
            assert "“" not in await page.get_by_label("Text").input_value()
            await page.get_by_role("button", name="Dry run").click()
            await page.get_by_text("Nothing has been sent").wait_for()
            shown = await page.locator("main").inner_text()
            assert "pwd=***" in shown
            assert "NUMBER" in shown
            assert not daemon.platform.messages
            await picture(page, "compose-dry-run-light")

            page.on("dialog", lambda dialog: dialog.accept())
            await page.get_by_role("button", name="Send", exact=True).click()
            await page.locator(".state.delivered, .state.submitted").first.wait_for()
            assert {sms.destination for sms in await handsets(daemon, 2)} == {"79101234567", "79102345678"}
            await page.get_by_role("link", name="+79101234567").wait_for()
        async with signed_in(browser, daemon, size=PHONE, dark=True, language="ru") as narrow:
            await narrow.page.goto("/compose?to=79101234567&text=Оплата прошла успешно")
            await narrow.page.get_by_text("Текст не латиницей").wait_for()
            await picture(narrow.page, "compose-phone-dark")
            assert await narrow.page.evaluate("document.documentElement.scrollWidth <= innerWidth")
            await accessible(narrow.page)


@asynccontextmanager
async def _signed_in(daemon: Daemon) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=base(daemon)) as client:
        await client.get(link(daemon))
        page = await client.get("/compose")
        client.headers["X-CSRF-Token"] = page.text.partition('name="csrf" value="')[2].partition('"')[0]
        yield client


async def test_segments_and_route_by_api(tmp_path: Path) -> None:
    async with running(tmp_path, PRICED) as daemon, _signed_in(daemon) as client:
        answer = await client.post("/api/v1/segments", json={"text": "a–b"})
        found: dict[str, Any] = answer.json()
        assert (found["alphabet"], found["segments"], found["left"]) == ("UCS-2", 1, 67)
        assert found["not_in_gsm7"] == [{"char": "–", "name": "en dash", "at": 2}]
        answer = await client.post("/api/v1/segments", json={"text": "x", "account": "nobody"})
        assert (answer.status_code, answer.json()["verdict"]) == (422, "AUTH")
        answer = await client.get("/api/v1/route", params={"number": "+7 910 123-45-67", "text": "я" * 71})
        found = answer.json()
        assert (found["number"], found["country"], found["segments"]) == ("+79101234567", "RU", 2)
        (hop,) = found["providers"]
        assert (hop["provider"], hop["price"], hop["cost"], hop["stopped"]) == ("main", "3.5", "7.0", None)
        answer = await client.get("/api/v1/route", params={"number": "12"})
        assert (answer.status_code, answer.json()["verdict"]) == (422, "NUMBER")


async def test_a_form_that_is_refused_says_why(tmp_path: Path) -> None:
    accounts = [ACCOUNT, {**ACCOUNT, "login": "shop", "api_keys": [], "limits": {"per_hour": 1}}]
    async with running(tmp_path, CONSOLE, accounts) as daemon, _signed_in(daemon) as client:
        form = {"account": "shop", "originator": "My Bank", "to": "79101234567, 79102345678", "text": "x", "do": "send"}
        for change, words in (
            ({}, "LIMIT"),
            ({"originator": "Somebody"}, "FORBIDDEN"),
            ({"text": " "}, "FORMAT"),
            ({"account": "nobody"}, "AUTH"),
            ({"at": "soon"}, "FORMAT"),
            ({"to": "79161234567"}, "BANNED"),
        ):
            answer = await client.post("/compose", data={**form, **change}, follow_redirects=True)
            assert words in answer.text, change
            assert answer.status_code in (200, 422)
        assert not daemon.platform.messages
        once = {**form, "account": "test_user", "to": "79101234567", "once": "a form of its own"}
        first, second = [await client.post("/compose", data=once) for _ in range(2)]
        assert first.status_code == 303
        assert first.headers["location"] == second.headers["location"], "clicked twice"
        assert (await client.post("/compose", data={**once, "text": "y"})).status_code == 409
        assert len(await handsets(daemon, 1)) == 1
        del client.headers["X-CSRF-Token"]
        assert (await client.post("/compose", data=form)).status_code == 403
