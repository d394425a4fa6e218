"""Secrets of every kind go through a whole run, with every fault that can be forced, and are looked for afterwards: in
the log at level debug, the store's files, reply mails, webhooks, the command line's answers and /proc."""

from __future__ import annotations

import asyncio
import base64
import email
import email.policy
import html
import io
import json
import logging
import signal
import smtplib
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, redirect_stderr, redirect_stdout, suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus, unquote_plus

import pytest
import structlog
import yaml
from aiohttp import web

from gateway.cli.app import app
from gateway.model import Response
from gateway.providers.http import HttpUpstream
from gateway.providers.registry import Surroundings, connect, kinds
from gateway.sandbox.platform import Platform
from gateway.settings.faults import ConfigError
from gateway.settings.load import load
from gateway.testing import attempt
from gateway.verdicts import Refused
from gateway.watch.log import set_up
from tests.canary import leaks, spellings
from tests.process import Program, free_port, provider
from tests.running import ACCOUNT, listener, write_config

LATIN = "Canary7%Q!z&x+Aq"
CYRILLIC = "Канарейка-в-шахте"
SECRETS = {
    "password": LATIN,
    "Cyrillic password": CYRILLIC,
    "mistyped password": "M1styped/Canary?",
    "API key": "ap1key-canary-0a1b2c",
    "unknown API key": "unkn0wn-canary-key",
    "provider's password": "Pr0v1der<Canary>&",
    "callback token": "ca11back-canary-token-42",
    "wrong callback token": "wr0ng-canary-token-4242",
    "webhook secret": "webh00k-canary-secret-42",
    "reply key": "rep1y-canary-key-424242",
    "SMPP password": "Smpp!Cnr",
    "smarthost's password": "Smarth0st:Canary=",
}
PROVIDER = SECRETS["provider's password"]
SERVICE, SMSC, PHONE = "emailtosms@sms.example.com", "send@sms.example.com", "79101234567@sms.example.com"

DRIVERS: dict[str, dict[str, Any]] = {
    "targetsms": {"driver": "targetsms", "path": "/sendsms.php", "user": "corp", "password": PROVIDER},
    "targetsms-token": {"driver": "targetsms", "path": "/sendsms.php", "token": PROVIDER},
    "targetsms-json": {"driver": "targetsms-json", "path": "/sendsmsjson.php", "user": "corp", "password": PROVIDER},
    "alphasms": {"driver": "alphasms", "path": "", "key": PROVIDER},
    "alphasms-http": {"driver": "alphasms", "face": "http", "path": "", "login": "380", "password": PROVIDER},
    "smsc": {"driver": "smsc-http", "path": "/sys/", "login": "corp", "password": PROVIDER},
    "twilio": {"driver": "http", "preset": "twilio", "path": "", "user": "ACcorp", "password": PROVIDER},
    "smsru": {"driver": "http", "preset": "smsru", "path": "", "password": PROVIDER},
    "kannel": {"driver": "http", "preset": "kannel", "path": "", "user": "corp", "password": PROVIDER},
}


# ── the world around ─────────────────────────────────────────────────────────────────────────


async def echo(request: web.Request) -> web.Response:
    """``/500/…``, ``/401/…``, ``/200/…``: all of the request comes back, as frameworks in debug mode do."""
    given = request.raw_path + " " + request.headers.get("Authorization", "") + " " + (await request.text())
    status = int(request.path.split("/")[1])
    words = given if status == 500 else unquote_plus(given)
    with suppress(ValueError):
        words += base64.b64decode(request.headers.get("Authorization", "").removeprefix("Basic ")).decode()
    return web.Response(status=status, text="bad login: " + words)


async def hear(request: web.Request) -> web.Response:
    """A webhook that refuses and repeats."""
    request.app[HEARD].append(await request.read() + json.dumps(dict(request.headers)).encode())
    return web.Response(status=500, text=SECRETS["webhook secret"])


HEARD = web.AppKey("heard", list[bytes])


@asynccontextmanager
async def echoing() -> AsyncIterator[tuple[int, list[bytes]]]:
    application = web.Application()
    application[HEARD] = []
    application.router.add_post("/hook", hear)
    application.router.add_route("*", "/{path:.*}", echo)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield runner.addresses[0][1], application[HEARD]
    finally:
        await runner.cleanup()


class Relay:
    """A smarthost that repeats the password: when it refuses the login, or when it refuses the mail."""

    def __init__(self, *, login: bool, takes: bool) -> None:
        self.login, self.takes = login, takes
        self.mails: list[bytes] = []
        self.refusals = 0
        self._changed = asyncio.Event()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 relay\r\n")
        said = b""
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            while line := await reader.readline():
                verb = line[:4].upper()
                if verb == b"EHLO":
                    writer.write(b"250-relay\r\n250 AUTH PLAIN\r\n")
                elif verb == b"AUTH":
                    said = line.strip() + b" " + base64.b64decode(line.split()[-1]).replace(b"\0", b" ")
                    writer.write(b"235 OK\r\n" if self.login else b"535 5.7.8 no: " + said + b"\r\n")
                    if not self.login:
                        self.refusals += 1
                elif verb == b"DATA":
                    writer.write(b"354 go on\r\n")
                    self.mails.append(await reader.readuntil(b"\r\n.\r\n"))
                    writer.write((b"250 OK " if self.takes else b"554 5.7.1 no: ") + said + b"\r\n")
                    if not self.takes:
                        self.refusals += 1
                else:
                    writer.write(b"250 OK\r\n")
                self._changed.set()
        writer.close()

    async def until(self, mails: int = 0, refusals: int = 0) -> None:
        """That many have come."""
        async with asyncio.timeout(40):
            while len(self.mails) < mails or self.refusals < refusals:
                self._changed.clear()
                await self._changed.wait()


@asynccontextmanager
async def listening(serve: Any) -> AsyncIterator[int]:
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


async def parrot(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """What an SMPP client says comes back to it: a bind with a password."""
    with suppress(ConnectionError):
        while heard := await reader.read(1000):
            writer.write(heard)
    writer.close()


# ── what is sent ─────────────────────────────────────────────────────────────────────────────


def mail(body: str, subject: str = "x", charset: str = "utf-8", coding: str = "8bit", kind: str = "plain") -> bytes:
    encoded = body.replace("\n", "\r\n").encode(charset)
    if coding == "base64":
        encoded = base64.encodebytes(encoded)
    head = f"From: alerts@bank.example\r\nSubject: {subject}\r\nMIME-Version: 1.0\r\n"
    head += f"Content-Type: text/{kind}; charset={charset}\r\nContent-Transfer-Encoding: {coding}\r\n\r\n"
    return head.encode() + encoded


def template(login: str, password: str, numbers: str = "79101234567", text: str = "Hello") -> str:
    return f"SmsUser={login}\nPassword={password}\nSourceAddress=My Bank\nPhoneNumber={numbers}\n{text}"


def mails(numbers: list[str]) -> list[tuple[str, bytes]]:
    latin, cyrillic, wrong = template("latin", LATIN), template("cyrillic", CYRILLIC), SECRETS["mistyped password"]
    key, unknown = SECRETS["API key"], SECRETS["unknown API key"]
    coded = base64.b64encode(f"My Bank;latin;{LATIN};".encode()).decode()
    raw_subject = f"My Bank;cyrillic;{CYRILLIC};".encode("cp1251")
    service = [
        mail(template("latin", LATIN, ",".join(numbers))),
        mail(cyrillic, charset="cp1251"),
        mail(cyrillic, charset="koi8-r", coding="base64"),
        mail(template("cyrillic", CYRILLIC, "79161234567")),  # on the stop-list
        mail(cyrillic.replace("\n", "<br>"), kind="html"),
        mail(template("latin", wrong)),
        mail(template("cyrillic", CYRILLIC + "!")),
        mail(latin.replace("PhoneNumber", "FoneNumber")),
        mail(cyrillic.replace("Password=", "Passwort: ")),
        mail(latin.replace("SmsUser=latin\n", "")),
        mail(f"{LATIN}\n{latin}"),
        mail(latin.replace("\n", f"\nPassword={wrong}\n", 1)),
        mail(latin.replace("My Bank", "Evil")),
        mail(cyrillic).replace(b"utf-8", b"klingon"),
        mail(cyrillic, charset="cp1251").replace(b"cp1251", b"utf-8"),
        mail("", subject=LATIN),
    ]
    address = [
        mail("Hello", f"My Bank;latin;{LATIN};"),
        mail("Hello", f"=?utf-8?B?{coded}?="),
        mail("Hello").replace(b"Subject: x", b"Subject: " + raw_subject),
        mail("Hello", f"My Bank;{key};"),
        mail("Hello", f"My Bank;{unknown};"),
        mail("Hello", f"My Bank;latin;{wrong};"),
        mail("Hello", f"My Bank;latin;{LATIN};1;2;3;4;"),
        mail(latin, f"{LATIN}"),
        mail("Hello", "=?klingon?B?" + coded + "?="),
    ]
    smsc = [
        mail(f"latin:{LATIN}::::79101234567:Hello"),
        mail(f"latin:{wrong}:::,,My Bank:79101234567:Hello"),
        mail(f":{key}:::,,My Bank:79101234567:Hello"),
        mail(f"latin {LATIN} 79101234567"),
    ]
    other = [
        ("latin@sms.example.com", mail("Hello", f"My Bank;latin;{LATIN};404;")),
        ("latin@sms.example.com", mail("Hello", f"My Bank;{key};404;")),
        ("reply-79107654321-79990001122-aaaaaaaaaaaaaaaa@answers.example.com", mail(LATIN)),
    ]
    return [*((SERVICE, m) for m in service), *((PHONE, m) for m in address), *((SMSC, m) for m in smsc), *other]


async def dialogue(port: int) -> None:
    """Logins of every kind, right and wrong and garbled, and a password where a command should be."""
    plain = base64.b64encode(f"\0latin\0{LATIN}".encode()).decode()
    wrong = base64.b64encode(f"\0latin\0{SECRETS['mistyped password']}".encode()).decode()
    name, word = (base64.b64encode(given.encode()).decode() for given in ("cyrillic", CYRILLIC))
    for lines in (
        [f"AUTH PLAIN {plain}"],
        [f"AUTH PLAIN {wrong}", f"auth login {name}", word, f"AUTH PLAIN {plain}x", f"AUTH PLAIN {plain} {plain}"],
        ["AUTH LOGIN", name, CYRILLIC],
        ["AUTH LOGIN", name, "!" + LATIN],
        [f"AUTH CRAM-MD5 {plain}", f"AUTH {plain}", LATIN, plain, f"NOOP {LATIN}"],
        [f"MAIL FROM:<a@b.example> AUTH={LATIN}", f"VRFY {LATIN}", f"HELO {LATIN}"],
    ):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for line in ("EHLO x", *lines, "QUIT"):
            writer.write(line.encode() + b"\r\n")
            await writer.drain()
            while (await reader.readline())[3:4] == b"-":
                pass
        writer.close()


async def call_back(port: int, token: str, body: str) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    head = f"POST /twilio-500/{quote(token)}?pwd={token} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
    writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n{body}".encode())
    await reader.read()
    writer.close()


# ── the run ──────────────────────────────────────────────────────────────────────────────────


def providers(port: int, parrot_port: int) -> dict[str, dict[str, Any]]:
    made = {
        f"{name}-{status}": {
            **{key: value for key, value in settings.items() if key != "path"},
            "url": f"http://127.0.0.1:{port}/{status}{settings['path']}",
            "callback_token": SECRETS["callback token"],
            "poll": False,
        }
        for name, settings in DRIVERS.items()
        for status in (200, 401, 500)
    }
    made["down"] = {**made["targetsms-200"], "url": "http://127.0.0.1:9/sendsms.php"}
    made["smpp"] = {
        "driver": "smpp",
        "host": "127.0.0.1",
        "port": parrot_port,
        "system_id": "c",
        "password": SECRETS["SMPP password"],
    }
    return made


def configured(folder: Path, form: str, made: dict[str, Any], port: int, relay: int, callbacks: int) -> Path:
    account = {key: ACCOUNT[key] for key in ("senders", "originators", "stop_list")}
    hook = {"url": f"http://127.0.0.1:{port}/hook", "secret": SECRETS["webhook secret"]}
    accounts = [
        {**account, "login": "latin", "password": LATIN, "api_keys": [SECRETS["API key"]], "webhook": hook},
        {**account, "login": "cyrillic", "password": CYRILLIC, "language": "ru", "confirm": ["sent"]},
    ]
    password = SECRETS["smarthost's password"]
    host = {"smarthost": f"smtp://127.0.0.1:{relay}", "user": "gateway", "password": password, "per_hour": 1000}
    names = list(made)
    changes = {
        "server": {"hostname": "sms.example.com", "data_dir": f"{folder}/var"},
        "listeners": [listener(on_refusal="reply")],
        "dialects": {
            "template": {"addresses": [SERVICE], "password_max_length": 0, "max_destinations": 100},
            "address": {"domains": ["sms.example.com"]},
            "smsc": {"addresses": [SMSC]},
            "reply": {"domain": "answers.example.com", "key": SECRETS["reply key"]},
        },
        "providers": made,
        "routes": [
            *({"prefix": NUMBERS[index], "providers": [name]} for index, name in enumerate(names)),
            {"providers": ["main"]},
        ],
        "replies": {"from": "sms@sms.example.com", **host},
        "callbacks": {"bind": f"127.0.0.1:{callbacks}", "url": "https://sms.example.com/callbacks"},
        "log": {"level": "debug", "format": form},
    }
    folder.mkdir()
    return write_config(folder, changes, accounts)


NUMBERS = [f"79102{index:06d}" for index in range(60)]


async def until(gateway: Program, what: Callable[[str], bool]) -> None:
    """Once the log has it."""
    async with asyncio.timeout(40):
        while not what(gateway.raw_log):
            gateway._changed.clear()
            await gateway._changed.wait()


def command(*arguments: str) -> bytes:
    """In this process: a new one for each verb would take half a second."""
    out = io.StringIO()
    with redirect_stdout(out), redirect_stderr(out):
        try:
            app(list(arguments), standalone_mode=False)
        except (Exception, SystemExit) as error:
            out.write(repr(error))
    return f"{arguments}\n{out.getvalue()}\n".encode()


async def run(folder: Path, form: str, relay: Relay, one_at_a_time: asyncio.Lock) -> dict[str, bytes]:
    """One gateway's life, and everything that it leaves."""
    port, callbacks = free_port(), free_port()
    shown: list[bytes] = []
    async with (
        echoing() as (echo_port, heard),
        provider() as sandbox,
        listening(relay.serve) as relay_port,
        listening(parrot) as parrot_port,
    ):
        made = providers(echo_port, parrot_port)
        config = configured(folder, form, {**made, **sandbox.settings}, echo_port, relay_port, callbacks)
        settings = yaml.safe_load(config.read_text("utf-8"))
        settings["listeners"][0]["bind"] = f"127.0.0.1:{port}"
        config.write_text(yaml.safe_dump(settings, allow_unicode=True), "utf-8")
        gateway = await Program.spawn(config)
        try:
            await until(gateway, lambda log: "gateway.ready" in log)
            proc = Path(f"/proc/{gateway.process.pid}")
            names = {f"/proc/{name}": (proc / name).read_bytes() for name in ("cmdline", "comm")}
            texts = [await send(port, content, to) for to, content in mails(NUMBERS[: len(made)])]
            await dialogue(port)
            for token in (SECRETS["callback token"], SECRETS["wrong callback token"]):
                await call_back(callbacks, token, f"From={token}&Body=x")
            await until(gateway, lambda log: all(f"{name}" in log for name in made))
            if relay.login:
                await asyncio.gather(sandbox.messages(1), relay.until(mails=15))
                await until(gateway, lambda log: "webhook.postponed" in log)
            else:
                await relay.until(refusals=1)
            await sabotage(gateway, folder)
            store = {f"running {name}": content for name, content in files(folder / "var").items()}
            assert "running store gateway.db-wal" in store
        finally:
            await gateway.stop()
        parsed = folder / "mail.eml"
        parsed.write_bytes(mail(template("cyrillic", CYRILLIC), charset="koi8-r"))
        async with one_at_a_time:
            for verb in verbs(form, story_ids(texts), parsed):
                shown.append(await asyncio.to_thread(command, *verb, "--config", str(config)))
    store |= files(folder / "var")
    assert any(b"HTTP 500" in content for content in store.values())  # the answers that were repeated have been kept
    return {
        **names,
        **store,
        "log": gateway.raw_log.encode(),
        "SMTP dialogue": "\n".join(texts).encode(),
        "replies": b"\n".join(relay.mails),
        "replies, decoded": b"\n".join(map(decoded, relay.mails)),
        "webhooks": b"\n".join(heard),
        "command line": b"\n".join(shown),
    }


async def send(port: int, content: bytes, recipient: str) -> str:
    def talk() -> str:
        with smtplib.SMTP("127.0.0.1", port, local_hostname="client") as client:
            client.ehlo()
            client.mail("alerts@bank.example")
            code, answer = client.rcpt(recipient)
            if code == 250:
                code, answer = client.data(content)
            return f"{code} {answer.decode()}"

    return await asyncio.to_thread(talk)


def story_ids(answers: list[str]) -> list[str]:
    return [answer.rpartition(" ")[2] for answer in answers if "queued as" in answer]


def verbs(form: str, ids: list[str], parsed: Path) -> list[tuple[str, ...]]:
    """As people ask, and as programs do."""
    if form == "json":
        return [
            ("queue", "list", "--json", "--numbers"),
            *(("queue", "show", queue_id, "--json") for queue_id in ids[::4]),
            ("parse", str(parsed), "--to", SERVICE, "--json"),
            ("parse", str(parsed), "--to", PHONE, "--json"),
            ("provider", "balance", "--json"),
            ("account", "list", "--json"),
        ]
    return [
        ("queue", "list"),
        *(("queue", "show", queue_id, "--numbers") for queue_id in ids[::6]),
        ("parse", str(parsed), "--to", SERVICE, "--numbers"),
        ("provider", "status"),
        ("check-config",),
    ]


async def sabotage(gateway: Program, folder: Path) -> None:
    """The accounts are changed to something that cannot be used, and a running gateway is told to read them."""
    accounts = folder / "accounts.yaml"
    before = accounts.read_text("utf-8")
    accounts.write_text(f"accounts:\n- {{login: latin, pasword: '{LATIN}', senders: 5}}\n", "utf-8")
    gateway.process.send_signal(signal.SIGHUP)
    await until(gateway, lambda log: "config.refused" in log)
    accounts.write_text(before, "utf-8")


def files(folder: Path) -> dict[str, bytes]:
    """The store as it lies on the disk, its write-ahead log too."""
    found = (path for path in folder.rglob("*") if path.is_file() and path.suffix != ".reserve")  # 4 MB of zeros
    return {f"store {path.name}": path.read_bytes() for path in found}


def decoded(raw: bytes) -> bytes:
    message = email.message_from_bytes(raw, policy=email.policy.default)
    words = [f"{name}: {value}" for name, value in message.items()]
    parts = [part.get_content() for part in message.walk() if part.get_content_maintype() == "text"]
    return "\n".join([*words, *map(str, parts)]).encode("utf-8", "replace")


async def test_no_secret_is_left_anywhere(tmp_path: Path) -> None:
    """Once with a log for programs and a smarthost that works, once with one for people and a smarthost that does
    not."""
    takes, refuses = Relay(login=True, takes=True), Relay(login=False, takes=False)
    lock = asyncio.Lock()  # standard output is there once
    as_json, as_text = await asyncio.gather(
        run(tmp_path / "a", "json", takes, lock), run(tmp_path / "b", "console", refuses, lock)
    )
    assert leaks(SECRETS, as_json) == []
    assert leaks(SECRETS, as_text) == []
    for word in (b"AUTH", b"FORMAT", b"CHARSET"):  # the run has had what it is to be proof against
        assert word in as_json["replies"]
    assert b"MSG:0" in as_json["command line"]
    assert b"sms.uncertain" in as_json["log"]
    assert b"smtp.login_failed" in as_text["log"]
    assert as_json["webhooks"]


# ── one by one ───────────────────────────────────────────────────────────────────────────────


@contextmanager
def log_as(form: Any) -> Iterator[None]:
    """The program's log in this process, for a moment."""
    before, handlers = structlog.get_config(), logging.getLogger().handlers[:]
    set_up("debug", form)
    try:
        yield
    finally:
        structlog.configure(**before)
        logging.getLogger().handlers[:] = handlers


@pytest.mark.parametrize("form", ["json", "console"])
def test_a_log_line_that_shows_a_password_is_found(form: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """The negative control: whatever spelling a leak has."""
    for spelling, needle in spellings(CYRILLIC):
        assert leaks({"it": CYRILLIC}, {"log": b"x" + needle + b"y"}), spelling
    with log_as(form):
        structlog.get_logger().debug("mail.read", body=template("cyrillic", CYRILLIC))
    assert leaks(SECRETS, {"log": capsys.readouterr().err.encode()})


@pytest.mark.parametrize("form", ["json", "console"])
def test_a_traceback_shows_no_variables(form: Any, capsys: pytest.CaptureFixture[str]) -> None:
    def fail(password: str) -> None:
        raise RuntimeError(f"{len(password)} characters")

    with log_as(form):
        try:
            fail(LATIN)
        except RuntimeError:
            structlog.get_logger().exception("mail.fault")
    written = capsys.readouterr().err
    assert "RuntimeError: 16 characters" in written
    assert leaks(SECRETS, {"log": written.encode()}) == []


@pytest.mark.parametrize("name", DRIVERS)
def test_a_provider_that_repeats_the_password_in_any_spelling(name: str) -> None:
    settings = {key: value for key, value in DRIVERS[name].items() if key != "path"}
    upstream = connect(given(settings), Surroundings(Platform(clock=lambda: 0.0), "", name))
    assert isinstance(upstream, HttpUpstream)
    for spelling, words in spoken(PROVIDER, settings.get("user", "")):
        for status in (200, 400, 401, 500):
            body = f"login failed: {words}".encode()
            for answer in (body, json.dumps({"message": body.decode(), "error": body.decode()}).encode()):
                outcome = upstream.driver.read_submit([attempt()], Response(status, answer))
                assert not leaks(SECRETS, {spelling: repr(outcome).encode()}), (spelling, status)
                for question in ("read_balance", "read_status"):
                    try:
                        read = getattr(upstream.driver, question)
                        result = read(*(["1"] if question == "read_status" else []), Response(status, answer))
                    except (Refused, AttributeError) as error:
                        result = getattr(error, "refusal", None)
                    assert not leaks(SECRETS, {spelling: repr(result).encode()}), (question, spelling, status)


def spoken(secret: str, user: str) -> list[tuple[str, str]]:
    """As providers' programs would write it."""
    return [
        ("plain", secret),
        ("url", quote(secret, safe="")),
        ("url, small letters", quote(secret, safe="").replace("%3C", "%3c").replace("%3E", "%3e")),
        ("form", quote_plus(f"a {secret}")),
        ("json", json.dumps(secret)),
        ("html", html.escape(secret)),
        ("basic", base64.b64encode(f"{user}:{secret}".encode()).decode()),
        ("base64", base64.b64encode(secret.encode()).decode()),
        ("hex", secret.encode().hex().upper()),
    ]


def given(settings: dict[str, Any]) -> Any:
    kind = next(kind for kind in kinds() if kind.name == settings["driver"])
    at = {} if settings.get("preset") in ("twilio", "smsru") else {"url": "http://127.0.0.1/"}
    return kind.settings.model_validate({**settings, **at, "callback_token": SECRETS["callback token"]})


@pytest.mark.parametrize(
    "broken",
    [
        "accounts:\n- login: a\n  password: [CANARY]\n",
        "accounts:\n- login: a\n  pasword: 'CANARY'\n",
        "accounts:\n- login: a\n  password: 'CANARY\n",
        "accounts:\n- login: a\n  password: CANARY: x\n",
        "accounts:\n- login: a\n  password: &CANARY\n  password: b\n",
        "accounts:\n- login: a\n  password_hash: 'CANARY'\n",
        "accounts:\n- login: a\n  api_keys: ['CANARY', 'CANARY']\n",
        "accounts:\n- login: a\n  api_keys: {CANARY: 1}\n",
        "accounts:\n- login: a\n  api_keys: CANARY\n",
        "accounts:\n- login: a\n  password: 'CANARY'\n  password_file: CANARY\n",
        "accounts:\n- login: a\n  webhook: {url: 'http://x', secret: 'CANARY', secrets: 'CANARY'}\n",
        "accounts:\n- login: a\n  webhook: 'CANARY'\n",
        "accounts:\n- 'CANARY'\n",
        "password: 'CANARY'\n",
    ],
)
def test_a_faulty_configuration_is_refused_without_its_secrets(tmp_path: Path, broken: str) -> None:
    path = write_config(tmp_path)
    (tmp_path / "accounts.yaml").write_text(broken.replace("CANARY", "canary-in-the-mine"), "utf-8")
    with pytest.raises(ConfigError) as caught:
        load(path)
    assert leaks({"secret": "canary-in-the-mine"}, {"error": str(caught.value).encode()}) == []
