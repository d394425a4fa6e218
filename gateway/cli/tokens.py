"""What programs show at the API."""

from __future__ import annotations

import asyncio
import re
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from gateway.cli.common import ConfigOption, JsonOption, clock, configuration, operator, print_json, store_of
from gateway.cli.screen import console
from gateway.policy.people import Token
from gateway.policy.permissions import Scope
from gateway.service.people import find_user
from gateway.service.tokens import Tokens

app = typer.Typer(help="What programs show at the API.", no_args_is_help=True)

EX_USAGE, EX_NOUSER = 64, 67
_SECONDS = {"h": 3600.0, "d": 86400.0}


@app.command("create")
def create(
    name: Annotated[str, typer.Argument(metavar="NAME", help="What it is for: zabbix.")],
    scope: Annotated[list[Scope] | None, typer.Option("--scope", help="What it may; may be repeated.")] = None,
    account: Annotated[
        list[str] | None, typer.Option("--account", help="Only what belongs to this account; may be repeated.")
    ] = None,
    user: Annotated[str | None, typer.Option("--user", help="Whose it is: it may never more than he.")] = None,
    expires: Annotated[str | None, typer.Option(metavar="90d", help="After so many days (d) or hours (h).")] = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make a token and print it. Nobody can see it again."""
    lasting_s = _lasting(expires) if expires else None
    scopes, accounts = frozenset(scope or [Scope.READ]), frozenset(account) if account else None
    token, secret = asyncio.run(_create(config, name, scopes, user, accounts, lasting_s))
    if as_json:
        print_json({**shown(token), "token": secret})
    else:
        typer.echo(secret)


def _lasting(given: str) -> float:
    match = re.fullmatch(r"([1-9]\d{0,4})([hd])", given)
    if match is None:
        typer.echo(f"{given[:20]} is no time; e.g. 90d or 12h", err=True)
        raise typer.Exit(EX_USAGE)
    return int(match[1]) * _SECONDS[match[2]]


async def _create(
    config: Any,
    name: str,
    scopes: frozenset[Scope],
    user: str | None,
    accounts: frozenset[str] | None,
    lasting_s: float | None,
) -> tuple[Token, str]:
    async with store_of(configuration(config)) as store:
        owner = await find_user(store, user) if user else None
        if user and owner is None:
            typer.echo("there is no such user", err=True)
            raise typer.Exit(EX_NOUSER)
        login = owner.login if owner is not None else None
        return await Tokens(store).create(name, scopes, operator(), login=login, accounts=accounts, lasting_s=lasting_s)


@app.command("list")
def list_tokens(config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """All of them. The secrets are stored nowhere."""
    found = asyncio.run(_listed(config))
    if as_json:
        print_json([shown(token) for token in found])
        return
    table = Table("id", "name", "whose", "may", "accounts", "expires", "last used", box=None, pad_edge=False)
    for token in found:
        accounts = "all" if token.accounts is None else ", ".join(sorted(token.accounts))
        table.add_row(
            token.id,
            escape(token.name),
            escape(token.login or ""),
            " ".join(sorted(token.scopes)),
            escape(accounts),
            clock(token.expires_at) or "never",
            clock(token.used_at) or "never",
        )
    console.print(table if found else "There are none.")


async def _listed(config: Any) -> list[Token]:
    async with store_of(configuration(config)) as store:
        return list(await Tokens(store).listed())


def shown(token: Token) -> dict[str, Any]:
    """As JSON has it."""
    return {
        "id": token.id,
        "name": token.name,
        "login": token.login,
        "scopes": sorted(token.scopes),
        "accounts": None if token.accounts is None else sorted(token.accounts),
        "created_at": token.created_at,
        "expires_at": token.expires_at,
        "used_at": token.used_at,
    }


@app.command("revoke")
def revoke(
    token: Annotated[str, typer.Argument(metavar="ID", help="As in token list.")], config: ConfigOption = None
) -> None:
    """End a token, at once."""
    if not asyncio.run(_revoke(config, token)):
        typer.echo("there is no such token", err=True)
        raise typer.Exit(1)
    typer.echo(f"{token}: revoked")


async def _revoke(config: Any, token: str) -> bool:
    async with store_of(configuration(config)) as store:
        return await Tokens(store).revoke(token, operator())
