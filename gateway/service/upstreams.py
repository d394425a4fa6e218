"""The provider accounts of a configuration, to be called."""

from __future__ import annotations

import time

from gateway.providers import Upstream
from gateway.providers.registry import Surroundings, connect
from gateway.sandbox.platform import Platform
from gateway.settings.load import Configuration


def upstream(configuration: Configuration, name: str, platform: Platform | None = None) -> Upstream:
    """One of them. ``platform`` stands behind ``driver: sandbox``; without, one of its own."""
    around = Surroundings(platform or Platform(clock=time.time), configuration.callback_url(name), name)
    return connect(configuration.settings.providers[name], around)
