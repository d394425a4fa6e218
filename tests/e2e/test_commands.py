"""The command line, as people and scripts use it."""

from __future__ import annotations

import asyncio
import json
import stat
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

from gateway.cli.app import app
from gateway.lifecycle import Event
from gateway.policy.search import KEYS
from gateway.sandbox.platform import Fault
from gateway.service.opening import open_store
from gateway.settings.load import load
from gateway.verdicts import PROVIDER_REFUSED, Refusal
from tests.contract.spool.given import claim, mail, settled
from tests.process import command, program, provider
from tests.running import subject_mail, template, write_config

SERVICE = "emailtosms@sms.example.com"
PHONE = "79101234567@sms.example.com"
QUOTE = "Put quotation marks around a word that has a colon in it"


async def test_parse_explains_and_sends_nothing(tmp_path: Path) -> None:
    config = str(write_config(tmp_path))
    code, out, _ = await command("parse", "-", "--config", config, stdin=template("Привет"))
    assert code == 0
    words = " ".join(out.split())
    for expected in ("windows-1251", "sender verified by trusted network", "My Bank → 7910***4567", "Привет"):
        assert expected in words
    assert "qwerty12" not in out
    assert not (tmp_path / "var").exists()


async def test_parse_json(tmp_path: Path) -> None:
    config = str(write_config(tmp_path))
    mail = subject_mail("My Bank;test_user;wrong1;")
    code, out, _ = await command("parse", "-", "--to", PHONE, "--json", "--config", config, stdin=mail)
    found = json.loads(out)
    assert (code, found["verdict"], found["dialect"], found["form"]) == (77, "AUTH", "address", "a")
    assert "wrong1" not in out


@pytest.mark.parametrize(
    ("content", "recipient", "code", "words"),
    [
        (template(), SERVICE, 0, "2.0.0 OK queued as "),
        (template(password="wrong"), SERVICE, 77, "5.7.8 AUTH"),
        (template(""), SERVICE, 65, "5.6.0 FORMAT"),
        (template(numbers="12"), SERVICE, 67, "5.1.3 NUMBER"),
        (template(), "a@other.example", 77, "5.7.1 FORBIDDEN"),
    ],
)
async def test_inject(tmp_path: Path, content: bytes, recipient: str, code: int, words: str) -> None:
    arguments = ("inject", "--config", str(write_config(tmp_path)), "-f", "alerts@bank.example", "--", recipient)
    got, out, _ = await command(*arguments, stdin=content)
    assert (got, out[: len(words)]) == (code, words)


async def test_inject_keeps_the_mail_when_we_are_broken(tmp_path: Path) -> None:
    config = write_config(tmp_path)
    (tmp_path / "var").write_text("a file where the folder should be")
    code, out, err = await command("inject", "--config", str(config), "-f", "a@b.example", SERVICE, stdin=template())
    assert code == 75
    assert out.startswith("4.3.0 temporary fault")
    assert "Traceback" not in err


async def test_what_is_injected_and_sent_beside_the_daemon_goes_out(tmp_path: Path) -> None:
    async with provider() as sandbox, program(tmp_path, sandbox) as gateway:
        config = ("--config", str(gateway.config))
        await command("inject", *config, "-f", "alerts@bank.example", SERVICE, stdin=template("by pipe"))
        send = ("send", *config, "--account", "test_user", "--from", "My Bank", "--to", "79102345678")
        code, out, _ = await command(*send, "by hand", "--json")
        assert code == 0
        assert {sms.text for sms in await sandbox.messages(2)} == {"by pipe", "by hand"}
        (job,) = json.loads(out)["jobs"]
        await gateway.event("sms.submitted", 2)
        code, out, _ = await command("queue", "show", job, *config, "--json")
        story = json.loads(out)
        assert (story["jobs"][0]["state"], story["jobs"][0]["destination"]) == ("submitted", "7910***5678")
        code, out, _ = await command("queue", "show", story["jobs"][0]["provider_id"], *config)
        assert job.partition("-")[0] in out


async def test_send_refuses_as_a_mail_would_be(tmp_path: Path) -> None:
    config = ("--config", str(write_config(tmp_path)), "--account", "test_user")
    code, _, err = await command("send", *config, "--from", "Much too long a name", "--to", "79101234567", "x")
    assert code == 77
    assert err.startswith("FORBIDDEN: originator of a wrong shape")
    code, out, _ = await command("send", *config, "--from", "My Bank", "--to", "79161234567", "x")
    assert code == 65
    assert "BANNED" in out


async def test_retry_and_cancel(tmp_path: Path) -> None:
    async with provider() as sandbox:
        sandbox.platform.faults.append(Fault(answer="Error_SMS_Declined"))
        async with program(tmp_path, sandbox) as gateway:
            config = ("--config", str(gateway.config))
            await gateway.mail(template("again"), SERVICE)
            job = (await gateway.event("sms.rejected"))["job"]
            code, out, _ = await command("queue", "cancel", job, *config)
            assert code == 1
            sandbox.platform._seen.clear()
            code, out, _ = await command("queue", "retry", job, *config)
            assert (code, out) == (0, f"{job}: queued\n")
            assert [sms.text for sms in await sandbox.messages(1)] == ["again"]


async def test_provider_questions(tmp_path: Path) -> None:
    async with provider() as sandbox, program(tmp_path, sandbox) as gateway:
        sandbox.platform.deliver_after_s = 1000
        config = ("--config", str(gateway.config))
        code, out, _ = await command("provider", "balance", *config, "--json")
        assert (code, json.loads(out)["main"]["balance"]) == (0, "445.6 RUR")
        await gateway.mail(template(), SERVICE)
        (sms,) = await sandbox.messages(1)
        code, out, _ = await command("provider", "status", "main", sms.id, *config, "--json")
        assert (code, json.loads(out)["state"]) == (0, "submitted")
        sms.state = "not_deliver"
        code, out, _ = await command("provider", "status", "main", sms.id, *config, "--json")
        assert json.loads(out)["state"] == "undelivered"
        code, out, _ = await command("provider", "status", "main", "999", *config)
        assert code == 65
        sandbox.platform.user = "somebody else"
        await gateway.mail(template("x"), SERVICE)
        assert (await gateway.event("provider.paused"))["alert"] is True
        code, out, _ = await command("provider", "status", *config)
        assert out.startswith("main: stopped: Неправильный логин или пароль")
        code, out, _ = await command("check-config", "--probe", *config)
        assert code == 69


async def test_provider_price(tmp_path: Path) -> None:
    """What one SMS costs, the number masked; who cannot say, says so."""
    async with provider() as sandbox:
        key = tmp_path / "key"
        key.write_text("k3y\n")
        alpha = {"driver": "alphasms", "url": f"http://127.0.0.1:{sandbox.port}", "key_file": str(key)}
        config = ("--config", str(write_config(tmp_path, {"providers": {**sandbox.settings, "alpha": alpha}})))
        sandbox.platform.user, sandbox.platform.password = "380500000000", "k3y"
        ask = ("provider", "price")
        code, out, _ = await command(*ask, "alpha", "+380 50 123-45-67", *config)
        assert (code, out.strip()) == (0, "3805***4567: 0.28 UAH")
        code, out, _ = await command(*ask, "alpha", "380501234567", *config, "--json")
        assert (code, json.loads(out)) == (0, {"to": "3805***4567", "price": "0.28 UAH"})
        code, out, _ = await command(*ask, "main", "380501234567", *config, "--json")
        assert (code, json.loads(out)) == (
            69,
            {"to": "3805***4567", "error": "this provider cannot tell its prices"},
        )
        sandbox.platform.password = "another"
        code, out, _ = await command(*ask, "alpha", "380501234567", *config)
        assert (code, out.strip()) == (69, "3805***4567: MSG:202: ERR_AUTHORIZATION")
        code, out, err = await command(*ask, "alpha", "12", *config)
        assert (code, out) == (67, "")
        assert "NUMBER" in err
        assert "k3y" not in out + err


async def test_init_makes_a_configuration_that_runs(tmp_path: Path) -> None:
    folder = tmp_path / "new"
    code, out, _ = await command("init", str(folder))
    assert code == 0
    password = out.partition("password ")[2].split()[0]
    accounts = folder / "accounts.yaml"
    assert stat.S_IMODE(accounts.stat().st_mode) == 0o600
    assert password not in accounts.read_text("utf-8")
    config = ("--config", str(folder / "gateway.yaml"))
    assert (await command("check-config", *config))[0] == 0
    mail = subject_mail(f"Demo;demo;{password};")
    code, out, _ = await command("parse", "-", "--to", PHONE, *config, stdin=mail)
    assert code == 0, out
    code, _, err = await command("init", str(folder))
    assert code == 73
    assert "nothing was changed" in err


async def test_account_hash() -> None:
    code, out, _ = await command("account", "hash", stdin=b"qwerty12\n")
    assert code == 0
    assert out.startswith("$argon2id$")


async def test_demo() -> None:
    code, out, _ = await command("demo", "--once")
    assert code == 0
    assert out.count("Добрый день! Ваш заказ готов.") == 2  # in the mail and on the handset
    assert "250 2.0.0 OK queued as" in out


async def test_reload_is_all_or_nothing(tmp_path: Path) -> None:
    from tests.running import ACCOUNT

    async with provider() as sandbox, program(tmp_path, sandbox) as gateway:
        changes = {"providers": sandbox.settings, "log": {"format": "json"}}
        second = {**ACCOUNT, "login": "second", "password": "other123", "api_keys": []}
        write_config(tmp_path, changes, [ACCOUNT, second])
        gateway.process.send_signal(1)
        assert (await gateway.event("config.reloaded"))["accounts"] == 2
        assert (await gateway.mail(template(password="other123").replace(b"test_user", b"second"), SERVICE))[
            :3
        ] == "250"
        (tmp_path / "accounts.yaml").write_text("accounts: [{logn: x}]")
        gateway.process.send_signal(1)
        assert "logn: unknown key" in (await gateway.event("config.refused"))["why"]
        assert (await gateway.mail(template(), SERVICE))[:3] == "250"
        write_config(tmp_path, {**changes, "server": {"hostname": "other.example"}})
        gateway.process.send_signal(1)
        assert "only a restart applies it: server" in (await gateway.event("config.refused", 2))["why"]


async def test_term_drains(tmp_path: Path) -> None:
    async with provider() as sandbox:
        sandbox.platform.faults.append(Fault(delay_s=1))
        async with program(tmp_path, sandbox) as gateway:
            await gateway.mail(template(), SERVICE)
            await sandbox.messages(1)
            assert await gateway.stop() == 0
            assert [event["event"] for event in gateway.log][-3:] == [
                "gateway.stopping",
                "sms.submitted",
                "gateway.stopped",
            ]


async def test_the_log_holds_no_secret_and_no_number(tmp_path: Path) -> None:
    changes = {"log": {"format": "json", "level": "debug"}}
    async with provider() as sandbox:
        changes["providers"] = sandbox.settings
        async with program(tmp_path, sandbox, changes) as gateway:
            await gateway.mail(template("secret body"), SERVICE)
            await gateway.mail(template(password="canary99"), SERVICE)
            await gateway.mail(subject_mail("My Bank;0a1b2c;", "a secret body"), PHONE)
            await gateway.mail(subject_mail("My Bank;canary99;"), PHONE)
            await gateway.event("sms.submitted", 2)
        raw = gateway.raw_log
        stored = (tmp_path / "var" / "gateway.db").read_bytes()
    for secret in ("qwerty12", "canary99", "0a1b2c", "verysecret", "79101234567", "secret body"):
        assert secret not in raw
    for secret in ("qwerty12", "canary99", "0a1b2c", "verysecret"):
        assert secret.encode() not in stored


async def test_a_heartbeat_at_once(tmp_path: Path) -> None:
    section = {"ops": {"account": "test_user", "to": "79101234567", "at": "09:00", "timezone": "Europe/Moscow"}}
    config = str(write_config(tmp_path, {"heartbeat": section}))
    code, out, _ = await command("heartbeat", "now", "ops", "--json", "--config", config)
    (sent,) = json.loads(out)
    assert (code, sent["name"], sent["state"]) == (0, "ops", "waiting")
    code, out, _ = await command("heartbeat", "list", "--json", "--config", config)
    (listed,) = json.loads(out)
    assert (listed["to"], listed["at"], listed["timezone"]) == (["7910***4567"], ["09:00"], "Europe/Moscow")
    assert [beat["mail_id"] for beat in listed["last"]] == [sent["mail_id"]]
    code, _, err = await command("heartbeat", "now", "opps", "--config", config)
    assert (code, err.strip()) == (64, "no such heartbeat; known: ops")


def test_a_query_finds_and_mends(tmp_path: Path) -> None:
    """In this process: a dozen commands."""
    config = ("--config", str(write_config(tmp_path)))
    item = mail("79101234567", "79102345678", at=time.time())
    job = f"{item.envelope.queue_id}-1"

    async def fill() -> None:
        store = await open_store(load(Path(config[1])), exclusive=True)
        await store.put(item)
        (attempt, _) = await claim(store, at=time.time())
        refusal = Refusal(PROVIDER_REFUSED, {"code": 7})
        await store.settle(settled(attempt, Event.NACK, at=time.time(), refusal=refusal, why="said no"))
        await store.close()

    def run(*arguments: str) -> tuple[int, str]:
        done = CliRunner().invoke(app, [*arguments, *config])
        said = [line for line in done.output.splitlines(keepends=True) if not line.startswith("[info")]
        return done.exit_code, "".join(said)

    asyncio.run(fill())
    (found,) = json.loads(run("queue", "list", "status:failed", "from:My Bank", "--json")[1])["jobs"]
    assert (found["id"], found["state"], found["destination"]) == (job, "failed", "7910***4567")
    assert json.loads(run("queue", "list", "status:delivered", "--json")[1])["jobs"] == []
    assert run("queue", "list", "colour:red") == (64, f"colour: is no key; the keys are {', '.join(KEYS)}. {QUOTE}\n")
    assert "called provider main, attempt 1" in " ".join(run("trace", job)[1].split())
    assert [step["room"] for step in json.loads(run("trace", job, "--json")[1])] == ["door", "provider", "provider"]
    assert run("trace", "nothing")[0] == 1
    assert run("queue", "retry", "--query", "status:failed after:1h") == (0, "1 jobs: retry by an operator\n")
    assert run("queue", "hold", "--all") == (0, "1 jobs: hold\n")
    lines = run("mailq")[1].splitlines()
    assert lines[0] == "-Queue ID-        --Size-- ----Arrival Time---- -Sender/Recipient-------"
    assert lines[1].startswith(f"{job}!  ")
    assert {line.strip() for line in lines} >= {"(hold)", "7910***4567", "-- 0 Kbytes in 2 Requests."}
    assert run("queue", "cancel")[0] == 64
    assert run("queue", "cancel", "--query", "status:held") == (0, "1 jobs: cancel\n")
