"""Accounts and lists of the store, at the doors of a running gateway: no reload, no restart."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from gateway.daemon import Daemon
from gateway.service.accounts import AccountFaults, Accounts, Taken
from gateway.service.lists import EVERYBODY, STOP, Lists
from gateway.service.roster import whole
from gateway.settings.load import load
from gateway.spool.store import Store
from tests.running import ACCOUNT, Client, handsets, running, subject_mail, template, write_config

SENDER = "till@shop.example"
SHOP: dict[str, Any] = {"senders": ["*@shop.example"], "originators": ["Shop"], "language": "ru"}
A, B = "79031112233", "79032223344"


@pytest.fixture
async def daemon(tmp_path: Path) -> AsyncIterator[Daemon]:
    async with running(tmp_path) as daemon:
        yield daemon


def accounts(daemon: Daemon) -> Accounts:
    return Accounts(daemon.store, lambda: daemon.intake.configuration)


def lists(daemon: Daemon) -> Lists:
    return Lists(daemon.store, lambda: daemon.intake.configuration)


async def shop(daemon: Daemon, password: str = "secret12") -> Accounts:
    service = accounts(daemon)
    await service.add("shop", SHOP, "root")
    await service.set_password("shop", password, "root")
    await daemon.roster.look()
    return service


async def said(daemon: Daemon, subject: str, to: str, text: str = "Hello") -> str:
    client = await Client.connect(daemon)
    await client.say("EHLO x")
    content = subject_mail(subject, text).replace(b"alerts@bank.example", SENDER.encode())
    return await client.mail(content, f"{to}@sms.example.com", sender=SENDER)


async def test_a_new_account_sends_within_seconds_and_no_more_when_it_is_switched_off(daemon: Daemon) -> None:
    service = accounts(daemon)
    assert "550 5.7.1 FORBIDDEN" in await said(daemon, "Shop;shop;secret12;", A)  # nobody may be this sender
    await service.add("shop", SHOP, "root", enabled=False)
    await service.set_password("shop", "secret12", "root")
    async with asyncio.timeout(10):  # nobody tells the gateway: it looks
        while not daemon.intake.knows("shop"):
            await asyncio.sleep(0.05)
    await daemon.roster.look()  # it may have seen the account and not yet the password
    assert "FORBIDDEN" in await said(daemon, "Shop;shop;secret12;", A)
    await service.switch("shop", True, "root")
    await daemon.roster.look()
    assert "250" in await said(daemon, "Shop;shop;secret12;", A)
    assert "AUTH" in await said(daemon, "Shop;shop;wrong;", A)
    (sms,) = await handsets(daemon, 1)
    assert (sms.originator, sms.destination) == ("Shop", A)
    await service.remove("shop", "root")
    await daemon.roster.look()
    assert "FORBIDDEN" in await said(daemon, "Shop;shop;secret12;", A)


async def test_smtp_auth_and_a_new_password(daemon: Daemon) -> None:
    service = await shop(daemon)

    async def login(password: str) -> str:
        client = await Client.connect(daemon)
        await client.say("EHLO x")
        return await client.say("AUTH PLAIN " + base64.b64encode(f"\0shop\0{password}".encode()).decode())

    assert "235" in await login("secret12")
    made = await service.set_password("shop", None, "root")
    await daemon.roster.look()
    assert "535" in await login("secret12")
    assert "235" in await login(made)


async def test_keys_are_used_rest_and_are_gone(daemon: Daemon) -> None:
    service = await shop(daemon)
    key, chosen = await service.add_key("shop", "till 3", "root")
    for anothers in (chosen, "0a1b2c"):  # in the store, in the file
        with pytest.raises(Taken):
            await service.add_key("shop", "the same", "root", anothers)
    await daemon.roster.look()
    assert "250" in await said(daemon, f"Shop;{chosen};", A)
    await service.switch_key("shop", key.id, False, "root")
    await daemon.roster.look()
    assert "AUTH" in await said(daemon, f"Shop;{chosen};", A)
    await service.switch_key("shop", key.id, True, "root")
    await daemon.roster.look()
    assert "250" in await said(daemon, f"Shop;{chosen};", A, "again")
    await service.revoke_key("shop", key.id, "root")
    await daemon.roster.look()
    assert "AUTH" in await said(daemon, f"Shop;{chosen};", A)


async def test_a_number_of_ours_is_of_one_account(tmp_path: Path) -> None:
    mine: dict[str, Any] = {"incoming": {"numbers": ["1234"]}}
    async with running(tmp_path, accounts=[{**ACCOUNT, **mine}]) as daemon:
        service = accounts(daemon)
        with pytest.raises(AccountFaults, match='"1234" is of account test_user'):
            await service.add("shop", {**SHOP, **mine}, "root")
        await service.add("shop", {**SHOP, "incoming": {"numbers": ["5678"]}}, "root")
        with pytest.raises(AccountFaults, match='"5678" is of account shop'):
            await service.add("other", {"incoming": {"numbers": ["5678"]}}, "root")
        with pytest.raises(AccountFaults, match='"1234"'):
            await service.change("shop", {**SHOP, **mine}, "root")
        await daemon.roster.look()
        owner = daemon.intake.configuration.directory.owner_of("5678")
        assert owner is not None and owner.login == "shop"
        assert not daemon.intake.knows("other")


async def test_lists_of_the_store_and_stop_lists(daemon: Daemon) -> None:
    await shop(daemon)
    numbers = lists(daemon)
    await numbers.put("shop", "77", [A, B], "root")
    await daemon.roster.look()
    assert "250" in await said(daemon, "Shop;shop;secret12;77;", "shop")
    assert {sms.destination for sms in await handsets(daemon, 2)} == {A, B}
    await numbers.put("shop", STOP, [A], "root")
    await daemon.roster.look()
    assert "BANNED" in await said(daemon, "Shop;shop;secret12;", A)
    assert "250" in await said(daemon, "Shop;shop;secret12;77;", "shop", "the other only")
    assert [sms.destination for sms in await handsets(daemon, 3)].count(A) == 1
    await numbers.take_out("shop", "77", [A, B], "root")  # what a list holds is asked for by each mail
    assert "550 5.1.1 NO LIST" in await said(daemon, "Shop;shop;secret12;77;", "shop")
    await numbers.drop("shop", "77", "root")
    await daemon.roster.look()
    assert "550 5.1.1 NO LIST" in await said(daemon, "Shop;shop;secret12;77;", "shop")


async def test_the_stop_list_for_all_holds_for_accounts_of_the_file(daemon: Daemon) -> None:
    await lists(daemon).put(EVERYBODY, STOP, ["79101234567"], "root")
    await lists(daemon).put("test_user", "stored", [A], "root")
    await daemon.roster.look()
    client = await Client.connect(daemon)
    await client.say("EHLO x")
    assert "BANNED" in await client.mail(template(), "emailtosms@sms.example.com")
    assert "250" in await client.mail(template(numbers=B), "emailtosms@sms.example.com")
    by_list = subject_mail("My Bank;test_user;qwerty12;stored;")
    assert "250" in await client.mail(by_list, "test_user@sms.example.com")
    assert [sms.destination for sms in await handsets(daemon, 2)] == [B, A]


async def test_a_provisioned_account_wins_and_a_reload_keeps_the_others(tmp_path: Path) -> None:
    async with running(tmp_path, accounts=[]) as daemon:
        await shop(daemon)
        await accounts(daemon).add("test_user", SHOP, "root")
        await daemon.roster.look()
        assert not daemon.intake.configuration.directory.accounts["test_user"].provisioned
        write_config(tmp_path, {"limits": {"hold_above": 7}})
        daemon.reload()
        known = daemon.intake.configuration.directory.accounts
        assert known["test_user"].provisioned
        assert known["shop"].caps.hold_above == 7
        entry = await accounts(daemon).one("test_user")
        assert (entry.provisioned, entry.shadowed) == (True, True)
        await accounts(daemon).remove("test_user", "root")  # the one behind it
        assert not (await accounts(daemon).one("test_user")).shadowed


async def test_sections_may_name_accounts_of_the_store(tmp_path: Path) -> None:
    beat = {"heartbeat": {"daily": {"account": "shop", "to": A, "at": "09:00"}}}
    async with running(tmp_path) as daemon:
        await shop(daemon)
        write_config(tmp_path, beat)
        daemon.reload()
        (heartbeat,) = daemon.intake.configuration.heartbeats
        assert await daemon.heartbeats.send(heartbeat, 0.0)
        assert [sms.destination for sms in await handsets(daemon, 1)] == [A]


async def test_another_process_on_the_store_sees_the_same(tmp_path: Path, store_url: str) -> None:
    configuration = load(write_config(tmp_path, {"store": {"url": store_url}}, [ACCOUNT]))
    one = await Store.open(store_url, exclusive=True)
    other = await Store.open(store_url, exclusive=False)
    try:
        service = Accounts(one, lambda: configuration)
        await service.add("shop", SHOP, "root")
        await service.add_key("shop", "till", "root", "a-key-of-mine")
        seen = await whole(configuration, other)
        assert set(seen.directory.accounts) == {"test_user", "shop"}
        assert seen.directory.accounts["shop"].language == "ru"
        assert len(seen.directory.keys) == 2
    finally:
        await one.close()
        await other.close()
