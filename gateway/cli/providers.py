"""Questions to provider accounts."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.table import Table

from gateway.cli.common import ConfigOption, JsonOption, configuration, print_json
from gateway.cli.screen import console
from gateway.model import Balance
from gateway.service.wording import refusal_line
from gateway.settings.load import Configuration
from gateway.sms import numbers
from gateway.verdicts import Refused

if TYPE_CHECKING:
    from gateway.providers import Upstream
    from gateway.service.providers import Tested

app = typer.Typer(help="Provider accounts.", no_args_is_help=True)


async def ask_balance(loaded: Configuration, name: str) -> dict[str, str]:
    """The balance, or why it is not known."""
    answer = await _asked(loaded, name, lambda provider: provider.balance())
    if isinstance(answer, str):
        return {"error": answer}
    return {"balance": f"{answer.amount} {answer.currency}", **answer.packages}


async def _asked(loaded: Configuration, name: str, question: Callable[[Upstream], Awaitable[Balance]]) -> Balance | str:
    """The answer, or why there is none."""
    from gateway.providers import NoAnswer, Unsupported  # noqa: PLC0415
    from gateway.service.upstreams import upstream  # noqa: PLC0415

    provider = upstream(loaded, name)
    try:
        return await question(provider)
    except (NoAnswer, Unsupported) as error:
        return str(error)
    except Refused as refused:
        return f"{refused.refusal.code}: {refused.refusal.values.get('text', '')}"
    finally:
        await provider.close()


@app.command("balance")
def balance(
    name: Annotated[str | None, typer.Argument(help="Its name in gateway.yaml; default: all.")] = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """What is left on the account."""
    loaded = configuration(config)
    names = [_known(loaded, name)] if name else list(loaded.settings.providers)
    answers = asyncio.run(_all_balances(loaded, names))
    if as_json:
        print_json(answers)
    else:
        table = Table("provider", "balance", "packages", box=None)
        for provider, answer in answers.items():
            packages = ", ".join(f"{k} {v}" for k, v in answer.items() if k not in ("balance", "error"))
            table.add_row(provider, answer.get("balance") or f"[red]{answer['error']}[/]", packages)
        console.print(table)
    if any("error" in answer for answer in answers.values()):
        raise typer.Exit(69)


async def _all_balances(loaded: Configuration, names: list[str]) -> dict[str, dict[str, str]]:
    return {name: await ask_balance(loaded, name) for name in names}


@app.command("status")
def status(
    name: Annotated[str | None, typer.Argument(help="Its name; default: all.")] = None,
    provider_id: Annotated[str | None, typer.Argument(help="The provider's id of a message.")] = None,
    to: Annotated[str, typer.Option(help="The message's number: some providers want to hear it.")] = "",
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Whether the accounts are working; with an id, what became of that message."""
    loaded = configuration(config)
    if name is not None and provider_id is not None:
        result = asyncio.run(_message_status(loaded, _known(loaded, name), provider_id, to))
    else:
        result = asyncio.run(_account_status(loaded))
        if name is not None:
            result = {name: result[_known(loaded, name)]}
    if as_json:
        print_json(result)
        return
    for key, value in result.items():
        console.print(f"{key}: {value}", markup=False)


async def _message_status(loaded: Configuration, name: str, provider_id: str, to: str) -> dict[str, str]:
    from gateway.providers import NoAnswer, Unsupported  # noqa: PLC0415
    from gateway.service.upstreams import upstream  # noqa: PLC0415

    provider = upstream(loaded, name)
    try:
        receipt = await provider.status(provider_id, to)
    except (NoAnswer, Unsupported) as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(69) from None
    except Refused as refused:
        typer.echo(f"{refused.refusal.code}: {refused.refusal.values.get('text', '')}", err=True)
        raise typer.Exit(65) from None
    finally:
        await provider.close()
    found = {"state": receipt.state.value, "raw": receipt.raw, "changed_at": receipt.changed_at, "price": receipt.price}
    return {key: value for key, value in found.items() if value}


async def _account_status(loaded: Configuration) -> dict[str, str]:
    from gateway.cli.common import store_of  # noqa: PLC0415
    from gateway.service.desk import Desk  # noqa: PLC0415

    async with store_of(loaded) as store:
        paused = await Desk(store).paused_providers()
    return {name: f"stopped: {paused[name]}" if name in paused else "working" for name in loaded.settings.providers}


@app.command("price")
def price(
    name: Annotated[str, typer.Argument(help="Its name in gateway.yaml.")],
    number: Annotated[str, typer.Argument(help="A phone number with the country code.")],
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """What an SMS to a number costs, where the provider can say."""
    loaded = configuration(config)
    try:
        destination = numbers.parse(number)
    except Refused as refused:
        typer.echo(refusal_line(refused.refusal), err=True)
        raise typer.Exit(refused.refusal.verdict.sysexit) from None
    answer = asyncio.run(_price(loaded, _known(loaded, name), destination))
    if as_json:
        print_json({"to": numbers.mask(destination), **answer})
    else:
        typer.echo(f"{numbers.mask(destination)}: {answer.get('price') or answer['error']}")
    if "error" in answer:
        raise typer.Exit(69)


async def _price(loaded: Configuration, name: str, destination: str) -> dict[str, str]:
    answer = await _asked(loaded, name, lambda provider: provider.price(destination))
    return {"error": answer} if isinstance(answer, str) else {"price": f"{answer.amount} {answer.currency}"}


@app.command("test")
def test(
    name: Annotated[str | None, typer.Argument(help="Its name in gateway.yaml; default: all.")] = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Whether it answers, and knows us. Nothing is sent: it is asked for its balance, or of an SMS that never was."""
    loaded = configuration(config)
    names = [_known(loaded, name)] if name else list(loaded.settings.providers)
    found = asyncio.run(_tests(loaded, names))
    if as_json:
        print_json({provider: asdict(one) for provider, one in found.items()})
    else:
        table = Table("provider", "", "asked for", "answer", "took", box=None)
        for provider, one in found.items():
            mark = "[green]ok[/]" if one.ok else "[red]failed[/]"
            table.add_row(provider, mark, one.asked, escape(one.answer), f"{one.took_s * 1000:.0f} ms")
        console.print(table)
    if not all(one.ok for one in found.values()):
        raise typer.Exit(69)  # EX_UNAVAILABLE


async def _tests(loaded: Configuration, names: list[str]) -> dict[str, Tested]:
    from gateway.service.providers import probe  # noqa: PLC0415

    async def one(name: str) -> Tested:
        from gateway.service.upstreams import upstream  # noqa: PLC0415

        provider = upstream(loaded, name)
        try:
            return await probe(provider)
        finally:
            await provider.close()

    return dict(zip(names, await asyncio.gather(*map(one, names)), strict=True))


@app.command("unpause")
def unpause(
    name: Annotated[str, typer.Argument(help="Its name in gateway.yaml.")], config: ConfigOption = None
) -> None:
    """Go on with a provider that was paused because it failed or refused us, without waiting for the end of the
    pause."""
    loaded = configuration(config)
    was = asyncio.run(_unpause(loaded, _known(loaded, name)))
    typer.echo(f"{name}: goes on" if was else f"{name}: was not paused")
    if not was:
        raise typer.Exit(1)


async def _unpause(loaded: Configuration, name: str) -> bool:
    from gateway.cli.common import operator, store_of  # noqa: PLC0415
    from gateway.service.providers import unpause as go_on  # noqa: PLC0415

    async with store_of(loaded) as store:
        return await go_on(store, name, time.time(), operator())


@app.command("callbacks")
def callbacks(config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Where each provider reports to us: for its settings at the provider. The addresses hold secrets."""
    loaded = configuration(config)
    addresses = {name: loaded.callback_url(name) for name in loaded.settings.providers}
    if as_json:
        print_json(addresses)
        return
    table = Table("provider", "address", box=None)
    for name, address in addresses.items():
        table.add_row(name, address or "[dim]none: set callback_token, and callbacks.url[/]")
    console.print(table, soft_wrap=True)


def _known(loaded: Configuration, name: str) -> str:
    if name not in loaded.settings.providers:
        typer.echo(f"no provider {name!r}; one of {', '.join(loaded.settings.providers)}", err=True)
        raise typer.Exit(64)
    return name
