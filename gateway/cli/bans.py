"""Who is shut out for guessing."""

from __future__ import annotations

import asyncio
import time
from dataclasses import asdict
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from gateway.cli.common import ConfigOption, JsonOption, clock, configuration, print_json, store_of
from gateway.cli.screen import console
from gateway.service.bans import Record, lift, listed

app = typer.Typer(help="Who is shut out for wrong credentials.", no_args_is_help=True)


@app.command("list")
def list_bans(config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Networks, accounts and senders that are not listened to now."""
    records = asyncio.run(_listed(config))
    if as_json:
        print_json([asdict(record) for record in records])
        return
    table = Table("until", "wrong today", "times", "who", box=None, pad_edge=False)
    for record in records:
        table.add_row(clock(record.until), str(record.today), str(record.bans), escape(record.subject))
    console.print(table if records else "Nobody is shut out.")


async def _listed(config: Any) -> list[Record]:
    async with store_of(configuration(config)) as store:
        return await listed(store, time.time())


@app.command("lift")
def lift_bans(
    subjects: Annotated[list[str], typer.Argument(metavar="WHO...", help="As in bans list, each in quotes.")],
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Let them in again, and forget what was counted. The gateway hears of it within seconds."""
    results = asyncio.run(_lifted(config, subjects))
    if as_json:
        print_json(results)
    else:
        for subject, lifted in results.items():
            console.print(f"{escape(subject)}: {'lifted' if lifted else '[red]nothing is counted for it[/]'}")
    if not all(results.values()):
        raise typer.Exit(1)


async def _lifted(config: Any, subjects: list[str]) -> dict[str, bool]:
    async with store_of(configuration(config)) as store:
        return {subject: await lift(store, subject) for subject in subjects}
