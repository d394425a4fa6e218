"""What old devices do, and what was made of it."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from typing import Any

from rich.markup import escape
from rich.table import Table

from gateway.cli.common import ConfigOption, JsonOption, ago, configuration, print_json, store_of
from gateway.cli.screen import console
from gateway.service.quirks import STRANGERS, QuirkRow, known_quirks, words


def quirks(config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """What each client does that is no SMTP and was forgiven, or was refused for what it is."""
    rows = asyncio.run(_rows(config))
    if as_json:
        print_json([{**asdict(row), "what": words(row.quirk)} for row in rows])
        return
    table = Table(box=None, pad_edge=False)
    for column in ("client", "listener", "what it does", "times", "first", "last"):
        table.add_column(column, no_wrap=column == "client", justify="right" if column == "times" else "left")
    before = ""
    for row in rows:
        client = {"": "a Unix socket", STRANGERS: "strangers"}.get(row.client, row.client)
        shown, before = "" if client == before else client, client
        seen = (f"{row.count}", ago(row.first_at), ago(row.last_at))
        table.add_row(escape(shown), escape(row.listener), escape(words(row.quirk)), *seen)
    if rows:
        console.print(table)
    else:
        console.print("Every client keeps to the rules, as far as is known.")


async def _rows(config: Any) -> list[QuirkRow]:
    async with store_of(configuration(config)) as store:
        return await known_quirks(store)
