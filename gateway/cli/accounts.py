"""Account verbs."""

from __future__ import annotations

import sys

import typer
from argon2 import PasswordHasher

app = typer.Typer(help="Accounts.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    """Accounts."""


@app.command("hash")
def hash_password() -> None:
    """Print the argon2 hash of a password (asked for, or read from standard input) for accounts.yaml."""
    password = typer.prompt("Password", hide_input=True) if sys.stdin.isatty() else sys.stdin.readline().rstrip("\r\n")
    if not password:
        typer.echo("no password given", err=True)
        raise typer.Exit(64)  # EX_USAGE
    typer.echo(PasswordHasher().hash(password))
