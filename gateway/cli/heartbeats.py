"""SMS at set times that prove the whole way: what they are, what became of the last ones, and one now."""

from __future__ import annotations

import asyncio
import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from gateway.cli.common import ConfigOption, JsonOption, clock, configuration, print_json, store_of
from gateway.cli.screen import console
from gateway.policy.heartbeat import Heartbeat
from gateway.settings.load import Configuration
from gateway.sms.numbers import mask

if TYPE_CHECKING:
    from gateway.service.heartbeats import Beat

app = typer.Typer(help="SMS at set times that prove the whole way.", no_args_is_help=True)
_COLOURS = {"ok": "green", "waiting": "cyan"}


@app.command("list")
def list_heartbeats(
    limit: Annotated[int, typer.Option(min=1, max=1000, help="Results of each.")] = 5,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """What is configured, and the last results."""
    loaded = configuration(config)
    found = asyncio.run(_last(loaded, limit))
    if as_json:
        results = {name: [asdict(beat) for beat in beats] for name, beats in found.items()}
        print_json([_described(one) | {"last": results[one.name]} for one in loaded.heartbeats])
        return
    table = Table("name", "account", "at", "to", "last", "result", "", box=None, pad_edge=False)
    for one in loaded.heartbeats:
        shown = _described(one)
        table.add_row(escape(one.name), escape(one.account), " ".join(shown["at"]), " ".join(shown["to"]), "", "", "")
        for beat in found[one.name]:
            state = f"[{_COLOURS.get(beat.state, 'red')}]{beat.state}[/]"
            table.add_row("", "", "", "", clock(beat.at), state, escape(f"{beat.mail_id} {beat.why}".strip()))
    console.print(table)
    if not loaded.heartbeats:
        console.print("No heartbeat is configured.")


def _described(one: Heartbeat) -> dict[str, Any]:
    return {
        "name": one.name,
        "account": one.account,
        "to": [mask(number) for number in one.to],
        "at": [f"{minute // 60:02}:{minute % 60:02}" for minute in one.minutes],
        "timezone": str(one.zone),
    }


async def _last(loaded: Configuration, limit: int) -> dict[str, list[Beat]]:
    from gateway.service.credentials import Credentials  # noqa: PLC0415  (the verbs without it start faster)
    from gateway.service.heartbeats import Heartbeats  # noqa: PLC0415

    async with store_of(loaded) as store:
        service = Heartbeats(lambda: loaded, store, Credentials())
        return {one.name: await service.last(one.name, limit) for one in loaded.heartbeats}


@app.command("now")
def now(
    name: Annotated[str | None, typer.Argument(help="Which one; default: all.")] = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Send one at once. The running gateway passes it on within a second, and judges it as any other."""
    loaded = configuration(config)
    wanted = [one for one in loaded.heartbeats if name in (None, one.name)]
    if not wanted:
        known = ", ".join(one.name for one in loaded.heartbeats) or "none is configured"
        typer.echo(f"no such heartbeat; known: {known}", err=True)
        raise typer.Exit(64)  # EX_USAGE
    sent = asyncio.run(_send(loaded, wanted))
    if as_json:
        print_json([asdict(beat) for beat in sent])
    else:
        for beat in sent:
            console.print(f"{beat.name}: {beat.mail_id} {beat.state} {beat.why}".strip(), markup=False)
    if any(beat.state == "failed" for beat in sent):
        raise typer.Exit(1)


async def _send(loaded: Configuration, wanted: list[Heartbeat]) -> list[Beat]:
    from gateway.service.credentials import Credentials  # noqa: PLC0415
    from gateway.service.heartbeats import Heartbeats  # noqa: PLC0415
    from gateway.service.roster import whole  # noqa: PLC0415

    async with store_of(loaded) as store:
        complete = await whole(loaded, store)
        service = Heartbeats(lambda: complete, store, Credentials())
        for one in wanted:
            await service.send(one, time.time())
        return [beat for one in wanted for beat in await service.last(one.name, 1)]
