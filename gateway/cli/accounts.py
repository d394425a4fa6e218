"""Account verbs."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer
import yaml
from argon2 import PasswordHasher
from rich.markup import escape
from rich.table import Table

from gateway.cli.common import (
    ConfigOption,
    JsonOption,
    ago,
    configuration,
    operator,
    print_json,
    store_of,
)
from gateway.cli.screen import console
from gateway.settings.checked_accounts import AccountFaults

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from gateway.service.accounts import Accounts, Entry, Key
    from gateway.service.applying import Change

T = TypeVar("T")

app = typer.Typer(help="Accounts: who may send. Those of the accounts file are shown, and changed there.")
keys = typer.Typer(help="API keys of an account.", no_args_is_help=True)
app.add_typer(keys, name="key")

EX_USAGE, EX_DATAERR, EX_NOPERM = 64, 65, 77
Login = Annotated[str, typer.Argument(metavar="LOGIN")]
Settings = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="KEY=VALUE...",
        help="As in accounts.yaml: senders=['*@bank.example'] limits.per_day=500 language=ru; KEY= for the default.",
    ),
]


@app.callback(no_args_is_help=True)
def _group() -> None:
    """Accounts."""


@app.command("hash")
def hash_password() -> None:
    """Print the argon2 hash of a password (asked for, or read from standard input) for accounts.yaml."""
    typer.echo(PasswordHasher().hash(_typed_password()))


# ── looking ──────────────────────────────────────────────────────────────────────────────────


@app.command("list")
def list_accounts(
    search: Annotated[str, typer.Option(help="Logins that contain this.")] = "",
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """All accounts."""
    found = _with(config, lambda accounts: _all(accounts, search))
    if as_json:
        print_json([_as_dict(one) for one in found])
        return
    table = Table("login", "state", "keys", "senders", "", box=None, pad_edge=False)
    for one in found:
        senders = ", ".join(map(str, one.settings.get("senders", ())))
        table.add_row(escape(one.login), _state(one), str(len(one.keys) or ""), escape(senders), _remark(one))
    console.print(table if found else "No accounts: nobody can send.")


@app.command()
def show(login: Login, config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """One account, as it would stand in accounts.yaml, and what of its caps is used up."""

    async def found(accounts: Accounts) -> tuple[Entry, list[Any]]:
        return await accounts.one(login), (await accounts.limits([login])).get(login, [])

    one, limits = _with(config, found)
    if as_json:
        print_json({**_as_dict(one), "used": {limit.name: {"used": limit.used, "of": limit.limit} for limit in limits}})
        return
    console.print(f"[bold]{escape(one.login)}[/]  {_state(one)}  {_remark(one)}")
    console.print(f"password: {'yes' if one.has_password else 'none'}")
    for key in one.keys:
        console.print(_key_words(key), markup=False)
    for limit in limits:
        console.print(f"{limit.name}: {limit.used:g} of {limit.limit:g} used")
    if one.settings:
        console.print(yaml.safe_dump(dict(one.settings), allow_unicode=True, sort_keys=False), markup=False, end="")


# ── changing ─────────────────────────────────────────────────────────────────────────────────


@app.command()
def add(
    login: Login,
    settings: Settings = None,
    disabled: Annotated[bool, typer.Option("--disabled", help="Deactivated for now.")] = False,
    password: Annotated[bool, typer.Option("--password", help="Make one up, and print it once.")] = False,
    config: ConfigOption = None,
) -> None:
    """A new account in the store. Nothing is to be reloaded: the gateway knows it within a second."""

    async def added(accounts: Accounts) -> str:
        await accounts.add(login, _merged({}, settings or []), operator(), enabled=not disabled)
        return await accounts.set_password(login, None, operator()) if password else ""

    made = _with(config, added)
    typer.echo(f"added {login}" + (f", password {made}   (shown once; only its hash is kept)" if made else ""))


@app.command("set")
def change(login: Login, settings: Settings = None, config: ConfigOption = None) -> None:
    """Change settings of an account."""

    async def changed(accounts: Accounts) -> None:
        before = await accounts.one(login)
        await accounts.change(login, _merged(before.settings, settings or []), operator())

    _with(config, changed)
    typer.echo(f"changed {login}")


@app.command()
def apply(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="As accounts.yaml.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would change.")] = False,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Bring the accounts of a file into the store, all or none. A second time changes nothing; accounts that the file
    does not name stay as they are."""
    changes = asyncio.run(_apply(config, file, dry_run))
    if as_json:
        print_json([asdict(change) for change in changes])
        return
    for one in changes:
        words = {"add": "[green]+[/]", "change": "[yellow]~[/]", "none": "[dim]=[/]"}[one.what]
        details = f"  [dim]{escape(', '.join(one.details))}[/]" if one.details else ""
        console.print(f"{words} {escape(one.login)}{details}")
        if one.shadowed:
            console.print("  [yellow]the accounts file has it, too, and wins as long as it is there[/]")
    count = sum(one.what != "none" for one in changes)
    console.print(f"{count} of {len(changes)} {'would change' if dry_run else 'changed'}")


async def _apply(config: Any, file: Path, dry_run: bool) -> list[Change]:
    from gateway.service.applying import apply as service  # noqa: PLC0415

    loaded = configuration(config)
    with told():
        async with store_of(loaded) as store:
            return await service(file, store, loaded, operator(), dry_run=dry_run)


@app.command()
def enable(login: Login, config: ConfigOption = None) -> None:
    """Activate email2sms for the account."""
    _with(config, lambda accounts: accounts.switch(login, True, operator()))
    typer.echo(f"{login} is active")


@app.command()
def disable(login: Login, config: ConfigOption = None) -> None:
    """Deactivate it: its mails are refused (FORBIDDEN). What is queued goes out; `hold --account` stops that."""
    _with(config, lambda accounts: accounts.switch(login, False, operator()))
    typer.echo(f"{login} is not active")


@app.command()
def remove(
    login: Login,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    config: ConfigOption = None,
) -> None:
    """Remove an account from the store, with its keys and lists."""
    if not yes:
        typer.confirm(f"Remove {login} with its keys and lists?", abort=True, err=True)
    _with(config, lambda accounts: accounts.remove(login, operator()))
    typer.echo(f"removed {login}")


@app.command()
def passwd(
    login: Login,
    make: Annotated[bool, typer.Option("--make", help="Make one up, and print it once.")] = False,
    none: Annotated[bool, typer.Option("--none", help="Take it away: API keys only.")] = False,
    config: ConfigOption = None,
) -> None:
    """Give an account a password: asked for, or read from standard input."""
    if none:
        _with(config, lambda accounts: accounts.remove_password(login, operator()))
        typer.echo(f"{login} has no password")
        return
    given = None if make else _typed_password()
    made = _with(config, lambda accounts: accounts.set_password(login, given, operator()))
    typer.echo(f"password of {login}: {made}   (shown once; only its hash is kept)" if make else f"changed {login}")


@keys.command("list")
def list_keys(login: Login, config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """The keys of an account, by their first characters."""
    found = _with(config, lambda accounts: accounts.one(login)).keys
    if as_json:
        print_json([_key_dict(key) for key in found])
        return
    for key in found:
        console.print(_key_words(key), markup=False)
    if not found:
        console.print(f"{escape(login)} has no keys.")


@keys.command("add")
def add_key(
    login: Login,
    name: Annotated[str, typer.Argument(help="What it is for: till 3")],
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make a key, and print it once."""
    key, chosen = _with(config, lambda accounts: accounts.add_key(login, name, operator()))
    if as_json:
        print_json({**_key_dict(key), "key": chosen})
    else:
        typer.echo(f"{chosen}   (shown once; only its digest is kept)")


@keys.command("enable")
def enable_key(login: Login, key_id: int, config: ConfigOption = None) -> None:
    """Let a key be used again."""
    _with(config, lambda accounts: accounts.switch_key(login, key_id, True, operator()))
    typer.echo(f"key {key_id} is active")


@keys.command("disable")
def disable_key(login: Login, key_id: int, config: ConfigOption = None) -> None:
    """Let a key rest."""
    _with(config, lambda accounts: accounts.switch_key(login, key_id, False, operator()))
    typer.echo(f"key {key_id} is not active")


@keys.command("revoke")
def revoke_key(login: Login, key_id: int, config: ConfigOption = None) -> None:
    """Remove a key for ever."""
    _with(config, lambda accounts: accounts.revoke_key(login, key_id, operator()))
    typer.echo(f"revoked key {key_id}")


# ── what they share ──────────────────────────────────────────────────────────────────────────


def _with(config: Any, ask: Callable[[Accounts], Awaitable[T]]) -> T:
    """Ask the service, and put its refusals in words."""
    from gateway.service.accounts import Accounts  # noqa: PLC0415  (heavy imports only for verbs that need them)
    from gateway.service.roster import whole  # noqa: PLC0415

    loaded = configuration(config)

    async def asked() -> T:
        async with store_of(loaded) as store:
            complete = await whole(loaded, store)
            return await ask(Accounts(store, lambda: complete))

    with told():
        return asyncio.run(asked())


@contextmanager
def told() -> Iterator[None]:
    """What the services refuse, in words and exit codes."""
    from gateway.service.accounts import Provisioned, Taken, Unknown  # noqa: PLC0415

    try:
        yield
    except AccountFaults as faults:
        typer.echo(str(faults), err=True)
        raise typer.Exit(EX_DATAERR) from None
    except Unknown as error:
        typer.echo(f"no {error.args[0]}", err=True)
        raise typer.Exit(EX_USAGE) from None
    except Provisioned as error:
        typer.echo(f"{error} is in the accounts file: change it there, then email2sms reload", err=True)
        raise typer.Exit(EX_NOPERM) from None
    except Taken as error:
        typer.echo(f"{error}: there is one already; logins and API keys are unique", err=True)
        raise typer.Exit(EX_DATAERR) from None


async def _all(accounts: Accounts, search: str) -> list[Entry]:
    found: list[Entry] = []
    after: str | None = ""
    while after is not None:
        page = await accounts.listed(after=after, search=search, limit=1000)
        found += page.accounts
        after = page.next
    return found


def _merged(before: Any, changes: list[str]) -> dict[str, Any]:
    """``limits.per_day=500`` into the settings; an empty value takes the key out."""
    result: dict[str, Any] = {key: dict(value) if isinstance(value, dict) else value for key, value in before.items()}
    for change in changes:
        name, equals, value = change.partition("=")
        if not equals:
            raise typer.BadParameter(f"{change}: give KEY=VALUE")
        section, _, last = name.rpartition(".")
        place = result
        for part in filter(None, section.split(".")):
            inner = place.get(part)
            place[part] = inner = dict(inner) if isinstance(inner, dict) else {}
            place = inner
        if value:
            place[last] = yaml.load(value, yaml.CBaseLoader)  # noqa: S506  (strings, lists and mappings only)
        else:
            place.pop(last, None)
    return result


def _typed_password() -> str:
    password: str = (
        typer.prompt("Password", hide_input=True) if sys.stdin.isatty() else sys.stdin.readline().rstrip("\r\n")
    )
    if not password:
        typer.echo("no password given", err=True)
        raise typer.Exit(EX_USAGE)
    return password


def _state(one: Entry) -> str:
    if one.fault:
        return "[red]not usable[/]"
    return "[green]active[/]" if one.enabled else "[yellow]not active[/]"


def _remark(one: Entry) -> str:
    remarks = ["provisioned"] if one.provisioned else []
    remarks += ["shadows one in the store"] if one.shadowed else []
    remarks += [one.fault] if one.fault else []
    return f"[dim]{escape(', '.join(remarks))}[/]" if remarks else ""


def _key_words(key: Key) -> str:
    if not key.id:
        return f"API key: {key.prefix}…"
    state = "active" if key.active else "NOT ACTIVE"
    return f"API key {key.id}: {key.prefix}…  {key.name}  {state}, {ago(key.created_at)}"


def _key_dict(key: Key) -> dict[str, Any]:
    return {"id": key.id, "name": key.name, "prefix": key.prefix, "active": key.active, "created_at": key.created_at}


def _as_dict(one: Entry) -> dict[str, Any]:
    return {
        "login": one.login,
        "enabled": one.enabled,
        "provisioned": one.provisioned,
        "shadowed": one.shadowed,
        "fault": one.fault or None,
        "password": one.has_password,
        "keys": [_key_dict(key) for key in one.keys],
        "settings": dict(one.settings),
        "changed_at": one.changed_at,
    }
