"""Verbs that keep running."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Annotated

import typer

from gateway.cli import unpainted
from gateway.cli.common import ConfigOption, configuration, store_of
from gateway.settings.notation import host_and_port

if TYPE_CHECKING:
    from gateway.sandbox.platform import Platform
    from gateway.settings.load import Configuration

RELOAD_S = 10.0


def serve(config: ConfigOption = None) -> None:
    """Run the gateway. TERM drains and stops, HUP reads accounts, dialects and routes again."""
    unpainted.load("structlog")
    from gateway import daemon  # noqa: PLC0415
    from gateway.watch.log import set_up  # noqa: PLC0415

    loaded = configuration(config)
    set_up(loaded.settings.log.level, loaded.settings.log.format)
    if loaded.processes > 1:
        from gateway.supervisor import Supervisor  # noqa: PLC0415

        raise typer.Exit(Supervisor(loaded).run())
    daemon.run(loaded)


def reload(config: ConfigOption = None) -> None:
    """Have the running gateway read accounts, dialects and routes again: all or nothing, in every process."""
    from gateway.service.reload import NotRunning, NotTaken  # noqa: PLC0415

    loaded = configuration(config)
    try:
        count = asyncio.run(_reload(loaded))
    except NotRunning:
        typer.echo(f"no gateway runs with {loaded.path} on this machine", err=True)
        raise typer.Exit(1) from None
    except NotTaken:
        typer.echo("the gateway goes on with the files as they were; its log says why (config.refused)", err=True)
        raise typer.Exit(1) from None
    typer.echo(f"reloaded by {count} process{'es' if count > 1 else ''}")


async def _reload(loaded: Configuration) -> int:
    from gateway.service import reload as service  # noqa: PLC0415

    async with store_of(loaded) as store:
        return await service.reload(loaded, store, RELOAD_S)


def sandbox(
    bind: Annotated[str, typer.Option(help="host:port")] = "127.0.0.1:8080",
    user: Annotated[str, typer.Option(help="The login to accept; empty: any.")] = "",
    password: Annotated[str, typer.Option(envvar="EMAIL2SMS_SANDBOX_PASSWORD", help="Its password.")] = "",
    smpp: Annotated[str, typer.Option(help="host:port where it speaks SMPP, too.")] = "",
) -> None:
    """Run a TargetSMS emulator: /sendsms.php, fake handsets on /, faults by POST /faults. Or any SMSC, with --smpp."""
    from aiohttp import web  # noqa: PLC0415

    from gateway.sandbox.platform import Platform  # noqa: PLC0415
    from gateway.sandbox.web import application  # noqa: PLC0415

    host, port = host_and_port(bind)
    typer.echo(f"TargetSMS emulator: http://{bind}/sendsms.php  handsets: http://{bind}/", err=True)
    platform = Platform(clock=time.time, user=user, password=password)
    app = application(platform)
    if smpp:
        app.cleanup_ctx.append(lambda _: _smpp(platform, *host_and_port(smpp)))
    web.run_app(app, host=host, port=port, print=None, access_log=None, loop=asyncio.new_event_loop())


async def _smpp(platform: Platform, host: str, port: int) -> AsyncIterator[None]:
    from gateway.sandbox.smpp import SmppFace  # noqa: PLC0415

    face = SmppFace(platform)
    port = await face.start(host, port)
    typer.echo(f"SMPP: {host}:{port}", err=True)
    yield
    await face.close()
