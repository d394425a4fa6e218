"""Looking at jobs, and mending them."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from gateway.cli.common import (
    ConfigOption,
    JsonOption,
    NumbersOption,
    clock,
    configuration,
    operator,
    print_json,
    store_of,
)
from gateway.cli.messages import list_jobs, state_words, understood
from gateway.cli.screen import console, note_words
from gateway.lifecycle import Event, State
from gateway.model import Note
from gateway.service.desk import Desk, JobRow, Story, Words
from gateway.service.messages import Messages
from gateway.service.story import in_order
from gateway.service.switch import Scope, Switch
from gateway.service.wording import refusal_line
from gateway.sms.numbers import mask, masked
from gateway.verdicts import Refused

app = typer.Typer(help="Jobs: SMS that wait, are under way, are done.", no_args_is_help=True)
app.command("list")(list_jobs)

QueryOption = Annotated[
    str | None, typer.Option("--query", help="Instead of ids: all that this finds, as far as its state allows it.")
]
OptionalIds = Annotated[list[str] | None, typer.Argument(help="Job ids, as in queue list.")]


def _row(job: JobRow, numbers: bool) -> dict[str, Any]:
    row = asdict(job)
    row["destination"] = job.destination if numbers else mask(job.destination)
    return row


def trace(
    wanted: Annotated[str, typer.Argument(metavar="ID", help="Queue id, job id or the provider's id.")],
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Every decision about one mail and its SMS, in order, and every call of a provider."""
    story, _ = asyncio.run(_story(config, wanted, False))
    if story is None:
        typer.echo(f"nothing is known of {wanted}", err=True)
        raise typer.Exit(1)
    steps = in_order(story)
    if as_json:
        print_json([{"at": s.at, "job": s.job, "room": s.room, "what": s.what, **s.values} for s in steps])
        return
    table = Table("at", "job", "who", "what", "", box=None, show_header=False, pad_edge=False)
    for step in steps:
        suffix = (step.job or "").removeprefix(story.mail["id"])
        words = note_words(Note(step.room, step.what, step.values))
        table.add_row(clock(step.at).partition(" ")[2], suffix, f"[dim]{step.room}[/]", *words)
    console.print(f"[bold]{story.mail['id']}[/]  {clock(story.mail['received_at'])}")
    console.print(table)


@app.command("show")
def show(
    wanted: Annotated[str, typer.Argument(metavar="ID", help="Queue id, job id or the provider's id.")],
    numbers: NumbersOption = False,
    text: Annotated[bool, typer.Option("--text", help="Show what people wrote; that you looked is recorded.")] = False,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """The whole story of one mail and its SMS."""
    story, words = asyncio.run(_story(config, wanted, text))
    if story is None:
        typer.echo(f"nothing is known of {wanted}", err=True)
        raise typer.Exit(1)
    if as_json:
        whole = asdict(story)
        whole["jobs"] = [_row(job, numbers) for job in story.jobs]
        if not numbers:
            whole["mail"]["recipients"] = [masked(address) for address in story.mail["recipients"]]
        if words is not None:
            requests = _requests(config, words, numbers)
            whole["words"] = {"copy": words.copy, "texts": words.texts, "requests": requests}
        print_json(whole)
        return
    _print_story(story, numbers)
    if words is not None:
        requests = _requests(config, words, numbers)
        for job_id, said in words.texts.items():
            console.print(f"text of {job_id}: {said if said is not None else 'erased, or none'}", markup=False)
            if job_id in requests:
                console.print("the request, as it would be made now:", style="dim")
                console.print(requests[job_id], markup=False, highlight=False, soft_wrap=True)
        console.print(words.copy if words.copy is not None else "no copy of the mail", markup=False)


def _requests(config: Any, words: Words, numbers: bool) -> dict[str, str]:
    """By job, what its provider would be asked now."""
    from gateway.service import direct  # noqa: PLC0415
    from gateway.service.upstreams import upstream  # noqa: PLC0415

    loaded, found = configuration(config), {}
    known = {job.route[0] for job in words.jobs} & loaded.settings.providers.keys()
    upstreams = {name: upstream(loaded, name) for name in known}
    for job in words.jobs:
        try:
            found[job.id] = direct.request(job, upstreams, numbers=numbers)
        except Refused as refused:
            found[job.id] = refusal_line(refused.refusal)
    return {job_id: asked for job_id, asked in found.items() if asked}


async def _story(config: Any, wanted: str, text: bool) -> tuple[Story | None, Words | None]:
    async with store_of(configuration(config)) as store:
        desk = Desk(store)
        story = await desk.story(wanted)
        return story, await desk.words(story.mail["id"], operator()) if story is not None and text else None


def _print_story(story: Story, numbers: bool) -> None:
    mail = story.mail
    console.print(
        f"[bold]{mail['id']}[/]  {clock(mail['received_at'])}  from {mail['reverse_path'] or '<>'}", markup=True
    )
    table = Table("at", "job", "who", "what", "", box=None, show_header=False, pad_edge=False)
    for at, job_id, note in story.trail:
        suffix = (job_id or "").removeprefix(mail["id"])
        table.add_row(clock(at).partition(" ")[2], suffix, f"[dim]{note.room}[/]", *note_words(note))
    console.print(table)
    jobs = Table("job", "to", "state", "verdict", "provider", "its id", "tries", "next", box=None, pad_edge=False)
    for job in story.jobs:
        shown = job.destination if numbers else mask(job.destination)
        jobs.add_row(
            *(job.id.removeprefix(mail["id"]), escape(shown), state_words(job.state), job.verdict, job.provider),
            *(job.provider_id or "", str(job.attempt), clock(job.due_at)),
        )
    console.print(jobs)
    for reply in story.replies:
        console.print(
            f"reply to {reply['to']}: {reply['state']} {clock(reply['sent_at'])} {reply['error']}", markup=False
        )


@app.command("retry")
def retry(
    ids: OptionalIds = None, query: QueryOption = None, config: ConfigOption = None, as_json: JsonOption = False
) -> None:
    """Send again what failed, expired, or is uncertain (then the handset may get it twice)."""
    _change(config, ids, query, Event.RETRY, as_json)


@app.command("cancel")
def cancel(
    ids: OptionalIds = None, query: QueryOption = None, config: ConfigOption = None, as_json: JsonOption = False
) -> None:
    """Do not send what still waits."""
    _change(config, ids, query, Event.CANCEL, as_json)


@app.command("hold")
def hold(
    ids: OptionalIds = None,
    everything: Annotated[bool, typer.Option("--all", help="All that waits.")] = False,
    query: QueryOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Keep back what waits, until it is released."""
    _change(config, ids, "status:queued" if everything else query, Event.HOLD, as_json)


@app.command("release")
def release(
    ids: OptionalIds = None,
    everything: Annotated[bool, typer.Option("--all", help="All that is held.")] = False,
    account: Annotated[str | None, typer.Option("--account", help="All of this login that is held.")] = None,
    query: QueryOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Let go what is held: by an operator, because an account sent too much of a sudden (then --account, which ends
    that), or because the store was restored from a backup."""
    if account is not None and not ids and not everything:
        found, released = asyncio.run(_release_all(config, account))
        if as_json:
            print_json({"was_on_hold": found, "released": released})
        else:
            console.print(f"{released} jobs released")
        raise typer.Exit(0 if found or released else 1)
    _change(config, ids, "status:held" if everything else query, Event.RELEASE, as_json)


async def _release_all(config: Any, account: str) -> tuple[bool, int]:
    loaded = configuration(config)
    async with store_of(loaded) as store:
        return await Switch(store).resume(
            Scope.ACCOUNT, account, list(loaded.settings.providers), every=True, who=operator()
        )


def _change(config: Any, ids: list[str] | None, query: str | None, event: Event, as_json: bool) -> None:
    if (query is None) is not bool(ids):
        typer.echo("give job ids, or --query, or --all", err=True)
        raise typer.Exit(64)  # EX_USAGE
    if query is not None:
        count = asyncio.run(_apply_all(config, query, event))
        if as_json:
            print_json({"changed": count})
        else:
            console.print(f"{count} jobs: {event.value}")
        return
    results = asyncio.run(_apply(config, ids or [], event))
    if as_json:
        print_json({job_id: state.value if state else None for job_id, state in results.items()})
    else:
        for job_id, state in results.items():
            words = state_words(state) if state else "[red]no such job, or not in a state for that[/]"
            console.print(f"{job_id}: {words}")
    if not all(results.values()):
        raise typer.Exit(1)


async def _apply(config: Any, ids: list[str], event: Event) -> dict[str, State | None]:
    async with store_of(configuration(config)) as store:
        desk = Desk(store)
        return {job_id: await desk.change(job_id, event, operator()) for job_id in ids}


async def _apply_all(config: Any, words: str, event: Event) -> int:
    async with store_of(configuration(config)) as store:
        messages = Messages(store)
        query, count = understood(messages, words), 0
        while True:
            changed = await messages.change_all(query, words, event, operator())
            count += changed.count
            if not changed.more:
                return count
