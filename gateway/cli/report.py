"""``email2sms report``: cost and delivery."""

from __future__ import annotations

import asyncio
import time
from datetime import date, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from gateway.cli.common import ConfigOption, JsonOption, configuration, print_json, store_of
from gateway.cli.screen import console
from gateway.settings.load import Configuration

if TYPE_CHECKING:
    from gateway.service.figures import Report


def report(
    first: Annotated[
        datetime | None, typer.Option("--from", formats=["%Y-%m-%d"], help="First day, UTC; default: of this month.")
    ] = None,
    last: Annotated[
        datetime | None, typer.Option("--to", formats=["%Y-%m-%d"], help="Last day, UTC; default: today.")
    ] = None,
    by: Annotated[str, typer.Option("--by", help="account, provider, day, month, error or client.")] = "account",
    account: Annotated[list[str] | None, typer.Option("--account", help="Only of this login; several times.")] = None,
    as_csv: Annotated[bool, typer.Option("--csv", help="For spreadsheets.")] = False,
    excel: Annotated[str, typer.Option("--excel", help="en, ru, uk: CSV as Excel of that language opens it.")] = "",
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """How many SMS went out, what became of them, and what they cost. They count for the day (UTC) on which their mail
    came; the cost is as the providers tell it."""
    from gateway.service import reports  # noqa: PLC0415  (heavy imports only for verbs that need them)

    try:
        wanted = reports.By(by)
        period = reports.period(_date(first), _date(last), reports.today(time.time()))
    except ValueError as error:
        typer.echo(f"--by, --from, --to: {error}", err=True)
        raise typer.Exit(64) from None  # EX_USAGE
    loaded = configuration(config)
    found = asyncio.run(_report(loaded, *period, account, by_month=wanted is not reports.By.DAY))
    heads, cells = reports.table(found, wanted)
    if as_json:
        counts = (*reports.COLUMNS, "count")
        rows = [_typed(dict(zip(heads, row, strict=True)), counts) for row in cells]
        print_json({"from": str(period[0]), "to": str(period[1]), "by": by, "rows": rows})
    elif as_csv or excel:
        print(reports.as_csv(heads, cells, excel=bool(excel), language=excel), end="")
    else:
        _show(heads, cells, f"{period[0]} … {period[1]}")


async def _report(
    loaded: Configuration, first: date, last: date, accounts: list[str] | None, *, by_month: bool
) -> Report:
    from gateway.service.balances import Balances, Terms  # noqa: PLC0415
    from gateway.service.figures import Figures  # noqa: PLC0415

    async with store_of(loaded) as store:
        figures = Figures(store, loaded.settings.retention.records)
        await figures.count()
        terms = {name: Terms(one.balance_every, one.balance_low) for name, one in loaded.settings.providers.items()}
        currencies = await Balances(store, terms, {}).currencies()
        return await figures.report(first, last, accounts or None, currencies, by_month=by_month)


def _date(given: datetime | None) -> date | None:
    return given.date() if given is not None else None


def _typed(row: dict[str, Any], counts: tuple[str, ...]) -> dict[str, Any]:
    """Counts as numbers; money stays a string, for no program may round it."""
    return {key: int(value) if key in counts else value for key, value in row.items()}


def _show(heads: list[str], cells: list[list[str]], title: str) -> None:
    """What goes into a terminal; the rest is for programs."""
    shown = [number for number, head in enumerate(heads) if head not in _FOR_PROGRAMS]
    table = Table(box=None, title=title, title_justify="left")
    for number in shown:
        is_name = number == 0 or heads[number] == "words"
        table.add_column(heads[number].replace("_", " "), justify="left" if is_name else "right", no_wrap=number > 0)
    for row in cells:
        table.add_row(*(escape(row[number]) or "–" for number in shown))
    console.print(table)


_FOR_PROGRAMS = ("mails", "mails_refused", "dropped", "segments_ucs2", "waiting")
