"""The pictures of the README: ``python -m tests.console.pictures [FOLDER]``. A day of made-up traffic, real pages."""

from __future__ import annotations

import asyncio
import math
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from playwright.async_api import Browser

from gateway.daemon import Daemon
from gateway.spool import balances
from gateway.spool.balances import Reading
from tests.benchmarks.claims import fill, opened
from tests.browser import CONSOLE, WIDE, base, chromium, signed_in
from tests.running import handsets, running
from tests.traffic import ACCOUNTS, send_all

SMS = 4000
DAY_S = 86400.0
CHANGES: dict[str, Any] = {
    **CONSOLE,
    "providers": {
        "main": {"driver": "sandbox", "balance_every": 0},
        "spare": {"driver": "sandbox", "balance_every": 0},
    },
    "routes": [{"providers": ["main", "spare"]}],
}
BOTH = """<style>body {{ margin: 0; position: relative; width: 1440px; height: 900px }}
img {{ position: absolute; inset: 0 }} img + img {{ clip-path: polygon(62% 0, 100% 0, 100% 100%, 38% 100%) }}</style>
<img src="{light}"><img src="{dark}">"""


def variety(now: float) -> list[str]:
    """Of what ``fill`` has spread evenly over a year: a day, with a night in it."""
    n = "(CAST(destination AS bigint) - 79100000000)"
    hour = f"({n} * 24.0 / {SMS})"
    at = f"({now} - {DAY_S} + {hour} * 3600 + 6000 * sin({hour} * {math.pi / 12}) - 60)"
    return [
        f"UPDATE mails SET received_at = {now} - ({now} - received_at) / 366",
        f"""UPDATE jobs SET
            account = CASE WHEN {n} % 7 < 4 THEN 'test_user' WHEN {n} % 7 < 6 THEN 'monitoring' ELSE 'ups-room-5' END,
            provider = CASE WHEN {n} % 9 = 0 THEN 'spare' ELSE 'main' END,
            state = CASE WHEN {n} % 61 = 0 THEN 'failed' WHEN {n} % 23 = 2 THEN 'undelivered' ELSE 'delivered' END,
            reason = CASE WHEN {n} % 61 = 0 THEN 'provider_refused' END,
            reason_values = CASE WHEN {n} % 61 = 0 THEN '{{"code": 8, "text": "no such number"}}' END,
            why = CASE WHEN {n} % 23 = 2 THEN 'the provider says: UNDELIV' ELSE '' END,
            alphabet = CASE WHEN {n} % 4 = 0 THEN 'GSM-7' ELSE 'UCS-2' END,
            segments = 1 + ({n} % 5 = 0), cost = CASE WHEN {n} % 61 = 0 THEN NULL ELSE '2.' || ({n} % 7) || ' RUB' END,
            created_at = {at}, submitted_at = CASE WHEN {n} % 61 = 0 THEN NULL ELSE {at} + 0.05 + ({n} % 97) * 0.01 END,
            updated_at = {at} + 2 + ({n} % 61) * 0.3""",
    ]


async def main(folder: Path) -> None:
    """Make them."""
    with tempfile.TemporaryDirectory() as name:
        url = f"sqlite:///{name}/var/gateway.db"
        (Path(name) / "var").mkdir()
        async with opened(url):
            pass
        await fill(url, SMS, 0, time.time(), variety(time.time()))
        async with running(Path(name), CHANGES, ACCOUNTS) as daemon, chromium() as browser:
            await send_all(daemon)
            await handsets(daemon, 6)
            for n in range(288 * 3):
                reading = Reading("main", time.time() - 300.0 * (288 * 3 - n), 9000.0 - 6 * n, "RUB")
                await daemon.store.write(lambda c, one=reading: balances.write(c, one))  # type: ignore[misc]
            await daemon.figures.count()
            for language, suffix in (("en", ""), ("ru", "-ru")):
                for page in ("/", "/messages?q=to:79105550001"):
                    await split(browser, daemon, page, language, folder, suffix)


async def split(browser: Browser, daemon: Daemon, path: str, language: str, folder: Path, suffix: str) -> None:
    """One page, half in the light and half in the dark."""
    name = "overview" if path == "/" else "message"
    shots = {}
    for dark in (False, True):
        async with signed_in(browser, daemon, size=WIDE, dark=dark, language=language) as watched:
            await watched.page.goto(f"{base(daemon)}{path}")
            if name == "message":
                await watched.page.locator("table.rows tbody tr a").first.click()
                await watched.page.locator(".timeline").first.wait_for()
            await watched.page.wait_for_timeout(500)  # the transitions
            shots[dark] = folder / f".{name}-{dark}.png"
            await watched.page.screenshot(path=shots[dark])
    page = await browser.new_page(viewport=WIDE)  # type: ignore[arg-type]
    both = folder / ".both.html"
    both.write_text(BOTH.format(light=shots[False].name, dark=shots[True].name))
    await page.goto(both.resolve().as_uri())
    await page.screenshot(path=folder / f"{name}{suffix}.png")
    await page.close()
    for rest in (*shots.values(), both):
        rest.unlink()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1] if len(sys.argv) > 1 else "deploy/pictures")))
