"""Connect: recipes with this gateway's addresses in them, and the light that turns green by itself."""

from __future__ import annotations

from pathlib import Path

import httpx

from tests.browser import CONSOLE, PHONE, accessible, base, chromium, link, needs_chromium, picture, signed_in
from tests.running import Client, running, template
from tests.traffic import ACCOUNTS

SERVICE = "emailtosms@sms.example.com"


@needs_chromium
async def test_the_light_turns_green(tmp_path: Path) -> None:
    async with running(tmp_path, CONSOLE, ACCOUNTS) as daemon, chromium() as browser:
        async with signed_in(browser, daemon) as watched:
            page = watched.page
            await page.goto("/connect?account=test_user")
            await page.get_by_text("Waiting for the first mail of test_user").wait_for()
            await page.get_by_role("link", name="Postfix").click()
            shown = await page.locator("main").inner_text()
            assert "relay_domains = sms.example.com" in shown
            assert "smtp:[127.0.0.1]:0" in shown  # the test's listener takes any port
            await picture(page, "connect-wide-light")
            await accessible(page)
            client = await Client.connect(daemon)
            await client.say("EHLO x")
            await client.mail(template("Привет"), SERVICE)
            await page.locator(".light.green").wait_for()
            await page.get_by_text("A mail has come").wait_for()
            await picture(page, "connect-green-light")
        async with signed_in(browser, daemon, size=PHONE, dark=True, language="uk") as narrow:
            await narrow.page.goto("/connect?recipe=zabbix&account=monitoring")
            await narrow.page.get_by_text("Чекаємо на перший лист від monitoring").wait_for()
            await picture(narrow.page, "connect-phone-dark")
            assert await narrow.page.evaluate("document.documentElement.scrollWidth <= innerWidth")
            await accessible(narrow.page)


async def test_snippets_by_api(tmp_path: Path) -> None:
    async with running(tmp_path, CONSOLE) as daemon, httpx.AsyncClient(base_url=base(daemon)) as client:
        await client.get(link(daemon))
        names = [item["name"] for item in (await client.get("/api/v1/snippets")).json()["items"]]
        assert {"postfix", "exim", "zabbix", "1c", "fortigate", "curl", "http"} <= set(names)
        for name in names:
            answer = await client.get(f"/api/v1/snippets/{name}", params={"account": "test_user"})
            assert answer.status_code == 200
            assert answer.json()["steps"]
            assert "qwerty12" not in answer.text
            assert "0a1b2c" not in answer.text
        found = (await client.get("/api/v1/snippets/http")).json()
        assert base(daemon) in found["steps"][0]["text"]
        assert (await client.get("/api/v1/snippets/nothing")).status_code == 404
        assert (await client.get("/api/v1/snippets/curl", params={"listener": "x"})).status_code == 404
