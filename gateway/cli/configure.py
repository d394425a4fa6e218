"""Making and checking a configuration."""

from __future__ import annotations

import asyncio
import secrets
from importlib.resources import files
from pathlib import Path
from typing import Annotated

import typer
from argon2 import PasswordHasher
from rich.markup import escape
from rich.table import Table

from gateway.cli.common import ConfigOption, JsonOption, all_accounts, configuration, print_json
from gateway.cli.screen import console
from gateway.settings import reference
from gateway.settings.load import Configuration

_PLACE_OF_HASH = '    # password_hash: "$argon2id$…"'
_READABLE = "abcdefghjkmnpqrstuvwxyz23456789"


def template(name: str) -> str:
    """A file of ``config/``: inside the package when installed from a wheel, beside it in a checkout."""
    packaged = files("gateway") / "config" / name
    if packaged.is_file():
        return packaged.read_text("utf-8")
    return (Path(__file__).parents[2] / "config" / name).read_text("utf-8")


def new_password() -> str:
    """Eight characters, the template dialect's limit; 39 bits, which argon2 and the error limits must carry."""
    return "".join(secrets.choice(_READABLE) for _ in range(8))


def init(folder: Annotated[Path, typer.Argument(help="Where to.")] = Path()) -> None:
    """Write gateway.yaml and accounts.yaml, with an account of a random password that is shown once."""
    targets = {name: folder / name for name in ("gateway.yaml", "accounts.yaml")}
    if existing := [str(path) for path in targets.values() if path.exists()]:
        typer.echo(f"{', '.join(existing)}: already there; nothing was changed", err=True)
        raise typer.Exit(73)  # EX_CANTCREAT
    password = new_password()
    accounts = template("accounts.yaml")
    assert _PLACE_OF_HASH in accounts
    line = f'    password_hash: "{PasswordHasher().hash(password)}"'
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in {
        "gateway.yaml": template("gateway.yaml"),
        "accounts.yaml": accounts.replace(_PLACE_OF_HASH, line),
    }.items():
        targets[name].touch(mode=0o600)
        targets[name].write_text(text, "utf-8")
    typer.echo(f"""Wrote {targets["gateway.yaml"]} and {targets["accounts.yaml"]}.

Account demo, password {password}   (shown once; only its hash is kept)

  email2sms check-config --config {targets["gateway.yaml"]}
  email2sms serve --config {targets["gateway.yaml"]}

The first start shows a link that opens the console.""")


def check_config(
    config: ConfigOption = None,
    probe: Annotated[bool, typer.Option("--probe", help="Also ask each provider for its balance.")] = False,
    schema: Annotated[bool, typer.Option("--schema", help="Print the JSON Schema of gateway.yaml.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Check every file without starting. Faults: one line each, exit code 78."""
    if schema:
        print_json(reference.json_schema())
        return
    loaded = all_accounts(configuration(config))
    balances = asyncio.run(_probe(loaded)) if probe else {}
    settings = loaded.settings
    if as_json:
        print_json(
            {
                "file": str(loaded.path),
                "listeners": {listener.name: listener.bind for listener in settings.listeners},
                "dialects": [dialect.name for dialect in loaded.dialects],
                "providers": {name: provider.driver for name, provider in settings.providers.items()},
                "destinations": str(loaded.house.destinations),
                "accounts": sorted(loaded.directory.accounts),
                "balances": balances,
                "warnings": loaded.warnings,
            }
        )
    else:
        _show(loaded, balances)
    if any("error" in balance for balance in balances.values()):
        raise typer.Exit(69)  # EX_UNAVAILABLE


def _show(loaded: Configuration, balances: dict[str, dict[str, str]]) -> None:
    settings = loaded.settings
    table = Table("", "", show_header=False, box=None)
    for listener in settings.listeners:
        trust = ", ".join(str(network) for network in listener.trust) or "nobody by network"
        on_refusal = "reply" if listener.answers_by_mail else "reject"
        what = f"{listener.protocol} on {listener.bind}, trusts {trust}, refusals: {on_refusal}"
        what += ", lenient" if listener.lenient else ""
        table.add_row(f"listener {listener.name}", what)
    for name, provider in settings.providers.items():
        answer = balances.get(name, {})
        extra = f", {answer.get('error') or 'balance ' + answer.get('balance', '')}" if answer else ""
        table.add_row(f"provider {name}", provider.driver + extra)
    table.add_row("open", str(loaded.house.destinations))
    table.add_row("accounts", ", ".join(sorted(loaded.directory.accounts)) or "none: nobody can send")
    table.add_row("store", loaded.store_shown)
    console.print(table)
    for warning in loaded.warnings:
        console.print(f"[bold yellow]WARNING[/] {escape(warning)}", soft_wrap=True)
    console.print(f"[green]✓[/] {loaded.path} is right", soft_wrap=True)


async def _probe(loaded: Configuration) -> dict[str, dict[str, str]]:
    from gateway.cli.providers import ask_balance  # noqa: PLC0415

    return {name: await ask_balance(loaded, name) for name in loaded.settings.providers}
