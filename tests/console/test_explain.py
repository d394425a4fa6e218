"""Explain: a mail is dropped, and its way is told; by page and by API. Nothing is sent or kept."""

from __future__ import annotations

import time
from pathlib import Path

import httpx
import pytest

from gateway.senders.examine import Examiner
from gateway.service.credentials import Credentials
from gateway.service.examples import example_world, examples
from gateway.service.explain import Arrival, explain
from gateway.settings.load import load
from tests.browser import CONSOLE, PHONE, accessible, base, chromium, link, needs_chromium, picture, signed_in
from tests.running import running, template, write_config

EXPECTED = {
    "right": ("OK", "Оплата прошла успешно."),
    "wrong-password": ("AUTH", None),
    "grafana-html": (
        "OK",
        "FIRING: Disk full\nnas-01, critical\nDisk /srv is 96 % full on nas-01\n2026-03-12 07:42:10 +0000 UTC",
    ),
    "cp1251-undeclared": ("OK", "Оплата прошла успешно."),
    "winmail": ("OK", "Платёж 15 проведён"),
    "letter-in-a-number": ("OK", "Оплата прошла успешно."),
    "outlook-html": ("OK", "Backup failed"),
    "quoted-mail": ("OK", "Карта готова, ждём вас до 18:00."),
    "emoji": ("OK", "Your order No. 4711 is ready – come and get it until 8 p.m. “Main Street 5” 🎉"),
}


@needs_chromium
async def test_a_mail_is_explained(tmp_path: Path) -> None:
    mail = tmp_path / "alarm.eml"
    mail.write_bytes(template("Привет", numbers="79101234567, 7910123456O"))
    async with running(tmp_path, CONSOLE) as daemon, chromium() as browser:
        async with signed_in(browser, daemon) as watched:
            page = watched.page
            await page.goto("/explain")
            await page.get_by_label("Drop an .eml file here").set_input_files(mail)
            await page.get_by_role("button", name="Explain").click()
            await page.get_by_text("It would be sent").wait_for()
            shown = await page.locator("#found").inner_text()
            for words in ("Привет", "windows-1251", "79101234567", "NUMBER", "text/plain", "trusted network"):
                assert words in shown, words
            assert "qwerty12" not in await page.content()
            await picture(page, "explain-wide-light")
            await page.get_by_role("link", name="Grafana's HTML").click()
            await page.get_by_text("HTML turned to text").wait_for()
            await picture(page, "explain-example-light")
            await accessible(page)
        async with signed_in(browser, daemon, size=PHONE, dark=True, language="ru") as narrow:
            await narrow.page.goto("/explain?example=wrong-password")
            await narrow.page.get_by_text("Как исправить").wait_for()
            await picture(narrow.page, "explain-phone-dark")
            assert await narrow.page.evaluate("document.documentElement.scrollWidth <= innerWidth")
            await accessible(narrow.page)
        assert not await daemon.store.read(lambda c: c.exec_driver_sql("SELECT id FROM mails").all())


async def test_examples_and_the_api(tmp_path: Path) -> None:
    assert set(examples()) == set(EXPECTED)
    async with running(tmp_path, CONSOLE) as daemon, httpx.AsyncClient(base_url=base(daemon)) as client:
        assert (await client.post("/api/v1/explain", content=template())).status_code == 401
        await client.get(link(daemon))
        page = await client.get("/explain")
        client.headers["X-CSRF-Token"] = page.text.partition('name="csrf" value="')[2].partition('"')[0]
        for name in EXPECTED:
            shown = await client.get("/explain", params={"example": name})
            assert shown.status_code == 200
            verdict = EXPECTED[name][0]
            assert (verdict if verdict != "OK" else "It would be sent") in shown.text, name
            assert (await client.get(f"/explain/examples/{name}.eml")).content == examples()[name]
        assert (await client.get("/explain", params={"example": "../../etc/passwd"})).status_code == 404

        found = (await client.post("/api/v1/explain", content=template("Привет"))).json()
        assert (found["verdict"], found["text"], found["segments"]) == ("OK", "Привет", ["Привет"])
        assert found["destinations"] == ["79101234567"]
        params = {"peer": "203.0.113.7", "listener": "lan"}
        found = (await client.post("/api/v1/explain", params=params, content=template())).json()
        assert (found["verdict"], found["smtp"]) == ("FORBIDDEN", "550 5.7.1")
        assert (await client.post("/api/v1/explain", content=b"Subject: x\r\n\r\nx")).status_code == 422
        assert (await client.post("/api/v1/explain", params={"listener": "x"}, content=template())).status_code == 422
        assert (await client.post("/api/v1/explain", content=b"x" * 10_485_761)).status_code == 413
        # Whether a password is right is not asked for ever.
        wrong = template(password="guess")
        answers = [await client.post("/api/v1/explain", content=wrong) for _ in range(11)]
        assert [answer.status_code for answer in answers] == [200] * 10 + [429]


@pytest.mark.parametrize("name", EXPECTED)
async def test_what_the_examples_are_for(tmp_path: Path, name: str) -> None:
    world = example_world(load(write_config(tmp_path)))
    found = await explain(examples()[name], Arrival(), world, Credentials(), Examiner(), time.time())
    assert (found.verdict, found.text) == EXPECTED[name]
