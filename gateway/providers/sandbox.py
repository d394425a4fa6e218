"""``driver: sandbox``: the TargetSMS driver in front of fake handsets, in the same process."""

from __future__ import annotations

from typing import Literal

from pydantic import SecretStr

from gateway.providers import ProviderSettings
from gateway.providers.targetsms import TargetSms, TargetSmsSettings


class SandboxSettings(ProviderSettings):
    """``driver: sandbox``. Needs nothing: no SMS leaves the machine."""

    driver: Literal["sandbox"]


def driver() -> TargetSms:
    """The real driver, so that what works here works there."""
    return TargetSms(
        TargetSmsSettings(
            driver="targetsms", url="http://sandbox.invalid/sendsms.php", user="demo", password=SecretStr("demo")
        )
    )
