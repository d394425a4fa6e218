"""The overview, the providers and the reports, as people see them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.browser import CONSOLE, PHONE, accessible, base, chromium, needs_chromium, picture, signed_in
from tests.running import Client, handsets, running, template

CHANGES: dict[str, Any] = {
    **CONSOLE,
    "providers": {"main": {"driver": "sandbox", "balance_low": 1_000_000}, "spare": {"driver": "sandbox"}},
    "routes": [{"prefix": "7", "providers": ["main", "spare"]}, {"providers": {"main": 3, "spare": 1}}],
}


@needs_chromium
async def test_the_overview_the_providers_and_a_report(tmp_path: Path) -> None:
    async with running(tmp_path, CHANGES) as daemon, chromium() as browser:
        async with signed_in(browser, daemon) as wide:
            page = wide.page
            await page.goto(base(daemon))
            await page.get_by_role("heading", name="No SMS yet").wait_for()
            await page.get_by_text("swaks --server").wait_for()

            # The first SMS is seen without a reload.
            await daemon.figures.turn()
            client = await Client.connect(daemon)
            await client.say("EHLO x")
            numbers = "79101234567,79101234568,79161234567"
            assert (await client.mail(template(numbers=numbers), "emailtosms@sms.example.com")).startswith("250")
            await handsets(daemon, 2)
            accepted = page.locator(".tile", has_text="Accepted, 1 h")
            await accepted.locator("strong", has_text="2").wait_for()
            await page.get_by_role("img", name="From the mail to the provider").wait_for()
            await page.get_by_text("number … is on the stop list: 1").first.wait_for()
            await page.get_by_role("link", name="Show as tables").click()
            await page.get_by_role("columnheader", name="p95").wait_for()
            assert await page.get_by_role("img").count() == 0
            await accessible(page)

            # A provider: asked, held, let go.
            await page.get_by_role("link", name="Providers", exact=True).click()
            await page.get_by_text("numbers that begin with 7: main → then spare").wait_for()
            card = page.locator("section#main, section.provider").first
            await card.get_by_role("button", name="Test").click()
            await card.get_by_text("It answers").wait_for()
            await card.get_by_label("Why (for who comes later)").fill("the bill")
            page.once("dialog", lambda dialog: dialog.accept())
            await card.get_by_role("button", name="Hold").click()
            await card.get_by_text("on hold").wait_for()
            await page.goto(base(daemon))
            await page.get_by_role("alert").get_by_text("Provider main is on hold").wait_for()
            await daemon.providers.balances.ask("main")
            await page.goto(f"{base(daemon)}/providers")
            await card.get_by_text("low", exact=True).first.wait_for()
            await accessible(page)
            await card.get_by_role("button", name="Resume").click()
            await card.get_by_text("works").wait_for()

            # A report, also on paper and as a table for a spreadsheet.
            await page.get_by_role("link", name="Reports").click()
            await page.get_by_role("cell", name="test_user").wait_for()
            await accessible(page)
            assert (await page.pdf()).startswith(b"%PDF")
            await page.locator("summary", has_text="CSV").click()
            async with page.expect_download() as downloading:
                await page.get_by_role("link", name="Provider", exact=True).click()
            sheet = Path(await (await downloading.value).path()).read_text("utf-8-sig")
            assert sheet.splitlines()[1].startswith("main,0,0,0,2,")
            await page.get_by_role("link", name="12 months").click()
            await page.get_by_role("heading", name="Month", exact=True).wait_for()
        async with signed_in(browser, daemon, size=PHONE, dark=True, language="ru") as narrow:
            for path in ("/", "/providers", "/reports"):
                await narrow.page.goto(base(daemon) + path)
                assert await narrow.page.evaluate("document.documentElement.scrollWidth <= innerWidth"), path
                await picture(narrow.page, f"figures{path.replace('/', '-')}-phone")
