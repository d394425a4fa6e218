"""Verbs for single mails: explain one, take one from a pipe, send without one."""

from __future__ import annotations

import asyncio
import sys
import time
from dataclasses import replace
from email.parser import BytesHeaderParser
from email.utils import getaddresses
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
    console,
    print_json,
    store_of,
    with_accounts,
)
from gateway.model import Door, Envelope
from gateway.policy.accounts import in_networks
from gateway.senders.examine import Examiner
from gateway.service.credentials import Credentials
from gateway.service.ids import queue_id
from gateway.service.intake import Intake
from gateway.service.judge import Case, judge
from gateway.service.phonebook import Phonebook
from gateway.service.roster import whole
from gateway.service.wording import explained, refusal_line
from gateway.settings.load import Configuration
from gateway.sms.numbers import mask
from gateway.verdicts import Refused

EX_USAGE = 64
EX_TEMPFAIL = 75
MAX_MAIL_BYTES = 10_485_760


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
    header = BytesHeaderParser().parsebytes(raw)
    to = tuple(recipient or [address for _, address in getaddresses([str(v) for v in header.get_all("To", [])])])
    if not to:
        typer.echo("the mail has no To field; name the envelope recipient: --to ADDRESS", err=True)
        raise typer.Exit(EX_USAGE)
    given = sender if sender is not None else next((a for _, a in getaddresses([str(header.get("From", ""))])), "")
    envelope = _envelope(given, to, trusted=not untrusted)
    if peer is not None or listener is not None:
        envelope = _through(loaded, envelope, listener, peer or "")
    case = asyncio.run(_judged(loaded, envelope, raw))
    if as_json:
        print_json(_as_dict(case, numbers))
    else:
        _print_case(case, numbers)
    if case.refusal is not None:
        raise typer.Exit(case.refusal.verdict.sysexit)


async def _judged(loaded: Configuration, envelope: Envelope, raw: bytes) -> Case:
    async with with_accounts(loaded) as (complete, store):
        examiner = Examiner(*loaded.settings.dns.asked)
        phonebook = Phonebook(store) if store is not None else None
        return await judge(envelope, raw, complete, Credentials(), examiner, phonebook=phonebook)


def _envelope(sender: str, recipients: tuple[str, ...], *, trusted: bool, answer_by_mail: bool = False) -> Envelope:
    now = time.time()
    return Envelope(
        queue_id=queue_id(now),
        door=Door.PIPE,
        listener="pipe",
        peer="",
        trusted=trusted,
        identity=None,
        reverse_path="" if sender in ("<>", "MAILER-DAEMON") else sender,
        recipients=recipients,
        received_at=now,
        answer_by_mail=answer_by_mail,
    )


def _through(loaded: Any, envelope: Envelope, listener: str | None, peer: str) -> Envelope:
    """As the listener would have made it."""
    found = [door for door in loaded.settings.listeners if listener in (None, door.name)]
    if not found:
        names = ", ".join(door.name for door in loaded.settings.listeners)
        typer.echo(f"{listener} is no listener; one of {names}", err=True)
        raise typer.Exit(EX_USAGE)
    door = found[0]
    return replace(
        envelope,
        door=Door.LMTP if door.protocol == "lmtp" else Door.SMTP,
        listener=door.name,
        peer=peer,
        trusted=door.bind.startswith("unix:") or in_networks(peer, door.trust),
        answer_by_mail=door.answers_by_mail,
        accept_unverified=door.accept_unverified,
    )


def _as_dict(case: Case, numbers: bool) -> dict[str, Any]:
    submission, accepted = case.submission, case.accepted
    return {
        "verdict": case.refusal.code if case.refusal else "OK",
        "why": explained(case.refusal) if case.refusal else None,
        "dialect": case.dialect.name if case.dialect else None,
        "form": submission.form if submission else None,
        "account": case.account.login if case.account else None,
        "verified_by": case.verified or None,
        "originator": submission.originator if submission else None,
        # What was refused may be written in another dialect, with the password in its text.
        "text": submission.text if submission and accepted else None,
        "sent": accepted.jobs[0].text if accepted and accepted.jobs else None,
        "segments": accepted.jobs[0].segments if accepted and accepted.jobs else None,
        "destinations": [job.destination if numbers else mask(job.destination) for job in accepted.jobs]
        if accepted
        else [],
        "dropped": [
            {"destination": mask(drop.asked.typed), "verdict": drop.refusal.code, "why": explained(drop.refusal)}
            for drop in (accepted.dropped if accepted else ())
        ],
        "trail": [{"room": note.room, "what": note.what, **note.values} for note in case.notes],
    }


def _print_case(case: Case, numbers: bool) -> None:
    trail = Table("", "", "", box=None, show_header=False)
    for note in case.notes:
        trail.add_row(
            f"[dim]{note.room}[/]", note.what, ", ".join(f"{key} {value}" for key, value in note.values.items())
        )
    console.print(trail)
    found = _as_dict(case, numbers)
    if case.refusal is not None:
        console.print(f"\n[bold red]{case.refusal.code}[/]  {escape(explained(case.refusal))}")
        return
    console.print(
        f"\n[bold green]OK[/]  {escape(found['originator'])} → {', '.join(found['destinations'])}", highlight=False
    )
    for drop in found["dropped"]:
        console.print(f"[red]{drop['verdict']}[/]  {drop['destination']}: {drop['why']}")
    console.print(f"\n{found['sent'] or found['text']}\n", markup=False, highlight=False)
    console.print(f"[dim]{found['segments']} segment(s)[/]")


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
    loaded = configuration(config)
    envelope = _envelope(sender, tuple(recipients), trusted=True, answer_by_mail=reply)
    code = asyncio.run(_inject(loaded, envelope, raw))
    raise typer.Exit(code)


async def _inject(loaded: Any, envelope: Envelope, raw: bytes) -> int:
    try:
        async with store_of(loaded) as store:
            intake = Intake(await whole(loaded, store), store, Credentials())
            await store.read(intake.bans.follow)
            answer = await intake.accept(envelope, raw)
    except Exception as error:
        typer.echo(f"4.3.0 temporary fault: {type(error).__name__}")
        return EX_TEMPFAIL
    typer.echo(answer.line.partition(" ")[2])
    return answer.refusal.verdict.sysexit if answer.refusal else 0


def send(
    account: Annotated[str, typer.Option("--account", help="Whose limits, stop-list and route.")],
    originator: Annotated[str, typer.Option("--from", help="What the handset shows.")],
    to: Annotated[list[str], typer.Option("--to", help="Number; may be given several times.")],
    text: Annotated[str, typer.Argument(help="The SMS; - is standard input.")],
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Queue an SMS without a mail. The running gateway sends it within a second."""
    from gateway.service import direct  # noqa: PLC0415

    body = sys.stdin.read() if text == "-" else text
    loaded = configuration(config)

    async def queue() -> Any:
        async with store_of(loaded) as store:
            complete, words = await whole(loaded, store), body.strip("\n")
            return await direct.send(complete, store, account, originator, tuple(to), words, time.time())

    try:
        accepted = asyncio.run(queue())
    except Refused as refused:
        typer.echo(refusal_line(refused.refusal), err=True)
        raise typer.Exit(refused.refusal.verdict.sysexit) from None
    if as_json:
        print_json(
            {
                "jobs": [job.id for job in accepted.jobs],
                "dropped": [{"to": mask(d.asked.typed), "verdict": d.refusal.code} for d in accepted.dropped],
            }
        )
    else:
        for job in accepted.jobs:
            console.print(f"{job.id}  {mask(job.destination)}  queued, {job.segments} segment(s)")
        for drop in accepted.dropped:
            console.print(f"{mask(drop.asked.typed)}  [red]{drop.refusal.code}[/]  {explained(drop.refusal)}")
    if not accepted.jobs:
        raise typer.Exit(65)
