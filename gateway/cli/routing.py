"""Explaining where an SMS goes."""

from __future__ import annotations

import asyncio
import time
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from gateway.cli.common import (
    ConfigOption,
    JsonOption,
    all_accounts,
    clock,
    configuration,
    has_store,
    moment,
    print_json,
)
from gateway.cli.screen import console
from gateway.service.way import Channel, Hop, Judged, Order, Route, Way, conditions, way
from gateway.service.wording import refusal_line
from gateway.settings.faults import ConfigError, Unavailable
from gateway.settings.load import Configuration
from gateway.sms import segments
from gateway.verdicts import Refused

EX_USAGE = 64
EX_UNAVAILABLE = 69


def route(  # noqa: PLR0913, PLR0917  (the options of a command)
    number: Annotated[str, typer.Argument(help="With its country code.")],
    account: Annotated[str, typer.Option("--account", help="The login that sends.")] = "",
    originator: Annotated[str, typer.Option("--originator", help="What the handset shows.")] = "",
    at: Annotated[str | None, typer.Option("--at", help="Local time; default: now.", show_default=False)] = None,
    channel: Annotated[Channel, typer.Option("--channel")] = Channel.SMS,
    job: Annotated[str, typer.Option("--job", help="Draw by weights as for this job.")] = "",
    text: Annotated[str, typer.Option("--text", help="Count what it would cost.")] = "",
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Explain which providers an SMS to this number goes to, and why. Sends nothing."""
    loaded = configuration(config)
    if account and not loaded.directory.knows(account):
        loaded = all_accounts(loaded)
    if account and not loaded.directory.knows(account):
        typer.echo(f"no account {account!r}", err=True)
        raise typer.Exit(EX_USAGE)
    when = time.time() if at is None else moment(at)
    paused = asyncio.run(_paused(loaded)) if has_store(loaded) else {}
    try:
        found = way(
            loaded,
            number,
            when,
            login=account,
            originator=originator,
            channel=channel,
            job=job,
            parts=segments.count(text),
            paused=paused,
        )
    except Refused as refused:
        typer.echo(refusal_line(refused.refusal), err=True)
        raise typer.Exit(refused.refusal.verdict.sysexit) from None
    if as_json:
        print_json(_as_dict(found))
    else:
        _print(found)
    if not found.is_possible:
        raise typer.Exit(EX_UNAVAILABLE)


async def _paused(loaded: Configuration) -> dict[str, str]:
    """The providers that are stopped, and why."""
    from gateway.cli.common import store_of  # noqa: PLC0415
    from gateway.service.desk import Desk  # noqa: PLC0415

    try:
        async with store_of(loaded) as store:
            return await Desk(store).paused_providers()
    except (ConfigError, Unavailable) as error:
        typer.echo(f"not known whether a provider is stopped: {error}", err=True)
        return {}


# ── for people ───────────────────────────────────────────────────────────────────────────────


def _print(found: Way) -> None:
    trip = found.trip
    about = [found.country_name, found.operator]
    console.print(Text.assemble((f"+{trip.destination}", "bold"), "  ", ", ".join(filter(None, about))))
    given = [f"account {trip.account}"] if trip.account else []
    given += [f'originator "{trip.originator}"'] if trip.originator else []
    given += [f"channel {trip.channel.value}"] if trip.channel is not Channel.SMS else []
    console.print(Text(", ".join([*given, f"at {clock(trip.at)}"]), "dim"))
    console.print()
    console.print(_routes(found.judged))
    console.print()
    if found.hops:
        console.print(_hops(found))
        _remarks(found)
    else:
        console.print("[red]No route takes it.[/]")
    if found.closed:
        console.print(f"[red]{escape(found.closed)}[/]", soft_wrap=True)


def _routes(judged: tuple[Judged, ...]) -> Table:
    table = Table("", "route", "of what", "to", "", box=None, padding=(0, 2, 0, 0), header_style="dim")
    for index, item in enumerate(judged):
        style = "" if item.taken else "dim"
        mark = "[green]✓[/]" if item.taken else "·" if item.matches else "✗"
        why = "[green]taken[/]" if item.taken else escape(item.why_not)
        if item.matches and not item.taken:
            why = f"matches, {why}"
        asks, providers = escape(conditions(item.route)), escape(_providers(item.route))
        table.add_row(mark, f"routes\\[{index}]", asks, providers, why, style=style)
    return table


def _providers(route: Route) -> str:
    if route.order is Order.WEIGHTED:
        return ", ".join(f"{name} {route.share(index)[0]}" for index, name in enumerate(route.providers))
    return ", ".join(route.providers) + (" (cheapest)" if route.order is Order.CHEAPEST else "")


def _hops(found: Way) -> Table:
    table = Table("", "provider", "why", "price", "", box=None, padding=(0, 2, 0, 0), header_style="dim")
    place = 0
    for hop in found.hops:
        place += hop.carries
        stopped = f"[yellow]stopped: {escape(found.paused[hop.provider])}[/]" if hop.provider in found.paused else ""
        cells = (str(place) if hop.carries else "✗", escape(hop.provider), hop.why, _price(hop, found), stopped)
        table.add_row(*cells, style="" if hop.carries else "dim")
    return table


def _price(hop: Hop, found: Way) -> str:
    if hop.price is None:
        return ""
    return str(hop.price) if found.parts == 1 else f"{found.parts} × {hop.price} = {found.cost(hop)}"


def _remarks(found: Way) -> None:
    taken = next(item.route for item in found.judged if item.taken)
    if not found.trip.key and taken.order is Order.WEIGHTED and len(taken.providers) > 1:
        console.print("[dim]Each SMS draws its own order; this is the likeliest. --job ID shows that of one.[/]")
    if not any(hop.carries for hop in found.hops):
        console.print("[red]None of them carries the channel.[/]")


# ── for programs ─────────────────────────────────────────────────────────────────────────────


def _as_dict(found: Way) -> dict[str, Any]:
    return {
        "number": f"+{found.trip.destination}",
        "country": found.country or None,
        "operator": found.operator or None,
        "at": clock(found.trip.at),
        "segments": found.parts,
        "routes": [
            {
                "route": index,
                "of_what": conditions(item.route),
                "taken": item.taken,
                "matches": item.matches,
                "why_not": item.why_not or None,
                "providers": list(item.route.providers),
            }
            for index, item in enumerate(found.judged)
        ],
        "providers": [
            {
                "provider": hop.provider,
                "tried": hop.carries,
                "why": hop.why,
                "price": hop.price,
                "cost": found.cost(hop),
                "stopped": found.paused.get(hop.provider),
            }
            for hop in found.hops
        ],
        "closed": found.closed,
    }
