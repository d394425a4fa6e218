"""Mails, claims and answers for the tests of the store. Time is an argument everywhere."""

from __future__ import annotations

import itertools
import json
from collections import namedtuple
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import Connection, text

from gateway.lifecycle import TRANSITIONS, Event, State
from gateway.model import Accepted, Asked, Attempt, Door, Dropped, Envelope, Job, Note
from gateway.spool import claims
from gateway.spool.claims import Claimant, ProviderTerms
from gateway.spool.put import StoredMail
from gateway.spool.settle import Settlement
from gateway.spool.store import Store
from gateway.verdicts import STOP_LISTED, Refusal

NOW = 1_800_000_000.0
"""2027-01-15 08:00:00 UTC: a full hour."""
VALIDITY_S = 24 * 3600.0
BOOT = Claimant("boot-1", 1000.0)
MAIN = ProviderTerms("main")
WINDOWED = ProviderTerms("main", duplicate_window_s=70.0, resolve_within_s=50.0)

only_sqlite = pytest.mark.parametrize("store_url", ["sqlite"], indirect=True)
only_postgres = pytest.mark.parametrize("store_url", ["postgresql"], indirect=True)

_serial = itertools.count(1)


def mail(
    *numbers: str,
    words: str = "text",
    at: float = NOW,
    route: tuple[str, ...] = ("main", "spare"),
    dropped: Sequence[str] = (),
    per_hour: int | None = None,
    per_day: int | None = None,
    account: str = "test_user",
    **changes: Any,
) -> StoredMail:
    """An accepted mail to these numbers; ``dropped`` are on the stop-list. ``changes`` are fields of ``StoredMail``."""
    mail_id = f"MAIL{next(_serial):09}"
    jobs = tuple(
        Job(f"{mail_id}-{n}", mail_id, account, "My Bank", number, words, 1, route, at, at + VALIDITY_S)
        for n, number in enumerate(numbers, 1)
    )
    refused = tuple(Dropped(Asked(n, "x@sms.example.com"), Refusal(STOP_LISTED, {"number": "7916"})) for n in dropped)
    envelope = Envelope(
        mail_id, Door.SMTP, "lan", "127.0.0.1", True, None, "alerts@bank.example", ("x@sms.example.com",), at
    )
    usual = StoredMail(
        envelope=envelope,
        dialect="template",
        account=account,
        originator="My Bank",
        message_id="<1@bank.example>",
        language="ru",
        reply_to="alerts@bank.example",
        accepted=Accepted(account, "network", jobs, refused, per_hour, per_day, "ru", ()),
        refusal=None,
        dedup_key=None,
        copy="Subject: x",
        notes=(Note("door", "came in", {"bytes": 12}),),
    )
    return replace(usual, **changes)


def refused_mail(refusal: Refusal, **changes: Any) -> StoredMail:
    """A mail that is answered with a verdict and asks for nothing."""
    return replace(mail(), accepted=None, account=None, originator=None, refusal=refusal, **changes)


async def put_jobs(store: Store, count: int, **details: Any) -> list[str]:
    """That many mails with one job each, all different in text; the ids of the jobs."""
    mails = [mail("79101234567", words=f"text {n}", **details) for n in range(count)]
    for item in mails:
        await store.put(item)
    return [f"{item.envelope.queue_id}-1" for item in mails]


async def claim(
    store: Store, slots: int = 10, *, at: float = NOW, terms: ProviderTerms = MAIN, who: Claimant = BOOT
) -> list[Attempt]:
    """What a worker gets."""
    return await store.write(lambda connection: claims.claim(connection, terms, slots, at, who))


def settled(attempt: Attempt, happens: Event, **changes: Any) -> Settlement:
    """What the service would record."""
    usual = Settlement(
        attempt=attempt,
        event=happens,
        state=TRANSITIONS[State.SUBMITTING, happens],
        provider=attempt.provider,
        due_at=None,
        tries=0,
        why="",
        outcome=happens.name.lower(),
        at=NOW,
    )
    return replace(usual, **changes)


async def rows(store: Store, sql: str, **values: Any) -> list[Any]:
    """What is on the disk; JSON as its text on either engine."""

    def look(connection: Connection) -> list[Any]:
        result = connection.execute(text(sql), values)
        shape: Any = namedtuple("Row", list(result.keys()), rename=True)  # type: ignore[misc]
        return [shape(*(json.dumps(v) if isinstance(v, list | dict) else v for v in row)) for row in result]

    return await store.read(look)


async def value(store: Store, sql: str, **values: Any) -> Any:
    """The one value."""
    return await store.read(lambda connection: connection.execute(text(sql), values).scalar_one())


async def job(store: Store, job_id: str) -> Any:
    """One row of ``jobs``."""
    (row,) = await rows(store, "select * from jobs where id = :id", id=job_id)
    return row
