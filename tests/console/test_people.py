"""Coming in, one's own account, people and the audit, in a real browser."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from playwright.async_api import Browser, Page

from gateway.daemon import Daemon
from gateway.policy.people import User
from gateway.policy.permissions import Role, Scope
from gateway.service.audit import Audit
from gateway.service.tokens import Tokens
from tests.browser import PHONE, WIDE, Watched, accessible, base, chromium, needs_chromium, picture, signed_in
from tests.console.test_who_may import OTHER, PASSWORD, house, office, quick
from tests.running import running

__all__ = ["quick"]

EVIL = "<img src=x onerror=alert(1)>"


async def opened(browser: Browser, daemon: Daemon, *, javascript: bool = True, dark: bool = False) -> Watched:
    context = await browser.new_context(
        base_url=base(daemon),
        viewport=WIDE,  # type: ignore[arg-type]
        locale="en",
        java_script_enabled=javascript,
        color_scheme="dark" if dark else "light",
    )
    return Watched(await context.new_page(), base(daemon))


async def sign_in(page: Page, login: str, password: str) -> None:
    await page.goto("/login?next=/me")
    await page.get_by_label("Login").fill(login)
    await page.get_by_label("Password").fill(password)
    await page.get_by_role("button", name="Sign in").click()


@needs_chromium
async def test_people_in_a_browser(tmp_path: Path) -> None:
    async with office(tmp_path) as rooms, chromium() as browser:
        daemon = rooms.daemon
        await Tokens(daemon.store).create(EVIL, frozenset({Scope.READ}), "anna", login="anna")
        for n in range(130):
            await Audit(daemon.store).note(
                "vera" if n % 2 else EVIL, "text" if n % 2 else "retry", f"M8C6AVKXR16PS-{n}"
            )

        plain = (await opened(browser, daemon, javascript=False)).page
        await sign_in(plain, "anna", OTHER)
        await plain.get_by_role("alert").get_by_text("Login or password is wrong").wait_for()
        await accessible_without(plain)
        await sign_in(plain, "anna", PASSWORD)
        await plain.get_by_role("heading", name="My account").wait_for()

        admin = await opened(browser, daemon)
        await sign_in(admin.page, "anna", PASSWORD)
        await admin.page.goto("/people")
        await admin.page.get_by_text("Invite somebody").click()
        await admin.page.get_by_label("Login").fill("Boris")
        await admin.page.get_by_label("Role").select_option("operator")
        await admin.page.get_by_role("button", name="Make a link").click()
        link = await admin.page.locator(".notice pre").inner_text()
        await picture(admin.page, "people-invited")

        guest = await opened(browser, daemon, dark=True)
        await guest.page.goto("/welcome/" + link.rpartition("/")[2])
        await accessible(guest.page)
        await picture(guest.page, "welcome")
        assert await guest.page.get_by_label("Login").input_value() == "boris"
        await guest.page.get_by_label("New password").fill(OTHER)
        await guest.page.get_by_label("The same again").fill(OTHER)
        await guest.page.get_by_role("button", name="Sign in").click()
        await guest.page.goto("/me")
        await guest.page.get_by_label("What it is for").fill("zabbix")
        await guest.page.get_by_label("send", exact=True).check()
        await guest.page.get_by_role("button", name="Make the token").click()
        assert (await guest.page.locator(".notice pre").inner_text()).startswith("e2s_")
        await accessible(guest.page)

        await admin.page.goto("/people")
        await admin.page.keyboard.press("j")
        await admin.page.keyboard.press("j")
        await admin.page.keyboard.press("Enter")
        await admin.page.get_by_role("heading", name="boris").wait_for()
        await accessible(admin.page)
        await picture(admin.page, "person")
        await admin.page.get_by_label("May not come in").check()
        await admin.page.get_by_role("button", name="Save").click()
        await admin.page.get_by_text("None.").wait_for()
        await guest.page.goto("/me")
        await guest.page.get_by_role("heading", name="Sign in").wait_for()  # out at once

        await admin.page.goto("/audit?who=vera")
        assert await admin.page.locator("tbody tr").count() == 65
        await admin.page.goto("/audit")
        await admin.page.get_by_role("link", name="Older ones").click()
        await admin.page.locator("tbody tr").nth(130).wait_for()
        assert admin.page.url.endswith("/audit")  # they were added below
        await picture(admin.page, "audit")
        await admin.page.get_by_role("group").get_by_text("anna").click()
        await admin.page.get_by_role("button", name="Sign out").click()
        await admin.page.get_by_role("heading", name="Sign in").wait_for()
        assert admin.faults == []
        assert guest.faults == []


async def accessible_without(page: Page) -> None:
    """A page whose scripts do not run cannot be asked by one; what matters is there."""
    assert await page.locator("label[for=login]").count() == 1
    assert await page.locator("form[method=post] input[name=password][type=password]").count() == 1


@needs_chromium
async def test_people_in_every_look(tmp_path: Path) -> None:
    looks: list[tuple[str, Any, bool, str]] = [("wide", WIDE, True, "uk"), ("phone", PHONE, False, "ru")]
    async with running(tmp_path, house()) as daemon, chromium() as browser:
        await Tokens(daemon.store).create("grafana", frozenset(Scope), "root", login="admin")
        for name, size, dark, language in looks:
            async with signed_in(browser, daemon, size=size, dark=dark, language=language) as watched:
                for path in ("/me", "/people/admin", "/people"):
                    await watched.page.goto(path)
                    if path == "/people":
                        await watched.page.locator("details.panel summary").click()
                    await accessible(watched.page)
                    await picture(watched.page, f"{path.strip('/').replace('/', '-')}-{name}")
                    too_wide = await watched.page.evaluate("document.documentElement.scrollWidth - innerWidth")
                    assert too_wide <= 0, path
        tenant = User("shop", Role.ADMIN, accounts=frozenset({"test_user"}))
        async with signed_in(browser, daemon, user=tenant) as watched:
            menu = watched.page.get_by_role("navigation")
            assert await menu.get_by_role("link", name="People").count() == 0
