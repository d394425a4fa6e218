"""Every page of the menu, in a real browser: both themes, two widths."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from playwright.async_api import Page

from gateway.web.app import PAGES
from gateway.web.navigation import ENTRIES
from tests.browser import CONSOLE, PHONE, WIDE, accessible, chromium, needs_chromium, picture, signed_in
from tests.running import running
from tests.traffic import ACCOUNTS, send_all

PATHS = {str(getattr(route, "path", "")) for router in PAGES for route in router.routes}
LOOKS: list[tuple[str, dict[str, int], bool, str]] = [
    ("wide-light", WIDE, False, "uk"),
    ("phone-dark", PHONE, True, "ru"),
]
if "EMAIL2SMS_PICTURES" in os.environ:
    LOOKS += [("wide-dark", WIDE, True, "en"), ("phone-light", PHONE, False, "en")]


@needs_chromium
async def test_every_page_in_every_look(tmp_path: Path) -> None:
    async with running(tmp_path, CONSOLE, ACCOUNTS) as daemon, chromium() as browser:
        await send_all(daemon)
        for look, size, dark, language in LOOKS:
            async with signed_in(browser, daemon, size=size, dark=dark, language=language) as watched:
                for entry in ENTRIES:
                    if entry.path in PATHS:
                        await _look_at(watched.page, entry.path, f"{entry.name}-{look}")


async def _look_at(page: Page, path: str, name: str) -> None:
    answer: Any = await page.goto(path)
    assert answer.status == 200, path
    await page.locator("main h1").first.wait_for()
    await picture(page, name)
    await accessible(page)
    wide = await page.evaluate("document.documentElement.scrollWidth - innerWidth")
    assert wide <= 0, f"{path} is {wide} pixels too wide"
