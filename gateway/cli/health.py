"""Whether the gateway works, for containers, scripts and people."""

from __future__ import annotations

import asyncio
import http.client
import json
import socket
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gateway.cli import unpainted
from gateway.cli.common import ConfigOption, JsonOption, config_file, configuration, print_json, store_of
from gateway.settings.document import read
from gateway.settings.faults import ConfigError, Unavailable
from gateway.settings.notation import METRICS_BIND, host_and_port, seconds, tcp_address

if TYPE_CHECKING:
    from gateway.settings.listeners import ListenerSettings
    from gateway.settings.load import Configuration

ANSWER_S = 5.0
AGAIN_S = 0.5
ANY = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}  # noqa: S104 (where others bind)


@dataclass(frozen=True, slots=True)
class Found:
    """What was found out."""

    ready: bool
    checks: list[dict[str, Any]]
    providers: list[dict[str, str]]


def health(
    wait: Annotated[str, typer.Option(help="Ask again for so long until it is ready: 30s, 2m.")] = "0s",
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Whether the gateway takes mail: exit code 0, or 1 and why not. A provider that is down does not count.

    Asks /readyz at metrics.bind; without the section metrics, the banner of a listener, and the store.
    """
    site = _site(config_file(config).resolve())
    if site:
        look = partial(_asked, site)
    else:
        unpainted.load("structlog")
        look = partial(_look, configuration(config))
    try:
        until = time.monotonic() + seconds(wait)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--wait") from None
    while not (found := look()).ready and time.monotonic() + AGAIN_S < until:
        time.sleep(AGAIN_S)
    if as_json:
        print_json({"ready": found.ready, "checks": found.checks, "providers": found.providers})
    else:
        for check in found.checks:
            typer.echo(f"{'ok ' if check['ok'] else 'NOT'}  {check['name']}: {check['what']}")
        for provider in found.providers:
            why = f": {provider['why']}" if provider["why"] else ""
            typer.echo(f"     provider {provider['name']}: {provider['state']}{why}")
    raise typer.Exit(0 if found.ready else 1)


def _site(file: Path) -> str:
    """``metrics.bind``; empty: there is none. A container asks every few seconds, so the rest of the file is not looked
    at: whoever starts the gateway hears what is wrong with it."""
    match read(file).content:
        case {"metrics": dict(section)}:
            bind = METRICS_BIND if section.get("bind") is None else str(section["bind"])
        case _:
            return ""
    try:
        return tcp_address(bind)
    except ValueError:
        return ""


def _look(loaded: Configuration) -> Found:
    checks = [_banner(loaded.settings.listeners), asyncio.run(_store(loaded))]
    return Found(all(check["ok"] for check in checks), checks, [])


def _asked(bind: str) -> Found:
    host, port = host_and_port(bind)
    connection = http.client.HTTPConnection(ANY.get(host, host), port, timeout=ANSWER_S)
    try:
        connection.request("GET", "/readyz?verbose")
        found = json.load(connection.getresponse())
        return Found(found["ready"], found["checks"], found["providers"])
    except (OSError, http.client.HTTPException, ValueError, KeyError) as error:
        return Found(False, [_check("gateway", f"no answer at {bind}: {error}")], [])
    finally:
        connection.close()


def _banner(listeners: tuple[ListenerSettings, ...]) -> dict[str, Any]:
    """Of the first listener that greets whoever connects."""
    plain = [one for one in listeners if not one.proxy_protocol and (one.tls is None or one.tls.mode != "implicit")]
    if not plain:
        return _check("listeners", "all of them wait for TLS or for a proxy: add the section metrics to be asked there")
    listener = plain[0]
    try:
        greeting = _greeting(listener.bind)
    except OSError as error:
        return _check(listener.name, f"no answer at {listener.bind}: {error}")
    return _check(listener.name, f"answers {greeting}", ok=greeting == "220")


def _greeting(bind: str) -> str:
    if bind.startswith("unix:"):
        connection = socket.socket(socket.AF_UNIX)
        address: Any = bind.removeprefix("unix:")
    else:
        host, port = host_and_port(bind)
        address = (ANY.get(host, host), port)
        connection = socket.socket(socket.AF_INET6 if ":" in address[0] else socket.AF_INET)
    with connection:
        connection.settimeout(ANSWER_S)
        connection.connect(address)
        greeting = connection.recv(512).decode("ascii", "replace")
        connection.sendall(b"QUIT\r\n")
    return greeting[:3]


async def _store(loaded: Configuration) -> dict[str, Any]:
    try:
        async with store_of(loaded) as store:
            await store.write(lambda connection: None)
    except (ConfigError, Unavailable) as error:
        return _check("store", str(error))
    return _check("store", "writable", ok=True)


def _check(name: str, what: str, *, ok: bool = False) -> dict[str, Any]:
    return {"name": name, "ok": ok, "what": what}
