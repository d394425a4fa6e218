"""What programs show at the API. The secret is not here, only its digest."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, delete, insert, or_, select, update

from gateway.policy.people import Token, User
from gateway.policy.permissions import Scope
from gateway.spool.people import user_of
from gateway.spool.schema import tokens, users

_SHOWN = [column for column in tokens.columns if column.name != "digest"]


def _token(values: dict[str, Any]) -> Token:
    accounts = values["accounts"]
    return Token(
        **{
            **values,
            "scopes": frozenset(map(Scope, values["scopes"])),
            "accounts": None if accounts is None else frozenset(accounts),
        }
    )


def add(connection: Connection, token: Token, digest: str) -> None:
    """Good from now on."""
    row = {
        "id": token.id,
        "digest": digest,
        "name": token.name,
        "login": token.login,
        "scopes": sorted(token.scopes),
        "accounts": None if token.accounts is None else sorted(token.accounts),
        "created_at": token.created_at,
        "expires_at": token.expires_at,
        "used_at": None,
    }
    connection.execute(insert(tokens), row)


def find(connection: Connection, digest: str, now: float) -> tuple[Token, User | None] | None:
    """Whose this is; None: nobody's, expired, or of somebody who may not come in any more."""
    query = (
        select(*_SHOWN, *users.columns)
        .outerjoin(users, users.c.login == tokens.c.login)
        .where(tokens.c.digest == digest, or_(tokens.c.expires_at.is_(None), tokens.c.expires_at > now))
    )
    row = connection.execute(query).first()
    if row is None:
        return None
    token = _token({column.name: row._mapping[column] for column in _SHOWN})
    if token.login is None:
        return token, None
    if row._mapping[users.c.login] is None or row._mapping[users.c.disabled]:
        return None
    return token, user_of(row)


def touch(connection: Connection, token_id: str, now: float) -> None:
    """It is in use."""
    connection.execute(update(tokens).where(tokens.c.id == token_id).values(used_at=now))


def listed(connection: Connection, login: str | None = None) -> Sequence[Token]:
    """All, or those of one user; the newest first."""
    query = select(*_SHOWN).order_by(tokens.c.created_at.desc(), tokens.c.id)
    if login is not None:
        query = query.where(tokens.c.login == login)
    return [_token(dict(row)) for row in connection.execute(query).mappings()]


def revoke(connection: Connection, token_id: str, login: str | None = None) -> bool:
    """False: there is none, or none of ``login``."""
    query = delete(tokens).where(tokens.c.id == token_id)
    if login is not None:
        query = query.where(tokens.c.login == login)
    return bool(connection.execute(query).rowcount)
