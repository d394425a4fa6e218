"""The sites of one process that are no console: figures and health, and where providers report to."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiohttp import web

from gateway.service import counts
from gateway.service.callbacks import Callbacks, Reporter
from gateway.service.gauges import Page, watch_the_loop
from gateway.settings.notation import host_and_port
from gateway.web import callbacks, monitoring

if TYPE_CHECKING:
    from gateway.daemon import Daemon


async def open_monitoring(daemon: Daemon, bind: str) -> None:
    """At ``metrics.bind``. Raises ``ConfigError``."""
    daemon.run(watch_the_loop())
    configuration = daemon._configuration
    listeners = [listener.settings.name for listener in daemon.listeners]
    counts.begin(listeners, [dialect.name for dialect in configuration.dialects], daemon._upstreams)
    await daemon._store_gauges.remember_successes()
    shared = None if daemon.is_alone else configuration.metrics_dir
    lowest = {name: provider.balance_low for name, provider in configuration.settings.providers.items()}
    page = Page(daemon._store_gauges, lowest, shared)
    await _open(daemon, "metrics.bind", bind, monitoring.application(page, daemon.health))


async def open_callbacks(daemon: Daemon, bind: str) -> None:
    """At ``callbacks.bind``. Raises ``ConfigError``."""
    addresses = {name: daemon._configuration.callback_url(name) for name in daemon._upstreams}
    reporters = {name: Reporter(name, daemon._upstreams[name], url) for name, url in addresses.items() if url}
    site = callbacks.application(Callbacks(reporters, daemon._receipts))
    await _open(daemon, "callbacks.bind", bind, site)


async def _open(daemon: Daemon, key: str, bind: str, site: web.Application) -> None:
    runner = web.AppRunner(site, access_log=None)
    daemon.closing.append(runner.cleanup)
    await runner.setup()
    host, port = host_and_port(bind)
    several = not daemon.is_alone  # each process has one, and the kernel shares the callers out
    await daemon.bind(key, bind, web.TCPSite(runner, host, port, reuse_port=several or None).start())
