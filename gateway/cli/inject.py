"""A mail from a pipe."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from gateway.cli import unpainted
from gateway.cli.common import ConfigOption

MAX_MAIL_BYTES = 10_485_760


def inject(
    recipients: Annotated[list[str], typer.Argument(help="Envelope recipients.")],
    sender: Annotated[str, typer.Option("-f", "--sender", help="MAIL FROM; <> and MAILER-DAEMON: null.")] = "",
    reply: Annotated[bool, typer.Option(help="Answer refusals by mail instead of by exit code.")] = False,
    config: ConfigOption = None,
) -> None:
    """Take a mail from standard input, for Postfix's pipe(8) and the like. Exit codes as in sysexits.h."""
    raw = sys.stdin.buffer.read(MAX_MAIL_BYTES + 1)
    if len(raw) > MAX_MAIL_BYTES:
        typer.echo("5.3.4 the mail is too large")
        raise typer.Exit(65)
    unpainted.load("structlog")
    from gateway.cli.pipe import take  # noqa: PLC0415  (the way of a mail, to the store)

    raise typer.Exit(take(config, tuple(recipients), sender, raw, reply=reply))
