"""Messages by a query: the list, and the queue as Postfix shows it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import asdict
from datetime import datetime
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from gateway.cli import switch
from gateway.cli.common import (
    ConfigOption,
    JsonOption,
    NumbersOption,
    ago,
    configuration,
    print_json,
    store_of,
)
from gateway.cli.screen import console
from gateway.lifecycle import State
from gateway.policy.search import KEYS
from gateway.service.desk import COUNTED, Desk
from gateway.service.messages import Message, Messages, Mistake, Query
from gateway.sms.numbers import mask

_COLOURS: dict[str, str] = {
    State.QUEUED: "cyan",
    State.SUBMITTING: "cyan",
    State.SUBMITTED: "green",
    State.DELIVERED: "bold green",
    State.HELD: "yellow",
    State.UNCERTAIN: "bold yellow",
    State.CANCELLED: "dim",
}


def state_words(state: str) -> str:
    """In its colour."""
    return f"[{_COLOURS.get(state, 'red')}]{state}[/]"


Words = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[QUERY]",
        help='Such as: to:79101234567 from:"My Bank" account:shop status:failed verdict:AUTH after:2h',
    ),
]


def list_jobs(
    words: Words = None,
    state: Annotated[list[State] | None, typer.Option(help="Only these states.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1_000_000)] = 50,
    numbers: NumbersOption = False,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """The newest jobs, and mails that were refused, or those that a query finds."""
    rows, counts = asyncio.run(_list(config, _query_words(words, state), limit))
    holds = asyncio.run(switch.listed(configuration(config)))
    if as_json:
        found = [_message(row, numbers) for row in rows]
        print_json({"counts": counts, "holds": [asdict(one) for one in holds], "jobs": found})
        return
    switch.show(holds)
    table = Table(box=None, pad_edge=False)
    for column in ("job", "to", "from", "state", "updated"):
        table.add_column(column, no_wrap=True)
    table.add_column("verdict, why")
    for row in rows:
        shown = row.to if numbers or not row.to else mask(row.to)
        why = f"{row.verdict} {row.why}".strip()
        table.add_row(
            row.id, escape(shown), escape(row.sender), state_words(row.status), ago(row.updated_at), escape(why)
        )
    console.print(table)
    console.print(
        ", ".join(f"{count}{'+' * (count >= COUNTED)} {name}" for name, count in sorted(counts.items()))
        or "The queue is empty."
    )


def _query_words(words: list[str] | None, states: list[State] | None) -> str:
    """A shell takes quotation marks away: what has blanks in it was quoted."""
    quoted = [_quoted(word) for word in words or []]
    return " ".join([*quoted, *(f"status:{state.value}" for state in states or [])])


def _quoted(word: str) -> str:
    key, colon, value = word.partition(":")
    if colon and key.lstrip("-").lower() in KEYS and any(c.isspace() for c in value) and '"' not in value:
        return f'{key}:"{value}"'
    return word


def _message(row: Message, numbers: bool) -> dict[str, Any]:
    """With the names of the API, and those that this command always had."""
    shown = asdict(row)
    to, sender, values = (shown.pop(name) for name in ("to", "sender", "values"))
    del values
    old = {"state": row.status, "originator": sender, "destination": to if numbers or not to else mask(to)}
    return {**shown, **old, "created_at": row.at}


async def _list(config: Any, words: str, limit: int) -> tuple[list[Message], dict[str, int]]:
    async with store_of(configuration(config)) as store:
        messages = Messages(store)
        rows = await _some(messages.all(understood(messages, words), min(limit, 500)), limit)
        return rows, await Desk(store).counts()


async def _some(rows: AsyncIterator[Message], limit: int) -> list[Message]:
    found = []
    async for row in rows:
        found.append(row)
        if len(found) == limit:
            break
    return found


def understood(messages: Messages, words: str) -> Query:
    """What the words mean; whoever made a mistake is told."""
    try:
        return messages.query(words)
    except Mistake as mistake:
        typer.echo(str(mistake), err=True)
        raise typer.Exit(64) from None  # EX_USAGE


def mailq(numbers: NumbersOption = False, config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """What waits, as Postfix shows its queue: `*` is being sent, `!` is held, `?` is uncertain."""
    rows = asyncio.run(_list(config, "status:open", 1_000_000))[0]
    if as_json:
        print_json([_message(row, numbers) for row in rows])
        return
    if not rows:
        typer.echo("Mail queue is empty")
        return
    typer.echo("-Queue ID-        --Size-- ----Arrival Time---- -Sender/Recipient-------")
    for row in reversed(rows):
        at = datetime.fromtimestamp(row.at).astimezone().strftime("%a %b %d %H:%M:%S")
        size = row.segments * _SEGMENT_BYTES
        typer.echo(f"{row.id + _MARKS.get(row.status, ' '):17} {size:>8} {at}  {row.sender}")
        if row.why:
            typer.echo(f"{'':>32}({row.why})")
        typer.echo(f"{'':>48}{row.to if numbers else mask(row.to)}\n")
    kilobytes = sum(row.segments for row in rows) * _SEGMENT_BYTES // 1024
    typer.echo(f"-- {kilobytes} Kbytes in {len(rows)} Request{'s' if len(rows) != 1 else ''}.")


_SEGMENT_BYTES = 140
_MARKS = {State.SUBMITTING.value: "*", State.HELD.value: "!", State.UNCERTAIN.value: "?"}
