"""What a text costs, and why."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.panel import Panel
from rich.table import Table

from gateway.cli.common import ConfigOption, JsonOption, all_accounts, configuration, print_json
from gateway.cli.screen import console
from gateway.service.counting import NATIONAL, Alphabet, Counted, Culprit, count
from gateway.service.wording import refusal_line
from gateway.verdicts import Refused

_SHOWN = 12
"""Characters to name; the rest are counted."""
_WAYS = {"clean": "clean: [typography, emoji]"}
"""Of an account's settings, where they are called otherwise."""


def segments(
    text: Annotated[str, typer.Argument(help="The SMS; - is standard input.")],
    account: Annotated[str, typer.Option(help="Treat the text as this account's is.")] = "",
    national: Annotated[list[str] | None, typer.Option(help="A national table that the provider knows.")] = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """How many SMS a text takes, where it is cut, and which characters make it longer."""
    unknown = set(national or ()) - NATIONAL.keys()
    if unknown:
        typer.echo(f"no national table {', '.join(unknown)}; one of {', '.join(NATIONAL)}", err=True)
        raise typer.Exit(64)
    body = sys.stdin.read().rstrip("\n") if text == "-" else text
    loaded = configuration(config) if account else None
    if loaded is not None and not loaded.directory.knows(account):
        loaded = all_accounts(loaded)
    if loaded is not None and not loaded.directory.knows(account):
        typer.echo(f"no account {account}", err=True)
        raise typer.Exit(64)
    try:
        found = count(body, loaded, account, tuple(national or ()))
    except Refused as refused:
        typer.echo(refusal_line(refused.refusal), err=True)
        raise typer.Exit(refused.refusal.verdict.sysexit) from None
    if as_json:
        print_json(_as_json(found))
    else:
        _show(found)


def _as_json(found: Counted) -> dict[str, Any]:
    return {
        "alphabet": found.alphabet.value,
        "segments": len(found.parts),
        "units": found.units,
        "limits": {"single": found.single, "part": found.part},
        "left": found.left,
        "tables": {"locking": found.tables.locking, "shift": found.tables.shift},
        "parts": list(found.parts),
        "not_in_gsm7": [{"char": c.char, "name": c.name, "at": c.at} for c in found.culprits],
        "changed": [{"what": note.what, **note.values} for note in found.notes],
        "shorter": {_WAYS.get(found.way, found.way): found.segments for found in found.shorter},
    }


def _show(found: Counted) -> None:
    count = len(found.parts)
    room = found.single if count <= 1 else found.part
    for number, piece in enumerate(found.parts, 1):
        title = f"{number} of {count}" if count > 1 else "SMS"
        console.print(Panel(escape(piece), title=title, title_align="left", border_style="cyan"))
    what = "septets" if found.alphabet is Alphabet.GSM7 else "UTF-16 units"
    console.print(f"[bold]{found.alphabet.value}[/], [bold]{count}[/] SMS, {found.units} {what}, {room} in each")
    for note in found.notes:
        values = ", ".join(f"{key} {value}" for key, value in note.values.items())
        console.print(f"[yellow]changed:[/] {note.what} ({values})")
    if found.culprits:
        console.print(_named(found.culprits))
    for way in found.shorter:
        console.print(f"[green]{_WAYS.get(way.way, way.way)}:[/] {way.segments} SMS instead of {count}")


def _named(culprits: tuple[Culprit, ...]) -> Table:
    table = Table("not in GSM-7", "", "at", box=None, pad_edge=False)
    for culprit in culprits[:_SHOWN]:
        char = culprit.char
        shown = char if char.isprintable() and not char.isspace() else " "
        table.add_row(f"[bold red]{escape(shown)}[/]", f"U+{ord(char):04X} {culprit.name}", str(culprit.at))
    if len(culprits) > _SHOWN:
        table.add_row("…", f"and {len(culprits) - _SHOWN} more", "")
    return table
