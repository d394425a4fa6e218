"""``gateway.yaml``. With ``accounts`` the source of ``config/README.md`` and the JSON Schema."""

from __future__ import annotations

import base64
import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, Union

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, WithJsonSchema

from gateway.providers import ProviderSettings
from gateway.providers.registry import kinds
from gateway.settings.dialects import DialectsSettings
from gateway.settings.limits import DestinationSettings, HouseLimitSettings
from gateway.settings.listeners import DnsSettings, ListenerSettings
from gateway.settings.notation import weekdays
from gateway.settings.sites import (
    CallbacksSettings,
    ConsoleSettings,
    MetricsSettings,
)
from gateway.settings.values import Country, HoursOfDay, Language, Name, OneOrMore, Seconds
from gateway.strict import Strict, TimeZone


class ServerSettings(Strict):
    """The process."""

    hostname: str = Field("localhost", min_length=1, description="Our name in the SMTP banner and in reply mails.")
    data_dir: Path = Field(Path("var"), description="Where the store lives.")
    epoch_file: Path | None = Field(
        None,
        description="A small file that tells a store that was restored from a backup: leave it out of backups of the "
        "store. Default: `epoch` in `data_dir`.",
    )
    workers: int = Field(
        1,
        ge=0,
        le=64,
        description="Processes that share the listeners; 0: one for each core. Limits of a listener hold in each.",
    )
    max_buffered: int = Field(
        268_435_456,
        ge=1_048_576,
        description="Bytes of mails that one process receives at one time; more are put off (421).",
    )
    repeat_window: Seconds = Field(
        5 * 86400.0,
        description="The same mail again (Message-ID, envelope and content) within this time is one message.",
    )


def _sealing_key(value: SecretStr) -> SecretStr:
    try:
        raw = base64.b64decode(value.get_secret_value(), validate=True)
    except ValueError:
        raw = b""
    if len(raw) != 32:
        raise ValueError("the key is not 32 bytes in base64; make one by: openssl rand -base64 32")
    return value


class StoreSettings(Strict):
    """The durable store."""

    url: str | None = Field(
        None,
        pattern=r"^(sqlite:///|postgresql://[^/]*/).",
        description="`sqlite:///` and the path of the database file, on a local disk, not NFS; or "
        "`postgresql://user:password@host:5432/database`, for several machines or many processes. "
        "Default: `gateway.db` in `data_dir`.",
    )
    min_free: int = Field(
        67_108_864,
        ge=0,
        description="Bytes that must stay free on the disk of an SQLite store: with less, mail is put off (452), "
        "and what has been accepted goes on.",
    )
    key: Annotated[SecretStr, AfterValidator(_sealing_key)] | None = Field(
        None,
        description="Encrypts texts, incoming SMS, copies of mails, replies and webhook events in the store: 32 random "
        "bytes in base64, `openssl rand -base64 32`. Needs the extra `encryption`. See `deploy/privacy.md`.",
    )
    key_file: str | None = Field(None, description="A file whose first line is the key.")

    @property
    def key_bytes(self) -> bytes | None:
        """The key itself."""
        return base64.b64decode(self.key.get_secret_value()) if self.key is not None else None


if TYPE_CHECKING:
    Provider = ProviderSettings
else:
    Provider = Annotated[Union[tuple(kind.settings for kind in kinds())], Field(discriminator="driver")]  # noqa: UP007


def _weighted(value: object) -> object:
    if not isinstance(value, list | tuple):
        return value
    if len(set(map(str, value))) < len(value):
        raise ValueError("a provider is here twice; give weights such as {main: 3, spare: 1}")
    return {str(name): None for name in value}


Weights = Annotated[
    dict[str, Annotated[int, Field(ge=1, le=1000)] | None],
    BeforeValidator(_weighted),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "array", "items": {"type": "string"}, "minItems": 1},
                {"type": "object", "additionalProperties": {"type": "integer"}, "minProperties": 1},
            ]
        }
    ),
]


class RouteSettings(Strict):
    """Which providers carry what. Routes that name an originator, an account or hours come first, in the order of the
    file: the first that matches is taken. When none does, the number decides: the longest matching prefix; a country
    counts as its calling code and goes before that. `email2sms route NUMBER` explains."""

    prefix: OneOrMore[Annotated[str, Field(pattern=r"^\d{0,15}$")]] = Field(
        (), description="First digits of the number, one or a list; empty: every number."
    )
    country: OneOrMore[Country] = Field(
        (), description="Of the number, ISO 3166, one or a list: `RU` and `KZ` share +7."
    )
    originator: OneOrMore[Name] = Field((), description="One or a list; `*` matches any characters.")
    account: OneOrMore[Name] = Field((), description="Logins, one or a list; `*` matches any characters.")
    hours: HoursOfDay | None = Field(
        None, description="When the SMS is to go out: `08:00-22:00`, or over midnight: `22:00-08:00`."
    )
    timezone: TimeZone | None = Field(None, description="Of the hours: `Europe/Moscow`. Default: UTC.")
    providers: Weights = Field(
        min_length=1,
        description="The first one first, the next when it cannot. Or names with weights, `{main: 3, spare: 1}`: each "
        "SMS draws which is the first, and the next.",
    )
    order: Literal["listed", "weighted", "cheapest"] | None = Field(
        None, description="`cheapest`: by the providers' `prices`. Default: `weighted` for weights, else `listed`."
    )


class RepliesSettings(Strict):
    """Answers by mail. Without this section everything is refused in the dialogue, and failures show in the queue."""

    sender: str = Field(alias="from", pattern=r"^[\x21-\x7e]+@[\x21-\x7e]+$", description="Address in the From field.")
    smarthost: str = Field(
        pattern=r"^smtps?://[^/@\s]+$", description="`smtp://host:port` (STARTTLS when offered) or `smtps://host:port`."
    )
    user: str | None = Field(None, description="Login at the smarthost.")
    password: SecretStr | None = Field(None, description="Its password.")
    password_file: str | None = Field(None, description="A file whose first line is the password.")
    language: Language = Field("en", description="For accounts that name none.")
    per_hour: int = Field(10, ge=1, description="Replies to one address.")


class RelaySettings(Strict):
    """When a provider cannot take a job now."""

    validity: Seconds = Field(86400, description="A job older than this is not sent any more: EXPIRED.")
    first_retry: Seconds = Field(5, description="The first wait; each further one is twice as long.")
    max_retry: Seconds = Field(600, description="The longest wait.")
    schedule_ahead: Seconds = Field(30 * 86400.0, description="The furthest that an SMS may be scheduled ahead.")
    tries_per_provider: int = Field(3, ge=1, description="Failures in a row before the next provider of the route.")
    provider_pause: Seconds = Field(
        300, description="How long an account-level refusal (login, blocked, no funds) stops the provider."
    )


class RetentionSettings(Strict):
    """How long the store keeps what is done."""

    texts: Seconds = Field(7 * 86400.0, description="The words of SMS and mails.")
    records: Seconds = Field(365 * 86400.0, description="Everything else: numbers, states, trails.")
    figures: Seconds = Field(
        3 * 365 * 86400.0, description="The counts of the reports, by day, account and provider; and balances."
    )
    rejections: Seconds = Field(
        30 * 86400.0, description="Who was turned away at the doors; never more than 10,000 entries."
    )


class DefenceSettings(Strict):
    """Against guessing of credentials, by SMTP AUTH and in mails. Wrong ones count for the client's network (IPv4 /32,
    IPv6 /64) and for the account. A network that a listener or an account trusts is never shut out: there, an account
    or a sender at that address pauses. `email2sms bans list` shows who is out, `lift` lets in."""

    attempts: int = Field(5, ge=1, description="Wrong credentials `within` that time before a pause.")
    within: Seconds = Field(600.0, description="Also how long an account or a sender pauses.")
    ban: Seconds = Field(
        3600.0, description="How long a network is shut out; each time within a day twice as long, up to a day."
    )
    attempts_per_day: int = Field(
        20,
        ge=1,
        description="Wrong credentials for one account from networks that nobody trusts before it is locked for them.",
    )
    lock: Seconds = Field(86400.0, description="How long that lasts. Trusted networks are not concerned.")
    tarpit: Seconds = Field(
        1.0,
        description="How long an untrusted client waits to hear that a credential was wrong; each time twice as long, "
        "up to 8 seconds. 0: not at all.",
    )


class LogSettings(Strict):
    """The log goes to standard error, one event a line."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["auto", "json", "console"] = Field("auto", description="`auto`: colours on a terminal, else JSON.")


def _days(value: str) -> str:
    weekdays(value)
    return value


def _time_of_day(value: str) -> str:
    if not re.fullmatch(r"([01]\d|2[0-3]):[0-5]\d", value, re.ASCII):
        raise ValueError('give a time such as "09:00"')
    return value


def _heartbeat_text(value: str) -> str:
    try:
        value.format(time="", date="", queue=0, host="")
    except (LookupError, ValueError, AttributeError):
        raise ValueError("only {time}, {date}, {queue} and {host} may stand in braces") from None
    return value


class HeartbeatSettings(Strict):
    """An SMS at set times that proves the whole way, by its name. When its receipt does not come, the log has an alert;
    the account's webhook hears of each. Described in `deploy/alerts.md`."""

    account: str = Field(min_length=1, description="Whose limits, route and webhook.")
    to: OneOrMore[Name] = Field(min_length=1, description="Phone number, one or a list.")
    originator: str = Field("", description="Default: the account's only one.")
    at: OneOrMore[Annotated[str, AfterValidator(_time_of_day)]] = Field(
        min_length=1, description='`"09:00"`, one or a list, in quotes.'
    )
    days: OneOrMore[Annotated[str, AfterValidator(_days)]] = Field(
        ("mon-sun",), min_length=1, description="`mon-fri`, or a list such as `[mon, wed, sat-sun]`."
    )
    timezone: TimeZone = Field("UTC", description="Of the times: `Europe/Moscow`.")
    text: Annotated[str, AfterValidator(_heartbeat_text)] = Field(
        "",
        max_length=500,
        description="May name {time}, {date}, {queue} (SMS that wait) and {host}. Default: in the account's language, "
        "`email2sms OK {time}, queue {queue}`.",
    )
    within: Seconds = Field(600, gt=0, description="How long its receipt may take.")


class GatewaySettings(Strict):
    """``gateway.yaml``."""

    server: ServerSettings = ServerSettings.model_construct()
    store: StoreSettings = StoreSettings.model_construct()
    listeners: tuple[ListenerSettings, ...] = Field(min_length=1, description="Doors for mail.")
    dialects: DialectsSettings
    providers: dict[str, Provider] = Field(min_length=1, description="Provider accounts by name.")
    routes: tuple[RouteSettings, ...] = Field(min_length=1, description="Which number goes where.")
    destinations: DestinationSettings = DestinationSettings.model_construct()
    limits: HouseLimitSettings = HouseLimitSettings.model_construct()
    accounts_file: Path = Field(Path("accounts.yaml"), description="Who may send.")
    replies: RepliesSettings | None = None
    dns: DnsSettings = DnsSettings.model_construct()
    relay: RelaySettings = RelaySettings.model_construct()
    retention: RetentionSettings = RetentionSettings.model_construct()
    heartbeat: dict[str, HeartbeatSettings] = Field(default_factory=dict, description="Heartbeats by name.")
    console: ConsoleSettings | None = None
    callbacks: CallbacksSettings | None = None
    metrics: MetricsSettings | None = None
    defence: DefenceSettings = DefenceSettings.model_construct()
    log: LogSettings = LogSettings.model_construct()
