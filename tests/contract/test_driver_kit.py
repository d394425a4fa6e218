"""The contract kit (``gateway.testing``) on the drivers of this package that have no file of their own for it."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from pydantic import ValidationError

from gateway.model import Attempt, Response
from gateway.providers import Driver, sandbox
from gateway.providers.targetsms import ERRORS, TargetSmsSettings
from gateway.testing import SECRET, DriverContract
from tests.contract.jobs import driver


class TestTargetSms(DriverContract):
    words = tuple(fragment for row in ERRORS for fragment in row.fragments)

    def make(self) -> Driver:
        return driver(password=self.secret)

    def sent(self, attempts: Sequence[Attempt]) -> Response:
        return Response(200, ",".join(str(n + 1) for n in range(len(attempts))).encode())


class TestTargetSmsInGroups(TestTargetSms):
    def make(self) -> Driver:
        return driver(password=self.secret, group=3)


class TestSandbox(TestTargetSms):
    secret = "demo"

    def make(self) -> Driver:
        return sandbox.driver()


@pytest.mark.parametrize(
    "wrong", [{"group": 0}, {"timeout": 31}, {"rate": 0}, {"url": "ftp://x"}, {"user": ""}, {"passwort": "x"}]
)
def test_settings_and_their_faults_hold_no_secret(wrong: dict[str, object]) -> None:
    good: dict[str, object] = {"driver": "targetsms", "url": "https://x.example/", "user": "corp", "password": SECRET}
    assert SECRET not in repr(TargetSmsSettings.model_validate(good))
    with pytest.raises(ValidationError) as caught:
        TargetSmsSettings.model_validate({**good, **wrong})
    assert SECRET not in f"{caught.value} {caught.value!r}"
