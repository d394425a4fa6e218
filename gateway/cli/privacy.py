"""What somebody may ask whose number it is, and who has looked."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from typing import Annotated, Any

import typer

from gateway.cli.common import ConfigOption, JsonOption, clock, configuration, operator, print_json, store_of
from gateway.cli.screen import console
from gateway.service.audit import Audit, Look, Wanted
from gateway.service.desk import Desk, Erased
from gateway.sms import numbers
from gateway.verdicts import Refused

Number = Annotated[str, typer.Argument(metavar="NUMBER", help="As people write it: +7 910 123-45-67.")]


def export(number: Number, config: ConfigOption = None) -> None:
    """All that is stored about a phone number, as JSON. That you asked is recorded."""
    print_json(asyncio.run(_export(config, _parsed(number))))


async def _export(config: Any, number: str) -> dict[str, Any]:
    async with store_of(configuration(config)) as store:
        return await Desk(store).export(number, operator())


def erase(
    number: Number,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Erase the texts of a phone number's SMS and mask the number wherever it is stored. It cannot be undone."""
    parsed = _parsed(number)
    if not yes:
        typer.confirm(f"Erase what is stored about {parsed}?", abort=True, err=True)
    erased = asyncio.run(_erase(config, parsed))
    if as_json:
        print_json(asdict(erased))
    else:
        console.print(
            f"erased: {erased.jobs} SMS, {erased.mails} mails, {erased.incoming} incoming SMS, {erased.events} events"
        )
    if erased.waiting:
        typer.echo(
            f"not at their end, left as they are: {' '.join(erased.waiting)}; cancel them (email2sms queue cancel), "
            "then erase again",
            err=True,
        )
        raise typer.Exit(1)


async def _erase(config: Any, number: str) -> Erased:
    async with store_of(configuration(config)) as store:
        return await Desk(store).erase(number, operator())


def _parsed(number: str) -> str:
    try:
        return numbers.parse(number)
    except Refused:
        typer.echo(f"{number[:30]} is no phone number", err=True)
        raise typer.Exit(64) from None  # EX_USAGE


def audit(
    limit: Annotated[int, typer.Option(min=1, max=10_000)] = 50,
    who: Annotated[str | None, typer.Option(help="Only what this user did.")] = None,
    what: Annotated[str | None, typer.Option(help="Only this: text, export, retry, user.change …")] = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Who has looked at what people wrote, and what else people did, here, in the console and by the API, the newest
    first."""
    looks = asyncio.run(_looks(config, Wanted(who, what), limit))
    if as_json:
        print_json([asdict(look) for look in looks])
        return
    for look in looks:
        console.print(f"{clock(look.at)}  {look.via:7}  {look.who}  {look.what}  {look.subject}", markup=False)


async def _looks(config: Any, wanted: Wanted, limit: int) -> list[Look]:
    async with store_of(configuration(config)) as store:
        return (await Audit(store).search(wanted, limit))[0]
