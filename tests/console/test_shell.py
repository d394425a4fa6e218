"""What all pages share: who comes in, the frame, the looks."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

import httpx
import pytest

from gateway.web.wording import LANGUAGES, catalog
from tests.browser import CONSOLE, PHONE, base, chromium, link, needs_chromium, picture, signed_in
from tests.running import Client, handsets, running, template


@needs_chromium
async def test_the_first_sms_is_seen(tmp_path: Path) -> None:
    async with running(tmp_path, CONSOLE) as daemon, chromium() as browser:
        async with signed_in(browser, daemon) as wide:
            page = wide.page
            await page.get_by_role("heading", name="No SMS yet").wait_for()
            client = await Client.connect(daemon)
            await client.say("EHLO x")
            await client.mail(template(), "emailtosms@sms.example.com")
            await handsets(daemon, 1)
            await page.reload()
            await page.locator(".tile").first.wait_for()
            await page.get_by_role("navigation").get_by_role("link", name="Overview").wait_for()
            await picture(page, "home-wide-light")
            await page.keyboard.press("?")
            await page.get_by_role("dialog").wait_for()
            await page.keyboard.press("Escape")
            await page.keyboard.press("/")
            assert await page.evaluate("document.activeElement.id") == "find"
        async with signed_in(browser, daemon, size=PHONE, dark=True, language="ru") as narrow:
            await narrow.page.get_by_role("heading", name="Обзор").wait_for()
            await picture(narrow.page, "home-phone-dark")
            assert await narrow.page.evaluate("document.documentElement.scrollWidth <= innerWidth")


async def test_strangers_and_strange_requests(tmp_path: Path) -> None:
    async with running(tmp_path, CONSOLE) as daemon, httpx.AsyncClient(base_url=base(daemon)) as client:
        answer = await client.get("/")
        assert answer.status_code in (303, 401)
        answer = await client.get("/api/v1/about")
        assert (answer.status_code, answer.headers["content-type"]) == (401, "application/problem+json")
        assert answer.json()["status"] == 401
        assert answer.headers["content-security-policy"].startswith("default-src 'none'; script-src 'self'")
        assert answer.headers["cache-control"] == "no-store"
        assert (await client.get("/welcome/wrong")).status_code == 403

        opened = link(daemon)
        assert (await client.get(opened)).status_code == 303
        assert (await client.get(opened)).status_code == 403, "a link opens once"
        assert (await client.get("/api/v1/about")).json()["login"]
        assert (await client.get("/nothing")).status_code == 404
        answer = await client.get("/look", params={"theme": "dark", "language": "uk", "back": "//evil.example"})
        assert answer.headers["location"] == "/"
        assert 'data-theme="dark"' in (shown := (await client.get("/")).text)
        assert 'lang="uk"' in shown
        assert (await client.post("/api/v1/about", content=b"x" * 2**25)).status_code == 413
        assert (await client.get("/api/v1/openapi.json")).json()["openapi"].startswith("3.1")


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_language_has_the_same_words(language: str) -> None:
    english = {page: set(words) for page, words in catalog("en").items()}
    assert {page: set(words) for page, words in catalog(language).items()} == english


def test_each_section_of_the_style_sheet_stands_alone() -> None:
    depth = 0
    for line in files("gateway.web").joinpath("static", "console.css").read_text("utf-8").splitlines():
        assert not (line.startswith("/*") and depth), f"a brace is missing before {line}"
        depth += line.count("{") - line.count("}")
    assert depth == 0
