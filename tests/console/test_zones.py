"""Times are those of the visitor's own clock, what he types is so too, and exports have their offset."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import httpx

from tests.browser import CONSOLE, base, chromium, link, needs_chromium
from tests.running import Client, handsets, running, template

AWAY = ZoneInfo("Pacific/Kiritimati")
"""UTC+14, without summer time: hardly anybody's machine."""


async def one_sms(daemon: object) -> None:
    client = await Client.connect(daemon)  # type: ignore[arg-type]
    await client.say("EHLO x")
    await client.mail(template(), "emailtosms@sms.example.com")
    await handsets(daemon, 1)  # type: ignore[arg-type]


@needs_chromium
async def test_the_browser_says_where_it_is(tmp_path: Path) -> None:
    async with running(tmp_path, CONSOLE) as daemon, chromium() as browser:
        await one_sms(daemon)
        context = await browser.new_context(base_url=base(daemon), timezone_id=AWAY.key)
        page = await context.new_page()
        await page.goto(link(daemon))
        await page.get_by_text(f"{AWAY.key}, UTC+14:00").wait_for()  # without a click
        await page.goto("/messages")
        shown = page.locator("main time").first
        when = datetime.fromisoformat(await shown.get_attribute("datetime") or "")
        assert when.utcoffset() == timedelta(hours=14)
        assert (await shown.inner_text()) == f"{when:%H:%M:%S}"
        await context.close()


async def test_what_is_typed_is_on_the_same_clock(tmp_path: Path) -> None:
    async with running(tmp_path, CONSOLE) as daemon, httpx.AsyncClient(base_url=base(daemon)) as client:
        await one_sms(daemon)
        await client.get(link(daemon))
        later = datetime.now(AWAY) + timedelta(hours=1)
        query = f"after:{later.replace(tzinfo=None).isoformat(timespec='minutes')}"

        async def found(path: str, **params: str) -> bool:
            answer = await client.get(path, params={"q": query, **params})
            assert answer.status_code == 200, answer.text
            return re.search(r"\bM[0-9A-Z]{12}-1\b", answer.text) is not None

        assert not await found("/messages", zone="ignored")  # later than now everywhere west of the line
        client.cookies.set("zone", "America/Los_Angeles")
        earlier = datetime.now(ZoneInfo("America/Los_Angeles")) - timedelta(minutes=5)
        query = f"after:{earlier.replace(tzinfo=None).isoformat(timespec='minutes')}"
        assert await found("/messages")
        client.cookies.set("zone", AWAY.key)
        query = f"before:{datetime.now(AWAY).replace(tzinfo=None).isoformat(timespec='minutes')}"
        page = await client.get("/messages", params={"q": query})
        assert "zone=Pacific%2FKiritimati" in page.text  # of the export
        assert await found("/api/v1/messages/export", zone="Europe/London")  # fourteen hours earlier there
        assert (await client.get("/api/v1/messages", params={"zone": "Mars/Olympus"})).status_code == 422
        exported = (await client.get("/api/v1/messages/export")).text
        assert re.search(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", exported)
        assert re.search(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d\d:\d\d", (await client.get("/audit.csv")).text)


async def test_no_zone_is_the_zone_of_the_machine(tmp_path: Path) -> None:
    async with running(tmp_path, CONSOLE) as daemon, httpx.AsyncClient(base_url=base(daemon)) as client:
        await client.get(link(daemon))
        for told in ("Mars/Olympus", "../../etc/passwd", "/etc/passwd", "<b>", "x" * 5000):
            client.cookies.set("zone", told)
            answer = await client.get("/")
            offset = datetime.now().astimezone().isoformat()[-6:]
            assert (answer.status_code, f"UTC{offset}" in answer.text, "<b>" in answer.text) == (200, True, False), told
