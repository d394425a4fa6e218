"""Settings → a provider account that can be called. A new driver is a row of ``_BUILT_IN``; one of another package is
found by its entry point.

The entry point's group is ``email2sms.providers``, its name the driver's, and it names a ``Kind``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib.metadata import entry_points
from typing import Any

from gateway.providers import Driver, ProviderSettings, Upstream, sandbox
from gateway.providers.alphasms import AlphaSmsSettings, alphasms
from gateway.providers.declarative.driver import Declarative
from gateway.providers.declarative.settings import HttpSettings
from gateway.providers.sandbox import SandboxSettings
from gateway.providers.smpp.settings import SmppSettings
from gateway.providers.smsc import Smsc, SmscSettings
from gateway.providers.targetsms import TargetSms, TargetSmsSettings
from gateway.providers.targetsms_json import TargetSmsJson, TargetSmsJsonSettings
from gateway.sandbox.platform import Platform

GROUP = "email2sms.providers"


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a provider account is given besides its settings."""

    platform: Platform
    """Stands behind ``driver: sandbox``."""
    callback_url: str = ""
    """Where this provider reports to us; empty: nowhere."""
    name: str = ""
    """Of the provider account, for the log and for what it pushes."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A driver: the class of its settings, and how an account of these settings is made."""

    settings: type[ProviderSettings]
    """With a field ``driver: Literal["name"]``."""
    connect: Callable[[Any, Surroundings], Upstream]
    """Opens no connection yet."""

    @property
    def name(self) -> str:
        """As in ``driver: …``."""
        return str(self.settings.model_fields["driver"].annotation.__args__[0])  # type: ignore[union-attr]


def http(settings: type[ProviderSettings], driver: Callable[[Any, str], Driver]) -> Kind:
    """A driver on HTTP: made of its settings and the address of its callbacks."""

    def connect(given: Any, around: Surroundings) -> Upstream:
        from gateway.providers.http import HttpUpstream  # noqa: PLC0415  (a tenth of a second that few verbs need)

        return HttpUpstream.of(driver(given, around.callback_url), given)

    return Kind(settings, connect)


def _sandbox(settings: SandboxSettings, around: Surroundings) -> Upstream:
    from gateway.providers.http import HttpUpstream  # noqa: PLC0415
    from gateway.providers.sandbox_transport import SandboxTransport  # noqa: PLC0415

    return HttpUpstream.of(sandbox.driver(), settings, SandboxTransport(around.platform, around.name))


def _smpp(settings: SmppSettings, around: Surroundings) -> Upstream:
    from gateway.providers.smpp.upstream import SmppUpstream  # noqa: PLC0415

    return SmppUpstream(settings, around.name)


_BUILT_IN = (
    http(TargetSmsSettings, TargetSms),
    http(TargetSmsJsonSettings, TargetSmsJson),
    http(AlphaSmsSettings, alphasms),
    http(SmscSettings, Smsc),
    http(HttpSettings, Declarative),
    Kind(SmppSettings, _smpp),
    Kind(SandboxSettings, _sandbox),
)


@cache
def kinds() -> tuple[Kind, ...]:
    """All drivers, those of other packages last. One that takes the name of another is left out."""
    found = {kind.name: kind for kind in _BUILT_IN}
    for point in entry_points(group=GROUP):
        kind = point.load()
        found.setdefault(kind.name, kind)
    return tuple(found.values())


def connect(settings: ProviderSettings, around: Surroundings) -> Upstream:
    """The provider account of these settings."""
    kind = next(kind for kind in kinds() if kind.settings is type(settings))
    return kind.connect(settings, around)
