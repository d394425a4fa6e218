"""The console as people see it: a real chromium on a gateway in the test's own loop."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, BrowserContext, Page, async_playwright

from gateway.daemon import Daemon
from gateway.policy.people import User
from gateway.policy.permissions import Role
from gateway.service.credentials import Credentials
from gateway.service.people import People, Taken
from gateway.spool.store import Store

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or ""
needs_chromium = pytest.mark.skipif(not CHROMIUM, reason="no chromium on this machine")
WIDE = {"width": 1440, "height": 900}
PHONE = {"width": 390, "height": 844}
ZONE = "Europe/Moscow"
ADMIN = User("admin", Role.ADMIN, texts=True)
CONSOLE = {"console": {"bind": "127.0.0.1:0"}}
"""For ``running(changes=…)``."""


def base(daemon: Daemon) -> str:
    """The console's address."""
    assert daemon.console is not None
    return f"http://{daemon.console.where}"


def link(daemon: Daemon, user: User = ADMIN) -> str:
    """A one-time link that signs in at once: as an administrator who may read texts, or as ``user``."""
    with ThreadPoolExecutor(1) as thread:  # a loop of its own: the caller may be in the middle of one
        return thread.submit(lambda: asyncio.run(_link(daemon, user))).result()


async def _link(daemon: Daemon, user: User) -> str:
    configuration, credentials = daemon.intake.configuration, Credentials()
    store = await Store.open(configuration.store_url, exclusive=False)
    try:
        people = People(store, lambda: configuration, credentials)
        with suppress(Taken):
            await people.add(user, "test")
        secret = (await people.link(user.login, enters=True)).rpartition("/")[2]
    finally:
        credentials.close()
        await store.close()
    return f"{base(daemon)}/welcome/{secret}"


@asynccontextmanager
async def chromium() -> AsyncIterator[Browser]:
    """One browser; start it once a file."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=CHROMIUM,
            args=[
                "--no-sandbox",
                "--disable-gpu",
                "--disable-quic",
                "--no-first-run",
                "--disable-background-networking",
                "--disable-component-update",
                "--disable-sync",
            ],
        )
        try:
            yield browser
        finally:
            await browser.close()


class Watched:
    """A page that collects what must not happen: errors in its console, requests to elsewhere."""

    def __init__(self, page: Page, origin: str) -> None:
        self.page, self.faults = page, list[str]()
        page.on("console", lambda said: self.faults.append(said.text) if said.type == "error" else None)
        page.on("pageerror", lambda error: self.faults.append(str(error)))
        page.on(
            "request",
            lambda asked: (
                self.faults.append(f"asks {asked.url}")
                if not asked.url.startswith((origin, "data:", "blob:"))
                else None
            ),
        )


@asynccontextmanager
async def signed_in(
    browser: Browser,
    daemon: Daemon,
    *,
    size: dict[str, int] | None = None,
    dark: bool = False,
    language: str = "en",
    user: User = ADMIN,
) -> AsyncIterator[Watched]:
    """A page of somebody who has come in by the link. At the end nothing may have gone wrong in the browser."""
    context: BrowserContext = await browser.new_context(
        viewport=size or WIDE,  # type: ignore[arg-type]
        color_scheme="dark" if dark else "light",
        locale=language,
        base_url=base(daemon),
        timezone_id=ZONE,
    )
    # The first page comes once more where the browser's zone was not known: not under the feet of a test.
    await context.add_cookies([{"name": "zone", "value": ZONE, "url": base(daemon)}])
    watched = Watched(await context.new_page(), base(daemon))
    await watched.page.goto(link(daemon, user))
    try:
        yield watched
    finally:
        await context.close()
    assert watched.faults == [], watched.faults


async def accessible(page: Page) -> None:
    """axe-core finds nothing against WCAG 2.1 A and AA."""
    rules = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"], "resultTypes": ["violations"]}
    found = await Axe().run(page, options=rules)
    assert found.violations_count == 0, f"{page.url}: {found.generate_report()}"


async def picture(page: Page, name: str) -> None:
    """A screenshot into ``$EMAIL2SMS_PICTURES``, for people to look at; without it nothing happens."""
    if folder := os.environ.get("EMAIL2SMS_PICTURES"):
        await page.screenshot(path=Path(folder) / f"{name}.png", full_page=True, caret="initial")
