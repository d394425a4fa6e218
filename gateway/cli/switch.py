"""The kill switch: ``email2sms hold`` and ``email2sms resume``."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape

from gateway.cli.common import (
    ConfigOption,
    JsonOption,
    ago,
    all_accounts,
    configuration,
    operator,
    print_json,
    store_of,
)
from gateway.cli.screen import console
from gateway.settings.load import Configuration

if TYPE_CHECKING:
    from gateway.service.switch import Hold, Scope

Everything = Annotated[bool, typer.Option("--all", help="Every SMS.")]
OfAccount = Annotated[str | None, typer.Option("--account", help="The SMS of this login.")]
OfProvider = Annotated[str | None, typer.Option("--provider", help="What waits for this provider.")]


def hold(
    everything: Everything = False,
    account: OfAccount = None,
    provider: OfProvider = None,
    refuse: Annotated[bool, typer.Option("--refuse", help="Put new mail off (451) instead of queueing it.")] = False,
    why: Annotated[str, typer.Option("--why", help="For the log, and for who comes later.")] = "",
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """The kill switch: nothing goes out any more, on all nodes, also after a restart, until `resume`. Mail is still
    accepted and waits. Without an option: what is on hold."""
    loaded = configuration(config)
    if everything or account or provider:
        scope, name = _chosen(loaded, everything, account, provider)
        asyncio.run(_hold(loaded, scope, name, why, refuse))
    holds = asyncio.run(listed(loaded))
    if as_json:
        print_json([asdict(one) for one in holds])
        return
    show(holds)
    if not holds:
        console.print("Nothing is on hold.")


def resume(
    everything: Everything = False,
    account: OfAccount = None,
    provider: OfProvider = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """End what `hold` began, or what an account that sent too much of a sudden brought about. What waited goes out."""
    loaded = configuration(config)
    scope, name = _chosen(loaded, everything, account, provider, known=False)
    found, released = asyncio.run(_resume(loaded, scope, name))
    if as_json:
        print_json({"was_on_hold": found, "released": released})
    else:
        was = f"{scope.value} {escape(name)}".strip()
        console.print(f"{was}: goes on" if found else f"{was}: was not on hold")
        if released:
            console.print(f"{released} jobs released")
    if not found and not released:
        raise typer.Exit(1)


def show(holds: list[Hold]) -> None:
    """What is on hold, in red."""
    for one in holds:
        refuses = ", new mail is put off" if one.refuses else ""
        console.print(f"[bold red]on hold: {escape(str(one))}[/], since {ago(one.since)}{refuses} {escape(one.why)}")


async def listed(loaded: Configuration) -> list[Hold]:
    """What is on hold."""
    from gateway.service.switch import Switch  # noqa: PLC0415  (heavy imports only for verbs that need them)

    async with store_of(loaded) as store:
        return await Switch(store).holds()


def _chosen(
    loaded: Configuration, everything: bool, account: str | None, provider: str | None, *, known: bool = True
) -> tuple[Scope, str]:
    """What is meant. Only what is ``known`` can be held; what the configuration has forgotten can be resumed."""
    from gateway.service.switch import Scope  # noqa: PLC0415

    chosen = [(Scope.ALL, "")] if everything else []
    chosen += [(Scope.ACCOUNT, account)] if account else []
    chosen += [(Scope.PROVIDER, provider)] if provider else []
    if len(chosen) != 1:
        typer.echo("give one of --all, --account LOGIN and --provider NAME", err=True)
        raise typer.Exit(64)  # EX_USAGE
    scope, name = chosen[0]
    if known and scope is Scope.ACCOUNT and not loaded.directory.knows(name):
        loaded = all_accounts(loaded)
    names: Any = {Scope.ACCOUNT: loaded.directory.accounts, Scope.PROVIDER: loaded.settings.providers}.get(scope)
    if known and names is not None and name not in names:
        typer.echo(f"no {scope.value} {name}; one of {', '.join(sorted(names))}", err=True)
        raise typer.Exit(64)
    return scope, name


async def _hold(loaded: Configuration, scope: Scope, name: str, why: str, refuse: bool) -> None:
    from gateway.service.switch import Switch  # noqa: PLC0415

    async with store_of(loaded) as store:
        await Switch(store).hold(scope, name, why, refuse=refuse, who=operator())


async def _resume(loaded: Configuration, scope: Scope, name: str) -> tuple[bool, int]:
    from gateway.service.switch import Switch  # noqa: PLC0415

    async with store_of(loaded) as store:
        return await Switch(store).resume(scope, name, list(loaded.settings.providers), who=operator())
