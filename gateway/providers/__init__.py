"""Drivers: what each provider's protocol looks like. Sans I/O: requests out, responses in, as data.

An ``Upstream`` is a provider account that can be called: a driver behind HTTP (``http``), or a protocol that keeps a
connection (``smpp``).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Annotated, ClassVar, Protocol, runtime_checkable

from pydantic import AfterValidator, Field, SecretStr, WithJsonSchema

from gateway.model import Attempt, Balance, Callback, Channel, Outcome, Pushed, Receipt, Request, Response
from gateway.strict import Strict

Price = Annotated[Decimal, Field(ge=0), WithJsonSchema({"type": "number", "minimum": 0})]


def _by_prefix(prices: dict[str, Decimal]) -> dict[str, Decimal]:
    for prefix in prices:
        if not (len(prefix) <= 15 and prefix.isascii() and (prefix.isdigit() or not prefix)):
            raise ValueError(f'"{prefix}" is no prefix; give the first digits of numbers, such as "7" or "380"')
    return prices


def _for_addresses(token: SecretStr) -> SecretStr:
    """Clients and proxies write the same address in many ways, if it has any other characters."""
    if not re.fullmatch(r"[A-Za-z0-9_-]{16,128}", token.get_secret_value()):
        raise ValueError("give 16 or more letters, digits, - and _, of your own")
    return token


class ProviderSettings(Strict):
    """What every provider section may say, whatever its driver."""

    driver: str = Field(description="Which protocol the provider speaks.")
    rate: float | None = Field(None, gt=0, description="Calls a second, over all processes; empty: no limit.")
    max_in_flight: int = Field(20, ge=1, le=1000, description="Calls that may wait for an answer at one time.")
    timeout: float = Field(10, gt=0, le=30, description="Seconds to wait for an answer.")
    poll: bool = Field(True, description="Ask what became of each SMS, where the protocol has such a question.")
    callback_token: Annotated[SecretStr, AfterValidator(_for_addresses)] | None = Field(
        None,
        description="A secret of your own in the address at which this provider reports: see `callbacks`.",
    )
    callback_token_file: str | None = Field(None, description="A file whose first line is the token.")

    prices: Annotated[dict[str, Price], AfterValidator(_by_prefix)] = Field(
        default_factory=dict,
        description='Of one segment, by the first digits of the number: `{"7": 3.5, "380": 0.9}`; `""`: all others. In '
        "one currency for all providers. For routes with `order: cheapest`.",
    )

    balance_every: float = Field(
        300, ge=0, le=86400, description="Seconds between two questions for the balance, where it can tell; 0: never."
    )
    balance_low: Annotated[Decimal, Field(ge=0), WithJsonSchema({"type": "number", "minimum": 0})] | None = Field(
        None, description="Less than that is an alert in the log, once each time; in the currency of the account."
    )

    channels: ClassVar[frozenset[Channel]] = frozenset({Channel.SMS})
    """What the driver can carry at all."""

    def carries(self) -> frozenset[Channel]:
        """What this account carries."""
        return self.channels

    def national(self) -> frozenset[str]:
        """National 7-bit tables that it knows: keys of ``sms.segments.NATIONAL``."""
        return frozenset()

    def schedules(self) -> bool:
        """Whether a scheduled SMS is handed over at once, with its time, instead of waiting here."""
        return False


@dataclass(frozen=True, slots=True)
class Traits:
    """What one must know of a provider so that nothing is lost and nothing goes out twice."""

    group: int = 1
    """How many jobs of one text one request may carry."""
    duplicate_window_s: float | None = None
    """It refuses an identical request, whoever makes it, for this long; None: it does not look."""
    repeat_within_s: float = 0.0
    """So long after a lost answer the identical request may be made again: it sends no second SMS, and its answer
    tells what became of the first. 0: never."""
    keyed: bool = False
    """It knows the repeat by a key in the request, so that any process may make it, after a restart, too."""


PLAIN = Traits()


class Driver(Protocol):
    """The seam for providers on HTTP. ``gateway/README.md`` tells how to add one; ``gateway.testing`` holds the
    tests that every driver must pass."""

    traits: Traits

    def submit(self, attempts: Sequence[Attempt]) -> Request:
        """The request for jobs of one originator and text. The same for the same jobs, always. Raises ``Refused``
        when it cannot be expressed."""
        ...

    def read_submit(self, attempts: Sequence[Attempt], response: Response) -> list[Outcome]:
        """One outcome for each attempt, in order. Never raises: what it does not know is ``Rejected`` with an
        alert, or ``Uncertain`` where the request may have been taken."""
        ...


@runtime_checkable
class StatusQuery(Protocol):
    """A driver that can ask what became of a job."""

    def status(self, provider_id: str, destination: str) -> Request:
        """Ask for one job. Some providers want to hear the number, too (E.164 digits)."""
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


@runtime_checkable
class PriceQuery(Protocol):
    """A driver that can ask what an SMS to a number costs."""

    def price(self, destination: str) -> Request:
        """Ask."""
        ...

    def read_price(self, response: Response) -> Balance:
        """Amount and currency. Raises ``Refused`` (MSG) with the provider's words."""
        ...


@runtime_checkable
class CallbackReader(Protocol):
    """A driver whose provider reports to us: receipts, incoming SMS."""

    def read_callback(self, callback: Callback) -> Pushed:
        """What it says and what is to be answered. Raises ``Refused``: AUTH for a wrong signature, FORMAT for what
        is not understood."""
        ...


class Unsupported(Exception):
    """The provider's protocol has no such question."""


Sink = Callable[[str, Pushed], Awaitable[None]]
"""Where what a provider pushes is written down: its name, and what it says. Returns after the commit."""


class Upstream(Protocol):
    """A provider account that can be called."""

    traits: Traits
    can_ask: bool
    """Whether ``status`` is worth a call."""
    pushes: bool
    """It reports by itself what becomes of an SMS."""

    async def start(self, sink: Sink) -> None:
        """For protocols that keep a connection: connect, and stay connected, until ``close``. Waits for nothing."""
        ...

    async def submit(self, attempts: Sequence[Attempt]) -> list[Outcome]:
        """One call. Never raises for the network."""
        ...

    async def status(self, provider_id: str, destination: str) -> Receipt:
        """Raises ``Unsupported``, ``NoAnswer``, ``Refused``."""
        ...

    async def balance(self) -> Balance:
        """Raises ``Unsupported``, ``NoAnswer``, ``Refused``."""
        ...

    async def price(self, destination: str) -> Balance:
        """Raises ``Unsupported``, ``NoAnswer``, ``Refused``."""
        ...

    def read_callback(self, callback: Callback) -> Pushed:
        """Raises ``Unsupported``, ``Refused``."""
        ...

    async def close(self) -> None:
        """Let calls in flight go and disconnect."""
        ...


@runtime_checkable
class Linked(Protocol):
    """An upstream that keeps a connection."""

    async def probe(self) -> str:
        """Whether it stands, in words. Raises ``NoAnswer``."""
        ...


@runtime_checkable
class Previewing(Protocol):
    """A provider account that can show what it would send."""

    def preview(self, attempts: Sequence[Attempt]) -> str:
        """The request for these attempts, for people: its secrets are ``***``, numbers are in full. Sends nothing.
        Raises ``Refused`` when it cannot be expressed."""
        ...


class NoAnswer(Exception):
    """The call brought no usable answer. ``sent`` says whether bytes may have left us."""

    def __init__(self, why: str, *, sent: bool) -> None:
        super().__init__(why)
        self.sent = sent


def client_id(key: str, bits: int) -> int:
    """A positive number of at most so many bits for the key of a job: what providers that want numbers take. The same
    for each try, so that a repeat is known for what it is."""
    digest = hashlib.blake2b(key.encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") % ((1 << bits) - 1) + 1
