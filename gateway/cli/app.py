"""All verbs, and what they share."""

from __future__ import annotations

import typer

from gateway import __version__
from gateway.cli import (
    accounts,
    bans,
    configure,
    demo,
    events,
    health,
    heartbeats,
    lists,
    mails,
    messages,
    people,
    privacy,
    providers,
    queue,
    quirks,
    report,
    routing,
    serve,
    snippet,
    switch,
    texts,
    tokens,
)

app = typer.Typer(
    name="email2sms",
    help="Anything that can send an email sends an SMS.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"email2sms {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: bool = typer.Option(False, "--version", callback=_version, is_eager=True, help="Print it."),
) -> None:
    del version


app.command()(serve.serve)
app.command()(serve.reload)
app.command()(health.health)
app.command()(demo.demo)
app.command()(configure.init)
app.command("check-config")(configure.check_config)
app.command("sandbox")(serve.sandbox)
app.command()(mails.parse)
app.command()(mails.inject)
app.command()(mails.send)
app.command("segments")(texts.segments)
app.command()(routing.route)
app.command()(snippet.snippet)
app.command()(quirks.quirks)
app.command()(events.log)
app.command()(events.rejections)
app.command()(report.report)
app.command()(switch.hold)
app.command()(switch.resume)
app.command()(privacy.export)
app.command()(privacy.erase)
app.command()(privacy.audit)
app.command()(messages.mailq)
app.command()(queue.trace)
app.add_typer(queue.app, name="queue")
app.add_typer(heartbeats.app, name="heartbeat")
app.add_typer(providers.app, name="provider")
app.add_typer(accounts.app, name="account")
app.add_typer(lists.app, name="list")
app.add_typer(lists.stop_app, name="stop-list")
app.add_typer(bans.app, name="bans")
app.add_typer(people.app, name="user")
app.add_typer(tokens.app, name="token")
