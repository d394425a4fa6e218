"""Sign in with an OpenID provider: one that tells the truth, and one that lies in every way we know."""

from __future__ import annotations

import socket
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
from structlog.testing import capture_logs

from gateway.policy.people import User
from tests.browser import base
from tests.console.test_who_may import NOBODY, Office, office, quick
from tests.identity import CLIENT, SECRET, Provider, provider

__all__ = ["quick"]


@asynccontextmanager
async def at(folder: Path, idp: Provider, **more: Any) -> AsyncIterator[tuple[Office, httpx.AsyncClient]]:
    """A browser at a console that knows this provider."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    oidc = {
        "issuer": idp.issuer,
        "client_id": CLIENT,
        "client_secret": SECRET,
        "roles": {"ops": "operator", "chiefs": "admin"},
        "texts": ["readers"],
        "accounts": {"chiefs": ["*"], "shopkeepers": ["shop"]},
        **more,
    }
    url = f"http://127.0.0.1:{port}"
    changes = {"console": {"bind": f"127.0.0.1:{port}", "url": url, "oidc": oidc}, "defence": NOBODY}
    async with office(folder, changes) as rooms, rooms.browser() as client:
        yield rooms, client


async def goes(client: httpx.AsyncClient, target: str = "/me") -> httpx.Response:
    """To the provider and back, as a browser; the answer to coming back."""
    answer = await client.get("/login/oidc", params={"next": target})
    assert answer.status_code == 302
    async with httpx.AsyncClient() as elsewhere:
        back = await elsewhere.get(answer.headers["location"])
    return await client.get(back.headers["location"])


async def test_who_is_named_comes_in_with_the_role_that_is_named(tmp_path: Path) -> None:
    async with provider() as idp, at(tmp_path, idp) as (rooms, client):
        assert "/login/oidc?next=" in (await client.get("/login")).text
        answer = await goes(client)
        assert (answer.status_code, answer.headers["location"]) == (303, "/me")
        (asked,) = idp.asked
        assert asked["scope"] == "openid profile email"
        assert asked["redirect_uri"] == f"{base(rooms.daemon)}/login/oidc/back"
        me = (await client.get("/api/v1/me")).json()
        assert (me["login"], me["scopes"]) == ("zoya", ["numbers", "operate", "read", "send"])


async def test_the_whole_life_of_a_named_one(tmp_path: Path) -> None:
    async with provider() as idp, at(tmp_path, idp) as (rooms, client):
        idp.person = {"sub": "77", "preferred_username": "Galya", "groups": ["ops", "others"]}
        assert (await goes(client)).status_code == 303
        assert (await client.get("/api/v1/me")).json()["scopes"] == ["numbers", "operate", "read", "send"]
        idp.person = {"sub": "77", "preferred_username": "galya.new", "groups": ["ops", "chiefs", "readers"]}
        assert (await goes(client)).status_code == 303
        me = (await client.get("/api/v1/me")).json()
        assert (me["login"], len(me["scopes"])) == ("galya", 7)
        assert [session.how for session in await rooms.sessions.of("galya")] == ["oidc"]
        assert me["accounts"] is None
        idp.person["groups"] = ["ops", "shopkeepers"]
        assert (await goes(client)).status_code == 303
        assert (await client.get("/api/v1/me")).json()["accounts"] == ["shop"]
        for person, why in (
            ({"groups": ["others"]}, "role"),
            ({"groups": None}, "role"),
            ({"sub": "78", "preferred_username": "Galya"}, "taken"),
            ({"sub": "79", "preferred_username": "anna"}, "taken"),  # she has a password here
            ({"sub": "80", "preferred_username": "two words"}, "login"),
        ):
            idp.person = {"sub": "77", "preferred_username": "galya", "groups": ["ops"], **person}
            answer = await goes(client)
            assert answer.status_code == 403, why
        assert {user.login for user in await rooms.people.all()} == {"anna", "vera", "galya"}


async def test_a_new_one_sees_nothing_until_somebody_says_so(tmp_path: Path) -> None:
    async with provider() as idp, at(tmp_path, idp, accounts={}) as (rooms, client):
        assert (await goes(client)).status_code == 303
        assert (await client.get("/api/v1/me")).json()["accounts"] == []
        page = (await client.get("/")).text
        assert "You see no account yet" in page
        assert (await client.get("/api/v1/accounts")).json()["items"] == []
        await rooms.people.change("zoya", "root", lambda user: replace(user, accounts=frozenset({"test_user"})))
        assert (await goes(client)).status_code == 303  # what was said stays
        assert (await client.get("/api/v1/me")).json()["accounts"] == ["test_user"]
        assert "You see no account yet" not in (await client.get("/")).text


async def test_only_known_ones_where_the_settings_say_so(tmp_path: Path) -> None:
    async with provider() as idp, at(tmp_path, idp, new_users=False) as (rooms, client):
        idp.person = {"sub": "5", "preferred_username": "dima", "groups": "ops"}
        assert (await goes(client)).status_code == 403
        await rooms.people.add(User("dima"), "root")
        assert (await goes(client)).status_code == 303


def lies(**claims: Any) -> Callable[[Provider], None]:
    return lambda idp: idp.lies.update(claims)


LIES: dict[str, Callable[[Provider], None]] = {
    "another question's nonce": lies(nonce="another"),
    "no nonce": lies(nonce=None),
    "for somebody else": lies(aud="somebody else"),
    "for somebody else, in our name": lies(aud="somebody else", azp=CLIENT),
    "for others, in our name": lies(aud=["somebody else"], azp=CLIENT),
    "by another issuer": lies(iss="http://127.0.0.1:1"),
    "by nobody": lies(iss=None),
    "expired": lies(exp=int(time.time()) - 3600),
    "for ever": lies(exp=None),
    "of tomorrow": lies(iat=int(time.time()) + 3600),
    "about nobody": lies(sub=None),
    "without a login": lies(preferred_username=None),
    "signed with another key": lambda idp: idp.sign_with_another_key(),
    "signed with the public key": lambda idp: idp.sign_by("HS256"),
    "not signed": lambda idp: idp.sign_by("none"),
}


async def test_a_lie_is_no_proof(tmp_path: Path) -> None:
    async with provider() as idp, at(tmp_path, idp) as (rooms, client):
        for what, lie in LIES.items():
            idp.be_honest()
            lie(idp)
            with capture_logs() as events:
                answer = await goes(client)
            assert (answer.status_code, "does not prove" in answer.text) == (401, True), what
            assert [event["event"] for event in events if event["event"].startswith("oidc")] == ["oidc.not_proven"]
            assert SECRET not in repr(events)
            assert "email2sms" not in client.cookies
        assert await rooms.sessions.of("zoya") == []
        idp.be_honest()
        assert (await goes(client)).status_code == 303


async def test_an_answer_that_nobody_asked_for(tmp_path: Path) -> None:
    async with provider() as idp, at(tmp_path, idp) as (rooms, client):
        # An attacker's own code, for somebody else's browser.
        start = await client.get("/login/oidc")
        async with httpx.AsyncClient() as elsewhere:
            back = (await elsewhere.get(start.headers["location"])).headers["location"]
        async with rooms.browser() as victim:
            assert (await victim.get(back)).status_code == 401
            await victim.get("/login/oidc")
            assert (await victim.get(back)).status_code == 401  # it is not the answer to this question
        for query in ("", "?error=access_denied", "?code=x", "?code=x&state=y"):
            assert (await client.get(f"/login/oidc/back{query}")).status_code == 401
        assert (await client.get(back)).status_code == 303
        assert (await client.get(back)).status_code == 401  # it has been used
        assert len(await rooms.sessions.of("zoya")) == 1


async def test_without_the_provider_the_password_still_works(tmp_path: Path) -> None:
    async with provider() as idp:
        pass
    async with at(tmp_path, idp) as (_, client):
        answer = await client.get("/login/oidc")
        assert (answer.status_code, "cannot be reached" in answer.text) == (503, True)
        answer = await client.post("/login", data={"login": "anna", "password": "correct horse"})
        assert answer.status_code == 303
