"""Lists of numbers, and stop-lists."""

from __future__ import annotations

import asyncio
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer
from rich.markup import escape
from rich.table import Table

from gateway.cli.accounts import EX_DATAERR, EX_USAGE, told
from gateway.cli.common import (
    ConfigOption,
    JsonOption,
    NumbersOption,
    ago,
    configuration,
    operator,
    print_json,
    store_of,
)
from gateway.cli.screen import console
from gateway.service.wording import explained
from gateway.sms.numbers import mask, parse_in
from gateway.verdicts import Refused

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from gateway.service.lists import Lists, Sheet

T = TypeVar("T")

app = typer.Typer(help="Lists of numbers that mails may be sent to by name.", no_args_is_help=True)
stop_app = typer.Typer(help="Numbers that never get an SMS: of one account, or of all.", no_args_is_help=True)

SHOWN = 20
"""Lines of a report."""
Account = Annotated[str, typer.Option("--account", "-a", help="Whose list.")]
StopAccount = Annotated[
    str, typer.Option("--account", "-a", help="Whose stop-list; default: the one for all accounts.")
]
Name = Annotated[str, typer.Argument(metavar="NAME", help="As in mails: 12345.")]
Numbers = Annotated[list[str], typer.Argument(metavar="NUMBER...", help="As people write them, in quotes.")]
Country = Annotated[str, typer.Option(help="Of numbers without a country code: RU.")]
UNREADABLE = {
    "workbook": "a workbook; save it as CSV",
    "empty": "empty",
    "long": "too long; at most 300,000 lines",
    "broken": "no table; a quote is not closed, or a field is too long",
}


@app.command("list")
def list_lists(config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """All lists."""
    found = [one for one in _with(config, lambda lists: lists.listed()) if one.name]
    if as_json:
        print_json([asdict(one) for one in found])
        return
    table = Table("account", "list", "numbers", "", box=None, pad_edge=False)
    for one in found:
        remark = "provisioned" if one.provisioned else ago(one.changed_at or 0)
        table.add_row(escape(one.account), escape(one.name), f"{one.count:,}", f"[dim]{remark}[/]")
    console.print(table if found else "No lists.")


@app.command()
def show(
    name: Name,
    account: Account,
    search: Annotated[str, typer.Option(help="Numbers that begin so.")] = "",
    limit: Annotated[int, typer.Option(min=1, max=100_000)] = 100,
    numbers: NumbersOption = False,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Numbers of a list."""
    _print_page(config, account, name, search, limit, numbers, as_json)


@app.command("import")
def import_file(
    name: Name,
    file: Annotated[Path, typer.Argument(metavar="FILE.csv", help="- is standard input.")],
    account: Account,
    add: Annotated[bool, typer.Option("--add", help="Keep what is there already.")] = False,
    country: Country = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be taken.")] = False,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make a list of a table, or bring it up to date: any separator, with a heading or without, other columns beside,
    numbers as people write them. All at once; what is no number is reported and left out."""
    _import(config, account, name, file, country, replace=not add, dry_run=dry_run, as_json=as_json)


@app.command("export")
def export(name: Name, account: Account, config: ConfigOption = None) -> None:
    """Print all numbers, one a line. That you did is recorded."""
    _export(config, account, name)


@app.command("add")
def add_numbers(
    name: Name, numbers: Numbers, account: Account, country: Country = "", config: ConfigOption = None
) -> None:
    """Add numbers; the list is made when there is none."""
    parsed = _parsed(numbers, country)
    put = _with(config, lambda lists: lists.put(account, name, parsed, operator()))
    typer.echo(f"{put.added} added, {put.count} in {name}")


@app.command("remove")
def remove_numbers(
    name: Name, numbers: Numbers, account: Account, country: Country = "", config: ConfigOption = None
) -> None:
    """Take numbers out."""
    parsed = _parsed(numbers, country)
    removed = _with(config, lambda lists: lists.take_out(account, name, parsed, operator()))
    typer.echo(f"{removed} removed")


@app.command()
def drop(
    name: Name,
    account: Account,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    config: ConfigOption = None,
) -> None:
    """Remove a whole list."""
    if not yes:
        typer.confirm(f"Remove the list {name} of {account}?", abort=True, err=True)
    _with(config, lambda lists: lists.drop(account, name, operator()))
    typer.echo(f"removed {name}")


# ── stop-lists ───────────────────────────────────────────────────────────────────────────────


@stop_app.command("add")
def stop(numbers: Numbers, account: StopAccount = "", country: Country = "", config: ConfigOption = None) -> None:
    """They get no SMS any more: BANNED."""
    parsed = _parsed(numbers, country)
    put = _with(config, lambda lists: lists.put(account, "", parsed, operator()))
    typer.echo(f"{put.added} added, {put.count} on the stop-list of {account or 'all accounts'}")


@stop_app.command("remove")
def let(numbers: Numbers, account: StopAccount = "", country: Country = "", config: ConfigOption = None) -> None:
    """They may get SMS again."""
    parsed = _parsed(numbers, country)
    removed = _with(config, lambda lists: lists.take_out(account, "", parsed, operator()))
    typer.echo(f"{removed} removed")


@stop_app.command("import")
def import_stops(
    file: Annotated[Path, typer.Argument(metavar="FILE.csv", help="- is standard input.")],
    account: StopAccount = "",
    country: Country = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be taken.")] = False,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Add the numbers of a table."""
    _import(config, account, "", file, country, replace=False, dry_run=dry_run, as_json=as_json)


@stop_app.command("list")
def stopped(
    account: StopAccount = "",
    search: Annotated[str, typer.Option(help="Numbers that begin so.")] = "",
    limit: Annotated[int, typer.Option(min=1, max=100_000)] = 100,
    numbers: NumbersOption = False,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Who is on it."""
    _print_page(config, account, "", search, limit, numbers, as_json)


@stop_app.command("export")
def export_stops(account: StopAccount = "", config: ConfigOption = None) -> None:
    """Print all numbers, one a line. That you did is recorded."""
    _export(config, account, "")


# ── what they share ──────────────────────────────────────────────────────────────────────────


def _with(config: Any, ask: Callable[[Lists], Awaitable[T]]) -> T:
    from gateway.service.lists import BadName, Lists  # noqa: PLC0415  (heavy imports only for verbs that need them)
    from gateway.service.roster import whole  # noqa: PLC0415

    loaded = configuration(config)

    async def asked() -> T:
        async with store_of(loaded) as store:
            complete = await whole(loaded, store)
            return await ask(Lists(store, lambda: complete))

    with told():
        try:
            return asyncio.run(asked())
        except BadName as error:
            typer.echo(f"{error}: no name for a list; at most 64 characters, without ; / ? # and \\", err=True)
            raise typer.Exit(EX_USAGE) from None


def _export(config: Any, account: str, name: str) -> None:
    async def printed(lists: Lists) -> None:
        async for numbers in lists.exported(account, name, operator()):
            sys.stdout.write("".join(f"{number}\n" for number in numbers))

    _with(config, printed)


def _import(
    config: Any, account: str, name: str, file: Path, country: str, *, replace: bool, dry_run: bool, as_json: bool
) -> None:
    from gateway.service.lists import Put, Unreadable  # noqa: PLC0415

    raw = sys.stdin.buffer.read() if str(file) == "-" else file.read_bytes()

    async def imported(lists: Lists) -> tuple[Sheet, Put | None]:
        sheet = await lists.read(raw, _country(country))
        if dry_run or not sheet.numbers:
            return sheet, None
        return sheet, await lists.put(account, name, sheet.numbers, operator(), replace=replace, what="import")

    try:
        sheet, put = _with(config, imported)
    except Unreadable as error:
        typer.echo(f"{file}: {UNREADABLE[str(error)]}", err=True)
        raise typer.Exit(EX_DATAERR) from None
    if as_json:
        refused = [
            {"line": one.number, "typed": one.typed, "verdict": one.refusal.code, "why": explained(one.refusal)}
            for one in sheet.refused
        ]
        result = asdict(put) if put else None
        print_json({"taken": len(sheet.numbers), "repeated": sheet.repeated, "refused": refused, "list": result})
    else:
        _report(sheet)
        if put is not None:
            console.print(f"[green]✓[/] {put.added} added, {put.count} in {escape(name) or 'the stop-list'}")
    if not sheet.numbers:
        raise typer.Exit(EX_DATAERR)


def _report(sheet: Sheet) -> None:
    separator = {"\t": "tabs", "": "one column"}.get(sheet.separator, f"separated by {sheet.separator}")
    heading = f", column {sheet.heading}" if sheet.heading else ""
    console.print(f"[dim]{sheet.charset}, {separator}{escape(heading)}[/]")
    console.print(f"{len(sheet.numbers)} numbers, {sheet.repeated} repeated, {len(sheet.refused)} refused")
    for one in sheet.refused[:SHOWN]:
        console.print(
            f"  line {one.number}: {one.typed}: {explained(one.refusal)}", markup=False, highlight=False, soft_wrap=True
        )
    if len(sheet.refused) > SHOWN:
        console.print(f"  and {len(sheet.refused) - SHOWN} more")


def _print_page(config: Any, account: str, name: str, search: str, limit: int, numbers: bool, as_json: bool) -> None:
    page = _with(config, lambda lists: lists.page(account, name, search=search, limit=limit))
    shown = [number if numbers else mask(number) for number in page.numbers]
    if as_json:
        print_json({"numbers": shown, "next": page.next if numbers else page.next and mask(page.next)})
        return
    for number in shown:
        console.print(number, highlight=False)
    if page.next:
        console.print("[dim]and more: --limit, --search, or export[/]")


def _country(given: str) -> str:
    from gateway.sms.numbers import calling_code  # noqa: PLC0415

    try:
        calling_code(given.upper() or "RU")
    except KeyError:
        raise typer.BadParameter(f"{given}: no country; give its two letters (ISO 3166): RU, KZ, UA") from None
    return given.upper()


def _parsed(typed: Iterable[str], country: str) -> list[str]:
    found = []
    for one in typed:
        try:
            found.append(parse_in(one, _country(country)))
        except Refused as refused:
            typer.echo(f"{one[:30]}: {explained(refused.refusal)}", err=True)
            raise typer.Exit(EX_DATAERR) from None
    return found
