"""Mails go to the provider that the routes name, and ``email2sms route`` says which."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from gateway.policy.routing import Trip
from gateway.settings.load import load
from tests.process import command, program, provider
from tests.running import ACCOUNT, template, write_config

SERVICE = "emailtosms@sms.example.com"
FREE = {**ACCOUNT, "originators": ["*"]}
SECOND = {**FREE, "login": "second", "password": "other123", "api_keys": []}
DEAD = {"driver": "targetsms", "url": "http://127.0.0.1:1/", "user": "corp", "password": "verysecret"}
SANDBOX = {"driver": "sandbox"}
EXPLAINED: dict[str, Any] = {
    "providers": {
        "main": {**SANDBOX, "prices": {"7": "3.50", "77": "1.10"}},
        "spare": {**SANDBOX, "prices": {"7": "2.95"}},
    },
    "routes": [
        {"account": "night*", "hours": "22:00-08:00", "timezone": "Europe/Moscow", "providers": ["spare"]},
        {"originator": ["Shop", "My *"], "providers": {"main": 3, "spare": 1}},
        {"country": ["RU", "kz"], "order": "cheapest", "providers": ["main", "spare"]},
    ],
}


async def test_accounts_and_originators_go_to_the_provider_of_their_route(tmp_path: Path) -> None:
    async with provider() as one, provider() as other, provider() as rest:
        changes = {
            "providers": {name: at.settings["main"] for name, at in (("a", one), ("b", other), ("c", rest))},
            "routes": [
                {"providers": ["c"]},
                {"originator": "Shop*", "providers": ["a"]},
                {"account": "second", "prefix": "7910", "providers": ["b"]},
            ],
        }
        async with program(tmp_path, one, changes, [FREE, SECOND]) as gateway:
            of_second = template("second", password="other123").replace(b"test_user", b"second")
            for mail in (
                template("rest"),
                template("shop").replace(b"My Bank", b"Shop 24"),
                of_second,
                of_second.replace(b"79101234567", b"79261234567"),
            ):
                assert (await gateway.mail(mail, SERVICE))[:3] == "250"
            assert [sms.text for sms in await one.messages(1)] == ["shop"]
            assert [(sms.text, sms.destination) for sms in await other.messages(1)] == [("second", "79101234567")]
            assert sorted(sms.text for sms in await rest.messages(2)) == ["rest", "second"]
            await gateway.event("sms.submitted", 4)
        assert [len(at.platform.messages) for at in (one, other, rest)] == [1, 1, 2]


async def test_each_sms_goes_to_the_first_of_its_drawn_order_that_lives(tmp_path: Path) -> None:
    async with provider() as one, provider() as other:
        changes = {
            "providers": {"dead": DEAD, "a": one.settings["main"], "b": other.settings["main"]},
            "routes": [{"providers": {"dead": 4, "a": 1, "b": 1}}],
            "relay": {"tries_per_provider": 1},
        }
        numbers = ";".join(f"791012345{n:02}" for n in range(20))
        async with program(tmp_path, one, changes) as gateway:
            assert (await gateway.mail(template(numbers=numbers), SERVICE))[:3] == "250"
            await gateway.event("sms.submitted", 20)
            config = ("--config", str(gateway.config))
            jobs = json.loads((await command("queue", "list", "--json", "--numbers", *config))[1])["jobs"]
            router = load(gateway.config).house.router
            drawn = {job["id"]: router.providers(Trip(job["destination"], key=job["id"])) for job in jobs}
            _, out, _ = await command("route", jobs[0]["destination"], "--job", jobs[0]["id"], "--json", *config)
        assert len(drawn) == 20
        assert {job["id"]: job["provider"] for job in jobs} == {
            job: next(name for name in order if name != "dead") for job, order in drawn.items()
        }
        assert "dead" in {order[0] for order in drawn.values()}
        assert [hop["provider"] for hop in json.loads(out)["providers"]] == list(drawn[jobs[0]["id"]])
        assert len(one.platform.messages) + len(other.platform.messages) == 20


async def test_route_explains(tmp_path: Path) -> None:
    config = ("--config", str(write_config(tmp_path, EXPLAINED, [{**FREE, "login": "night1"}])))
    night = ("--account", "night1", "--at", "2026-11-25T23:00+03:00")
    code, out, _ = await command("route", "+7 (701) 234-56-78", *config, *night, COLUMNS="160")
    words = " ".join(out.split())
    assert code == 0
    for expected in (
        "+77012345678 Kazakhstan, Kcell/Activ",
        "✓ routes[0] account night*; 22:00-08:00 Europe/Moscow spare taken",
        "✗ routes[1] originator Shop, My * main 3, spare 1 no originator given",
        "· routes[2] country KZ, RU main, spare (cheapest) matches, behind routes[0], which asks for more",
        "1 spare as listed 2.95",
    ):
        assert expected in words, out
    assert not (tmp_path / "var").exists()


async def test_route_json(tmp_path: Path) -> None:
    config = ("--config", str(write_config(tmp_path, EXPLAINED)), "--json")
    code, out, _ = await command("route", "77012345678", *config, "--text", "Привет! " * 20)
    found = json.loads(out)
    assert (code, found["number"], found["country"], found["segments"]) == (0, "+77012345678", "KZ", 3)
    assert [route["taken"] for route in found["routes"]] == [False, False, True]
    assert [(hop["provider"], hop["why"], hop["price"], hop["cost"]) for hop in found["providers"]] == [
        ("main", "by price", "1.10", "3.30"),
        ("spare", "by price", "2.95", "8.85"),
    ]
    code, out, _ = await command("route", "79101234567", *config, "--originator", "My Bank")
    assert [hop["why"] for hop in json.loads(out)["providers"]] == ["first for 3 of 4", "first for 1 of 4"]


async def test_route_when_nothing_takes_it(tmp_path: Path) -> None:
    config = ("--config", str(write_config(tmp_path, EXPLAINED)))
    code, out, _ = await command("route", "380501234567", *config)
    assert (code, "No route takes it." in out) == (69, True)
    code, out, _ = await command("route", "79101234567", "--channel", "viber", *config)
    assert (code, out.count("left out: does not carry viber")) == (69, 2)
    code, _, err = await command("route", "12", *config)
    assert (code, err[:7]) == (67, "NUMBER:")
    code, _, err = await command("route", "79101234567", "--account", "nobody", *config)
    assert (code, err) == (64, "no account 'nobody'\n")
    code, _, err = await command("route", "79101234567", "--at", "soon", *config)
    assert code == 2
    assert "give a time such as" in err


async def test_route_tells_which_provider_is_stopped(tmp_path: Path) -> None:
    async with provider() as sandbox, program(tmp_path, sandbox) as gateway:
        sandbox.platform.user = "somebody else"
        await gateway.mail(template(), SERVICE)
        await gateway.event("provider.paused")
        code, out, _ = await command("route", "79101234567", "--config", str(gateway.config))
    assert code == 0
    assert "1 main as listed stopped: Неправильный логин или пароль" in " ".join(out.split())
