"""Accounts and lists: pages in a browser, the API for programs, and who may what."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
from playwright.async_api import Page

from gateway.daemon import Daemon
from gateway.daemon.console import console_of
from gateway.policy.permissions import SCOPES, Role
from gateway.service.accounts import Accounts
from gateway.service.desk import Desk
from gateway.service.lists import EVERYBODY, STOP, Lists
from gateway.service.tokens import Tokens
from tests.browser import CONSOLE, PHONE, accessible, base, chromium, link, needs_chromium, picture, signed_in
from tests.running import Client, handsets, running, subject_mail
from tests.traffic import ACCOUNTS, send_all

PATHS = (
    "/accounts",
    "/accounts/bank",
    "/accounts/bank/settings",
    "/lists",
    "/lists/bank/staff",
    "/lists/-/import",
)
A, B = "79031112233", "79032223344"


@asynccontextmanager
async def api(daemon: Daemon, role: Role = Role.ADMIN, *accounts: str) -> AsyncIterator[httpx.AsyncClient]:
    """The API, for a program that may what that role may, of these accounts only."""
    only = frozenset(accounts) or None
    _, secret = await Tokens(daemon.store).create("olga", SCOPES[role], "root", accounts=only)
    headers = {"Authorization": f"Bearer {secret}"}
    async with httpx.AsyncClient(base_url=f"{base(daemon)}/api/v1", headers=headers) as client:
        yield client


async def test_a_program_makes_an_account_and_sends(tmp_path: Path) -> None:
    async with running(tmp_path, CONSOLE) as daemon, api(daemon) as client:
        settings = {"senders": ["*@shop.example"], "originators": ["Shop"], "limits": {"per_day": 5}}
        made = await client.post("/accounts", json={"login": "shop", "settings": settings})
        assert (made.status_code, made.json()["settings"]) == (201, settings)
        assert (await client.post("/accounts", json={"login": "shop"})).status_code == 409
        key = (await client.post("/accounts/shop/keys", json={"name": "till 3"})).json()
        (known,) = (await client.get("/accounts/shop/keys")).json()["items"]
        assert key == {**known, "key": key["key"]}
        assert key["key"].startswith(known["prefix"])
        await daemon.roster.look()
        sender = await Client.connect(daemon)
        await sender.say("EHLO x")
        mail = subject_mail(f"Shop;{key['key']};").replace(b"alerts@bank.example", b"till@shop.example")
        assert "250" in await sender.mail(mail, f"{A}@sms.example.com", sender="till@shop.example")
        await handsets(daemon, 1)
        shown = (await client.get("/accounts/shop")).json()
        assert shown["used"] == [{"name": "per_day", "used": 1.0, "limit": 5.0}]

        bad = await client.put("/accounts/shop", json={"settings": {"limits": {"per_day": "many"}, "sendres": []}})
        assert (bad.status_code, bad.headers["content-type"]) == (422, "application/problem+json")
        assert [fault["key"] for fault in bad.json()["faults"]] == ["sendres", "limits.per_day"]
        assert "did you mean 'senders'?" in bad.json()["faults"][0]["what"]
        hook = {**settings, "webhook": {"url": "https://shop.example/", "secret": "0123456789abcdef"}}
        assert "secret" not in (await client.put("/accounts/shop", json={"settings": hook})).text
        again = {**settings, "webhook": {"url": "https://shop.example/2"}}
        assert (await client.put("/accounts/shop", json={"settings": again})).status_code == 200
        await daemon.roster.look()
        webhook = daemon.intake.configuration.directory.accounts["shop"].webhook
        assert webhook is not None
        assert (webhook.url, webhook.secret) == ("https://shop.example/2", "0123456789abcdef")

        file = {"webhook": {"url": "https://shop.example/", "secret_file": "/etc/passwd"}}
        assert (await client.put("/accounts/shop", json={"settings": file})).status_code == 422
        assert (await client.post("/accounts/test_user/disable")).status_code == 409
        assert (await client.put("/accounts/shop/password", json={})).json()["password"]
        assert (await client.put("/accounts/shop/password", json={"password": "mine"})).json() == {"password": None}
        assert (await client.post("/accounts/shop/disable")).json()["enabled"] is False
        assert (await client.delete("/accounts/shop")).status_code == 204
        assert (await client.get("/accounts/shop")).status_code == 404
        page = (await client.get("/accounts", params={"limit": 1})).json()
        assert ([one["login"] for one in page["items"]], page["next"]) == (["test_user"], None)


async def test_a_mistake_in_the_form_is_told_in_the_readers_language(tmp_path: Path) -> None:
    async with running(tmp_path, CONSOLE) as daemon, httpx.AsyncClient(base_url=base(daemon)) as client:
        await client.get(link(daemon))
        page = (await client.get("/accounts/-/new", headers={"Accept-Language": "uk"})).text
        client.headers["X-CSRF-Token"] = page.partition('name="csrf" value="')[2].partition('"')[0]
        given = {"login": "shop", "limits.per_day": "many", "networks": "10.0.0", "rest": "storm: {ovr: 5}"}
        for language, told in {
            "en": ("&#34;many&#34;: expected a whole number", "no network;", "storm.ovr: unknown key"),
            "ru": ("нужно целое число", "не сеть;", "storm.ovr: такого ключа нет"),
            "uk": ("потрібно ціле число", "не мережа;", "storm.ovr: такого ключа немає"),
        }.items():
            shown = await client.post("/accounts/-/new", data=given, headers={"Accept-Language": language})
            assert [words for words in told if words not in shown.text] == [], language
        again = await client.post("/accounts/-/new", data={"login": "test_user"}, headers={"Accept-Language": "ru"})
        assert "Аккаунт с таким логином уже есть" in again.text


async def test_lists_by_the_api(tmp_path: Path) -> None:
    async with running(tmp_path, CONSOLE) as daemon, api(daemon) as client:
        table = f"Имя;Телефон\nИван;{A}\nОльга;8 903 222-33-44\nПётр;1\n".encode("cp1251")
        csv: Any = {"content": table, "headers": {"Content-Type": "text/csv"}}
        dry = (await client.put("/lists/test_user/staff?country=ru&dry_run=true", **csv)).json()
        assert (dry["taken"], dry["refused"][0]["line"], dry["count"]) == (2, 4, None)
        assert (await client.get("/lists/test_user/staff")).status_code == 404
        assert (await client.put("/lists/test_user/staff?country=ru", **csv)).json()["count"] == 2
        assert (await client.put("/lists/test_user/12345", **csv)).status_code == 409
        assert (await client.put("/lists/nobody/staff", **csv)).status_code == 404
        page = (await client.get("/lists/test_user/staff?limit=1")).json()
        assert page == {"items": [A], "next": A}
        assert (await client.get(f"/lists/test_user/staff?after={A}")).json() == {"items": [B], "next": None}
        more = {"numbers": ["+7 (903) 333-44-55", A]}
        assert (await client.post("/lists/test_user/staff/numbers", json=more)).json() == {"changed": 1, "count": 3}
        wrong = await client.post("/lists/test_user/staff/numbers", json={"numbers": [B, "call me"]})
        assert (wrong.status_code, wrong.json()["verdict"]) == (422, "NUMBER")
        gone = await client.post("/lists/test_user/staff/numbers/remove", json=more)
        assert gone.json()["changed"] == 2
        assert (await client.post("/stop-list", json={"numbers": [A]})).json()["count"] == 1
        assert (await client.get("/stop-list")).json()["items"] == [A]
        assert (await client.get("/stop-list?account=test_user")).json()["items"] == []
        assert (await client.get("/stop-list?account=nobody")).status_code == 404
        assert [(one["account"], one["name"]) for one in (await client.get("/lists")).json()["items"]] == [
            ("", ""),
            ("test_user", ""),
            ("test_user", "12345"),
            ("test_user", "staff"),
        ]
        await client.post("/stop-list?account=test_user", json={"numbers": [B]})
        for path, lines in (
            ("/lists/test_user/staff/export", [B]),
            ("/stop-list/export", [A]),
            ("/stop-list/export?account=test_user", ["79161234567", B]),  # the file's, and the store's
        ):
            answer = await client.get(path)
            assert answer.text == "".join(f"{line}\r\n" for line in lines), path
            assert "attachment" in answer.headers["content-disposition"]
        for path in ("/stop-list/export?account=nobody", "/lists/test_user/none/export"):
            assert (await client.get(path)).status_code == 404
        looks = [(look.who, look.via, look.what, look.subject) for look in await Desk(daemon.store).looks(50)]
        assert ("token olga", "api", "list.import", "test_user/staff 2 numbers") in looks
        assert [look[2:] for look in looks if look[2].endswith(".export")] == [
            ("stop.export", "test_user"),
            ("stop.export", ""),
            ("list.export", "test_user/staff"),
        ]
        assert ("token olga", "api", "stop.add", "7903***2233") in looks


async def test_who_may_what(tmp_path: Path) -> None:
    async with running(tmp_path, CONSOLE, ACCOUNTS) as daemon:
        console = console_of(daemon)
        hook = {"url": "https://shop.example/token-4711", "secret": "0123456789abcdef"}
        await console.accounts.add("shop", {"senders": ["*"], "phone": A, "webhook": hook}, "root")
        await console.lists.put("shop", "1", [A, B], "root")
        await daemon.roster.look()
        async with api(daemon, Role.VIEWER) as viewer:
            assert (await viewer.get("/lists/shop/1?q=7903")).json() == {
                "items": ["7903***2233", "7903***3344"],
                "next": None,
            }
            for page in ("/lists/shop/1", "/accounts/shop", "/api/v1/accounts/shop"):
                text = (await viewer.get(base(daemon) + page)).text
                assert "7903***2233" in text
                assert not [secret for secret in (A, "4711", "0123456789abcdef") if secret in text]
            for method, path in (
                ("post", "/accounts/shop/disable"),
                ("delete", "/lists/shop/1"),
                ("post", "/accounts/shop/keys"),
            ):
                assert (await viewer.request(method, path, json={"name": "x"})).status_code == 403
            assert (await viewer.get(f"{base(daemon)}/accounts/shop/settings")).status_code == 403
            for path in ("/lists/shop/1/export.csv", "/lists/-/stop.csv", "/api/v1/stop-list/export"):
                assert (await viewer.get(base(daemon) + path)).status_code == 403, path
        async with api(daemon, Role.ADMIN, "shop") as tenant:
            assert [one["login"] for one in (await tenant.get("/accounts")).json()["items"]] == ["shop"]
            assert (await tenant.get("/accounts/monitoring")).status_code == 404
            assert (await tenant.get(f"{base(daemon)}/accounts/monitoring")).status_code == 404
            assert (await tenant.get("/lists/test_user/12345")).status_code == 404
            assert (await tenant.post("/accounts/shop/disable")).status_code == 200
            assert (await tenant.post("/accounts/shop/keys", json={"name": "x"})).status_code == 201
            assert (await tenant.put("/accounts/shop", json={"settings": {}})).status_code == 403
            assert (await tenant.post("/accounts", json={"login": "new"})).status_code == 403
            assert (await tenant.post("/stop-list", json={"numbers": [A]})).status_code == 403
            assert (await tenant.post("/stop-list?account=shop", json={"numbers": [A]})).status_code == 200
            assert (await tenant.post("/stop-list?account=monitoring", json={"numbers": [A]})).status_code == 403
            assert (await tenant.get(f"{base(daemon)}/lists/-/stop.csv?account=shop")).text == f"{A}\r\n"
            for path in ("/api/v1/stop-list", "/api/v1/stop-list/export", "/lists/-/stop", "/lists/-/stop.csv"):
                assert (await tenant.get(base(daemon) + path)).status_code == 403, path  # others' numbers
            assert (await tenant.get(f"{base(daemon)}/lists/-/stop.csv?account=monitoring")).status_code == 404


@needs_chromium
async def test_an_operator_at_work(tmp_path: Path) -> None:
    async with running(tmp_path, CONSOLE, ACCOUNTS) as daemon, chromium() as browser:
        await send_all(daemon)
        await seed(daemon)
        async with signed_in(browser, daemon) as wide:
            await _accounts(wide.page, daemon)
            await _lists(wide.page)
        async with signed_in(browser, daemon, size=PHONE, dark=True, language="ru") as narrow:
            for path in PATHS:
                await narrow.page.goto(path)
                await picture(narrow.page, f"{path.strip('/').replace('/', '-')}-phone-dark")
                await accessible(narrow.page)
                assert await narrow.page.evaluate("document.documentElement.scrollWidth <= innerWidth"), path


async def seed(daemon: Daemon) -> None:
    console = console_of(daemon)
    accounts: Accounts = console.accounts
    lists: Lists = console.lists
    bank = {
        "senders": ["alerts@bank.example", "*@ops.bank.example"],
        "originators": ["My Bank", "BankAlert"],
        "phone": "79101234567",
        "limits": {"per_day": "500", "per_hour": "100", "quiet": {"hours": "22:00-08:00", "timezone": "Europe/Moscow"}},
        "language": "ru",
        "confirm": ["receipt"],
    }
    await accounts.add("bank", bank, "root")
    await accounts.set_password("bank", None, "root")
    await accounts.add_key("bank", "касса 3", "root")
    off, _ = await accounts.add_key("bank", "old 1С", "root")
    await accounts.switch_key("bank", off.id, False, "root")
    await accounts.add("erp", {"networks": ["10.1.0.0/16"], "senders": ["*@erp.example"]}, "root", enabled=False)
    await lists.put("bank", "staff", [f"7903{n:07d}" for n in range(250)], "root")
    await lists.put("bank", STOP, [A], "root")
    await lists.put(EVERYBODY, STOP, [B], "root")
    await daemon.roster.look()


async def _accounts(page: Page, daemon: Daemon) -> None:
    await page.goto("/accounts")
    await page.get_by_role("row").filter(has_text="monitoring").get_by_text("provisioned").wait_for()
    await picture(page, "accounts-wide-light")
    await page.keyboard.press("n")
    await page.get_by_label("Login").fill("shop")
    await page.get_by_label("Allowed senders").fill("*@shop.example")
    await page.get_by_label("SMS a day").fill("many")
    await page.get_by_role("button", name="Save").click()
    fault = page.locator("[id='limits.per_day-fault']")
    await fault.wait_for()
    assert '"many": expected a whole number' in await fault.inner_text()
    await accessible(page)
    await picture(page, "account-form-wide-light")
    await page.get_by_label("SMS a day").fill("500")
    await page.get_by_label("Sender names").fill("Shop")
    await page.get_by_role("button", name="Save").click()
    await page.get_by_role("heading", name="shop").wait_for()
    await page.get_by_placeholder("What it is for: till 3").fill("till 3")
    await page.get_by_role("button", name="Create key").click()
    key = await page.locator(".copyable pre").inner_text()
    assert len(key) == 32
    await picture(page, "account-wide-light")
    await daemon.roster.look()
    sender = await Client.connect(daemon)
    await sender.say("EHLO x")

    async def send(text: str) -> str:
        mail = subject_mail(f"Shop;{key};", text).replace(b"alerts@bank.example", b"t@shop.example")
        return await sender.mail(mail, f"{A}@sms.example.com", sender="t@shop.example")

    assert "BANNED" not in (said := await send("one")) and "250" in said
    await page.goto("/accounts/shop")
    assert key not in await page.content()
    await page.get_by_text("1 of 500").wait_for()
    await page.get_by_role("button", name="Deactivate till 3").click()
    await page.get_by_text("not active", exact=True).wait_for()
    await daemon.roster.look()
    assert "AUTH" in await send("two")
    await page.get_by_role("button", name="Activate till 3").click()
    page.once("dialog", lambda dialog: dialog.accept())
    await page.get_by_role("button", name="Deactivate Email2SMS").click()
    await page.get_by_role("button", name="Activate Email2SMS").wait_for()
    await daemon.roster.look()
    assert "FORBIDDEN" in await send("three")


async def _lists(page: Page) -> None:
    await page.goto("/lists")
    await page.get_by_role("link", name="staff").wait_for()
    await picture(page, "lists-wide-light")
    await page.get_by_role("link", name="Import a table").click()
    await page.get_by_label("Account").fill("shop")
    await page.get_by_label("Name of the list").fill("77")
    table = f"Имя;Телефон\nИван;{A}\nОльга;+7 903 222-33-44\nПётр;7903\nЯна;7,9E+10\n".encode("cp1251")
    await page.get_by_label("Table").set_input_files({"name": "staff.csv", "mimeType": "text/csv", "buffer": table})
    preview = page.locator("#preview")
    await preview.get_by_text("2 lines refused").wait_for()
    await preview.get_by_text("windows-1251").wait_for()
    await accessible(page)
    await picture(page, "list-import-wide-light")
    await page.get_by_role("button", name="Import").click()
    await page.get_by_text("2 new numbers.").wait_for()
    await page.get_by_role("link", name="Open").click()
    await page.get_by_role("heading", name="77").wait_for()
    await page.get_by_label("Numbers", exact=True).fill("+7 903 333-44-55\ncall me")
    await page.get_by_role("button", name="Add", exact=True).click()
    await page.locator("#numbers-fault").wait_for()
    await page.get_by_label("Numbers", exact=True).fill("+7 903 333-44-55")
    await page.get_by_role("button", name="Add", exact=True).click()
    await page.get_by_text("3 numbers").wait_for()
    await page.get_by_role("button", name=f"Remove {B}").click()
    await page.get_by_text("2 numbers").wait_for()
    await page.goto("/lists/bank/staff?q=7903000001")
    await page.get_by_role("link", name="Further numbers").wait_for(state="detached")
    assert await page.locator("ul.numbers li").count() == 10
    await page.goto("/lists/bank/staff")
    await picture(page, "list-wide-light")
    await page.get_by_role("link", name="Further numbers").click()
    await page.get_by_text("79030000100", exact=True).wait_for()
    await page.goto("/lists/-/stop")
    await page.get_by_text(B).wait_for()
