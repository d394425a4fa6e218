"""Settings → a provider account that can be called. A new driver is named here and in ``settings/schema.py``."""

from __future__ import annotations

from gateway.providers import ProviderSettings, sandbox
from gateway.providers.http import HttpUpstream
from gateway.providers.sandbox import SandboxSettings, SandboxTransport
from gateway.providers.targetsms import TargetSms, TargetSmsSettings
from gateway.sandbox.platform import Platform


def connect(settings: ProviderSettings, platform: Platform) -> HttpUpstream:
    """``platform`` stands behind ``driver: sandbox``. Opens no connection yet."""
    match settings:
        case TargetSmsSettings():
            return HttpUpstream(TargetSms(settings), timeout_s=settings.timeout, max_in_flight=settings.max_in_flight)
        case SandboxSettings():
            return HttpUpstream(
                sandbox.driver(),
                timeout_s=settings.timeout,
                max_in_flight=settings.max_in_flight,
                transport=SandboxTransport(platform),
            )
    raise AssertionError(f"no driver for {type(settings).__name__}")
