"""Who was turned away is seen, with the way to mend it: on the page, by the API, by the command line."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

import httpx

from tests.browser import CONSOLE, PHONE, accessible, base, chromium, link, needs_chromium, picture, signed_in
from tests.process import ENVIRONMENT, command
from tests.running import Client, listener, port, running, subject_mail, template

SERVICE = "emailtosms@sms.example.com"
DOORS = [listener(on_refusal="reply"), listener(name="mx", trust=[], accept_unverified=True)]
REPLIES = {"from": "sms@sms.example.com", "smarthost": "smtp://127.0.0.1:1"}
CHANGES = {**CONSOLE, "listeners": DOORS, "replies": REPLIES}


async def all_kinds(daemon: object) -> None:
    """One at a door, three times; a recipient elsewhere; a wrong password; a mail that is answered with a refusal."""
    for _ in range(3):
        reader, writer = await asyncio.open_connection("127.0.0.1", port(daemon, 1))  # type: ignore[arg-type]
        await reader.readline()
        writer.write(b"GET / HTTP/1.1\r\n")
        await reader.read()
        writer.close()
    client = await Client.connect(daemon)  # type: ignore[arg-type]
    await client.say("EHLO ups.example")
    await client.say("AUTH PLAIN AHRlc3RfdXNlcgB3cm9uZy1xd2VydHkxMg==")
    await client.say("MAIL FROM:<a@b.example>")
    await client.say("RCPT TO:<victim@elsewhere.example>")
    await client.say("RSET")
    content = subject_mail("Elsewhere;test_user;qwerty12;")
    assert (await client.mail(content, "79101234567@sms.example.com")).startswith("250")
    await daemon.intake.rejections.write()  # type: ignore[attr-defined]


async def test_by_the_api_and_the_command_line(tmp_path: Path) -> None:
    async with running(tmp_path, CHANGES) as daemon, httpx.AsyncClient(base_url=base(daemon)) as client:
        assert (await client.get("/api/v1/rejections")).status_code == 401
        await client.get(link(daemon))
        await all_kinds(daemon)
        answer = (await client.get("/api/v1/rejections", headers={"Accept-Language": "uk"})).json()
        by_reason = {one["reason"]: one for one in answer["items"]}
        assert set(by_reason) == {"originator_not_allowed", "relay_denied", "credentials_wrong", "door_http"}
        assert answer["next"] is None
        http = by_reason["door_http"]
        assert (http["count"], http["listener"], http["verdict"], http["mail"]) == (3, "mx", "", None)
        assert "консолі" in http["fix"]
        assert by_reason["originator_not_allowed"]["mail"] == by_reason["originator_not_allowed"]["id"]
        assert by_reason["relay_denied"]["recipients"] == ["v***@elsewhere.example"]
        assert by_reason["credentials_wrong"]["account"] == "test_user"
        assert (await client.get(f"/api/v1/rejections/{http['id']}")).json()["dialogue"] == http["dialogue"]
        assert (await client.get("/api/v1/rejections/4711")).status_code == 404
        first = (await client.get("/api/v1/rejections", params={"limit": 3})).json()
        rest = (await client.get("/api/v1/rejections", params={"before": first["next"]})).json()
        assert [one["reason"] for one in first["items"] + rest["items"]] == list(by_reason)
        assert (await client.get("/api/v1/rejections", params={"before": "x"})).status_code == 422
        mx = (await client.get("/api/v1/rejections", params={"listener": "mx", "peer": "127.0."})).json()
        assert [one["reason"] for one in mx["items"]] == ["door_http"]

        config = str(tmp_path / "gateway.yaml")
        code, out, _ = await command("rejections", "--peer", "127", "--dialogue", "--config", config)
        assert code == 0
        assert "C: RCPT TO:<v***@elsewhere.example>" in out
        assert "qwerty" not in out
        code, out, _ = await command("rejections", "--json", "--config", config)
        both = [
            [(one["id"], one["mail"], one["verdict"], one["reason"]) for one in found]
            for found in (json.loads(out), first["items"] + rest["items"])
        ]
        assert both[0] == both[1]
        code, out, _ = await command("log", "kind:refused", "kind:rejected", "--json", "--config", config)
        told = [json.loads(line) for line in out.splitlines()]
        assert [(one["kind"], one["verdict"]) for one in told] == [
            ("refused", "FORBIDDEN"),
            ("rejected", ""),
            ("rejected", "AUTH"),
            ("rejected", "FORBIDDEN"),
        ]


async def test_the_log_goes_on(tmp_path: Path) -> None:
    """``email2sms log -f`` beside the daemon."""
    async with running(tmp_path, CHANGES) as daemon:
        client = await Client.connect(daemon)
        await client.say("EHLO x")
        assert (await client.mail(template("before"), SERVICE)).startswith("250")
        process = await asyncio.create_subprocess_exec(
            *(
                sys.executable,
                "-m",
                "gateway",
                "log",
                "-f",
                "-n",
                "1",
                "--json",
                "--config",
                str(tmp_path / "gateway.yaml"),
            ),
            stdout=asyncio.subprocess.PIPE,
            env=ENVIRONMENT,
        )
        assert process.stdout is not None
        async with asyncio.timeout(30):
            await process.stdout.readline()
            await client.mail(template("after", numbers="79102345678"), SERVICE)
            while True:
                event = json.loads(await process.stdout.readline())
                if event["kind"] == "submitted" and event["to"] == "7910***5678":
                    break
        process.terminate()
        await process.wait()


@needs_chromium
async def test_on_the_page(tmp_path: Path) -> None:
    async with running(tmp_path, CHANGES) as daemon, chromium() as browser:
        async with signed_in(browser, daemon) as wide:
            page = wide.page
            await page.goto("/rejected")
            await page.get_by_role("heading", name="Nobody was turned away").wait_for()
            await page.locator('[data-live-dot][data-state="on"]').wait_for()
            await all_kinds(daemon)
            await page.get_by_role("link", name="There are new ones").click()
            rows = page.locator("main tbody tr")
            await rows.nth(3).wait_for()
            at_door = rows.filter(has_text="3 times")
            assert await at_door.get_by_text("Point it to the console").count() == 1
            await rows.filter(has_text="is no address of this gateway").locator("summary").click()
            await page.get_by_text("C: RCPT TO:<v***@elsewhere.example>").wait_for()
            await picture(page, "rejected-wide-light")
            await accessible(page)
            await page.get_by_label("Listener").select_option("mx")
            await page.get_by_role("button", name="Filter").click()
            await page.wait_for_url("**listener=mx*")
            assert await rows.count() == 1
        async with signed_in(browser, daemon, size=PHONE, dark=True, language="ru") as narrow:
            await narrow.page.goto("/rejected")
            await narrow.page.get_by_text("3 раза").wait_for()
            await picture(narrow.page, "rejected-phone-dark")
            assert await narrow.page.evaluate("document.documentElement.scrollWidth <= innerWidth")
            await narrow.page.goto("/live")
            await narrow.page.get_by_text("не впущен").first.wait_for()
