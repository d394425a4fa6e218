"""Every route that there is, whoever has added it: as a stranger, a viewer, a tenant, and without the CSRF token."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import httpx
from sqlalchemy import Connection, select

from gateway.daemon import Daemon
from gateway.policy.people import User
from gateway.policy.permissions import Role
from gateway.sms.numbers import mask
from gateway.spool.schema import jobs, mails, metadata
from gateway.web.app import API, PAGES
from tests.browser import CONSOLE, base, link
from tests.console.test_who_may import csrf
from tests.running import Client, running, template
from tests.traffic import ACCOUNTS, send_all

SAFE = {"GET", "HEAD", "OPTIONS"}
MINE, THEIRS = "monitoring", "test_user"
VIEWER = User("viewer")
TENANT = User("tenant", Role.ADMIN, texts=True, accounts=frozenset({MINE}))
OPEN = {"/login", "/login/oidc", "/login/oidc/back", "/look", "/welcome/{secret}", "/livez", "/readyz", "/metrics"}
"""For everybody; ``/metrics`` has its own rules."""
OWN = {"/logout", "/me/password", "/me/language", "/me/sessions/end", "/me/tokens", "/me/tokens/{token}/revoke"}
"""One's own affairs: a viewer's, too. The API's tokens likewise."""
OWN_API = {"/api/v1/tokens", "/api/v1/tokens/{token}"}
LOOKS = {
    "/explain",
    "/explain/test",
    "/segments",
    "/compose/segments",
    "/api/v1/explain",
    "/api/v1/segments",
    "/messages/saved",
}
"""Unsafe by their method only: they take a mail or a text, and change nothing."""
SAMPLES = {"79101234567", mask("79101234567")}
"""The number of all recipes and examples."""
SETTLED = {"delivered", "undelivered", "failed", "expired", "uncertain", "cancelled", "submitted"}


@dataclass(frozen=True)
class Door:
    """One route, by one method."""

    method: str
    path: str


def doors(daemon: Daemon) -> list[Door]:
    """All that the site answers. A router that the walk does not know is a fault."""
    assert daemon.console is not None
    app: Any = daemon.console._server.config.app
    while not hasattr(app, "routes"):
        app = app._app
    found = []
    for included in app.routes:
        router = getattr(included, "original_router", None)
        if router is None:
            assert included.path in ("/static", "/api/v1/openapi.json", "/metrics"), included
            continue
        prefix = "/api/v1" if router in API else ""
        assert prefix or router in PAGES or {route.path for route in router.routes} <= OPEN, router.routes
        for route in router.routes:
            found += [Door(method, prefix + route.path) for method in sorted(route.methods)]
    return found


class Seeded:
    """A gateway with traffic of three accounts."""

    def __init__(self, daemon: Daemon) -> None:
        self.daemon = daemon
        self.doors = doors(daemon)

    async def settle(self) -> None:
        """What was sent is at its end."""

        def open_ones(connection: Connection) -> int:
            return len(connection.execute(select(jobs.c.id).where(jobs.c.state.not_in(SETTLED))).all())

        async with asyncio.timeout(20):
            while await self.daemon.store.read(open_ones):
                await asyncio.sleep(0.05)
        for task in self.daemon._tasks:  # from now on only requests change anything
            task.cancel()
        for worker in self.daemon._workers.values():
            worker.stop()
        await asyncio.gather(*self.daemon._tasks, *self.daemon._relaying, return_exceptions=True)

    async def theirs(self) -> tuple[str, str]:
        """A mail and an SMS of another account."""

        def found(connection: Connection) -> tuple[str, str]:
            query = select(jobs.c.mail_id, jobs.c.id).where(jobs.c.account == THEIRS).order_by(jobs.c.id)
            row = connection.execute(query).first()
            assert row is not None
            return row.mail_id, row.id

        return await self.daemon.store.read(found)

    async def marks(self) -> set[str]:
        """What tells of the others: logins, ids, names, numbers in any form, texts."""

        def found(connection: Connection) -> set[str]:
            marks = {THEIRS, "ups-room-5", "Zyxbank", "mail.bank.example", "alerts@bank.example"}
            for row in connection.execute(select(jobs).where(jobs.c.account != MINE)).mappings():
                marks |= {row["id"], row["mail_id"], row["destination"], mask(row["destination"])}
                marks |= {row["text"], row["provider_id"]}
            for row in connection.execute(select(mails).where(mails.c.account != MINE)).mappings():
                marks |= {row["id"]}
            mine = connection.execute(select(jobs).where(jobs.c.account == MINE)).mappings().all()
            assert mine, "nothing of one's own to see"
            own = {value for row in mine for value in (row["provider_id"], mask(row["destination"]))}
            return {str(mark) for mark in marks - own - SAMPLES if mark}

        return await self.daemon.store.read(found)

    async def tables(self) -> dict[str, list[Any]]:
        """All that is stored, but for what ticks by itself and what belongs to who looks."""
        ticking = {"processes", "sessions", "audit", "links", "users", "tokens", "bans", "pace", "epoch", "quirks"}

        def found(connection: Connection) -> dict[str, list[Any]]:
            return {
                table.name: sorted(map(repr, connection.execute(select(table)).all()))
                for table in metadata.sorted_tables
                if table.name not in ticking
            }

        return await self.daemon.store.read(found)

    def paths(self, door: Door, mail: str, job: str) -> Iterator[str]:
        """With the others' names in it."""
        values = [mail, job, THEIRS, "main", "12345", "79101234567", "retry"]
        names = re.findall(r"{(\w+)(?::\w+)?}", door.path)
        for value in values if names else [""]:
            path = door.path
            for name in names:
                given = {"verb": "retry", "name": value, "number": "79101234567"}.get(name, value)
                path = re.sub(r"{" + name + r"(:\w+)?}", given, path)
            yield path

    @asynccontextmanager
    async def comes(self, user: User | None, **headers: str) -> AsyncIterator[tuple[httpx.AsyncClient, str]]:
        """Somebody, and his CSRF token."""
        async with httpx.AsyncClient(base_url=base(self.daemon), headers=headers, timeout=20) as client:
            if user is None:
                yield client, ""
                return
            await client.get(link(self.daemon, user))
            yield client, csrf((await client.get("/me")).text)


@asynccontextmanager
async def seeded(folder: Path) -> AsyncIterator[Seeded]:
    accounts = [{**ACCOUNTS[0], "originators": ["My Bank", "Shop", "Zyxbank"]}, *ACCOUNTS[1:]]
    async with running(folder, CONSOLE, accounts) as daemon:
        await send_all(daemon)
        client = await Client.connect(daemon)
        await client.say("EHLO mail.bank.example")
        mail = template("Сальдо 4217 рублей", numbers="79109998877").replace(b"My Bank", b"Zyxbank")
        assert "250" in await client.mail(mail, "emailtosms@sms.example.com")
        house = Seeded(daemon)
        await house.settle()
        yield house


async def answered(client: httpx.AsyncClient, path: str, **params: str) -> tuple[int, str]:
    """Status and text; of a stream what comes at once."""
    text = ""
    async with client.stream("GET", path, params=params) as answer:
        if not answer.headers.get("content-type", "").startswith("text/event-stream"):
            return answer.status_code, (await answer.aread()).decode("utf-8", "replace")
        try:
            async with asyncio.timeout(0.3):
                async for part in answer.aiter_text():
                    text += part
        except TimeoutError:
            pass
    return answer.status_code, text


def without(text: str, status: int, path: str) -> str:
    """A page about a fault may repeat what was asked for."""
    if status >= 400:
        for part in path.split("/"):
            text = text.replace(part, "") if part else text
    return text


async def test_strangers_forged_requests_and_viewers_change_nothing(tmp_path: Path) -> None:
    async with seeded(tmp_path) as house:
        mail, job = await house.theirs()
        before = await house.tables()
        async with house.comes(None) as (client, _):
            for door in house.doors:
                if door.path in OPEN:
                    continue
                path = next(house.paths(door, mail, job))
                answer = await client.request(door.method, path)
                is_led = answer.status_code == 303 and "/login" in answer.headers["location"]
                assert is_led or answer.status_code == 401, door
        unsafe = [door for door in house.doors if door.method not in SAFE and door.path not in OPEN]
        assert len(unsafe) > 15
        async with house.comes(User("admin", Role.ADMIN, texts=True)) as (client, token):
            for door in unsafe:
                path = next(house.paths(door, mail, job))
                for headers in ({}, {"X-CSRF-Token": token, "Origin": "https://evil.example"}):
                    answer = await client.request(door.method, path, headers=headers)
                    assert answer.status_code == 403, (door, answer.text)
        async with house.comes(VIEWER) as (client, token):
            for door in unsafe:
                if door.path in OWN | OWN_API | LOOKS:
                    continue
                path = next(house.paths(door, mail, job))
                answer = await client.request(door.method, path, headers={"X-CSRF-Token": token})
                assert answer.status_code == 403, (door, answer.text)
        assert await house.tables() == before


async def test_viewers_see_no_numbers_and_tenants_only_what_is_theirs(tmp_path: Path) -> None:
    async with seeded(tmp_path) as house:
        mail, job = await house.theirs()
        reads = [door for door in house.doors if door.method in SAFE and door.path not in OPEN | {"/api"}]

        def secrets(connection: Connection) -> set[str]:
            rows = connection.execute(select(jobs.c.destination, jobs.c.text)).all()
            return {str(value) for row in rows for value in row if value} - SAMPLES

        hidden, marks = await house.daemon.store.read(secrets), await house.marks()
        assert len(hidden) > 8
        assert len(marks) > 15
        async with house.comes(VIEWER) as (client, _):
            for path in (path for door in reads for path in house.paths(door, mail, job)):
                status, text = await answered(client, path)
                assert status < 500, path
                text = without(text, status, path)
                assert [secret for secret in hidden if secret in text] == [], path
        seen = ""
        async with house.comes(TENANT) as (client, _):
            for asked in ASKED:
                some = 2 if asked else None  # what is looked for is in the query then
                for path in (path for door in reads for path in islice(house.paths(door, mail, job), some)):
                    status, text = await answered(client, path, **asked)
                    assert status < 500, path
                    text = without(text, status, path)
                    for value in (path, *asked.values()):
                        text = text.replace(value, "")
                    assert [mark for mark in marks if mark in text] == [], (path, asked)
                    seen += text
        assert MINE in seen


ASKED: list[dict[str, str]] = [
    {},
    {"q": f"account:{THEIRS}", "account": THEIRS, "after": "0"},
    {"q": "7910", "to": "79101234567", "number": "79101234567", "login": THEIRS, "name": THEIRS, "by": "account"},
]


async def test_a_tenant_changes_only_what_is_his(tmp_path: Path) -> None:
    async with seeded(tmp_path) as house:
        mail, job = await house.theirs()
        before = await house.tables()
        named = {"account": THEIRS, "login": THEIRS, "accounts": [THEIRS], "q": f"account:{THEIRS}", "jobs": [job]}
        body = {**named, "ids": [job], "id": job, "job": job, "mail": mail, "to": ["79101234567"], "name": "x"}
        async with house.comes(TENANT) as (client, token):
            for door in house.doors:
                if door.method in SAFE or door.path in OPEN | OWN:
                    continue
                for path in house.paths(door, mail, job):
                    headers = {"X-CSRF-Token": token}
                    sent: dict[str, Any] = {"data": body}
                    if path.startswith("/api/"):
                        sent = {"content": json.dumps(body).encode()}
                        headers["Content-Type"] = "application/json"
                    answer = await client.request(door.method, path, headers=headers, **sent)
                    assert answer.status_code < 500, (door, path)
        after = await house.tables()
        changed = {
            name: (now, then)
            for name in after
            if (now := [row for row in after[name] if MINE not in row])
            != (then := [row for row in before[name] if MINE not in row])
        }
        assert changed == {}
