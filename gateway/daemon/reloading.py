"""The files read again, by a process that runs."""

from __future__ import annotations

from collections.abc import Callable, Collection

import structlog

from gateway import metrics
from gateway.service.opening import stored_logins
from gateway.settings.faults import ConfigError, Unavailable
from gateway.settings.load import Configuration, load
from gateway.settings.schema import GatewaySettings

log = structlog.get_logger()


def reloaded(
    running: Configuration, stored: Callable[[GatewaySettings, str], Collection[str]] = stored_logins
) -> Configuration | None:
    """The files as they are now; None, with an alert, when a running process cannot take them. ``stored``: as ``load``
    asks for it."""
    fresh = _taken(running, stored)
    metrics.config_last_reload_successful.set(fresh is not None)
    if fresh is not None:
        metrics.config_last_reload_success_timestamp_seconds.set_to_current_time()
    return fresh


def _taken(running: Configuration, stored: Callable[[GatewaySettings, str], Collection[str]]) -> Configuration | None:
    try:
        fresh = load(running.path, stored)
    except (ConfigError, Unavailable) as fault:
        log.error("config.refused", why=str(fault), alert=True)  # noqa: TRY400 (no bug of ours: no traceback)
        return None
    fixed = (
        "server",
        "store",
        "listeners",
        "providers",
        "dns",
        "replies",
        "relay",
        "retention",
        "console",
        "callbacks",
        "metrics",
        "log",
    )
    if changed := [name for name in fixed if getattr(running.settings, name) != getattr(fresh.settings, name)]:
        log.error("config.refused", why=f"changed, but only a restart applies it: {', '.join(changed)}", alert=True)
        return None
    return fresh
