"""Messages in a browser: the list, one story, the queue; what may be done, and by whom."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.async_api import Page

from gateway.daemon import Daemon
from gateway.sandbox.platform import Fault
from tests.browser import CONSOLE, PHONE, accessible, base, chromium, link, needs_chromium, picture, signed_in
from tests.running import Client, handsets, running, template
from tests.traffic import ACCOUNTS, send_all

SERVICE = "emailtosms@sms.example.com"
REPLIES = {
    "listeners": [{"name": "lan", "bind": "127.0.0.1:0", "trust": ["127.0.0.0/8"], "on_refusal": "reply"}],
    "replies": {"from": "sms@sms.example.com", "smarthost": "smtp://127.0.0.1:9"},
}


@needs_chromium
async def test_a_failed_sms_is_found_understood_and_retried(tmp_path: Path) -> None:
    async with running(tmp_path, {**CONSOLE, **REPLIES}, ACCOUNTS) as daemon, chromium() as browser:
        await send_all(daemon)
        await settled(daemon)
        async with signed_in(browser, daemon) as wide:
            page = wide.page
            await page.goto("/messages")
            await page.locator("table.messages tbody tr").nth(7).wait_for()
            await picture(page, "messages-wide-light")
            await accessible(page)
            await comes_live(page, daemon)
            await mends(page, daemon)
            await reads(page)
            await stops(page, daemon)
        async with signed_in(browser, daemon, size=PHONE, dark=True, language="ru") as narrow:
            await narrow.page.goto("/messages?q=status:failed")
            await narrow.page.locator("table.messages .state.failed").first.wait_for()
            await picture(narrow.page, "messages-phone-dark")
            await narrow.page.locator("table.messages tbody tr a.whole").first.click()
            await narrow.page.get_by_role("heading", name="Что произошло").wait_for()
            await picture(narrow.page, "message-phone-dark")
            await accessible(narrow.page)
            for path in ("/messages", "/queue"):
                await narrow.page.goto(path)
                assert await narrow.page.evaluate("document.documentElement.scrollWidth <= innerWidth"), path
            await picture(narrow.page, "queue-phone-dark")


async def settled(daemon: Daemon) -> None:
    """Until nothing is under way."""
    async with asyncio.timeout(15):
        while await daemon.store.read(_under_way):
            await asyncio.sleep(0.02)


def _under_way(connection: Any) -> int:
    query = "select count(*) from jobs where state in ('queued', 'submitting')"
    return int(connection.exec_driver_sql(query).scalar_one())


async def comes_live(page: Page, daemon: Daemon) -> None:
    """Without a reload, above what was there."""
    client = await Client.connect(daemon)
    await client.say("EHLO x")
    line = await client.mail(template("Новое", numbers="79108880001"), SERVICE)
    new = page.locator(f'table.messages tbody tr:first-child a[href="/messages/{line.split()[-1]}-1"]')
    await new.wait_for()
    await page.locator("table.messages tbody tr:first-child .state.submitted").wait_for()


async def mends(page: Page, daemon: Daemon) -> None:
    """By the search, the mistakes of which are told."""
    await page.keyboard.press("f")
    await page.keyboard.type("colour:red")
    await page.keyboard.press("Enter")
    await page.get_by_text("colour: is no key. The keys are to, from, account").wait_for()
    await accessible(page)
    await page.goto("/messages?q=to:79105550001")
    await page.locator("table.messages .state.failed").wait_for()
    await page.keyboard.press("j")
    await page.keyboard.press("Enter")
    await page.get_by_role("heading", name="SMS to 79105550001").wait_for()
    await page.get_by_text("It goes to main at once, as a new SMS.").wait_for()
    await picture(page, "message-wide-light")
    await accessible(page)
    count = len(daemon.platform.messages)
    await page.get_by_role("button", name="Retry").click()
    await page.get_by_text("It is queued again.").wait_for()
    assert (await handsets(daemon, count + 1))[-1].text == "Платёж принят"
    await page.locator(".job .state.submitted").wait_for()
    await page.get_by_text("by: admin").or_(page.locator(".timeline .value", has_text="by")).first.wait_for()


async def reads(page: Page) -> None:
    """What people wrote, by a click that is recorded."""
    assert "Платёж принят" not in await page.content()
    await page.get_by_role("button", name="Show the text").click()
    await page.locator("pre.text", has_text="Платёж принят").wait_for()
    await accessible(page)


async def stops(page: Page, daemon: Daemon) -> None:
    """Everything, and one line of the queue."""
    await page.goto("/queue")
    await page.locator("details.kill summary").click()
    await page.get_by_label("Why, for who comes later").fill("strange bill")
    page.once("dialog", lambda dialog: dialog.accept())
    await page.get_by_role("button", name="Stop", exact=True).click()
    await page.get_by_text("strange bill").wait_for()
    client = await Client.connect(daemon)
    await client.say("EHLO x")
    await client.mail(template("Подождёт", numbers="79108880002,79108880003"), SERVICE)
    row = page.locator("table.queue tr", has=page.locator(".state.queued"))
    await row.wait_for()
    await picture(page, "queue-wide-light")
    await accessible(page)
    page.once("dialog", lambda dialog: dialog.accept())
    await row.get_by_role("button", name="Hold").click()
    await page.get_by_text("2 SMS changed.").wait_for()
    await page.locator("table.queue .state.held").wait_for()
    await page.get_by_role("button", name="Resume").click()
    await page.get_by_text("strange bill").wait_for(state="detached")


async def test_the_list_goes_on_without_scripts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And forms of other sites change nothing."""
    monkeypatch.setattr("gateway.web.pages.messages.ROWS", 2)
    async with running(tmp_path, CONSOLE, ACCOUNTS) as daemon, httpx.AsyncClient(base_url=base(daemon)) as client:
        daemon.platform.faults.append(Fault(answer="Error_Invalid_Phone", destination="79105550001"))
        await send_all(daemon)
        await client.get(link(daemon), follow_redirects=True)
        seen, path = [], "/messages?q=account:test_user"
        while path:
            shown = (await client.get(path)).text
            rows = shown.partition("<tbody")[2]
            seen += [part.partition('"')[0] for part in rows.split('class="whole" href="/messages/')[1:]]
            more = rows.partition('<a class="button small" href="')[2].partition('"')[0]
            path = more.replace("&amp;", "&")
        assert len(seen) == len(set(seen)) >= 5
        one = seen[-1]
        assert (await client.post(f"/messages/{one}/retry")).status_code == 403
        assert (await client.post("/messages/change", data={"q": "to:1", "change": "retry"})).status_code == 403
        assert (await client.get(f"/messages/{one}")).status_code == 200
        assert (await client.get("/messages/nothing")).status_code == 404
        assert (await client.get("/messages?after=nonsense")).status_code == 422
