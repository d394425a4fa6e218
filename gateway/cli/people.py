"""Who may come into the console."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer
from rich.markup import escape
from rich.table import Table

from gateway.cli.common import ConfigOption, JsonOption, clock, configuration, operator, print_json, store_of
from gateway.cli.screen import console
from gateway.policy.people import MAX_PASSWORD, MIN_PASSWORD, User, seen_accounts
from gateway.policy.permissions import Role

if TYPE_CHECKING:
    from gateway.service.people import People

T = TypeVar("T")

app = typer.Typer(help="Who may come into the console.", no_args_is_help=True)

Login = Annotated[str, typer.Argument(metavar="LOGIN")]
AccountOption = Annotated[
    list[str] | None, typer.Option("--account", help="Only what belongs to this account; may be repeated.")
]
EX_USAGE, EX_NOUSER = 64, 67


@asynccontextmanager
async def _people(config: Any) -> AsyncIterator[People]:
    from gateway.service.credentials import Credentials  # noqa: PLC0415  (heavy imports only for verbs that need them)
    from gateway.service.people import People  # noqa: PLC0415

    loaded, credentials = configuration(config), Credentials()
    async with store_of(loaded) as store:
        try:
            yield People(store, lambda: loaded, credentials)
        finally:
            credentials.close()


def _run(work: Coroutine[Any, Any, T]) -> T:
    """With the faults of people in words."""
    from gateway.service.people import BadPassword, LastAdmin, Taken, Unknown  # noqa: PLC0415

    faults: dict[type[Exception], tuple[str, int]] = {
        Taken: ("there is a user of that login", 1),
        Unknown: ("there is no such user", EX_NOUSER),
        LastAdmin: ("he is the last admin: make another one first", 1),
        BadPassword: (f"a password has {MIN_PASSWORD} to {MAX_PASSWORD} characters, and is not the login", EX_USAGE),
    }
    try:
        return asyncio.run(work)
    except tuple(faults) as fault:
        what, code = faults[type(fault)]
    except ValueError as fault:
        what, code = str(fault), EX_USAGE
    typer.echo(what, err=True)
    raise typer.Exit(code)


def _password() -> str:
    if sys.stdin.isatty():
        return str(typer.prompt("Password", hide_input=True, confirmation_prompt=True))
    return sys.stdin.readline().rstrip("\r\n")


@app.command("list")
def list_users(config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """All of them."""

    async def listed() -> list[User]:
        async with _people(config) as people:
            return await people.all()

    found = _run(listed())
    if as_json:
        print_json([_user(user) for user in found])
        return
    table = Table("login", "role", "texts", "accounts", "signs in by", "last", box=None, pad_edge=False)
    for user in found:
        role = f"[red]{user.role.value}, disabled[/]" if user.disabled else user.role.value
        accounts = "all" if user.accounts is None else ", ".join(sorted(user.accounts)) or "none"
        texts = "yes" if user.texts else ""
        table.add_row(escape(user.login), role, texts, escape(accounts), _ways(user), clock(user.seen_at))
    console.print(table if found else "Nobody yet: email2sms user link makes the link for the first admin.")


def _user(user: User) -> dict[str, Any]:
    return {
        "login": user.login,
        "role": user.role.value,
        "texts": user.texts,
        "accounts": None if user.accounts is None else sorted(user.accounts),
        "disabled": user.disabled,
        "signs_in_by": _ways(user),
        "created_at": user.created_at,
        "seen_at": user.seen_at,
    }


def _ways(user: User) -> str:
    if user.subject:
        return "password, openid" if user.password_hash else "openid"
    return "password" if user.password_hash else "link"


@app.command("add")
def add_user(
    login: Login,
    role: Annotated[Role, typer.Option(help="What he may.")] = Role.VIEWER,
    texts: Annotated[bool, typer.Option("--texts", help="He may also read what people wrote.")] = False,
    account: AccountOption = None,
    password: Annotated[bool, typer.Option("--password", help="Asked for, or read from standard input.")] = False,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Add a user. Without a password a link is printed, for him to choose one: it can be used once, within 3 days."""
    user = User(login, role, texts, seen_accounts(account) if account else None)

    async def added() -> tuple[User, str | None]:
        async with _people(config) as people:
            if password:
                return await people.add(user, operator(), _password()), None
            return user, await people.invite(user, operator())

    added_user, link = _run(added())
    if as_json:
        print_json({**_user(added_user), "link": link})
    else:
        typer.echo(link or f"{added_user.login}: added")


@app.command("set")
def set_user(
    login: Login,
    role: Annotated[Role | None, typer.Option(help="What he may.")] = None,
    texts: Annotated[
        bool | None, typer.Option("--texts/--no-texts", help="Whether he may read what people wrote.")
    ] = None,
    account: Annotated[
        list[str] | None, typer.Option("--account", help="Only what belongs to this one; may be repeated; *: all.")
    ] = None,
    config: ConfigOption = None,
) -> None:
    """Change what a user may. What is not given stays as it is."""

    def changed(user: User) -> User:
        return replace(
            user,
            role=role or user.role,
            texts=user.texts if texts is None else texts,
            accounts=seen_accounts(account) if account else user.accounts,
        )

    async def settled() -> None:
        async with _people(config) as people:
            await people.change(await _existing(people, login), operator(), changed)

    _run(settled())
    typer.echo(f"{login}: changed")


@app.command("link")
def link_user(
    login: Annotated[str, typer.Argument(metavar="[LOGIN]", show_default=False)] = "",
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Print a link, good once and for an hour, where the user chooses a new password. Without LOGIN, where there are no
    users: where the first admin chooses both."""

    async def linked() -> str:
        async with _people(config) as people:
            if not login and await people.all():
                raise ValueError("there are users: say whose link it is to be")
            if not login:
                return await people.link(by=operator())
            return await people.link(await _existing(people, login), operator())

    link = _run(linked())
    if as_json:
        print_json({"link": link})
    else:
        typer.echo(link)


async def _existing(people: People, login: str) -> str:
    from gateway.service.people import Unknown  # noqa: PLC0415

    user = await people.find(login)
    if user is None:
        raise Unknown(login)
    return user.login


@app.command("passwd")
def passwd(login: Login, config: ConfigOption = None) -> None:
    """Set a password, asked for or read from standard input. All sessions of the user end."""

    async def changed() -> None:
        async with _people(config) as people:
            await people.set_password(await _existing(people, login), _password(), operator())

    _run(changed())
    typer.echo(f"{login}: changed")


@app.command("disable")
def disable(login: Login, config: ConfigOption = None) -> None:
    """Let a user in no more. His sessions end at once, and his tokens do not count."""
    _switch(config, login, True)


@app.command("enable")
def enable(login: Login, config: ConfigOption = None) -> None:
    """Let a user in again."""
    _switch(config, login, False)


def _switch(config: Any, login: str, off: bool) -> None:
    async def switched() -> None:
        async with _people(config) as people:
            await people.change(await _existing(people, login), operator(), lambda user: replace(user, disabled=off))

    _run(switched())
    typer.echo(f"{login}: {'disabled' if off else 'enabled'}")


@app.command("remove")
def remove(login: Login, config: ConfigOption = None) -> None:
    """Remove a user with his sessions and tokens. What he did stays in the audit."""

    async def removed() -> None:
        async with _people(config) as people:
            await people.remove(await _existing(people, login), operator())

    _run(removed())
    typer.echo(f"{login}: removed")
