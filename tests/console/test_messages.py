"""Messages in a browser: the list, one story, the queue; what may be done, and by whom."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from html import unescape
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.async_api import Page

from gateway.daemon import Daemon
from gateway.policy.people import User
from gateway.policy.permissions import Role
from gateway.sandbox.platform import Fault
from gateway.spool import retention
from tests.browser import ADMIN, CONSOLE, PHONE, accessible, base, chromium, link, needs_chromium, picture, signed_in
from tests.running import Client, handsets, running, template
from tests.traffic import ACCOUNTS, send_all

SERVICE = "emailtosms@sms.example.com"
NUMBER = "79107654321"
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


FORWARDED = (
    "From: alerts@bank.example\r\nTo: emailtosms@sms.example.com\r\nMIME-Version: 1.0\r\n"
    'Content-Type: multipart/mixed; boundary="part"\r\n\r\n'
    '--part\r\nContent-Type: multipart/alternative; boundary="way"\r\n\r\n'
    "--way\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n"
    "SmsUser: test_user\r\nPassword=qwerty12\r\nSourceAddress=My Bank\r\nPhoneNumber=8 (910) 765-43-21, 7910\r\n"
    "Заказ готов\r\n"
    "--way\r\nContent-Type: text/html; charset=utf-8\r\n\r\n<p>Заказ готов</p>\r\n--way--\r\n"
    "--part\r\nContent-Type: application/pdf; name=invoice-4711.pdf\r\nContent-Transfer-Encoding: base64\r\n\r\n"
    "AAAA\r\n--part--\r\n"
).encode()
"""Several parts, a key written otherwise, a number with an 8, one that is too short."""
STORY = {
    "en": ["made of these parts", "this is read", "repaired: SmsUser= was written otherwise", "sender verified"],
    "ru": [
        "состоит из частей",
        "читается это",
        "исправлено: SmsUser= было написано иначе",
        "8 перед номером заменена на 7",
        "указана в письме",
        "отправитель подтверждён",
        "доверенная сеть",
        "номер не принят",
        "запрос",
    ],
    "uk": [
        "складається з частин",
        "читається це",
        "виправлено: SmsUser= було написано інакше",
        "вказано в листі",
        "відправника підтверджено",
        "номер не прийнято",
    ],
}


async def test_the_story_is_whole_and_in_the_readers_language(tmp_path: Path) -> None:
    """The parts of the mail, each decision, and, for who may read texts, the request to the provider."""
    async with running(tmp_path, {**CONSOLE, **REPLIES}, ACCOUNTS) as daemon:
        client = await Client.connect(daemon)
        await client.say("EHLO x")
        mail_id = (await client.mail(FORWARDED, SERVICE)).split()[-1]
        await client.mail(template(password="guess-1"), SERVICE)
        await handsets(daemon, 1)
        await settled(daemon)
        async with reader(daemon, ADMIN) as browser:
            for language, told in STORY.items():
                answer = await browser.get(f"/messages/{mail_id}", headers={"Accept-Language": language})
                shown = unescape(answer.text)
                assert [words for words in told if words not in shown] == [], language
                assert shown.count('class="deep-') == 5
                assert "invoice-4711" not in shown
                assert "sadr=" not in shown
            answer = await browser.get("/live", headers={"Accept-Language": "ru"})
            assert "неверный логин, пароль или ключ" in answer.text
            assert "credentials_wrong" not in answer.text
            shown = unescape((await browser.post(f"/messages/{mail_id}/text")).text)
            assert f"dadr={NUMBER}&" in shown
            assert "user=***&pwd=***" in shown
            assert "qwerty12" not in shown
            trace = (await browser.get(f"/api/v1/messages/{mail_id}/trace")).json()
            assert [(part["depth"], part["type"], part["is_text"]) for part in trace["tree"]] == [
                (0, "multipart/mixed", False),
                (1, "multipart/alternative", False),
                (2, "text/plain", True),
                (2, "text/html", False),
                (1, "application/pdf", False),
            ]
            assert "repaired: SmsUser= was written otherwise" in [step["what"] for step in trace["items"]]
        async with reader(daemon, User("vera", Role.VIEWER, texts=True)) as browser:
            shown = unescape((await browser.post(f"/messages/{mail_id}/text")).text)
            assert "dadr=7910***4321&" in shown
            assert NUMBER not in shown
        await daemon.store.write(lambda connection: retention.erase_texts(connection, time.time() + 1))
        async with reader(daemon, ADMIN) as browser:
            shown = unescape((await browser.post(f"/messages/{mail_id}/text")).text)
            assert "dadr=" not in shown
            assert "Erased, or never kept." in shown
            assert shown.count('class="deep-') == 5


@asynccontextmanager
async def reader(daemon: Daemon, user: User) -> AsyncIterator[httpx.AsyncClient]:
    """A browser without scripts, signed in."""
    async with httpx.AsyncClient(base_url=base(daemon)) as browser:
        await browser.get(link(daemon, user), follow_redirects=True)
        page = (await browser.get("/me")).text
        browser.headers["X-CSRF-Token"] = page.partition('name="csrf" value="')[2].partition('"')[0]
        yield browser
