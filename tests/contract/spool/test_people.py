"""Who may come in: what is stored, who is let in by it, and until when."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import argon2
import pytest

from gateway.policy.people import Token, User, program, visitor
from gateway.policy.permissions import SCOPES, Role, Scope
from gateway.service import upkeep
from gateway.service.audit import DOOR, Audit, Doorway, Wanted
from gateway.service.bans import Bans
from gateway.service.credentials import Credentials
from gateway.service.people import BadPassword, LastAdmin, People, Taken, Unknown
from gateway.service.sessions import Named, NotLetIn, Sessions, Stranger
from gateway.service.tokens import Tokens
from gateway.settings.load import load
from gateway.spool import people as stored
from gateway.spool.store import Store
from gateway.verdicts import Refused
from tests.contract.spool.given import NOW, rows
from tests.running import write_config

PASSWORD, OTHER = "correct horse", "battery staple"
HOME, ABROAD = Stranger("127.0.0.1", "Firefox"), Stranger("203.0.113.9", "curl")
ANNA = User("anna", Role.ADMIN)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """argon2 as it is, at a thousandth of its price."""
    cheap = partial(argon2.PasswordHasher, time_cost=1, memory_cost=64, parallelism=1)
    monkeypatch.setattr("gateway.service.credentials.PasswordHasher", cheap)


class House:
    """The services of one process on the store, and a clock to turn."""

    def __init__(self, store: Store, folder: Path) -> None:
        changes: dict[str, Any] = {
            "console": {"url": "https://sms.example.com/", "proxy": {"networks": ["10.0.0.1"], "new_users": "viewer"}},
            "defence": {"tarpit": 0},
        }
        self.now = NOW
        self.configuration = load(write_config(folder, changes))
        self.credentials = Credentials()
        terms = (store, lambda: self.configuration)
        self.bans = Bans(*terms, self.clock)
        self.people = People(*terms, self.credentials, self.clock)
        self.sessions = Sessions(*terms, self.credentials, self.bans, self.clock)
        self.tokens = Tokens(store, self.clock)
        self.audit = Audit(store, self.clock)

    def clock(self) -> float:
        return self.now

    async def comes_in(self, login: str = "anna", password: str = PASSWORD) -> str:
        secret = await self.sessions.by_password(login, password, HOME)
        assert secret is not None
        return secret

    async def booked(self) -> list[tuple[str, str, str]]:
        return [(look.who, look.what, look.subject) for look in (await self.audit.search(Wanted(), 99))[0]][::-1]


@pytest.fixture
async def house(store: Store, tmp_path: Path) -> AsyncIterator[House]:
    opened = House(store, tmp_path)
    yield opened
    opened.credentials.close()


async def test_the_first_admin_comes_by_a_link_that_is_good_once(house: House, store: Store, other: Store) -> None:
    url = await house.people.greet()
    assert url is not None
    assert url.startswith("https://sms.example.com/welcome/")
    lost = url.rpartition("/")[2]
    secret = (await house.people.link()).rpartition("/")[2]
    assert await house.people.accept(lost, "anna", PASSWORD) is None  # a new one voids the last
    with pytest.raises(BadPassword):
        await house.people.accept(secret, "anna", "short")
    with pytest.raises(ValueError, match="a login has"):
        await house.people.accept(secret, "an na", PASSWORD)
    assert await house.people.enter(secret) is None  # it is no link that signs in
    tries = [house.people.accept(secret, login, PASSWORD) for login in ("anna", "boris")]
    (first,) = [user for user in await asyncio.gather(*tries) if user is not None]
    assert visitor(first).scopes == frozenset(Scope)
    assert [user.login for user in await house.people.all()] == [first.login]
    assert await house.people.greet() is None
    with pytest.raises(Unknown):
        await house.people.link()
    for hidden in (secret, PASSWORD):
        assert hidden not in repr([await rows(store, f"select * from {table}") for table in ("users", "links")])


async def test_links_of_two_nodes_that_start_at_once(house: House, other: Store, tmp_path: Path) -> None:
    second = House(other, tmp_path)
    try:
        links = await asyncio.gather(house.people.greet(), second.people.greet())
        good = [await house.people.opened(url.rpartition("/")[2]) for url in links if url]
        assert len([link for link in good if link is not None]) == 1
    finally:
        second.credentials.close()


async def test_an_old_link_is_good_for_nothing(house: House) -> None:
    secret = (await house.people.link()).rpartition("/")[2]
    house.now += 3601
    assert await house.people.opened(secret) is None
    assert await house.people.accept(secret, "anna", PASSWORD) is None
    await house.people.add(ANNA, "root")
    enters = (await house.people.link("anna", enters=True)).rpartition("/")[2]
    assert await house.people.accept(enters, "anna", PASSWORD) is None  # it sets no password
    user = await house.people.enter(enters)
    assert user is not None
    assert await house.people.enter(enters) is None


async def test_a_password_lets_in_whatever_the_case_of_the_login(house: House) -> None:
    await house.people.add(replace(ANNA, login="Anna"), "root", PASSWORD)
    with pytest.raises(Taken):
        await house.people.add(ANNA, "root")
    secret = await house.comes_in("ANNA ")
    found = await house.sessions.find(secret)
    assert found is not None
    assert (found[0].login, found[0].peer, found[0].agent, found[0].how) == ("anna", HOME.peer, "Firefox", "password")
    assert found[1].seen_at == NOW
    for login, password in (("anna", OTHER), ("boris", PASSWORD), ("", ""), ("a b", PASSWORD)):
        assert await house.sessions.by_password(login, password, HOME) is None
    assert await house.sessions.find("x" * 43) is None


async def test_sessions_end_by_themselves_and_by_hand(house: House, store: Store) -> None:
    await house.people.add(ANNA, "root", PASSWORD)
    await house.people.add(User("boris"), "root", PASSWORD)
    one, two, theirs = await house.comes_in(), await house.comes_in(), await house.comes_in("boris")
    house.now += 11 * 3600
    assert await house.sessions.find(one)
    house.now += 2 * 3600
    assert await house.sessions.find(two) is None  # nobody used it for 12 hours
    assert await house.sessions.find(one)  # the look before was written down
    assert [session.seen_at for session in await house.sessions.of("anna")] == [house.now]
    for _ in range(16):
        house.now += 11 * 3600
        alive = await house.sessions.find(one)
    assert alive is None  # a week is over
    three, four = await house.comes_in(), await house.comes_in()
    kept = await house.sessions.find(four)
    assert kept is not None
    assert await house.sessions.end("anna", "anna", but=kept[0].id) >= 1
    assert await house.sessions.find(three) is None
    assert await house.sessions.find(four) is not None
    assert await house.sessions.end("boris", "boris", only=kept[0].id) == 0  # not his
    assert theirs not in repr(await rows(store, "select * from sessions"))
    await upkeep.prune(store, house.now, house.configuration.settings.retention)
    assert await rows(store, "select login from sessions") == [("anna",)]


async def test_who_is_disabled_demoted_or_removed_is_so_at_once(house: House) -> None:
    await house.people.add(ANNA, "root", PASSWORD)
    await house.people.add(User("boris", Role.OPERATOR, accounts=frozenset({"shop"})), "root", PASSWORD)
    secret = await house.comes_in("boris")
    _, shown = await house.tokens.create("zabbix", frozenset(Scope), "boris", login="boris")
    await house.people.change("boris", "anna", lambda user: replace(user, role=Role.VIEWER))
    found = await house.sessions.find(secret)
    assert found is not None
    assert visitor(found[1]).scopes == {Scope.READ}
    owned = await house.tokens.find(shown)
    assert owned is not None
    assert program(*owned).scopes == {Scope.READ}
    assert program(*owned).accounts == frozenset({"shop"})
    await house.people.change("boris", "anna", lambda user: replace(user, disabled=True))
    assert await house.sessions.find(secret) is None
    assert await house.tokens.find(shown) is None
    assert await house.sessions.by_password("boris", PASSWORD, HOME) is None
    await house.people.change("boris", "anna", lambda user: replace(user, disabled=False))
    assert await house.sessions.find(secret) is None  # it does not come back
    assert await house.tokens.find(shown)
    await house.people.remove("boris", "anna")
    assert await house.tokens.find(shown) is None
    assert await house.tokens.listed() == []
    with pytest.raises(Unknown):
        await house.people.remove("boris", "anna")
    assert ("anna", "user.change", "boris: role viewer") in await house.booked()
    assert ("anna", "user.change", "boris: disabled true") in await house.booked()


async def test_somebody_must_stay_who_manages(house: House) -> None:
    await house.people.add(ANNA, "root", PASSWORD)
    for change in (
        lambda user: replace(user, disabled=True),
        lambda user: replace(user, role=Role.OPERATOR),
        lambda user: replace(user, accounts=frozenset({"shop"})),  # a tenant's admin manages nobody
    ):
        with pytest.raises(LastAdmin):
            await house.people.change("anna", "anna", change)
    with pytest.raises(LastAdmin):
        await house.people.remove("anna", "anna")
    assert await house.people.find("anna") == (await house.people.all())[0]
    await house.people.add(User("boris", Role.ADMIN), "root")
    both = [house.people.remove(login, "root") for login in ("anna", "boris")]
    results = await asyncio.gather(*both, return_exceptions=True)
    assert [type(result) for result in results if result is not None] == [LastAdmin]


async def test_a_new_password_ends_the_sessions(house: House) -> None:
    await house.people.add(ANNA, "root", PASSWORD)
    mine, stolen = await house.comes_in(), await house.comes_in()
    own = await house.sessions.find(mine)
    assert own is not None
    for bad in ("short", "x" * 257, "anna anna"):
        with pytest.raises(BadPassword):
            await house.people.set_password("anna", bad, "anna")
    await house.people.set_password("anna", OTHER, "anna", keep=own[0].id)
    assert await house.sessions.find(mine)
    assert await house.sessions.find(stolen) is None
    assert await house.sessions.by_password("anna", PASSWORD, HOME) is None
    reset = (await house.people.link("anna", "root")).rpartition("/")[2]
    again = await house.people.accept(reset, "whoever", PASSWORD)
    assert again is not None
    assert again.login == "anna"
    assert await house.sessions.find(mine) is None


async def test_guessing_is_counted_and_is_not_the_account_s(house: House) -> None:
    await house.people.add(ANNA, "root", PASSWORD)
    for _ in range(5):
        assert await house.sessions.by_password("anna", "wrong", ABROAD) is None
    for stranger in (ABROAD, Stranger("198.51.100.7")):  # the network, and from elsewhere the user
        with pytest.raises(Refused):
            await house.sessions.by_password("anna", PASSWORD, stranger)
    assert await house.sessions.by_password("anna", PASSWORD, HOME)  # not on the machine itself
    assert set(house.bans._until) == {"network 203.0.113.9/32", "user anna"}


async def test_a_token_may_what_it_says_and_no_more_than_its_owner(house: House, store: Store) -> None:
    await house.people.add(User("boris", Role.VIEWER), "root", PASSWORD)
    token, secret = await house.tokens.create("ci", frozenset({Scope.SEND}), "root", accounts=frozenset({"shop"}))
    assert secret.startswith("e2s_")
    found = await house.tokens.find(secret)
    assert found is not None
    assert program(*found).scopes == {Scope.SEND}
    assert program(*found).accounts == frozenset({"shop"})
    _, his = await house.tokens.create("his", frozenset({Scope.SEND, Scope.READ}), "boris", login="boris", lasting_s=60)
    found = await house.tokens.find(his)
    assert found is not None
    assert program(*found).scopes == {Scope.READ}
    assert [token.name for token in await house.tokens.listed("boris")] == ["his"]
    for wrong in ("", "e2s_", secret[4:], secret + "x"):
        assert await house.tokens.find(wrong) is None
    assert secret not in repr(await rows(store, "select * from tokens"))
    house.now += 61
    assert await house.tokens.find(his) is None
    assert await house.tokens.find(secret)
    assert {token.used_at for token in await house.tokens.listed() if token.login is None} == {house.now}
    assert not await house.tokens.revoke(token.id, "boris", "boris")
    assert await house.tokens.revoke(token.id, "anna")
    assert await house.tokens.find(secret) is None


def test_a_token_s_accounts_and_its_owner_s() -> None:
    def of(mine: set[str] | None, his: set[str] | None) -> Any:
        def frozen(given: set[str] | None) -> frozenset[str] | None:
            return None if given is None else frozenset(given)

        return program(
            Token("1", "t", "b", frozenset(Scope), frozen(mine), NOW), User("b", accounts=frozen(his))
        ).accounts

    assert [of(None, None), of({"a"}, None), of(None, {"a"}), of({"a", "b"}, {"b", "c"})] == [None, {"a"}, {"a"}, {"b"}]
    assert SCOPES[Role.VIEWER] == {Scope.READ}


def named(subject: str, login: str, role: Role | None, **more: Any) -> Named:
    return Named(subject, login, role, **{"texts": None, "accounts": None, "target": "/", **more})


async def test_whom_an_openid_provider_names(house: House) -> None:
    admin = Role.ADMIN
    new = await house.sessions.by_oidc(named("idp 1", "Vera", Role.OPERATOR), new_users=True)
    assert (new.login, new.role, new.texts, new.accounts) == ("vera", Role.OPERATOR, False, frozenset())
    again = await house.sessions.by_oidc(named("idp 1", "vera.new", admin, texts=True), new_users=False)
    assert (again.login, again.role, again.texts) == ("vera", admin, True)  # the same one, whatever he is called now
    for said, seen in ((frozenset({"shop"}), {"shop"}), (None, {"shop"}), (frozenset({"*", "x"}), None), (None, None)):
        again = await house.sessions.by_oidc(named("idp 1", "vera", admin, accounts=said), new_users=False)
        assert again.accounts == seen
    await house.people.add(User("boris"), "root", PASSWORD)
    await house.people.add(User("galya"), "root")
    for subject, login, role, why in (
        ("idp 2", "vera", admin, "taken"),  # somebody else with her login
        ("idp 2", "boris", admin, "taken"),  # who has a password is not taken over
        ("idp 2", "dima", admin, "unknown"),
        ("idp 2", "galya", None, "role"),
        ("idp 2", "", admin, "login"),
    ):
        with pytest.raises(NotLetIn, match=why):
            await house.sessions.by_oidc(named(subject, login, role), new_users=False)
    known = await house.sessions.by_oidc(named("idp 3", "galya", admin), new_users=False)
    assert (known.subject, known.accounts) == ("idp 3", None)  # somebody has added her
    await house.people.change("galya", "root", lambda user: replace(user, disabled=True))
    with pytest.raises(NotLetIn, match="disabled"):
        await house.sessions.by_oidc(named("idp 3", "galya", admin), new_users=False)


async def test_whom_a_proxy_names(house: House) -> None:
    assert (await house.sessions.by_proxy("CORP\\Boris")).login == "corp\\boris"
    known = await house.sessions.by_proxy("corp\\boris")
    assert (known.role, known.accounts) == (Role.VIEWER, frozenset())
    with pytest.raises(NotLetIn, match="login"):
        await house.sessions.by_proxy("two words")


async def test_the_audit_knows_the_door_and_goes_on_where_it_stopped(house: House) -> None:
    for n in range(5):
        house.now = NOW + n // 2  # some at one moment
        await house.audit.note("anna", "retry" if n % 2 else "text", str(n))
    DOOR.set(door := Doorway("api"))
    await house.audit.note("boris", "retry", "5")
    assert door.noted
    found: list[str] = []
    place = None
    while True:
        looks, place = await house.audit.search(Wanted(), 2, place)
        found += [look.subject for look in looks]
        if place is None:
            break
    assert found == ["5", "4", "3", "2", "1", "0"]

    async def subjects(**wanted: Any) -> list[str]:
        return [look.subject for look in (await house.audit.search(Wanted(**wanted), 9))[0]]

    assert await subjects(who="boris") == ["5"]
    assert await subjects(what="text") == ["4", "2", "0"]
    assert await subjects(since=NOW + 1, until=NOW + 2) == ["3", "2"]
    looks, _ = await house.audit.search(Wanted(who="boris"), 1)
    assert looks[0].via == "api"


async def test_an_empty_house_of_admins_is_noticed(store: Store) -> None:
    await store.write(lambda c: stored.add(c, ANNA))
    with pytest.raises(LastAdmin):
        await store.write(lambda c: stored.change(c, replace(ANNA, role=Role.VIEWER)))
    assert (await store.read(stored.listed))[0].role is Role.ADMIN  # nothing was changed
