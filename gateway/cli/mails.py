"""Verbs for single mails: explain one, send without one."""

from __future__ import annotations

import asyncio
import sys
import time
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from gateway.cli.common import (
    ConfigOption,
    JsonOption,
    NumbersOption,
    configuration,
    moment,
    operator,
    print_json,
    store_of,
    with_accounts,
)
from gateway.cli.screen import console, note_words
from gateway.model import Accepted, Job
from gateway.senders.examine import Examiner
from gateway.service.credentials import Credentials
from gateway.service.explain import Arrival, Explained, NoListener, NoRecipient, Part, explain
from gateway.service.phonebook import Phonebook
from gateway.service.roster import whole
from gateway.service.wording import explained, refusal_line
from gateway.settings.load import Configuration
from gateway.sms.numbers import mask
from gateway.verdicts import Refused

EX_USAGE = 64


def parse(  # noqa: PLR0913, PLR0917  (each is an option)
    file: Annotated[Path, typer.Argument(help="The mail; - is standard input.")],
    recipient: Annotated[list[str] | None, typer.Option("--to", help="RCPT TO; default: the To field.")] = None,
    sender: Annotated[str | None, typer.Option("--sender", help="MAIL FROM; default: the From field.")] = None,
    untrusted: Annotated[bool, typer.Option(help="As if it came from a network that nobody trusts.")] = False,
    peer: Annotated[str | None, typer.Option(help="As if it came by SMTP from this IP address.")] = None,
    listener: Annotated[str | None, typer.Option(help="To this listener; default: the first, with --peer.")] = None,
    numbers: NumbersOption = False,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Explain what would happen with a mail, and why. Sends nothing, stores nothing."""
    raw = sys.stdin.buffer.read() if str(file) == "-" else file.read_bytes()
    loaded = configuration(config)
    arrival = Arrival(tuple(recipient or ()), sender, listener or "", peer or "", trusted=not untrusted)
    try:
        found = asyncio.run(_explained(loaded, raw, arrival, numbers))
    except NoRecipient:
        typer.echo("the mail has no To field; name the envelope recipient: --to ADDRESS", err=True)
        raise typer.Exit(EX_USAGE) from None
    except NoListener as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(EX_USAGE) from None
    if as_json:
        print_json(_as_dict(found))
    else:
        _print(found)
    if found.verdict != "OK":
        raise typer.Exit(found.sysexit)


async def _explained(loaded: Configuration, raw: bytes, arrival: Arrival, numbers: bool) -> Explained:
    async with with_accounts(loaded) as (complete, store):
        examiner = Examiner(*loaded.settings.dns.asked)
        phonebook = Phonebook(store) if store is not None else None
        return await explain(
            raw, arrival, complete, Credentials(), examiner, time.time(), phonebook=phonebook, numbers=numbers
        )


def _as_dict(found: Explained) -> dict[str, Any]:
    return {
        "verdict": found.verdict,
        "why": _joined(found.why, found.fix) or None,
        "dialect": found.dialect or None,
        "form": found.form or None,
        "account": found.account or None,
        "verified_by": found.verified_by or None,
        "originator": found.originator or None,
        "text": found.asked,
        "sent": found.text,
        "segments": len(found.parts) or None,
        "destinations": list(found.destinations),
        "dropped": [
            {"destination": drop.number, "verdict": drop.verdict, "why": _joined(drop.why, drop.fix)}
            for drop in found.dropped
        ],
        "parts": [{slot: getattr(part, slot) for slot in Part.__slots__} for part in found.tree],
        "trail": [{"room": note.room, "what": note.what, **note.values} for note in found.notes],
    }


def _joined(why: str, fix: str) -> str:
    return f"{why}. {fix}" if fix else why


def _print(found: Explained) -> None:
    trail = Table("", "", "", box=None, show_header=False)
    for note in found.notes:
        trail.add_row(f"[dim]{note.room}[/]", *note_words(note))
    console.print(trail)
    if found.verdict != "OK":
        console.print(f"\n[bold red]{found.verdict}[/]  {escape(_joined(found.why, found.fix))}")
        return
    console.print(f"\n[bold green]OK[/]  {escape(found.originator)} → {', '.join(found.destinations)}", highlight=False)
    for drop in found.dropped:
        console.print(f"[red]{drop.verdict}[/]  {drop.number}: {_joined(drop.why, drop.fix)}")
    console.print(f"\n{found.text or found.asked}\n", markup=False, highlight=False)
    console.print(f"[dim]{len(found.parts)} segment(s)[/]")


def send(  # noqa: PLR0913, PLR0917  (each is an option)
    account: Annotated[str, typer.Option("--account", help="Whose limits, stop-list and route.")],
    originator: Annotated[str, typer.Option("--from", help="What the handset shows.")],
    to: Annotated[list[str], typer.Option("--to", help="Number; may be given several times.")],
    text: Annotated[str, typer.Argument(help="The SMS; - is standard input.")],
    at: Annotated[str | None, typer.Option("--at", help="Local time; default: now.", show_default=False)] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be sent, and send nothing.")] = False,
    numbers: NumbersOption = False,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Queue an SMS without a mail. The running gateway sends it within a second."""
    from gateway.service import direct  # noqa: PLC0415

    body = sys.stdin.read() if text == "-" else text
    loaded = configuration(config)
    send_at = None if at is None else moment(at)
    draft, by = direct.Draft(account, originator, tuple(to), body.strip("\n"), send_at), direct.By(who=operator())

    async def queue() -> Accepted:
        async with store_of(loaded) as store:
            return await direct.send(await whole(loaded, store), store, draft, time.time(), by)

    async def check() -> Accepted:
        async with with_accounts(loaded) as (complete, store):
            return await direct.check(complete, draft, time.time(), store=store)

    try:
        accepted = asyncio.run(check() if dry_run else queue())
        request = _request(loaded, accepted.jobs[0], numbers) if dry_run and accepted.jobs else ""
    except Refused as refused:
        typer.echo(refusal_line(refused.refusal), err=True)
        raise typer.Exit(refused.refusal.verdict.sysexit) from None
    if as_json:
        print_json(_sent(accepted, request, dry_run))
    else:
        for job in accepted.jobs:
            what = f"would go to {job.route[0]}" if dry_run else "queued"
            name = "" if dry_run else f"{job.id}  "
            number = job.destination if numbers else mask(job.destination)
            console.print(f"{name}{number}  {what}, {job.segments} segment(s)", highlight=False)
        for drop in accepted.dropped:
            console.print(f"{mask(drop.asked.typed)}  [red]{drop.refusal.code}[/]  {explained(drop.refusal)}")
        if request:
            console.print(f"\n{request}", markup=False, highlight=False, soft_wrap=True)
    if not accepted.jobs:
        raise typer.Exit(65)


def _request(loaded: Any, job: Job, numbers: bool) -> str:
    from gateway.service import direct  # noqa: PLC0415
    from gateway.service.upstreams import upstream  # noqa: PLC0415

    return direct.request(job, {job.route[0]: upstream(loaded, job.route[0])}, numbers=numbers)


def _sent(accepted: Accepted, request: str, dry_run: bool) -> dict[str, Any]:
    dropped = [{"to": mask(d.asked.typed), "verdict": d.refusal.code} for d in accepted.dropped]
    if not dry_run:
        return {"jobs": [job.id for job in accepted.jobs], "dropped": dropped}
    jobs = [
        {"to": mask(job.destination), "text": job.text, "segments": job.segments, "route": list(job.route)}
        for job in accepted.jobs
    ]
    return {"would_send": jobs, "dropped": dropped, "request": request or None}
