"""Explaining where an SMS goes."""

from __future__ import annotations

import asyncio
import time
from datetime import datetime
from decimal import Decimal
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
    console,
    has_store,
    print_json,
)
from gateway.model import Channel
from gateway.policy.routing import Explanation, Hop, Judged, Order, Route, Trip
from gateway.service.wording import refusal_line
from gateway.settings.document import ConfigError, Unavailable
from gateway.settings.load import Configuration
from gateway.sms import numbers, segments
from gateway.verdicts import Refused

EX_USAGE = 64
EX_UNAVAILABLE = 69


def _moment(typed: str) -> float:
    try:
        return datetime.fromisoformat(typed).timestamp()
    except (ValueError, OverflowError, OSError):
        raise typer.BadParameter(f'"{typed}": give a time such as "2026-11-25 23:00"') from None


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
    try:
        destination = numbers.parse(number)
    except Refused as refused:
        typer.echo(refusal_line(refused.refusal), err=True)
        raise typer.Exit(refused.refusal.verdict.sysexit) from None
    moment = time.time() if at is None else _moment(at)
    trip = Trip(destination, originator, account, channel, moment, job)
    found = loaded.house.router.explain(trip)
    closed = _closed(loaded, trip)
    paused = asyncio.run(_paused(loaded)) if has_store(loaded) else {}
    parts = segments.count(text) or 1
    if as_json:
        print_json({**_as_dict(trip, found, paused, parts), "closed": closed})
    else:
        _print(trip, found, paused, parts)
        if closed:
            console.print(f"[red]{escape(closed)}[/]", soft_wrap=True)
    if closed or not any(hop.carries for hop in found.hops):
        raise typer.Exit(EX_UNAVAILABLE)


def _closed(loaded: Configuration, trip: Trip) -> str:
    """Why no route is asked at all; empty: the number is open."""
    own = loaded.directory.accounts[trip.account].destinations if trip.account else None
    try:
        (own or loaded.house.destinations).check(trip.destination, trip.channel)
    except Refused as refused:
        return refusal_line(refused.refusal)
    return ""


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


def _print(trip: Trip, found: Explanation, paused: dict[str, str], parts: int) -> None:
    about = [numbers.country_name(trip.destination), numbers.operator(trip.destination)]
    console.print(Text.assemble((f"+{trip.destination}", "bold"), "  ", ", ".join(filter(None, about))))
    given = [f"account {trip.account}"] if trip.account else []
    given += [f'originator "{trip.originator}"'] if trip.originator else []
    given += [f"channel {trip.channel.value}"] if trip.channel is not Channel.SMS else []
    console.print(Text(", ".join([*given, f"at {clock(trip.at)}"]), "dim"))
    console.print()
    console.print(_routes(found.judged))
    console.print()
    if found.hops:
        console.print(_hops(found.hops, paused, parts))
        _remarks(found, trip)
    else:
        console.print("[red]No route takes it.[/]")


def _routes(judged: tuple[Judged, ...]) -> Table:
    table = Table("", "route", "of what", "to", "", box=None, padding=(0, 2, 0, 0), header_style="dim")
    for index, item in enumerate(judged):
        style = "" if item.taken else "dim"
        mark = "[green]✓[/]" if item.taken else "·" if item.matches else "✗"
        why = "[green]taken[/]" if item.taken else escape(item.why_not)
        if item.matches and not item.taken:
            why = f"matches, {why}"
        conditions, providers = escape(_conditions(item.route)), escape(_providers(item.route))
        table.add_row(mark, f"routes\\[{index}]", conditions, providers, why, style=style)
    return table


def _conditions(route: Route) -> str:
    words = [f"prefix {', '.join(route.prefixes)}"] if route.prefixes != ("",) else []
    words += [f"country {', '.join(sorted(route.countries))}"] if route.countries else []
    words += [f"originator {', '.join(route.originators.patterns)}"] if route.originators else []
    words += [f"account {', '.join(route.accounts.patterns)}"] if route.accounts else []
    words += [str(route.hours)] if route.hours else []
    return "; ".join(words) or "everything"


def _providers(route: Route) -> str:
    if route.order is Order.WEIGHTED:
        return ", ".join(f"{name} {route.share(index)[0]}" for index, name in enumerate(route.providers))
    return ", ".join(route.providers) + (" (cheapest)" if route.order is Order.CHEAPEST else "")


def _hops(hops: tuple[Hop, ...], paused: dict[str, str], parts: int) -> Table:
    table = Table("", "provider", "why", "price", "", box=None, padding=(0, 2, 0, 0), header_style="dim")
    place = 0
    for hop in hops:
        place += hop.carries
        stopped = f"[yellow]stopped: {escape(paused[hop.provider])}[/]" if hop.provider in paused else ""
        cells = (str(place) if hop.carries else "✗", escape(hop.provider), hop.why, _price(hop, parts), stopped)
        table.add_row(*cells, style="" if hop.carries else "dim")
    return table


def _price(hop: Hop, parts: int) -> str:
    if hop.price is None:
        return ""
    return str(hop.price) if parts == 1 else f"{parts} × {hop.price} = {_cost(hop, parts)}"


def _remarks(found: Explanation, trip: Trip) -> None:
    taken = next(item.route for item in found.judged if item.taken)
    if not trip.key and taken.order is Order.WEIGHTED and len(taken.providers) > 1:
        console.print("[dim]Each SMS draws its own order; this is the likeliest. --job ID shows that of one.[/]")
    if not any(hop.carries for hop in found.hops):
        console.print("[red]None of them carries the channel.[/]")


# ── for programs ─────────────────────────────────────────────────────────────────────────────


def _cost(hop: Hop, parts: int) -> Decimal | None:
    return None if hop.price is None else hop.price * parts


def _as_dict(trip: Trip, found: Explanation, paused: dict[str, str], parts: int) -> dict[str, Any]:
    return {
        "number": f"+{trip.destination}",
        "country": numbers.country(trip.destination) or None,
        "operator": numbers.operator(trip.destination) or None,
        "at": clock(trip.at),
        "segments": parts,
        "routes": [
            {
                "route": index,
                "of_what": _conditions(item.route),
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
                "cost": _cost(hop, parts),
                "stopped": paused.get(hop.provider),
            }
            for hop in found.hops
        ],
    }
