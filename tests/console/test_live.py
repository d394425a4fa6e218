"""What happens is seen as it happens: by programs, on pages, behind a proxy that holds everything back."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from gateway.service.events import Event, Kind
from gateway.service.wanted import wanted
from gateway.web.api import events as api
from tests.browser import CONSOLE, PHONE, accessible, base, chromium, link, needs_chromium, picture, signed_in
from tests.running import Client, running, template
from tests.traffic import ACCOUNTS, send_all

SERVICE = "emailtosms@sms.example.com"


class Stream:
    """Server-sent events, as they come."""

    def __init__(self, response: httpx.Response) -> None:
        self.response = response
        self.lines = response.aiter_lines()

    async def next(self) -> dict[str, str]:
        """The next one; empty: a heartbeat, or the end."""
        found: dict[str, str] = {}
        async with asyncio.timeout(10):
            async for line in self.lines:
                if not line:
                    break
                name, _, value = line.partition(": ")
                found[name] = value
        return found

    async def events(self, count: int) -> list[dict[str, Any]]:
        """That many that say something."""
        found: list[dict[str, Any]] = []
        while len(found) < count:
            said = await self.next()
            if "id" in said:
                found.append(json.loads(said["data"]))
        return found


@asynccontextmanager
async def followed(client: httpx.AsyncClient, **kwargs: Any) -> AsyncIterator[Stream]:
    async with client.stream("GET", "/api/v1/events", timeout=20, **kwargs) as response:
        assert response.status_code == 200
        stream = Stream(response)
        assert (await stream.next())["event"] == "hello"
        yield stream


async def test_a_program_follows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api, "HEARTBEAT_S", 0.05)
    async with running(tmp_path, CONSOLE) as daemon, httpx.AsyncClient(base_url=base(daemon)) as client:
        assert (await client.get("/api/v1/events")).status_code == 401
        await client.get(link(daemon))
        sender = await Client.connect(daemon)
        await sender.say("EHLO x")
        async with followed(client) as stream:
            assert stream.response.headers["content-type"].startswith("text/event-stream")
            assert stream.response.headers["x-accel-buffering"] == "no"
            assert await stream.next() == {"": ""}, "a heartbeat"
            answer = await sender.mail(template(), SERVICE)
            accepted, submitted = await stream.events(2)
        assert (accepted["kind"], accepted["jobs"], accepted["account"]) == ("accepted", 1, "test_user")
        assert accepted["mail"] == answer.rpartition(" ")[2]
        assert (submitted["kind"], submitted["state"], submitted["to"]) == ("submitted", "submitted", "7910***4567")
        assert "Привет" not in json.dumps([accepted, submitted], ensure_ascii=False)

        async with followed(client, headers={"Last-Event-ID": str(accepted["id"])}) as stream:
            assert await stream.events(1) == [submitted]
        async with followed(client, params={"after": 0, "q": "kind:submitted kind:failed -to:7495"}) as stream:
            assert await stream.events(1) == [submitted]
        recent = (await client.get("/api/v1/events/recent", params={"after": accepted["id"]})).json()
        assert recent == {"items": [submitted], "next": submitted["id"], "missed": False}
        fault = await client.get("/api/v1/events", params={"q": "colour:red"})
        assert (fault.status_code, "colour" in fault.json()["detail"]) == (422, True)
        monkeypatch.setattr(api, "MAX_STREAMS", 0)
        assert (await client.get("/api/v1/events")).status_code == 503


async def test_the_gateway_stops_although_somebody_follows(tmp_path: Path) -> None:
    async with running(tmp_path, CONSOLE) as daemon, httpx.AsyncClient(base_url=base(daemon)) as client:
        await client.get(link(daemon))
        async with followed(client) as stream:
            stopping = asyncio.create_task(daemon.stop())
            assert (await stream.next())["event"] == "over"
            assert await stream.next() == {}
        async with asyncio.timeout(10):
            await stopping


async def test_a_stream_lasts_some_minutes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Then the client is asked again who it is."""
    monkeypatch.setattr(api, "LASTS_S", 0.0)
    async with running(tmp_path, CONSOLE) as daemon, httpx.AsyncClient(base_url=base(daemon)) as client:
        await client.get(link(daemon))
        async with followed(client) as stream:
            assert (await stream.next())["event"] == "over"


@needs_chromium
async def test_a_page_follows(tmp_path: Path) -> None:
    async with running(tmp_path, CONSOLE, ACCOUNTS) as daemon, chromium() as browser:
        async with signed_in(browser, daemon) as wide:
            page = wide.page
            await page.goto("/live")
            await page.locator('[data-live-dot][data-state="on"]').wait_for()
            await send_all(daemon)
            lines = page.locator("main tbody tr")
            await lines.filter(has_text="sent").nth(4).wait_for()
            await lines.filter(has_text="failed").first.wait_for()
            await picture(page, "live-wide-light")
            await accessible(page)
            link_to = await lines.first.locator("a").get_attribute("href")
            assert link_to is not None
            assert link_to.startswith("/messages/")

            await page.keyboard.press("p")
            client = await Client.connect(daemon)
            await client.say("EHLO x")
            await client.mail(template("while it rests", numbers="79109996677"), SERVICE)
            async with asyncio.timeout(20):
                while not any(event.to == "7910***6677" for event in (await daemon._feed.recent(None, None, 9)).events):
                    await asyncio.sleep(0.05)
            await page.evaluate("new Promise((done) => setTimeout(done, 400))")  # longer than events are gathered
            rested = lines.filter(has_text="7910***6677")
            assert await rested.count() == 0
            await page.keyboard.press("p")
            await rested.first.wait_for()

            await page.keyboard.press("f")
            await page.keyboard.type("kind:failed")
            await page.keyboard.press("Enter")
            await page.wait_for_url("**/live?q=kind*")
            assert await lines.count() == 1

        async with signed_in(browser, daemon, size=PHONE, dark=True, language="uk") as narrow:
            await narrow.page.route("**/api/v1/events?*", lambda route: route.abort())
            await narrow.page.route("**/api/v1/events", lambda route: route.abort())
            await narrow.page.goto("/live")
            await narrow.page.locator('[data-live-dot][data-state="polling"]').wait_for()
            lines = narrow.page.locator("main tbody tr")
            before = await lines.count()
            await client.mail(template("behind a proxy"), SERVICE)
            await lines.nth(before).wait_for()
            await picture(narrow.page, "live-phone-dark")
            narrow.faults[:] = [fault for fault in narrow.faults if "ERR_FAILED" not in fault]


# ── which events ─────────────────────────────────────────────────────────────────────────────────

EVENT = Event(7, 1.0, Kind.FAILED, "MAIL1", "MAIL1-1", "shop", None, "MSG:7", "main", "7910***4567", "lan", "192.0.2.7")


@pytest.mark.parametrize(
    ("line", "fits"),
    [
        ("", True),
        ("kind:failed", True),
        ("kind:delivered kind:failed account:Shop", True),
        ("-kind:failed", False),
        ("-provider:main", False),
        ("account:sho", False),
        ("sho", True),
        ("verdict:MSG:7", True),
        ("verdict:no-list", False),
        ("status:failed", True),
        ("status:open", False),
        ("id:mail1", True),
        ("id:MAIL1-1", True),
        ("id:MAIL", False),
        ("mail1", True),
        ("peer:192.0.2", True),
        ("listener:mx", False),
        ("to:79101234567", True),
        ('to:"+7 910 123-45-67"', True),
        ("to:79101234568", False),
        ("to:7910", True),
        ("to:4567", True),
        ("to:7495", False),
        ("79101234567", True),
        ("elsewhere", False),
        ("after:1970-01-02", False),
        ("before:1970-01-02", True),
    ],
)
def test_what_is_wanted(line: str, fits: bool) -> None:
    assert wanted(line)(EVENT) is fits


@pytest.mark.parametrize(
    "line", ["colour:red", "from:x", "dialect:address", "kind:fine", "status:fine", '"', "after:soon"]
)
def test_what_cannot_be_understood(line: str) -> None:
    with pytest.raises(ValueError, match=r"key|kind|status|quotation|time"):
        wanted(line)
