"""Drivers: what each provider's protocol looks like. Sans I/O: requests out, responses in, as data."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from pydantic import Field

from gateway.model import Attempt, Balance, Outcome, Receipt, Request, Response
from gateway.strict import Strict


class ProviderSettings(Strict):
    """What every provider section may say, whatever its driver."""

    driver: str = Field(description="Which protocol the provider speaks.")
    rate: float | None = Field(None, gt=0, description="Calls a second, over all processes; empty: no limit.")
    max_in_flight: int = Field(20, ge=1, le=1000, description="Calls that may wait for an answer at one time.")
    timeout: float = Field(10, gt=0, le=30, description="Seconds to wait for an answer.")


class Driver(Protocol):
    """The seam. ``gateway/README.md`` tells how to add one; the contract tests say what it must keep."""

    duplicate_window_s: float | None
    """The provider refuses an identical request for this long; None: it does not look."""
    group: int
    """How many jobs of one text one request may carry."""

    def submit(self, attempts: Sequence[Attempt]) -> Request:
        """The request for jobs of one originator and text. Raises ``Refused`` when it cannot be expressed."""
        ...

    def read_submit(self, attempts: Sequence[Attempt], response: Response) -> list[Outcome]:
        """One outcome for each attempt, in order. Never raises: what it does not know is ``Rejected`` with an
        alert, or ``Uncertain`` where the request may have been taken."""
        ...


@runtime_checkable
class StatusQuery(Protocol):
    """A driver that can ask what became of a job."""

    def status(self, provider_id: str) -> Request:
        """Ask for one job."""
        ...

    def read_status(self, provider_id: str, response: Response) -> Receipt:
        """Raises ``Refused`` (MSG) with the provider's words."""
        ...


@runtime_checkable
class BalanceQuery(Protocol):
    """A driver that can ask what is left on the account."""

    def balance(self) -> Request:
        """Ask."""
        ...

    def read_balance(self, response: Response) -> Balance:
        """Raises ``Refused`` (MSG) with the provider's words."""
        ...
