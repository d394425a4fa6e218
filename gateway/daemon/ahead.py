"""What the processes of a configuration will need, imported before they are forked: they share its memory, and none of
them pays for it again."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from importlib import import_module

from gateway.settings.load import Configuration


def import_ahead(configuration: Configuration) -> None:
    """In the process that forks."""
    for name in _wanted(configuration):
        import_module(name)
    gc.collect()
    gc.freeze()  # else each process marks all of it when it looks for garbage, and shares no page


def _wanted(configuration: Configuration) -> Iterator[str]:
    settings = configuration.settings
    yield "gateway.mail.visible"
    if any(provider.driver != "smpp" for provider in settings.providers.values()):
        yield "gateway.providers.http"
    if any(listener.verify for listener in settings.listeners):
        yield from ("gateway.senders.alignment", "gateway.senders.permits", "gateway.senders.signatures")
    if settings.console is not None:
        yield "gateway.daemon.console"
        yield "uvicorn.protocols.http.auto"
    if settings.metrics is not None or settings.callbacks is not None:
        yield "gateway.daemon.sites"
