"""With a key, nothing that people wrote can be read in the database, and everything works as without."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from gateway.model import Incoming, Reply
from gateway.spool import accounts, desk, hooks, incoming, outbox
from gateway.spool.incoming import Arrived
from gateway.spool.put import StoredMail
from gateway.spool.sealing import Sealing, WrongKey
from gateway.spool.store import Store
from gateway.verdicts import CREDENTIALS_WRONG, Refusal
from tests.contract.spool.given import NOW, claim, mail, refused_mail, rows, value

KEY = Sealing(bytes(range(32)))
CANARY = "canary Ж"
TRACES = ("canary", "Y2FuYXJ5", "63616e617279")
"""In clear, in base64, in hexadecimal."""


@pytest.fixture
async def store(url: str) -> AsyncIterator[Store]:
    opened = await Store.open(url, exclusive=True, key=KEY)
    yield opened
    await opened.close()


def with_extras(words: str) -> StoredMail:
    item = mail("79101234567", words=words, copy=f"Subject: {words}")
    assert item.accepted is not None
    jobs = tuple(replace(job, comment=words, detail=words) for job in item.accepted.jobs)
    return replace(item, accepted=replace(item.accepted, jobs=jobs))


def arrived() -> Arrived:
    sms = Incoming("1", "79107654321", "12345", CANARY)
    return Arrived("IN1", "main", sms, "test_user", Reply("a@bank.example", CANARY.encode()), True, NOW)


async def test_nothing_can_be_read_and_everything_works(store: Store, url: str) -> None:
    item = with_extras(CANARY)
    await store.put(item)
    await store.put(refused_mail(Refusal(CREDENTIALS_WRONG), reply_to="b@bank.example"))
    assert await store.write(lambda c: incoming.keep(c, arrived()))
    waiting = await store.write(lambda c: outbox.take(c, NOW, 9))
    (report,) = [one for one in waiting if one.message is None]
    await store.write(lambda c: outbox.rendered(c, report, CANARY.encode()))

    for table in ("jobs", "mails", "incoming", "outbox", "hooks"):
        stored = await rows(store, f"select * from {table}")
        assert stored
        assert not [trace for trace in TRACES if trace in repr(stored)]
    if url.startswith("sqlite"):
        files = [store.database.path, store.database.path.with_name("gateway.db-wal")]  # type: ignore[attr-defined]
        raw = b"".join(file.read_bytes() for file in files)
        assert b"79101234567" in raw
        assert not [trace for trace in TRACES if trace.encode() in raw]

    (attempt,) = await claim(store)
    assert (attempt.job.text, attempt.job.comment, attempt.job.detail) == (CANARY, CANARY, CANARY)
    replies = await store.write(lambda c: outbox.take(c, NOW + 100, 9))
    assert [reply.message for reply in replies] == [CANARY.encode()] * 2
    (call,) = await store.write(lambda c: hooks.take(c, NOW, 9))
    assert (call.event["text"], call.event["from"]) == (CANARY, "79107654321")
    story = await store.read(lambda c: desk.story(c, attempt.job.mail_id))
    assert story is not None


async def test_the_same_words_are_sealed_differently(store: Store) -> None:
    await store.put(mail("79101234567", "79102345678"))
    assert await value(store, "select count(distinct text) from jobs") == 2


async def test_what_was_there_before_the_key_stays_readable(url: str) -> None:
    plain = await Store.open(url, exclusive=True)
    await plain.put(with_extras("before"))
    await plain.write(lambda c: incoming.keep(c, arrived()))
    await plain.close()
    sealed = await Store.open(url, exclusive=True, key=KEY)
    await sealed.put(with_extras("after"))
    assert sorted(attempt.job.comment for attempt in await claim(sealed)) == ["after", "before"]
    assert [call.event["text"] for call in await sealed.write(lambda c: hooks.take(c, NOW, 9))] == [CANARY]
    await sealed.close()


@pytest.mark.parametrize("key", [None, Sealing(bytes(32))], ids=["none", "another"])
async def test_only_its_own_key_opens_it(store: Store, url: str, key: Sealing | None) -> None:
    with pytest.raises(WrongKey):
        await Store.open(url, exclusive=False, key=key)
    await (await Store.open(url, exclusive=False, key=KEY)).close()


async def test_a_text_that_looks_sealed_is_none(url: str) -> None:
    plain = await Store.open(url, exclusive=True)
    await plain.put(mail("79101234567", words="\ufdd0AAAA"))
    (attempt,) = await claim(plain)
    assert attempt.job.text == "\ufffdAAAA"
    await plain.close()


async def test_the_secret_of_a_webhook_is_sealed(store: Store) -> None:
    settings = {"webhook": {"url": "https://bank.example/", "secret": CANARY}}
    await store.write(lambda c: accounts.add(c, "bank", settings, True, NOW))
    kept = repr(await rows(store, "select * from accounts"))
    assert not [trace for trace in TRACES if trace in kept]
    found = await store.read(lambda c: accounts.one(c, "bank"))
    assert found is not None
    assert found.settings == settings
