"""Who comes into the console, who stays out, and what a forged request is worth."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import argon2
import httpx
import pytest
from structlog.testing import capture_logs

from gateway.daemon import Daemon
from gateway.policy.people import User
from gateway.policy.permissions import Role, Scope
from gateway.service.credentials import Credentials
from gateway.service.people import People
from gateway.service.sessions import Sessions
from gateway.service.tokens import Tokens
from gateway.settings.load import load
from gateway.web.cookies import inside
from tests.browser import CONSOLE, base, link
from tests.process import command
from tests.running import running, write_config

PASSWORD, OTHER = "correct horse", "battery staple"
NOBODY = {"tarpit": 0}
BEHIND = {"bind": "127.0.0.1:0", "proxies": ["127.0.0.1/32"]}


def house(**console: Any) -> dict[str, Any]:
    return {"console": {**CONSOLE["console"], **console}, "defence": NOBODY}


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """argon2 as it is, at a thousandth of its price."""
    cheap = partial(argon2.PasswordHasher, time_cost=1, memory_cost=64, parallelism=1)
    monkeypatch.setattr("gateway.service.credentials.PasswordHasher", cheap)


class Office:
    """The daemon, and its people as the command line reaches them."""

    def __init__(self, daemon: Daemon) -> None:
        self.daemon = daemon
        self.credentials = Credentials()
        terms = (daemon.store, lambda: daemon.intake.configuration, self.credentials)
        self.people, self.tokens = People(*terms), Tokens(daemon.store)
        self.sessions = Sessions(*terms, daemon.intake.bans)

    def browser(self, **headers: str) -> httpx.AsyncClient:
        return httpx.AsyncClient(base_url=base(self.daemon), headers={"Accept": "text/html", **headers})

    async def audit(self) -> list[tuple[str, str, str, str]]:
        from gateway.service.audit import Audit, Wanted

        looks, _ = await Audit(self.daemon.store).search(Wanted(), 100)
        return [(look.who, look.via, look.what, look.subject) for look in looks]


@asynccontextmanager
async def office(folder: Path, changes: dict[str, Any] | None = None) -> AsyncIterator[Office]:
    async with running(folder, changes or house()) as daemon:
        opened = Office(daemon)
        await opened.people.add(User("anna", Role.ADMIN), "root", PASSWORD)
        await opened.people.add(User("vera"), "root", PASSWORD)
        try:
            yield opened
        finally:
            opened.credentials.close()


async def sign_in(client: httpx.AsyncClient, login: str = "anna", password: str = PASSWORD, **more: str) -> int:
    answer = await client.post("/login", data={"login": login, "password": password, **more})
    return answer.status_code


def csrf(shown: str) -> str:
    found = re.search(r'name="csrf" value="([0-9a-f]{64})"', shown)
    assert found is not None
    return found[1]


async def test_the_first_admin_comes_by_the_link_in_the_log(tmp_path: Path) -> None:
    with capture_logs() as events:
        async with running(tmp_path, house()) as daemon, httpx.AsyncClient(base_url=base(daemon)) as client:
            (told,) = [event for event in events if event["event"] == "console.welcome"]
            path = "/welcome/" + told["link"].rpartition("/")[2]
            assert 'name="login"' in (await client.get(path)).text
            assert 'name="login"' in (await client.get(path)).text  # to look does not use it up
            given = {"login": "Anna", "password": PASSWORD, "again": PASSWORD}
            for wrong in ({"again": OTHER}, {"password": "short", "again": "short"}, {"login": "a b"}):
                assert (await client.post(path, data={**given, **wrong})).status_code == 422
            away = {"Origin": "https://evil.example"}
            assert (await client.post(path, data=given, headers=away)).status_code == 403
            answer = await client.post(path, data=given)
            assert (answer.status_code, answer.headers["location"]) == (303, "/")
            me = (await client.get("/api/v1/me")).json()
            assert (me["login"], me["scopes"], me["accounts"]) == ("anna", sorted(Scope), None)
            for method in ("GET", "POST"):
                assert (await client.request(method, path, data=given)).status_code == 403
    assert PASSWORD not in repr(events)
    with capture_logs() as events:
        async with running(tmp_path, house()):
            pass
    assert [event for event in events if event["event"] == "console.welcome"] == []


async def test_a_password_opens_a_session_and_signing_out_ends_it(tmp_path: Path) -> None:
    async with office(tmp_path) as rooms, rooms.browser() as client:
        answer = await client.get("/people?x=1")
        assert (answer.status_code, answer.headers["location"]) == (
            303,
            f"{base(rooms.daemon)}/login?next=%2Fpeople%3Fx%3D1",
        )
        for login, password in (("anna", OTHER), ("nobody", PASSWORD), ("", "")):
            shown = await client.post("/login", data={"login": login, "password": password})
            assert (shown.status_code, "is wrong" in shown.text, shown.cookies) == (401, True, httpx.Cookies())
        answer = await client.post("/login", data={"login": "ANNA", "password": PASSWORD, "next": "/people?x=1"})
        assert (answer.status_code, answer.headers["location"]) == (303, "/people?x=1")
        cookie = answer.headers["set-cookie"]
        assert "HttpOnly" in cookie
        assert "SameSite=lax" in cookie
        assert "Secure" not in cookie  # over plain HTTP the browser would not send it back
        first = client.cookies["email2sms"]
        shown = await client.get("/people")
        assert shown.headers["cache-control"] == "no-store"
        assert "vera" in shown.text
        assert (await client.get("/login")).status_code == 303

        planted = await sign_in(client)
        assert planted == 303
        second = client.cookies["email2sms"]
        assert second != first  # no session is taken over into the next one
        assert len(await rooms.sessions.of("anna")) == 1
        token = csrf((await client.get("/me")).text)
        assert (await client.post("/logout")).status_code == 403
        assert (await client.post("/logout", data={"csrf": token})).status_code == 303
        assert "email2sms" not in client.cookies
        assert (await client.get("/me", headers={"Cookie": f"email2sms={second}"})).status_code == 303
        assert await rooms.sessions.of("anna") == []


@pytest.mark.parametrize(
    "target", ["https://evil.example/", "//evil.example", "/\\evil.example", "javascript:x", "/\tx"]
)
async def test_nobody_is_led_elsewhere(tmp_path: Path, target: str) -> None:

    assert inside(target) == "/"


async def test_requests_of_other_sites_do_nothing(tmp_path: Path) -> None:
    async with office(tmp_path) as rooms, rooms.browser() as client:
        for header in ({"Origin": "https://evil.example"}, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"}):
            answer = await client.post("/login", data={"login": "anna", "password": PASSWORD}, headers=header)
            assert answer.status_code == 403
        await sign_in(client)
        token = csrf((await client.get("/me")).text)
        change = {"role": "viewer", "disabled": "true"}
        ours = {"Origin": base(rooms.daemon), "Sec-Fetch-Site": "same-origin"}
        for data, headers in (
            (change, ours),
            ({**change, "csrf": ""}, ours),
            ({**change, "csrf": "0" * 64}, ours),
            ({**change, "csrf": "ы"}, ours),
            ({**change, "csrf": token}, {"Origin": "https://evil.example"}),
            ({**change, "csrf": token}, {"Sec-Fetch-Site": "same-site"}),
        ):
            assert (await client.post("/people/vera", data=data, headers=headers)).status_code == 403
        answer = await client.patch("/api/v1/users/vera", json={"disabled": True})
        assert (answer.status_code, answer.headers["content-type"]) == (403, "application/problem+json")
        assert not (await rooms.people.all())[1].disabled
        for other in (await client.get("/nothing"), await client.get("/me")):
            assert "frame-ancestors 'none'" in other.headers["content-security-policy"]
            assert other.headers["x-content-type-options"] == "nosniff"
        assert (await client.post("/people/vera", data={**change, "csrf": token}, headers=ours)).status_code == 303
        assert (await rooms.people.all())[1].disabled
        answer = await client.patch("/api/v1/users/vera", json={"disabled": False}, headers={"X-CSRF-Token": token})
        assert answer.json()["disabled"] is False


async def test_a_viewer_manages_nobody(tmp_path: Path) -> None:
    async with office(tmp_path) as rooms, rooms.browser() as client:
        await sign_in(client, "vera")
        shown = (await client.get("/")).text
        assert "/people" not in shown
        token = csrf((await client.get("/me")).text)
        for path in ("/people", "/people/anna", "/audit", "/audit.csv", "/api/v1/users", "/api/v1/audit"):
            assert (await client.get(path)).status_code == 403, path
        for path in ("/people", "/people/vera", "/people/vera/link", "/people/anna/remove"):
            assert (await client.post(path, data={"csrf": token, "role": "admin"})).status_code == 403, path
        asked = {"csrf": token, "name": "x", "scope": ["read", "admin"]}
        assert (await client.post("/me/tokens", data=asked)).status_code == 403
        answer = await client.post(
            "/api/v1/tokens", json={"name": "x", "scopes": ["send"]}, headers={"X-CSRF-Token": token}
        )
        assert answer.status_code == 403
        assert [user.role for user in await rooms.people.all()] == [Role.ADMIN, Role.VIEWER]
        assert await rooms.tokens.listed() == []


async def test_guessing_in_the_console_ends_like_guessing_by_mail(tmp_path: Path) -> None:
    with capture_logs() as events:
        async with office(tmp_path, {"console": BEHIND, "defence": NOBODY}) as rooms:
            async with rooms.browser(**{"X-Forwarded-For": "198.51.100.7, 203.0.113.9"}) as guesser:
                assert [await sign_in(guesser, password="wrong") for _ in range(5)] == [401] * 5
                assert await sign_in(guesser) == 429
                assert await sign_in(guesser, "vera") == 429  # the network
            async with rooms.browser(**{"X-Forwarded-For": "203.0.113.10"}) as other:
                assert await sign_in(other) == 429  # the user, from elsewhere
                assert await sign_in(other, "vera") == 303
            async with rooms.browser() as at_home:
                assert await sign_in(at_home) == 303
            assert rooms.daemon.intake.bans.bars("203.0.113.9")
            assert not rooms.daemon.intake.bans.bars("198.51.100.7")  # the proxy never saw that one
            code, out, _ = await command("bans", "list", "--config", str(tmp_path / "gateway.yaml"))
    assert (code, "user anna" in out, "network 203.0.113.9/32" in out) == (0, True, True)
    assert PASSWORD not in repr(events)


async def test_nobody_says_by_a_header_where_he_comes_from(tmp_path: Path) -> None:
    async with office(tmp_path) as rooms, rooms.browser(**{"X-Forwarded-For": "203.0.113.9"}) as client:
        for _ in range(6):
            await sign_in(client, password="wrong")
        assert not rooms.daemon.intake.bans.bars("203.0.113.9")
        assert (await client.get("/login", headers={"X-Forwarded-Proto": "https"})).headers.get(
            "strict-transport-security"
        ) is None


async def test_over_https_the_cookie_is_tied_to_the_host(tmp_path: Path) -> None:
    changes = {"console": {**BEHIND, "url": "https://sms.example.com"}, "defence": NOBODY}
    async with office(tmp_path, changes) as rooms:
        async with rooms.browser(**{"X-Forwarded-Proto": "https", "Host": "sms.example.com"}) as client:
            answer = await client.post("/login", data={"login": "anna", "password": PASSWORD})
            cookie = answer.headers["set-cookie"]
            assert cookie.startswith("__Host-email2sms=")
            assert "Secure" in cookie
            assert "Path=/" in cookie
            assert "Domain" not in cookie
            assert answer.headers["strict-transport-security"]
            secret = cookie.partition("=")[2].partition(";")[0]
            names = {name: f"{name}={secret}" for name in ("email2sms", "__Host-email2sms")}
            seen = {
                name: (await client.get("/me", headers={"Cookie": sent})).status_code for name, sent in names.items()
            }
            assert seen == {
                "email2sms": 303,
                "__Host-email2sms": 200,
            }  # a cookie that plain HTTP has set counts nothing
        assert (await rooms.people.link("vera")).startswith("https://sms.example.com/welcome/")


async def test_a_proxy_in_front_may_say_who_it_is_and_nobody_else(tmp_path: Path) -> None:
    changes = house(proxy={"networks": ["127.0.0.1/32"]})
    named = {"X-Remote-User": "vera"}
    async with office(tmp_path, changes) as rooms, rooms.browser() as client:
        answer = await client.get("/me", headers=named)
        assert (answer.status_code, "vera" in answer.text) == (200, True)
        token = csrf(answer.text)
        again = await client.get("/me", headers=named)
        assert csrf(again.text) == token  # one session for one browser
        assert len(await rooms.sessions.of("vera")) == 1
        assert (await client.get("/me")).status_code == 303  # the session is good with the proxy's word only
        form = {"csrf": token, "language": "uk"}
        assert (await client.post("/me/language", data=form, headers=named)).status_code == 303
        anna = {"X-Remote-User": "ANNA"}
        assert (await client.post("/me/language", data=form, headers=anna)).status_code == 403  # another's token
        assert "anna" in (await client.get("/me", headers=anna)).text
        assert (await client.get("/api/v1/me", headers={**named, "Accept": "*/*"})).json()["language"] == "uk"
        with capture_logs() as events:
            assert (await client.get("/me", headers={"X-Remote-User": "stranger"})).status_code == 303
        assert [event["why"] for event in events if event["event"] == "console.not_let_in"] == ["unknown"]
    (tmp_path / "other").mkdir()
    async with office(tmp_path / "other", house(proxy={"networks": ["10.0.0.1"]})) as rooms, rooms.browser() as client:
        with capture_logs() as events:
            spoofed = {**named, "X-Forwarded-For": "10.0.0.1"}
            for headers in (named, named, spoofed):
                assert (await client.get("/me", headers=headers)).status_code == 303
        assert len([event for event in events if event["event"] == "console.header_ignored"]) == 1


async def test_whom_a_proxy_brings_sees_what_the_settings_give_him(tmp_path: Path) -> None:
    changes = house(proxy={"networks": ["127.0.0.1"], "new_users": "viewer", "accounts": ["test_user"]})
    async with office(tmp_path, changes) as rooms, rooms.browser(**{"X-Remote-User": "dima"}) as client:
        assert (await client.get("/api/v1/me")).json()["accounts"] == ["test_user"]


async def test_the_audit_has_what_was_done_and_not_each_look(tmp_path: Path) -> None:
    async with office(tmp_path) as rooms, rooms.browser() as client:
        await sign_in(client)
        token = csrf((await client.get("/me")).text)
        before = len(await rooms.audit())
        form = {"csrf": token, "account": "test_user", "originator": "My Bank", "to": "79101234567", "text": "Да"}
        for path, more in (
            ("/compose/count", {}),
            ("/compose", {"do": "check"}),
            ("/explain", {"pasted": "Subject: x\n\ny"}),
            ("/lists/-/preview", {"pasted": "79101234567"}),
        ):
            answer = await client.post(path, data={**form, **more})
            assert answer.status_code == 200, (path, answer.text)
        headers = {"X-CSRF-Token": token}
        assert (await client.post("/api/v1/segments", json={"text": "x"}, headers=headers)).status_code == 200
        assert len(await rooms.audit()) == before
        sent = await client.post("/compose", data={**form, "do": "send", "once": "1"})
        mail = sent.headers["location"].partition("sent=")[2]
        again = await client.post("/compose", data={**form, "do": "send", "once": "1"})
        assert again.headers["location"] == sent.headers["location"]
        for path in ("/queue/hold", "/queue/resume"):
            held = await client.post(path, data={"csrf": token, "scope": "provider", "name": "main"})
            assert held.status_code == 303
        config = str(tmp_path / "gateway.yaml")
        assert (await command("hold", "--all", "--config", config))[0] == 0
        found = [(who, via, what, subject) for who, via, what, subject in await rooms.audit()][: -before or None]
        who = found[0][0]
        assert found == [
            (who, "cli", "hold", "all"),
            ("anna", "console", "resume", "provider main"),
            ("anna", "console", "hold", "provider main"),
            ("anna", "console", "send", mail),
        ]


async def test_tokens_are_for_programs(tmp_path: Path) -> None:
    async with office(tmp_path) as rooms, rooms.browser() as client:
        await rooms.people.change("vera", "root", lambda user: replace(user, role=Role.OPERATOR))
        await sign_in(client, "vera")
        token = csrf((await client.get("/me")).text)
        made = await client.post("/me/tokens", data={"csrf": token, "name": "zabbix", "scope": ["read", "send"]})
        found = re.search(r"e2s_[\w-]{43}", made.text)
        assert found is not None
        secret = found[0]
        assert secret not in (await client.get("/me")).text
        bearer = {"Authorization": f"Bearer {secret}"}
        async with rooms.browser(**bearer) as program:
            me = (await program.get("/api/v1/me")).json()
            assert (me["login"], me["scopes"]) == ("vera, token zabbix", ["read", "send"])
            assert (await program.get("/api/v1/users")).status_code == 403
            assert (await program.get("/me")).status_code == 403  # one's own affairs are for people
            answer = await program.post("/api/v1/tokens", json={"name": "more", "scopes": ["read"]})
            assert answer.status_code == 403  # a token makes no tokens
            assert (await program.get("/api/v1/me", headers={"Authorization": "Bearer e2s_x"})).status_code == 401
            assert (await program.get("/api/v1/me", headers={"Authorization": "Basic eDp5"})).status_code == 401
        # A wrong token is a stranger's request, whatever the cookie says.
        wrong = {"Authorization": "Bearer e2s_wrong"}
        assert (await client.get("/api/v1/me", headers=wrong)).status_code == 401
        (stored,) = await rooms.tokens.listed("vera")
        assert (await client.post(f"/me/tokens/{stored.id}/revoke", data={"csrf": token})).status_code == 303
        async with rooms.browser(**bearer) as program:
            assert (await program.get("/api/v1/me")).status_code == 401


async def test_the_api_of_people(tmp_path: Path) -> None:
    async with office(tmp_path) as rooms:
        _, secret = await rooms.tokens.create("ops", frozenset(Scope), "root")
        async with rooms.browser(Authorization=f"Bearer {secret}", Accept="application/json") as program:
            answer = await program.post("/api/v1/users", json={"login": "Boris", "accounts": ["shop"]})
            assert (answer.status_code, answer.json()["login"], answer.json()["accounts"]) == (201, "boris", ["shop"])
            assert "/welcome/" in answer.json()["link"]
            assert (await program.post("/api/v1/users", json={"login": "boris"})).status_code == 409
            assert (await program.post("/api/v1/users", json={"login": "b b"})).status_code == 422
            assert (await program.post("/api/v1/users", json={"login": "x", "rule": "admin"})).status_code == 422
            users = (await program.get("/api/v1/users")).json()
            assert [user["login"] for user in users["items"]] == ["anna", "boris", "vera"]
            changed = await program.patch("/api/v1/users/boris", json={"role": "operator", "accounts": None})
            assert (changed.json()["role"], changed.json()["accounts"]) == ("operator", None)
            assert (await program.patch("/api/v1/users/anna", json={"role": "viewer"})).status_code == 409
            assert (await program.delete("/api/v1/users/anna")).status_code == 409
            assert (await program.delete("/api/v1/users/boris")).status_code == 204
            for method, path in (("GET", ""), ("DELETE", ""), ("POST", "/link"), ("DELETE", "/sessions")):
                assert (await program.request(method, f"/api/v1/users/boris{path}")).status_code == 404
            made = await program.post("/api/v1/tokens", json={"name": "ci", "scopes": ["read"], "days": 1})
            assert made.json()["login"] is None
            async with rooms.browser(Authorization=f"Bearer {made.json()['token']}") as second:
                assert (await second.get("/api/v1/me")).json()["scopes"] == ["read"]
                assert (await second.get("/api/v1/tokens")).status_code == 403
            listed = (await program.get("/api/v1/tokens")).json()["items"]
            assert [one["name"] for one in listed] == ["ci", "ops"]
            assert (await program.delete(f"/api/v1/tokens/{made.json()['id']}")).status_code == 204
            assert (await program.delete("/api/v1/tokens/nothing")).status_code == 404
            page = (await program.get("/api/v1/audit", params={"limit": 2, "who": "token ops"})).json()
            assert [one["what"] for one in page["items"]] == ["token.revoke", "token.create"]
            rest = (await program.get("/api/v1/audit", params={"who": "token ops", "after": page["next"]})).json()
            assert [one["what"] for one in rest["items"]] == ["user.remove", "user.change", "user.add"]
            assert {one["via"] for one in rest["items"]} == {"api"}
            assert (await program.get("/api/v1/audit", params={"after": "x"})).status_code == 422


async def test_what_people_do_is_in_the_audit_once_and_by_its_door(tmp_path: Path) -> None:
    async with office(tmp_path) as rooms, rooms.browser() as client:
        await sign_in(client)
        token = csrf((await client.get("/me")).text)
        await client.post("/people/vera", data={"csrf": token, "role": "operator"})
        await client.post("/people/vera", data={"csrf": "wrong", "role": "admin"})
        await client.post("/me/sessions/end", data={"csrf": token})  # nothing is ended: nothing was done, but asked
        shown = (await client.get("/audit", params={"who": "anna"})).text
        assert "role operator" in shown
        table = (await client.get("/audit.csv", params={"what": "user.change"})).text
        assert table.splitlines()[0] == "at,who,via,what,subject"
        assert table.splitlines()[1].endswith("anna,console,user.change,vera: role operator")
        code, out, _ = await command("audit", "--who", "anna", "--config", str(tmp_path / "gateway.yaml"))
        assert (code, out.count("user.change")) == (0, 1)
        audit = await rooms.audit()
    assert audit[-3:] == [
        ("anna", "console", "session.begin", "password"),
        ("root", "cli", "user.add", "vera"),
        ("root", "cli", "user.add", "anna"),
    ]
    assert [entry for entry in audit if entry[2] == "user.change"] == [
        ("anna", "console", "user.change", "vera: role operator")
    ]


async def test_the_link_of_a_test_signs_in(tmp_path: Path) -> None:
    async with office(tmp_path) as rooms, rooms.browser() as client:
        opened = link(rooms.daemon, User("vera"))
        assert (await client.get(opened)).status_code == 303
        assert "vera" in (await client.get("/me")).text


@pytest.mark.parametrize(
    ("console", "warns"),
    [
        ({"bind": "0.0.0.0:8025"}, True),
        ({"bind": "[::]:8025", "url": "https://sms.example.com"}, True),
        ({"bind": "0.0.0.0:8025", "url": "https://sms.example.com", "proxies": ["10.0.0.1"]}, False),
        ({"bind": "127.0.0.1:8025"}, False),
        ({"bind": "[::1]:8025"}, False),
    ],
)
def test_a_console_in_clear_beyond_the_machine_is_warned_of(
    tmp_path: Path, console: dict[str, Any], warns: bool
) -> None:
    warnings = load(write_config(tmp_path, {"console": console})).warnings
    assert [warning.startswith(f"console.bind {console['bind']}") for warning in warnings] == [True] * warns
