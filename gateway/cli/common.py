"""Options and output that several verbs share."""

from __future__ import annotations

import asyncio
import json
import os
import pwd
import time
from collections.abc import AsyncIterator, Collection
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gateway import cli
from gateway.settings.faults import ConfigError, Unavailable

if TYPE_CHECKING:
    from gateway.settings.load import Configuration
    from gateway.settings.schema import GatewaySettings
    from gateway.spool.store import Store

ConfigOption = Annotated[
    Path | None,
    typer.Option(
        "--config",
        "-c",
        help="Default: $EMAIL2SMS_CONFIG, ./gateway.yaml, ./config/gateway.yaml or /etc/email2sms/gateway.yaml.",
        show_default=False,
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="For programs.")]
NumbersOption = Annotated[bool, typer.Option("--numbers", help="Show phone numbers in full.")]

_PLACES = (Path("gateway.yaml"), Path("config/gateway.yaml"), Path("/etc/email2sms/gateway.yaml"))


def config_file(path: Path | None) -> Path:
    """The file that the options mean, whether or not it is there."""
    given = path or (Path(os.environ["EMAIL2SMS_CONFIG"]) if "EMAIL2SMS_CONFIG" in os.environ else None)
    return given or next((place for place in _PLACES if place.exists()), _PLACES[0])


def configuration(path: Path | None) -> Configuration:
    """The configuration that the options mean. Raises ``ConfigError``."""
    from gateway.settings.load import load  # noqa: PLC0415  (half of the time of a verb that needs one)

    if cli.is_program:  # what is imported from here on may log, and standard output belongs to the answer
        from gateway.watch.log import set_up  # noqa: PLC0415

        set_up("error", "auto")
    return load(config_file(path), _stored_logins)


def _stored_logins(settings: GatewaySettings, url: str) -> Collection[str]:
    from gateway.service.opening import stored_logins  # noqa: PLC0415  (only where the file leaves a question)

    return stored_logins(settings, url)


@asynccontextmanager
async def with_accounts(configuration: Configuration) -> AsyncIterator[tuple[Configuration, Store | None]]:
    """The configuration with the accounts that are in the store, and the store; without, where there is none yet: a
    question makes no file for one. A store that cannot be asked is said and done without."""
    from gateway.service.roster import whole  # noqa: PLC0415

    async with AsyncExitStack() as stack:
        store = None
        if has_store(configuration):
            try:
                store = await stack.enter_async_context(store_of(configuration))
            except (ConfigError, Unavailable) as error:
                typer.echo(f"only the accounts of {configuration.settings.accounts_file} are known: {error}", err=True)
        yield (await whole(configuration, store) if store is not None else configuration), store


def has_store(configuration: Configuration) -> bool:
    """Whether there is one to ask."""
    return not configuration.store_is_embedded or Path(configuration.store_url.removeprefix("sqlite:///")).exists()


def all_accounts(configuration: Configuration) -> Configuration:
    """The configuration with the accounts that are in the store."""

    async def found() -> Configuration:
        async with with_accounts(configuration) as (complete, _):
            return complete

    return asyncio.run(found())


@asynccontextmanager
async def store_of(configuration: Configuration) -> AsyncIterator[Store]:
    """The store, beside a running daemon or without one."""
    from gateway.service.opening import open_store  # noqa: PLC0415  (SQLAlchemy, for verbs that have a store)

    store = await open_store(configuration, exclusive=False)
    try:
        yield store
    finally:
        await store.close()


def print_json(value: Any) -> None:
    """One JSON document on standard output."""
    print(json.dumps(value, ensure_ascii=False, indent=2, default=str))


def ago(at: float) -> str:
    """How long ago, in the largest unit that fits."""
    seconds = max(0, int(time.time() - at))
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds >= size:
            return f"{seconds // size} {unit} ago"
    return f"{seconds} s ago"


def operator() -> str:
    """Who types: the user of the system, and who has become it by sudo."""
    try:
        user = pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        user = str(os.getuid())
    return os.environ.get("SUDO_USER") or user


def clock(at: float | None) -> str:
    """Local time, to the second."""
    return "" if at is None else datetime.fromtimestamp(at).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def moment(typed: str) -> float:
    """A time as people type it, in local time."""
    try:
        return datetime.fromisoformat(typed).timestamp()
    except (ValueError, OverflowError, OSError):
        raise typer.BadParameter(f'"{typed}": give a time such as "2026-11-25 23:00"') from None
