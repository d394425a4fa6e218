"""A query finds exactly what a patient reader of the whole store would find, page by page."""

from __future__ import annotations

import asyncio
import os
import random
import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import asyncpg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, make_url, text

from gateway.lifecycle import State
from gateway.model import Channel
from gateway.policy.search import Key, Query, Term
from gateway.spool import desk, migrations, search
from gateway.spool.put import put
from gateway.spool.schema import jobs
from gateway.spool.search import Message, Place
from gateway.spool.store import Store
from gateway.verdicts import (
    CREDENTIALS_WRONG,
    FIELDS_MISSING,
    GUESSED_TOO_OFTEN,
    PROVIDER_REFUSED,
    STOP_LISTED,
    Refusal,
)
from tests.contract.spool.given import NOW, mail, refused_mail
from tests.contract.spool.test_queries import Full

MAILS = 60
ACCOUNTS = ("shop", "Bank", "clinic")
ORIGINATORS = ("My Bank", "SHOP", "79990001122")
ADDRESSES = ("Alerts@Bank.example", "ops@shop.example", "cam@clinic.example")
NUMBERS = tuple(f"7910123450{n}" for n in range(6))
PROVIDERS = ("main", "spare")
DIALECTS = ("template", "address")


def fill(connection: Connection) -> None:
    """Mails and SMS of every kind, some at one moment; drawn by chance, but each time the same."""
    draw = random.Random(6)
    items, changes = [], []
    for _ in range(MAILS):
        at, address, account = NOW + draw.randrange(20) * 60, draw.choice(ADDRESSES), draw.choice(ACCOUNTS)
        dialect, originator = draw.choice(DIALECTS), draw.choice(ORIGINATORS)
        if draw.random() < 0.15:
            reason = draw.choice((CREDENTIALS_WRONG, GUESSED_TOO_OFTEN, FIELDS_MISSING))
            whose = draw.choice((None, account))
            item = refused_mail(Refusal(reason), dialect=dialect)
            item = replace(item, account=whose, originator=originator if whose else None)
            item = replace(item, envelope=replace(item.envelope, reverse_path=address, received_at=at))
            items.append(item)
            continue
        to = draw.sample(NUMBERS, draw.randrange(1, 4))
        dropped = ["+7 916"] if draw.random() < 0.1 else []
        item = mail(*to, at=at, route=(draw.choice(PROVIDERS),), dropped=dropped, account=account, dialect=dialect)
        assert item.accepted is not None
        told = tuple(replace(job, originator=originator) for job in item.accepted.jobs)
        item = replace(item, originator=originator, accepted=replace(item.accepted, jobs=told))
        items.append(replace(item, envelope=replace(item.envelope, reverse_path=address)))
        for job in told:
            state = draw.choice(list(State))
            values: dict[str, Any] = {"state": state.value, "due_at": None}
            if state is State.FAILED:
                reason = draw.choice((PROVIDER_REFUSED, STOP_LISTED))
                values |= {"reason": reason.key, "reason_values": {"code": draw.choice((7, "7a", "x"))}}
            if state in (State.SUBMITTED, State.DELIVERED):
                values["provider_id"] = f"id{draw.randrange(100)}"
            changes.append((job.id, values))
    put(connection, items)
    for job_id, values in changes:
        connection.execute(jobs.update().where(jobs.c.id == job_id).values(values))


def opened(url: str) -> Iterator[Full]:
    with asyncio.Runner() as runner:
        full = Full(Store(url), runner)
        full.run(migrations.upgrade)
        full.run(fill)
        if url.startswith("postgresql"):
            full.run(lambda connection: connection.exec_driver_sql("ANALYZE"))
        yield full
        runner.run(full.store.close())


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def full(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Full]:
    if request.param == "sqlite":
        yield from opened(f"sqlite:///{tmp_path_factory.mktemp('full')}/gateway.db")
        return
    server, name = request.getfixturevalue("postgres"), f"search_{os.getpid()}"

    async def create() -> None:
        connection = await asyncpg.connect(server)
        await connection.execute(f"CREATE DATABASE {name}")
        await connection.close()

    asyncio.run(create())
    yield from opened(make_url(server).set(database=name).render_as_string(hide_password=False))


@pytest.fixture(scope="module")
def everything(full: Full) -> dict[str, dict[str, Any]]:
    """What a patient reader has: each row, with all that a query may ask for."""
    sms = "select j.*, m.reverse_path, m.dialect, 'sms' as kind from jobs j join mails m on m.id = j.mail_id"
    refused = (
        "select id, id as mail_id, received_at as created_at, account, originator, reverse_path, dialect, reason,"
        " 'mail' as kind from mails where reason is not null"
    )
    found: dict[str, dict[str, Any]] = {}
    for statement in (sms, refused):
        rows = full.run(lambda c, s=statement: list(c.execute(text(s)).mappings()))  # type: ignore[misc]
        found |= {row["id"]: dict(row) for row in rows}
    assert {"sms", "mail"} == {row["kind"] for row in found.values()}
    return found


VERDICT_OF = {
    "credentials_wrong": "AUTH",
    "guessed_too_often": "AUTH",
    "fields_missing": "FORMAT",
    "stop_listed": "BANNED",
    "provider_refused": "MSG",
}


def is_so(row: dict[str, Any], key: Key, value: str) -> bool:
    is_mail, reason = row["kind"] == "mail", row.get("reason")
    match key:
        case Key.TO:
            return bool(row.get("destination") == value)
        case Key.FROM:
            name = "reverse_path" if "@" in value else "originator"
            return str(row[name] or "").lower() == value.lower()
        case Key.ACCOUNT | Key.PROVIDER:
            return str(row.get(key.value) or "").lower() == value.lower()
        case Key.STATUS if value == "refused":
            return is_mail or bool(row["provider"] == "")
        case Key.STATUS:
            return bool(row.get("state") == value)
        case Key.VERDICT if value.startswith("MSG:"):
            values = row.get("reason_values") or "{}"
            code = re.search(r'"code": "?(\w+)', values if isinstance(values, str) else str(values).replace("'", '"'))
            return bool(reason == "provider_refused") and code is not None and code[1] == value[4:]
        case Key.VERDICT:
            return reason is not None and value in {reason, VERDICT_OF[reason]}
        case Key.DIALECT:
            return bool(row["dialect"] == value)
        case Key.ID:
            return value in (row["id"], row["mail_id"], row.get("provider_id"))
        case _:
            return value in (row["id"], row["mail_id"], row.get("provider_id"), row.get("destination"))


def fits(row: dict[str, Any], query: Query) -> bool:
    in_time = (query.after or 0) <= row["created_at"] < (query.before or 1e12)
    return in_time and all(any(is_so(row, t.key, v) for v in t.values) is not t.denied for t in query.terms)


def all_pages(full: Full, query: Query, limit: int) -> list[Message]:
    found: list[Message] = []
    below: Place | None = None
    for _ in range(3000):
        page = full.run(lambda c, at=below: search.page(c, query, at, limit))  # type: ignore[misc]
        assert len(page.rows) <= limit
        found += page.rows
        below = page.next
        if below is None:
            return found
    raise AssertionError("it never ends")


def choices(everything: dict[str, dict[str, Any]]) -> dict[Key, list[str]]:
    ids = sorted(everything)
    some = [ids[3], everything[ids[20]]["mail_id"], ids[50], "id7", "id8", "nothing"]
    return {
        Key.TO: [*NUMBERS, "+7 916", "7"],
        Key.FROM: [*ORIGINATORS, "my bank", *map(str.lower, ADDRESSES), "nobody@bank.example"],
        Key.ACCOUNT: [*ACCOUNTS, "nobody"],
        Key.STATUS: [*(state.value for state in State), "refused"],
        Key.VERDICT: ["AUTH", "BANNED", "MSG", "MSG:7", "MSG:7a", "FORMAT", "NO LIST", "stop_listed"],
        Key.PROVIDER: [*PROVIDERS, "other"],
        Key.DIALECT: [*DIALECTS, "smsc"],
        Key.ID: some,
        Key.ANY: [*some, NUMBERS[2]],
    }


MOMENTS = st.none() | st.integers(-1, 21).map(lambda minute: NOW + minute * 60)


@settings(max_examples=60)
@given(data=st.data())
def test_it_finds_what_a_patient_reader_finds(
    full: Full, everything: dict[str, dict[str, Any]], data: st.DataObject
) -> None:
    known = choices(everything)
    terms = []
    for _ in range(data.draw(st.integers(0, 3))):
        key = data.draw(st.sampled_from(list(known)))
        values = data.draw(st.lists(st.sampled_from(known[key]), min_size=1, max_size=3, unique=True))
        terms.append(Term(key, tuple(values), data.draw(st.booleans())))
    query = Query(tuple(terms), data.draw(MOMENTS), data.draw(MOMENTS))
    meant = [row for row in everything.values() if fits(row, query)]
    meant.sort(key=lambda row: (row["created_at"], row["id"]), reverse=True)
    limit, few = data.draw(st.sampled_from([(9, 5), (9, 20_000), (50, 20), (1000, 20_000)]))
    original, search.SCAN = search.SCAN, few
    try:
        found = all_pages(full, query, limit)
    finally:
        search.SCAN = original
    assert [row.id for row in found] == [row["id"] for row in meant]


def test_a_row_says_what_is_known(full: Full) -> None:
    found = full.run(lambda c: search.page(c, Query((Term(Key.VERDICT, ("MSG:7a",)),)), None, 1)).rows[0]
    story = full.run(lambda c: desk.story(c, found.id))
    job = next(job for job in story.jobs if job.id == found.id)
    assert found == Message(
        id=job.id,
        mail_id=story.mail["id"],
        at=story.mail["received_at"],
        to=job.destination,
        sender=job.originator,
        account=job.account,
        status="failed",
        verdict="MSG:7a",
        reason="provider_refused",
        values={"code": "7a"},
        why="",
        segments=1,
        provider=job.provider,
        provider_id="",
        dialect=story.mail["dialect"],
        channel=Channel.SMS.value,
        updated_at=job.updated_at,
        due_at=None,
        expires_at=job.expires_at,
        attempt=0,
        gathered=False,
    )
    refused = full.run(lambda c: search.page(c, Query((Term(Key.VERDICT, ("FORMAT",)),)), None, 100)).rows
    assert {(row.status, row.to, row.verdict, row.segments, row.due_at) for row in refused} == {
        ("refused", "", "FORMAT", 0, None)
    }
    assert {row.id for row in refused} == {row.mail_id for row in refused}
    assert {row.sender for row in refused if not row.account} <= set(ADDRESSES)


def test_a_new_row_moves_no_page(full: Full) -> None:
    """What comes in while somebody reads on is above him."""

    def read_on(connection: Connection) -> tuple[list[str], list[str]]:
        whole = [row.id for row in search.page(connection, Query(), None, 60).rows]
        first = search.page(connection, Query(), None, 30)
        put(connection, [mail("79101234567", at=NOW + 86400)])
        second = search.page(connection, Query(), first.next, 30)
        connection.rollback()
        return whole, [row.id for row in (*first.rows, *second.rows)]

    whole, seen = full.runner.run(full.store.read(read_on))
    assert seen == whole
