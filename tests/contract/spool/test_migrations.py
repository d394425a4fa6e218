from __future__ import annotations

import asyncio
import json
import stat
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text

from gateway.model import Channel
from gateway.spool import migrations
from gateway.spool.engine import StoreInUse
from gateway.spool.schema import metadata
from gateway.spool.store import Store
from tests.contract.spool.given import claim, mail, only_postgres, only_sqlite, put_jobs, rows, value


async def test_a_fresh_file_is_brought_to_the_newest_revision(store: Store) -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__file__).parent))
    assert ScriptDirectory.from_config(config).get_current_head() == migrations.HEAD
    assert await value(store, "select version_num from alembic_version") == migrations.HEAD


async def test_migrations_make_the_schema(store: Store) -> None:
    def differences(connection: Connection) -> Any:
        for words in ("Skipped unsupported", "autogenerate skipping"):  # expressions; compared below
            warnings.filterwarnings("ignore", words)
        return compare_metadata(MigrationContext.configure(connection, opts={"compare_type": True}), metadata)

    assert await store.write(differences) == []


@pytest.mark.parametrize(
    ("what", "count"),
    [
        ("select m.name, c.* from sqlite_master m, pragma_table_info(m.name) c where m.type = 'table'", 70),
        ("select name, sql from sqlite_master where type = 'index' and sql is not null", 39),
    ],
    ids=["defaults", "indexes"],
)
@only_sqlite
async def test_migrations_make_what_the_comparison_does_not_look_at(
    store: Store, tmp_path: Path, what: str, count: int
) -> None:
    fresh = Store(f"sqlite:///{tmp_path}/fresh.db")
    try:
        await fresh.write(metadata.create_all)
        made, meant = [{row for row in await rows(s, what) if row[0] != "alembic_version"} for s in (store, fresh)]
        assert made == meant
        assert len(made) >= count
    finally:
        await fresh.close()


@only_postgres
async def test_a_queue_is_vacuumed_by_what_went_through_it(store: Store) -> None:
    """And not when a fifth of all years has: until then each claim steps over what is done."""
    found = await rows(store, "select relname, reloptions from pg_class where relkind = 'r' and reloptions is not null")
    made = {name: set(json.loads(options)) for name, options in found}
    meant = {
        table.name: {f"{option}={value}" for option, value in options.items()}
        for table in metadata.tables.values()
        if (options := table.dialect_options["postgresql"]["with"])
    }
    assert made == meant
    assert {"jobs", "outbox", "storms"} == meant.keys()


async def test_reopening_changes_nothing(store: Store, url: str) -> None:
    await put_jobs(store, 3)
    before = await rows(store, "select * from jobs")
    await store.close()
    reopened = await Store.open(url, exclusive=True)
    try:
        assert await rows(reopened, "select * from jobs") == before
    finally:
        await reopened.close()


@only_sqlite
async def test_a_store_of_a_newer_version_is_left_alone(url: str, tmp_path: Path) -> None:
    store = await Store.open(url, exclusive=True)
    await store.put(mail("79101234567"))
    await store.write(lambda connection: connection.execute(text("update alembic_version set version_num = '9999'")))
    await store.close()
    before = (tmp_path / "gateway.db").read_bytes()
    with pytest.raises(migrations.SchemaTooNew, match="9999"):
        await Store.open(url, exclusive=True)
    assert (tmp_path / "gateway.db").read_bytes() == before
    with pytest.raises(migrations.SchemaTooNew):  # and not StoreInUse: the first try has let go of the file
        await Store.open(url, exclusive=True)


@only_sqlite
async def test_a_migration_that_fails_leaves_nothing(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    await (await Store.open(url, exclusive=True)).close()
    store = Store(url)
    await store.write(lambda c: c.exec_driver_sql("drop table usage"))
    await store.write(lambda c: c.exec_driver_sql("delete from alembic_version"))
    before = await store.write(lambda c: c.exec_driver_sql("select count(*) from sqlite_master").scalar_one())
    await store.close()
    with pytest.raises(Exception, match="already exists"):
        await Store.open(url, exclusive=True)
    store = Store(url)
    after = await store.write(lambda c: c.exec_driver_sql("select count(*) from sqlite_master").scalar_one())
    await store.close()
    assert after == before


# ── the file ─────────────────────────────────────────────────────────────────────────────────


@only_sqlite
async def test_one_daemon_a_file(store: Store, url: str) -> None:
    for _ in range(2):
        with pytest.raises(StoreInUse):
            await Store.open(url, exclusive=True)
    await (await Store.open(url, exclusive=False)).close()  # the command line works beside it
    await store.close()
    await (await Store.open(url, exclusive=True)).close()


@only_sqlite
async def test_the_lock_ends_with_the_process(url: str) -> None:
    dies = "import asyncio, os, sys; from gateway.spool.store import Store"
    dies += "; asyncio.run(Store.open(sys.argv[1], exclusive=True)); os._exit(9)"
    assert subprocess.run([sys.executable, "-c", dies, url], check=False).returncode == 9
    await (await Store.open(url, exclusive=True)).close()


async def test_the_files_are_private(tmp_path: Path) -> None:
    folder = tmp_path / "var" / "spool"
    store = await Store.open(f"sqlite:///{folder}/gateway.db", exclusive=True)
    try:
        await store.put(mail("79101234567"))
        modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}
    finally:
        await store.close()
    assert modes == dict.fromkeys(("gateway.db", "gateway.db-wal", "gateway.db-shm", "gateway.db.lock"), 0o600)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


@only_sqlite
@pytest.mark.parametrize(("write", "patience"), [(True, 0), (False, 10_000)], ids=["writer", "reader"])
async def test_a_commit_is_on_the_disk_when_it_returns(store: Store, write: bool, patience: int) -> None:
    def pragmas(connection: Connection) -> list[Any]:
        names = ("journal_mode", "synchronous", "secure_delete", "temp_store", "busy_timeout")
        return [connection.execute(text(f"pragma {name}")).scalar_one() for name in names]

    for _ in range(2):  # the connection is kept
        assert await (store.write if write else store.read)(pragmas) == ["wal", 2, 1, 2, patience]


async def test_a_transaction_that_fails_leaves_nothing(store: Store) -> None:
    def half(connection: Connection) -> None:
        connection.execute(text("insert into usage (account, period, jobs) values ('a', 'b', 1)"))
        raise LookupError

    with pytest.raises(LookupError):
        await store.write(half)
    assert await value(store, "select count(*) from usage") == 0


@only_sqlite
async def test_reading_does_not_wait_for_a_write(store: Store) -> None:
    seen: list[int] = []
    loop = asyncio.get_running_loop()

    async def look() -> None:
        seen.append(await value(store, "select count(*) from usage"))

    def write(connection: Connection) -> None:
        connection.execute(text("insert into usage (account, period, jobs) values ('a', 'b', 1)"))
        asyncio.run_coroutine_threadsafe(look(), loop).result(10)

    await store.write(write)
    assert seen == [0]


async def test_a_store_of_the_first_version_goes_on(url: str) -> None:
    """What was told, and what waited, is as it was; an SMS that was taken is news to nobody."""
    store = Store(url)
    await store.database.open(exclusive=True)
    await store.write(lambda connection: _alembic(connection, "0001"))
    common = "reverse_path, recipients, message_id, dialect, verified_by, reply_to, language"
    await store.write(
        lambda c: c.execute(
            text(
                f"insert into mails (id, received_at, door, listener, peer, helo, tls, {common}) values "
                "('M', 0, 'smtp', 'lan', '', '', false, 'a@b.example', '[]', '', 'template', 'x', 'a@b.example', 'en')"
            )
        )
    )
    states = {"taken": ("submitted", ""), "held": ("submitted", "held by provider"), "waits": ("queued", "")}
    for job_id, (state, why) in states.items():
        await store.write(
            lambda c, j=job_id, s=state, w=why: c.execute(  # type: ignore[misc]
                text(
                    "insert into jobs (id, mail_id, account, originator, destination, recipient, text, segments, route,"
                    " provider, state, why, created_at, expires_at, updated_at, due_at, fingerprint) values"
                    " (:j, 'M', 'u', 'X', '79101234567', '', 'text', 1, '[\"main\"]', 'main', :s, :w, 0, 9e9, 0, 0, :f)"
                ),
                {"j": j, "s": s, "w": w, "f": b""},
            )
        )
    await store.write(migrations.upgrade)
    try:
        assert await value(store, "select version_num from alembic_version") == migrations.HEAD
        told = {row.id: bool(row.told) for row in await rows(store, "select id, told from jobs")}
        assert told == {"taken": True, "held": False, "waits": False}
        (attempt,) = await claim(store)
        assert (attempt.job.id, attempt.job.channel, attempt.job.tell) == ("waits", Channel.SMS, frozenset())
    finally:
        await store.close()


def _alembic(connection: Connection, revision: str) -> None:
    from alembic import command

    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__file__).parent))
    config.attributes["connection"] = connection
    command.upgrade(config, revision)
