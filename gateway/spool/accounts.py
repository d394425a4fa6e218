"""Accounts that are not in the file, and their keys. Every change counts up the roster's revision: by that all
processes learn of it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, Row, delete, func, insert, select, update

from gateway.spool.engine import insert_missing
from gateway.spool.schema import account_keys, accounts, roster


@dataclass(frozen=True, slots=True)
class Stored:
    """One account, as it was typed."""

    login: str
    settings: Mapping[str, Any] = field(repr=False)
    """As in ``accounts.yaml``, without what the other fields say, API keys and lists."""
    password_hash: str | None = field(repr=False)
    enabled: bool
    created_at: float
    changed_at: float
    revision: int


@dataclass(frozen=True, slots=True)
class Key:
    """An API key. Nobody can read it again: only its digest is kept."""

    id: int
    account: str
    name: str
    prefix: str
    active: bool
    created_at: float
    digest: bytes = field(repr=False)


def revision(connection: Connection) -> int:
    """Of the roster. 0: nothing was ever stored."""
    return connection.execute(select(roster.c.revision)).scalar_one_or_none() or 0


def bump(connection: Connection) -> int:
    """Count it up. Whoever does so has all accounts and keys for himself until the commit."""
    connection.execute(insert_missing(connection, roster), {"id": 1, "revision": 0})
    changed = update(roster).values(revision=roster.c.revision + 1).returning(roster.c.revision)
    return int(connection.execute(changed).scalar_one())


def changed(connection: Connection, since: int) -> list[Stored]:
    """Those that were made or changed after that revision."""
    query = select(accounts).where(accounts.c.revision > since).order_by(accounts.c.login)
    return [_stored(row) for row in connection.execute(query)]


def logins(connection: Connection) -> list[str]:
    """Of all, in order."""
    return list(connection.execute(select(accounts.c.login).order_by(accounts.c.login)).scalars())


def one(connection: Connection, login: str) -> Stored | None:
    """The account of that login."""
    row = connection.execute(select(accounts).where(accounts.c.login == login)).one_or_none()
    return _stored(row) if row is not None else None


def add(connection: Connection, login: str, settings: Mapping[str, Any], enabled: bool, now: float) -> bool:
    """A new one, without credentials. False: there is one of that login."""
    row = {
        "login": login,
        "settings": dict(settings),
        "password_hash": None,
        "enabled": enabled,
        "created_at": now,
        "changed_at": now,
        "revision": bump(connection),
    }
    return bool(connection.execute(insert_missing(connection, accounts), row).rowcount)


def change(connection: Connection, login: str, now: float, **values: Any) -> bool:
    """Write the columns that are given. False: there is no such account."""
    values = {**values, "changed_at": now, "revision": bump(connection)}
    return bool(connection.execute(update(accounts).where(accounts.c.login == login).values(values)).rowcount)


def remove(connection: Connection, login: str) -> bool:
    """The account and its keys; not its lists. False: there is none."""
    bump(connection)
    connection.execute(delete(account_keys).where(account_keys.c.account == login))
    return bool(connection.execute(delete(accounts).where(accounts.c.login == login)).rowcount)


def page(connection: Connection, after: str, search: str, only: Collection[str] | None, limit: int) -> list[Stored]:
    """By login, those after that one whose login contains ``search``."""
    login = accounts.c.login.collate("C") if connection.dialect.name == "postgresql" else accounts.c.login
    query = select(accounts).where(login > after).order_by(login).limit(limit)  # in the order of code points, as ours
    if search:
        query = query.where(func.lower(accounts.c.login).contains(search.lower(), autoescape=True))
    if only is not None:
        query = query.where(accounts.c.login.in_(only))
    return [_stored(row) for row in connection.execute(query)]


def keys(connection: Connection, of: Collection[str] | None = None) -> list[Key]:
    """Of these accounts or of all, the oldest first."""
    query = select(account_keys).order_by(account_keys.c.id)
    if of is not None:
        query = query.where(account_keys.c.account.in_(of))
    return [Key(**row) for row in connection.execute(query).mappings()]


def owner(connection: Connection, digest: bytes) -> str | None:
    """The account that has this key, active or not."""
    return connection.execute(
        select(account_keys.c.account).where(account_keys.c.digest == digest)
    ).scalar_one_or_none()


def add_key(connection: Connection, account: str, name: str, prefix: str, digest: bytes, now: float) -> int:
    """Its id. That nobody has the digest has been asked since the last ``bump``, which is in this transaction."""
    row = {"account": account, "name": name, "prefix": prefix, "digest": digest, "active": True, "created_at": now}
    return int(connection.execute(insert(account_keys).returning(account_keys.c.id), row).scalar_one())


def switch_key(connection: Connection, account: str, key_id: int, active: bool) -> Key | None:
    """Let it be used, or not. None: the account has no such key."""
    bump(connection)
    mine = (account_keys.c.id == key_id, account_keys.c.account == account)
    row = connection.execute(update(account_keys).where(*mine).values(active=active).returning(account_keys)).mappings()
    return next((Key(**found) for found in row), None)


def revoke_key(connection: Connection, account: str, key_id: int) -> Key | None:
    """For ever. None: the account has no such key."""
    bump(connection)
    mine = (account_keys.c.id == key_id, account_keys.c.account == account)
    rows = connection.execute(delete(account_keys).where(*mine).returning(account_keys)).mappings()
    return next((Key(**found) for found in rows), None)


def having(connection: Connection, section: str) -> list[Stored]:
    """Those whose settings have this section."""
    rows: Sequence[Row[Any]] = connection.execute(select(accounts).order_by(accounts.c.login)).all()
    return [_stored(row) for row in rows if section in row.settings]


def _stored(row: Row[Any]) -> Stored:
    return Stored(**row._mapping)
