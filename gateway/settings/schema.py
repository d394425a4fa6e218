"""Every section of ``gateway.yaml`` and ``accounts.yaml``: the source of ``config/README.md`` and the JSON Schema."""

from __future__ import annotations

import base64
import re
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, TypeVar, Union

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, WithJsonSchema

from gateway.model import Channel
from gateway.policy.composing import Transliterate
from gateway.providers import ProviderSettings
from gateway.providers.registry import kinds
from gateway.sms.numbers import calling_code
from gateway.strict import Strict, TimeZone

Language = Literal["en", "ru", "uk"]


def _network(value: object) -> IPv4Network | IPv6Network:
    try:
        return ip_network(str(value))
    except ValueError:
        raise ValueError("no network; e.g. 10.0.0.0/8, fd00::/8, or one address") from None


Network = Annotated[
    IPv4Network | IPv6Network, BeforeValidator(_network), WithJsonSchema({"type": "string", "format": "network"})
]

_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def _seconds(value: object) -> object:
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([smhd]?)", str(value))
    if match is None:
        raise ValueError("give a time such as 30, 30s, 10m, 24h or 7d")
    return float(match[1]) * _UNITS[match[2] or "s"]


Seconds = Annotated[
    float, BeforeValidator(_seconds), WithJsonSchema({"type": ["string", "number"], "examples": ["30s", "10m", "24h"]})
]


def _bind(value: str) -> str:
    if value.startswith("unix:"):
        return value
    host, _, port = value.rpartition(":")
    if not host or not port.isdigit() or not 0 <= int(port) < 65536:
        raise ValueError("give host:port, e.g. 127.0.0.1:2525 or [::1]:2525, or unix:/path/of/socket")
    return value


Bind = Annotated[str, AfterValidator(_bind)]


def _tcp(value: str) -> str:
    if value.startswith("unix:"):
        raise ValueError("give host:port, e.g. 127.0.0.1:8025")
    return _bind(value)


def host_and_port(bind: str) -> tuple[str, int]:
    """The two halves of a checked ``host:port``."""
    host, _, port = bind.rpartition(":")
    return host.strip("[]"), int(port)


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


class TlsSettings(Strict):
    """Encryption of a listener. Clients from untrusted networks must use it before MAIL and AUTH."""

    certificate: Path = Field(description="PEM file: the certificate and its chain.")
    key: Path = Field(description="PEM file: the private key.")
    mode: Literal["starttls", "implicit"] = Field(
        "starttls", description="`implicit` is TLS from the first byte (465)."
    )


class ListenerSettings(Strict):
    """A door for mail."""

    name: str = Field(min_length=1, max_length=64, description="As in the log and the metrics.")
    bind: Bind = Field(description="`host:port`, or `unix:/path` for a socket (trusted, like the pipe).")
    protocol: Literal["smtp", "lmtp"] = Field("smtp", description="LMTP answers for each recipient (RFC 2033).")
    trust: tuple[Network, ...] = Field((), description="Networks whose clients are verified by where they are.")
    on_refusal: Literal["reply", "reject"] | None = Field(
        None,
        description="`reply`: accept and answer by mail, where that is allowed; `reject`: in the dialogue. "
        "Default: `reply`, for LMTP `reject`.",
    )
    accept_unverified: bool = Field(
        False,
        description="Take mails of unverified senders if address and credential are right. Addresses are forged.",
    )
    tls: TlsSettings | None = Field(
        None, description="STARTTLS or implicit TLS; needed for AUTH from untrusted networks."
    )
    max_connections: int = Field(1000, ge=1, description="At one time, all clients together.")
    max_connections_per_client: int = Field(100, ge=1, description="At one time, one IP address.")
    max_message_bytes: int = Field(10_485_760, ge=1024, le=104_857_600, description="SIZE.")
    max_recipients: int = Field(100, ge=1, le=10_000, description="RCPTs of one mail.")
    max_errors: int = Field(10, ge=1, description="Refused commands before the connection is closed.")
    command_timeout: Seconds = Field(300, description="For one command, and between two.")
    data_timeout: Seconds = Field(600, description="For the whole of one mail's DATA.")
    socket_mode: str = Field("660", pattern=r"^[0-7]{3}$", description="Permissions of a Unix socket.")

    @property
    def answers_by_mail(self) -> bool:
        """``on_refusal`` with its default."""
        return (self.on_refusal or ("reject" if self.protocol == "lmtp" else "reply")) == "reply"


class TemplateSettings(Strict):
    """`SmsUser=`, `Password=`, `SourceAddress=`, `PhoneNumber=` and the text in the body."""

    addresses: tuple[str, ...] = Field(min_length=1, description="Service addresses.")
    charset: str = Field("windows-1251", description="Of mails that declare none.")
    max_destinations: int = Field(20, ge=1, le=1000, description="Numbers in one mail.")
    password_max_length: int = Field(8, ge=0, description="Longer ones are refused; 0: no limit.")


class AddressSettings(Strict):
    """`phone@domain`, with `originator;login;password;` as the subject."""

    domains: tuple[str, ...] = Field(min_length=1, description="Every address in them is ours.")
    charset: str = Field("utf-8", description="Of mails that declare none.")
    max_text_length: int = Field(500, ge=1, description="Characters.")
    max_destinations: int = Field(20, ge=1, le=1000, description="Recipients of one mail.")


class SmscDialectSettings(Strict):
    """`login:psw:id:time:translit,format,sender:phones:mes` in the body, as SMSC.ru takes it."""

    addresses: tuple[str, ...] = Field(min_length=1, description="Service addresses.")
    charset: str = Field("koi8-r", description="Of mails that declare none.")
    max_destinations: int = Field(100, ge=1, le=1000, description="Numbers in one mail.")


class ReplySettings(Strict):
    """Answers to mails in which incoming SMS were forwarded: they go back as SMS."""

    domain: str = Field(min_length=1, description="A domain whose mail comes to the gateway.")
    key: SecretStr = Field(min_length=16, description="A random secret: who has it can make addresses of answers.")
    key_file: str | None = Field(None, description="A file whose first line is the key.")


class DialectsSettings(Strict):
    """How mails are written. At least one; a recipient that no dialect claims is refused."""

    template: TemplateSettings | None = None
    address: AddressSettings | None = None
    smsc: SmscDialectSettings | None = None
    reply: ReplySettings | None = None


if TYPE_CHECKING:
    Provider = ProviderSettings
else:
    Provider = Annotated[Union[tuple(kind.settings for kind in kinds())], Field(discriminator="driver")]  # noqa: UP007


T = TypeVar("T")


def _several(value: object) -> object:
    return (value,) if isinstance(value, str) else value


OneOrMore = Annotated[
    tuple[T, ...],
    BeforeValidator(_several),
    WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}),
]


def _country(value: str) -> str:
    try:
        calling_code(value.upper())
    except KeyError:
        raise ValueError("no country; give its two letters (ISO 3166), such as RU, KZ or UA") from None
    return value.upper()


_HOURS = re.compile(r"([01]?\d|2[0-3]):([0-5]\d)\s*-\s*(?:([01]?\d|2[0-3]):([0-5]\d)|24:00)", re.ASCII)


def minutes(hours: str) -> tuple[int, int]:
    """Both ends of ``22:00-08:00`` in minutes since midnight. Raises ``ValueError``."""
    match = _HOURS.fullmatch(hours)
    if match is None:
        raise ValueError("give hours such as 08:00-22:00, or 22:00-08:00 for the night")
    start, end = int(match[1]) * 60 + int(match[2]), int(match[3] or 24) * 60 + int(match[4] or 0)
    if start == end:
        raise ValueError("begins when it ends; leave it out for the whole day")
    return start, end


def _hours(value: str) -> str:
    minutes(value)
    return value


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


Name = Annotated[str, Field(min_length=1)]


class RouteSettings(Strict):
    """Which providers carry what. Routes that name an originator, an account or hours come first, in the order of the
    file: the first that matches is taken. When none does, the number decides: the longest matching prefix; a country
    counts as its calling code and goes before that. `email2sms route NUMBER` explains."""

    prefix: OneOrMore[Annotated[str, Field(pattern=r"^\d{0,15}$")]] = Field(
        (), description="First digits of the number, one or a list; empty: every number."
    )
    country: OneOrMore[Annotated[str, AfterValidator(_country)]] = Field(
        (), description="Of the number, ISO 3166, one or a list: `RU` and `KZ` share +7."
    )
    originator: OneOrMore[Name] = Field((), description="One or a list; `*` matches any characters.")
    account: OneOrMore[Name] = Field((), description="Logins, one or a list; `*` matches any characters.")
    hours: Annotated[str, AfterValidator(_hours)] | None = Field(
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


class ConsoleSettings(Strict):
    """The web page. In this version: the sandbox's handsets."""

    bind: Annotated[str, AfterValidator(_tcp)] = Field("127.0.0.1:8025", description="`host:port`.")


class CallbacksSettings(Strict):
    """Where providers report to: receipts and incoming SMS. The address of a provider with a `callback_token` is
    `url/NAME/TOKEN`; `email2sms provider callbacks` prints it."""

    bind: Annotated[str, AfterValidator(_tcp)] = Field("127.0.0.1:8026", description="`host:port`.")
    url: str = Field(
        pattern=r"^https?://[^?#\s]+$",
        description="The same as the providers see it, through your proxy, e.g. `https://sms.example.com/callbacks`.",
    )


class LogSettings(Strict):
    """The log goes to standard error, one event a line."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["auto", "json", "console"] = Field("auto", description="`auto`: colours on a terminal, else JSON.")


class GatewaySettings(Strict):
    """``gateway.yaml``."""

    server: ServerSettings = ServerSettings.model_construct()
    store: StoreSettings = StoreSettings.model_construct()
    listeners: tuple[ListenerSettings, ...] = Field(min_length=1, description="Doors for mail.")
    dialects: DialectsSettings
    providers: dict[str, Provider] = Field(min_length=1, description="Provider accounts by name.")
    routes: tuple[RouteSettings, ...] = Field(min_length=1, description="Which number goes where.")
    accounts_file: Path = Field(Path("accounts.yaml"), description="Who may send.")
    replies: RepliesSettings | None = None
    relay: RelaySettings = RelaySettings.model_construct()
    retention: RetentionSettings = RetentionSettings.model_construct()
    console: ConsoleSettings | None = None
    callbacks: CallbacksSettings | None = None
    log: LogSettings = LogSettings.model_construct()


class LimitSettings(Strict):
    """What one account may send."""

    per_hour: int | None = Field(None, ge=1, description="SMS jobs in a clock hour (UTC); empty: no limit.")
    per_day: int | None = Field(None, ge=1, description="SMS jobs in a day (UTC); empty: no limit.")
    segments_per_day: int | None = Field(
        None, ge=1, description="Parts of SMS in a day (UTC), which is what providers bill: a cap on spending."
    )
    max_segments: int = Field(10, ge=1, le=255, description="Parts of one long SMS.")


class TextSettings(Strict):
    """What is done with an account's texts before they go out. The default changes nothing."""

    transliterate: Transliterate = Field(
        Transliterate.NEVER, description="Write Cyrillic and other letters as Latin ones: 160 characters instead of 70."
    )
    scheme: Literal["wikipedia", "icao", "gost", "mvd", "telegram"] = Field(
        "wikipedia", description="How Russian is written; Ukrainian is written by its own official table."
    )
    clean: tuple[Literal["typography", "emoji"], ...] = Field(
        (),
        description="`typography`: quotes, dashes and spaces of office programs become plain where that makes the SMS "
        "shorter; `emoji`: left out.",
    )
    on_too_long: Literal["refuse", "cut"] = Field(
        "refuse", description="A text that takes more parts than `limits.max_segments`."
    )


class WebhookSettings(Strict):
    """A program of yours that hears what becomes of each SMS. Described in `deploy/README.md`."""

    url: str = Field(pattern=r"^https?://", description="Where events are posted to, as JSON.")
    secret: SecretStr = Field(min_length=16, description="Key of the signature in `X-Email2sms-Signature`.")
    secret_file: str | None = Field(None, description="A file whose first line is the secret.")


class IncomingSettings(Strict):
    """SMS that come in to numbers of yours at a provider."""

    numbers: tuple[str, ...] = Field(min_length=1, description="Your numbers or short codes, digits only.")
    mail: str | None = Field(
        None,
        pattern=r"^[\x21-\x7e]+@[\x21-\x7e]+$",
        description="Where they are forwarded to; empty: to the webhook only.",
    )


class AccountSettings(Strict):
    """Who may send, and what. Give a password in one of its three forms, or API keys, or neither (form b only)."""

    login: str = Field(min_length=1, max_length=255)
    password: SecretStr | None = Field(None, description="In clear. Better one of the next two.")
    password_file: str | None = Field(None, description="A file whose first line is the password.")
    password_hash: str | None = Field(
        None, pattern=r"^\$argon2id?\$.+", description="argon2, as `email2sms account hash` prints it."
    )
    api_keys: tuple[str, ...] = Field((), description="Keys for the address dialect (forms d and e).")
    phone: str | None = Field(None, description="Own number, for form b.")
    enabled: bool = Field(True, description="The switch; false: FORBIDDEN.")
    senders: tuple[str, ...] = Field((), description="Allowed addresses; `*` matches any characters.")
    networks: tuple[Network, ...] = Field((), description="Networks that verify this account's senders.")
    originators: tuple[str, ...] = Field((), description='Registered sender names; ["*"]: any.')
    channels: tuple[Channel, ...] = Field(
        (Channel.SMS, Channel.FLASH), min_length=1, description="What it may send; all but sms and flash cost extra."
    )
    lists: dict[str, tuple[str, ...]] = Field(default_factory=dict, description="Stored lists of numbers.")
    stop_list: tuple[str, ...] = Field((), description="Numbers that never get an SMS of this account: BANNED.")
    limits: LimitSettings = LimitSettings.model_construct()
    confirm: tuple[Literal["sent", "receipt"], ...] = Field(
        (),
        description="Answer by mail not only what failed: `sent`, when the provider has taken it; `receipt`, when it "
        "says that it was delivered.",
    )
    text: TextSettings = TextSettings.model_construct()
    webhook: WebhookSettings | None = None
    incoming: IncomingSettings | None = None
    on_uncertain: Literal["keep", "resend"] = Field(
        "keep",
        description="When a provider's answer is lost and cannot be found out: `keep` leaves the SMS `uncertain` and "
        "tells the sender; `resend` sends it again: better twice than never.",
    )
    language: Language | None = Field(None, description="Of the replies.")


class AccountsFile(Strict):
    """``accounts.yaml``."""

    accounts: tuple[AccountSettings, ...] = ()
