"""What happens, and who was turned away: read from the store, beside a running gateway or without one."""

from __future__ import annotations

import asyncio
import json
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated, Any

import typer
from rich.markup import escape

from gateway.cli.common import ConfigOption, JsonOption, ago, clock, configuration, print_json, store_of
from gateway.cli.screen import console
from gateway.service.advice import advise
from gateway.service.events import Event, Feed, Kind
from gateway.service.rejections import MANY, Rejection, Rejections, Which
from gateway.service.wanted import Wanted, wanted

EX_USAGE = 64
LOOKED_AT = 10_000
HEARTBEAT_S = 60.0
_COLOURS = {
    Kind.ACCEPTED: "cyan",
    Kind.SUBMITTED: "green",
    Kind.DELIVERED: "bold green",
    **dict.fromkeys((Kind.FAILED, Kind.UNDELIVERED, Kind.EXPIRED, Kind.REFUSED, Kind.REJECTED), "red"),
    **dict.fromkeys((Kind.UNCERTAIN, Kind.HELD), "yellow"),
}


def log(
    words: Annotated[
        list[str] | None,
        typer.Argument(metavar="[WORDS]...", help="Which: kind:failed account:shop provider:main to:7910 -kind:noted."),
    ] = None,
    follow: Annotated[bool, typer.Option("-f", "--follow", help="Go on with each as it comes.")] = False,
    lines: Annotated[int, typer.Option("-n", "--lines", min=0, max=LOOKED_AT, help="So many of the newest.")] = 20,
    config: ConfigOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="One object a line.")] = False,
) -> None:
    """What happens in all processes: accepted, sent, delivered, failed, refused … Numbers masked, no texts."""
    try:
        is_wanted = wanted(" ".join(words or []))
    except ValueError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(EX_USAGE) from None
    try:
        asyncio.run(_log(config, is_wanted, lines, follow=follow, as_json=as_json))
    except KeyboardInterrupt:
        raise typer.Exit(0) from None


async def _log(config: Any, is_wanted: Wanted, lines: int, *, follow: bool, as_json: bool) -> None:
    show = _show_json if as_json else _show
    async with store_of(configuration(config)) as store:
        feed = Feed(store)
        recent = await feed.recent(None, None, LOOKED_AT)
        found = [event for event in recent.events if is_wanted(event)]
        for event in found[len(found) - lines :] if lines < len(found) else found:
            show(event)
        if not follow:
            return
        try:
            async with feed.listen(after=recent.position) as listener:
                while True:
                    for event in await listener.next(HEARTBEAT_S):
                        if is_wanted(event):
                            show(event)
        finally:
            feed.close()


def _show_json(event: Event) -> None:
    at = datetime.fromtimestamp(event.at, UTC).isoformat()
    print(json.dumps({**asdict(event), "at": at}, ensure_ascii=False), flush=True)


def _show(event: Event) -> None:
    whose = event.job or event.mail or event.peer or event.listener
    count = f"{event.jobs} SMS" if event.jobs is not None else ""
    told = (event.account or "", event.to or count, event.provider, event.verdict, event.what)
    colour = _COLOURS.get(event.kind, "default")
    words = "  ".join(escape(word) for word in told if word)
    console.print(
        f"[dim]{clock(event.at)}[/]  [{colour}]{event.kind.value:<11}[/]  {escape(whose):<16}  {words}",
        highlight=False,
        soft_wrap=True,
    )


def rejections(
    reason: Annotated[str, typer.Option(help="Only for this reason, as --json shows it.")] = "",
    listener: Annotated[str, typer.Option(help="Only at this listener.")] = "",
    peer: Annotated[str, typer.Option(help="Only clients whose address begins so.")] = "",
    limit: Annotated[int, typer.Option(min=1, max=10_000)] = 20,
    dialogue: Annotated[bool, typer.Option("--dialogue", help="With what was said.")] = False,
    language: Annotated[str, typer.Option("--lang", help="en, ru, uk.")] = "en",
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Who was turned away, why, and what to do: at the doors, and mails that were answered with a refusal."""
    if language not in ("en", "ru", "uk"):
        typer.echo(f"{language}: en, ru or uk", err=True)
        raise typer.Exit(EX_USAGE)
    found = asyncio.run(_rejections(config, Which(None, reason, listener, peer), limit))
    if as_json:
        print_json(
            [{**asdict(one), "id": one.name, "verdict": one.verdict, **asdict(advise(one, language))} for one in found]
        )
        return
    for one in found:
        _show_rejection(one, language, dialogue)
    if not found:
        console.print("Nobody was turned away, as far as is known.")


async def _rejections(config: Any, which: Which, limit: int) -> list[Rejection]:
    async with store_of(configuration(config)) as store:
        return (await Rejections(store).listed(which, limit=limit)).items


def _show_rejection(one: Rejection, language: str, dialogue: bool) -> None:
    advice = advise(one, language)
    who = {"": "a Unix socket or a pipe", MANY: "many clients"}.get(one.peer, one.peer)
    times = f", {one.count} times since {ago(one.first_at)}" if one.count > 1 else ""
    mail = f"  {one.mail}" if one.mail else ""
    console.print(
        f"[bold]{escape(who)}[/] at {escape(one.listener)}  [dim]{ago(one.last_at)}{times}[/]{mail}", highlight=False
    )
    verdict = f"[red]{one.verdict}[/]  " if one.verdict else ""
    console.print(f"  {verdict}{escape(advice.what)}", highlight=False, soft_wrap=True)
    if advice.fix:
        console.print(f"  [green]→[/] {escape(advice.fix)}", highlight=False, soft_wrap=True)
    for line in one.dialogue if dialogue else ():
        console.print(f"    [dim]{escape(line)}[/]", highlight=False, soft_wrap=True)
