"""What a text costs, and why."""

from __future__ import annotations

import sys
import unicodedata
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.panel import Panel
from rich.table import Table

from gateway.cli.common import ConfigOption, JsonOption, all_accounts, configuration, console, print_json
from gateway.model import Note, Operator, Submission
from gateway.policy.composing import TextRules, compose
from gateway.service.wording import refusal_line
from gateway.sms import cleaning
from gateway.sms.segments import NATIONAL, Alphabet, Segmentation, limits, segment
from gateway.sms.translit import transliterate
from gateway.verdicts import Refused

_SHOWN = 12
"""Characters to name; the rest are counted."""


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
    notes: tuple[Note, ...] = ()
    if account:
        body, notes = _as_account(body, account, config)
    found = segment(body, tuple(national or ()))
    if as_json:
        print_json(_as_json(body, found, notes))
    else:
        _show(body, found, notes)


def _as_account(body: str, login: str, config: Any) -> tuple[str, tuple[Note, ...]]:
    loaded = configuration(config)
    known = loaded.directory.accounts.get(login) or all_accounts(loaded).directory.accounts.get(login)
    if known is None:
        typer.echo(f"no account {login}", err=True)
        raise typer.Exit(64)
    try:
        composed = compose(Submission("cli", "segments", Operator(login), "", (), body, ""), known.texts)
    except Refused as refused:
        typer.echo(refusal_line(refused.refusal), err=True)
        raise typer.Exit(refused.refusal.verdict.sysexit) from None
    return composed.text, composed.notes


def _as_json(body: str, found: Segmentation, notes: tuple[Note, ...]) -> dict[str, Any]:
    single, part = limits(found.alphabet, found.tables)
    return {
        "alphabet": found.alphabet.value,
        "segments": len(found.segments),
        "units": found.units,
        "limits": {"single": single, "part": part},
        "tables": {"locking": found.tables.locking, "shift": found.tables.shift},
        "parts": list(found.segments),
        "not_in_gsm7": [{"char": c, "name": _name(c), "at": body.index(c) + 1} for c in found.culprits],
        "changed": [{"what": note.what, **note.values} for note in notes],
        "shorter": dict(_shorter(body, found)),
    }


def _show(body: str, found: Segmentation, notes: tuple[Note, ...]) -> None:
    count = len(found.segments)
    single, part = limits(found.alphabet, found.tables)
    room = single if count <= 1 else part
    for number, piece in enumerate(found.segments, 1):
        title = f"{number} of {count}" if count > 1 else "SMS"
        console.print(Panel(escape(piece), title=title, title_align="left", border_style="cyan"))
    what = "septets" if found.alphabet is Alphabet.GSM7 else "UTF-16 units"
    console.print(f"[bold]{found.alphabet.value}[/], [bold]{count}[/] SMS, {found.units} {what}, {room} in each")
    for note in notes:
        values = ", ".join(f"{key} {value}" for key, value in note.values.items())
        console.print(f"[yellow]changed:[/] {note.what} ({values})")
    if found.culprits:
        console.print(_named(body, found.culprits))
    for way, shorter in _shorter(body, found):
        console.print(f"[green]{way}:[/] {shorter} SMS instead of {count}")


def _named(body: str, culprits: str) -> Table:
    table = Table("not in GSM-7", "", "at", box=None, pad_edge=False)
    for char in culprits[:_SHOWN]:
        shown = char if char.isprintable() and not char.isspace() else " "
        table.add_row(f"[bold red]{escape(shown)}[/]", f"U+{ord(char):04X} {_name(char)}", str(body.index(char) + 1))
    if len(culprits) > _SHOWN:
        table.add_row("…", f"and {len(culprits) - _SHOWN} more", "")
    return table


def _name(char: str) -> str:
    return unicodedata.name(char, "control character").lower()


def _shorter(body: str, found: Segmentation) -> list[tuple[str, int]]:
    """What an account's settings could save."""
    cleaned = cleaning.without_typography(cleaning.without_emoji(body))
    ways = (("clean: [typography, emoji]", cleaned), ("transliterate", transliterate(cleaned, TextRules().scheme)))
    counted = [(way, len(segment(text).segments)) for way, text in ways if text.strip()]
    return [(way, count) for way, count in counted if count < len(found.segments)]
