"""A job on its way to a TargetSMS account, as the drivers' tests need it."""

from __future__ import annotations

from gateway.model import Attempt, Job
from gateway.providers.targetsms import TargetSms, TargetSmsSettings

PASSWORD = "p&s;s+w%rd<1>"


def driver(url: str = "https://sms.example/sendsms.php", group: int = 1, password: str = PASSWORD) -> TargetSms:
    settings = {"driver": "targetsms", "url": url, "user": "corp", "password": password, "group": group}
    return TargetSms(TargetSmsSettings.model_validate(settings))


def attempt(number: str = "79101234567", text: str = "text", *, repeats: bool = False) -> Attempt:
    job = Job("J-1", "J", "user", "My Bank", number, text, 1, ("main",), 0.0, 1e12)
    return Attempt(job, "main", 1, 1, repeats=repeats)
