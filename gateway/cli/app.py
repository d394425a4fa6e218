"""All verbs, and what they share. A verb's module is imported when the verb is called: most need a small part of the
house."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import typer
from typer.core import TyperGroup

from gateway import __version__

_VERBS = {
    "serve": "serve:serve",
    "reload": "serve:reload",
    "health": "health:health",
    "demo": "demo:demo",
    "init": "configure:init",
    "check-config": "configure:check_config",
    "sandbox": "serve:sandbox",
    "parse": "mails:parse",
    "inject": "inject:inject",
    "send": "mails:send",
    "segments": "texts:segments",
    "route": "routing:route",
    "snippet": "snippet:snippet",
    "quirks": "quirks:quirks",
    "log": "events:log",
    "rejections": "events:rejections",
    "report": "report:report",
    "hold": "switch:hold",
    "resume": "switch:resume",
    "export": "privacy:export",
    "erase": "privacy:erase",
    "audit": "privacy:audit",
    "mailq": "messages:mailq",
    "trace": "queue:trace",
    "queue": "queue:app",
    "heartbeat": "heartbeats:app",
    "provider": "providers:app",
    "account": "accounts:app",
    "list": "lists:app",
    "stop-list": "lists:stop_app",
    "bans": "bans:app",
    "user": "people:app",
    "token": "tokens:app",
}
"""In the order of the help, each with its module and its name there."""


class _Verbs(TyperGroup):
    def list_commands(self, ctx: Any) -> list[str]:
        del ctx
        return list(_VERBS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        # For a name that nobody knows, all: one of them may be meant.
        for name in [cmd_name] if cmd_name in _VERBS else _VERBS:
            if name not in self.commands:
                self.commands[name] = _imported(name)
        return super().get_command(ctx, cmd_name)


def _imported(name: str) -> Any:
    module, _, attribute = _VERBS[name].partition(":")
    verb = getattr(import_module(f"gateway.cli.{module}"), attribute)
    alone = typer.Typer(rich_markup_mode=None)
    if isinstance(verb, typer.Typer):
        alone.add_typer(verb, name=name)
    else:
        alone.command(name)(verb)
    return typer.main.get_group(alone).commands[name]


app = typer.Typer(
    name="email2sms",
    cls=_Verbs,
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
