"""How to connect what sends mail."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer
from rich.table import Table

from gateway.cli.common import ConfigOption, JsonOption, all_accounts, configuration, print_json
from gateway.cli.screen import console
from gateway.service import connect
from gateway.service.connect import NoListener

EX_USAGE = 64


def snippet(
    name: Annotated[str | None, typer.Argument(help="Of the recipe; without it they are listed.")] = None,
    listener: Annotated[str, typer.Option(help="Where mails are to go; default: the first.")] = "",
    account: Annotated[str, typer.Option(help="Whose mails they are.")] = "",
    host: Annotated[str, typer.Option(help="Of this machine, as clients reach it; default: server.hostname.")] = "",
    language: Annotated[str, typer.Option("--lang", help="en, ru or uk.")] = "en",
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Print a recipe for Postfix, Exim, Exchange, Zabbix, a camera, …, filled in for this gateway."""
    if name is None:
        _list(as_json)
        return
    loaded = configuration(config)
    if account and not loaded.directory.knows(account):
        loaded = all_accounts(loaded)
        if not loaded.directory.knows(account):
            typer.echo(f"no account {account!r}", err=True)
            raise typer.Exit(EX_USAGE)
    try:
        found = connect.filled(name, connect.facts(loaded, listener=listener, account=account, host=host), language)
    except KeyError:
        typer.echo(f"no recipe {name}; one of {', '.join(connect.names())}", err=True)
        raise typer.Exit(EX_USAGE) from None
    except NoListener as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(EX_USAGE) from None
    if as_json:
        print_json(asdict(found))
        return
    print(f"# {found.about}")
    for step in found.steps:
        print(f"\n# {step.where}\n{step.text}")


def _list(as_json: bool) -> None:
    found = [(name, *connect.heading(name)) for name in connect.names()]
    if as_json:
        print_json([{"name": name, "title": title, "group": group} for name, title, group in found])
        return
    table = Table("name", "for", "", box=None, header_style="dim")
    for row in found:
        table.add_row(*row)
    console.print(table)
