"""Every section of ``gateway.yaml`` and ``accounts.yaml``: the source of ``config/README.md`` and the JSON Schema."""

from __future__ import annotations

import base64
import re
from decimal import Decimal
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, TypeVar, Union

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, WithJsonSchema

from gateway.dialects.families import Role
from gateway.model import Channel
from gateway.policy.composing import Transliterate
from gateway.policy.cutting import line_pattern
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


def seconds(value: object) -> float:
    """As a configuration may write a time. Raises ``ValueError``."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([smhd]?)", str(value))
    if match is None:
        raise ValueError("give a time such as 30, 30s, 10m, 24h or 7d")
    return float(match[1]) * _UNITS[match[2] or "s"]


Seconds = Annotated[
    float, BeforeValidator(seconds), WithJsonSchema({"type": ["string", "number"], "examples": ["30s", "10m", "24h"]})
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


def is_loopback(host: str) -> bool:
    """Whether only this machine gets there."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


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
    min_version: Literal["TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3"] = Field(
        "TLSv1.2",
        description="`TLSv1` and `TLSv1.1` are broken: for old devices in trusted networks only, on a listener "
        "that is `lenient`.",
    )

    @property
    def is_old(self) -> bool:
        """Versions are taken that RFC 8996 forbids."""
        return self.min_version in ("TLSv1", "TLSv1.1")


class AuthenticationResultsSettings(Strict):
    """The MTA in front that checks senders and writes what it found into `Authentication-Results` (RFC 8601). It must
    delete such fields of others that bear its name: `deploy/senders.md`."""

    authserv_id: str = Field(
        pattern=r"^[A-Za-z0-9._-]+$", description="The name that its fields begin with, e.g. `mx.example.com`."
    )
    peers: tuple[Network, ...] = Field(
        min_length=1, description="Its addresses: from others these fields prove nothing."
    )
    own_received: int = Field(
        0, ge=0, le=5, description="Its `Received` fields that stand above the results: 1 for Postfix with OpenDKIM."
    )


class ListenerSettings(Strict):
    """A door for mail."""

    name: str = Field(min_length=1, max_length=64, description="As in the log and the metrics.")
    bind: Bind = Field(description="`host:port`, or `unix:/path` for a socket (trusted, like the pipe).")
    protocol: Literal["smtp", "lmtp"] = Field("smtp", description="LMTP answers for each recipient (RFC 2033).")
    trust: tuple[Network, ...] = Field(
        (),
        description="Networks whose clients are verified by where they are; they may log in without TLS, too.",
    )
    lenient: bool = Field(
        False,
        description="Forgive old devices in the networks of `trust` what is no SMTP, and note it: "
        "`email2sms quirks`, `deploy/devices.md`.",
    )
    on_refusal: Literal["reply", "reject"] | None = Field(
        None,
        description="`reply`: accept and answer by mail, where that is allowed; `reject`: in the dialogue. "
        "Default: `reply`, for LMTP `reject`.",
    )
    accept_unverified: bool = Field(
        False,
        description="Take mails of unverified senders if address and credential are right. Addresses are forged.",
    )
    authentication_results: AuthenticationResultsSettings | None = Field(
        None, description="Senders are verified by what the MTA in front found out."
    )
    verify: tuple[Literal["dkim", "dmarc", "spf"], ...] = Field(
        (),
        description="Our own checks, for mails that come straight from the internet (needs `email2sms[mailauth]`): "
        "`dkim` and `dmarc` verify a sender, `spf` lets one be answered by mail.",
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
    session_timeout: Seconds = Field(3600, description="For all that an untrusted client does in one connection.")
    greet_pause: Seconds = Field(
        0,
        description="How long an untrusted client waits for the greeting; who speaks before it is turned away. Without "
        "a pause only who has spoken already when it is accepted.",
    )
    proxies: tuple[Network, ...] = Field(
        (), description="Load balancers and MTAs in front that may say who the client is. Nobody else may."
    )
    proxy_protocol: bool = Field(
        False,
        description="Each connection comes from `proxies` and begins with a PROXY header (version 1 or 2), before TLS.",
    )
    xclient: bool = Field(False, description="Postfix's XCLIENT, from `proxies`.")
    xclient_login: bool = Field(
        False, description="An account that XCLIENT names as LOGIN counts as proven by SMTP AUTH."
    )
    socket_mode: str = Field("660", pattern=r"^[0-7]{3}$", description="Permissions of a Unix socket.")

    @property
    def answers_by_mail(self) -> bool:
        """``on_refusal`` with its default."""
        return (self.on_refusal or ("reject" if self.protocol == "lmtp" else "reply")) == "reply"


def _nameserver(value: str) -> str:
    try:
        _host_port(value)
    except ValueError:
        raise ValueError(
            "give an IP address, with a port where that is not 53: 192.0.2.53, [2001:db8::53]:5353"
        ) from None
    return value


def _host_port(value: str) -> tuple[str, int]:
    host, _, port = value.rpartition(":")
    if value.count(":") == 1 or (value.startswith("[") and not value.endswith("]")):
        return str(ip_address(host.strip("[]"))), int(port)
    return str(ip_address(value.strip("[]"))), 53


class DnsSettings(Strict):
    """What is asked for the keys and policies of senders' domains (`listeners.verify`)."""

    nameservers: tuple[Annotated[str, AfterValidator(_nameserver)], ...] = Field(
        (), description="IP addresses, `:port` where that is not 53. Default: the system's."
    )
    timeout: Seconds = Field(5, gt=0, le=15, description="For all questions about one mail; then it is put off (451).")

    @property
    def asked(self) -> tuple[tuple[tuple[str, int], ...], float]:
        """Addresses with ports, and the time."""
        return tuple(map(_host_port, self.nameservers)), self.timeout


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


class FamilySettings(Strict):
    """A relative of our dialects; `config/dialects` has examples. A credential is `login` and `password`, or `key`."""

    name: str = Field(pattern=r"^[a-z][a-z0-9-]{0,30}$", description="In log, metrics and replies.")
    style: Literal["fields", "subject", "plain"] = Field(
        description="`fields`: a key and its value a line, in the body. `subject`: `number@domain` and fields in the "
        "subject. `plain`: `number@domain` and no credential: the sender logs in by SMTP AUTH, or is in a trusted "
        "network."
    )
    addresses: tuple[str, ...] = Field((), description="`fields`: service addresses.")
    domains: tuple[str, ...] = Field((), description="`subject` and `plain`: every address in them is ours.")
    keys: dict[str, Role] = Field(default_factory=dict, description="`fields`: what each key means.")
    fields: tuple[Role, ...] = Field((), description="`subject`: what the fields mean, in order.")
    optional: tuple[Role, ...] = Field((), description="`subject`: fields that may follow.")
    separator: str | None = Field(
        None,
        pattern=r"^[:=;,|]$",
        description="Between key and value, default `:`; between a subject's fields, default `;`.",
    )
    text: Literal["subject", "body", "both"] = Field("body", description="`plain`: what is sent.")
    account: str | None = Field(None, description="`plain`: whose mails are that come without SMTP AUTH.")
    originator: str | None = Field(None, description="`plain`: default: the account's only one.")
    charset: str = Field("utf-8", description="Of mails that declare none.")
    max_destinations: int = Field(20, ge=1, le=1000, description="Numbers in one mail.")


class DialectsSettings(Strict):
    """How mails are written. At least one; a recipient that no dialect claims is refused."""

    template: TemplateSettings | None = None
    address: AddressSettings | None = None
    smsc: SmscDialectSettings | None = None
    reply: ReplySettings | None = None
    families: tuple[FamilySettings, ...] = ()


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


def _country_or_all(value: str) -> str:
    return value if value == "*" else _country(value)


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
    figures: Seconds = Field(
        3 * 365 * 86400.0, description="The counts of the reports, by day, account and provider; and balances."
    )
    rejections: Seconds = Field(
        30 * 86400.0, description="Who was turned away at the doors; never more than 10,000 entries."
    )


class ConsoleTlsSettings(Strict):
    """HTTPS without a proxy in front."""

    certificate: Path = Field(description="PEM file: the certificate and its chain.")
    key: Path = Field(description="PEM file: the private key.")


class ProxyLoginSettings(Strict):
    """A proxy in front that has checked who comes, and writes his login into a header. It must delete such a header of
    others; from anywhere else it is ignored, and that is logged once."""

    header: str = Field("X-Remote-User", pattern=r"^[A-Za-z][A-Za-z0-9-]*$", description="Its name.")
    networks: tuple[Network, ...] = Field(min_length=1, description="The proxy's addresses.")
    new_users: Literal["viewer", "operator", "admin"] | None = Field(
        None, description="What somebody becomes whom nobody has added. Default: only known users come in."
    )


class OidcSettings(Strict):
    """Sign in with an OpenID provider: authorization code and PKCE. `deploy/console.md` has examples. Its redirect URI
    is `console.url` and `/login/oidc/back`."""

    issuer: str = Field(pattern=r"^https?://[^?#\s]+$", description="Where `/.well-known/openid-configuration` is.")
    name: str = Field("OpenID", min_length=1, max_length=40, description="On the button of the login page.")
    client_id: str = Field(min_length=1, description="Ours, as the provider has it.")
    client_secret: SecretStr | None = Field(None, description="Its secret; a public client has none.")
    client_secret_file: str | None = Field(None, description="A file whose first line is the secret.")
    scopes: tuple[str, ...] = Field(("openid", "profile", "email"), description="What is asked for.")
    login_claim: str = Field("preferred_username", description="What becomes the login.")
    roles_claim: str = Field("groups", description="Where the provider says what somebody is: a name or a list.")
    roles: dict[str, Literal["viewer", "operator", "admin"]] = Field(
        min_length=1,
        description="What these names mean here; the highest counts, at each login. Who has none is refused.",
    )
    texts: tuple[str, ...] = Field((), description="Names whose owners may also read what people wrote.")
    new_users: bool = Field(True, description="Users are made at their first login; `false`: only those who are known.")


class ConsoleSettings(Strict):
    """The web console and the HTTP API. Described in `deploy/console.md`."""

    bind: Annotated[str, AfterValidator(_tcp)] = Field("127.0.0.1:8025", description="`host:port`.")
    url: str | None = Field(
        None,
        pattern=r"^https?://[^/?#\s]+/?$",
        description="The same as people see it, through your proxy: `https://sms.example.com`. For links. "
        "Default: that of `bind`.",
    )
    tls: ConsoleTlsSettings | None = Field(None, description="HTTPS without a proxy in front.")
    proxies: tuple[Network, ...] = Field(
        (), description="Proxies whose `X-Forwarded-For` and `X-Forwarded-Proto` are believed; nobody else's are."
    )
    session_idle: Seconds = Field(12 * 3600.0, ge=60, description="A session ends when it is not used for so long.")
    session_longest: Seconds = Field(7 * 86400.0, ge=60, description="And after that time in any case.")
    proxy: ProxyLoginSettings | None = Field(None, description="Who a proxy in front says it is.")
    oidc: OidcSettings | None = Field(None, description="Sign in with an OpenID provider.")


class CallbacksSettings(Strict):
    """Where providers report to: receipts and incoming SMS. The address of a provider with a `callback_token` is
    `url/NAME/TOKEN`; `email2sms provider callbacks` prints it."""

    bind: Annotated[str, AfterValidator(_tcp)] = Field("127.0.0.1:8026", description="`host:port`.")
    url: str = Field(
        pattern=r"^https?://[^?#\s]+$",
        description="The same as the providers see it, through your proxy, e.g. `https://sms.example.com/callbacks`.",
    )


class MetricsSettings(Strict):
    """Figures for Prometheus on `/metrics`, and `/livez` and `/readyz` for who restarts and balances: described in
    `deploy/monitoring.md`. It has no password: bind it where only your monitoring comes."""

    bind: Annotated[str, AfterValidator(_tcp)] = Field("127.0.0.1:9125", description="`host:port`.")
    accounts: tuple[str, ...] = Field(
        (),
        max_length=200,
        description="Logins whose parts of SMS are counted one by one, `email2sms_account_parts_total`. Nobody else's.",
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


class DestinationSettings(Strict):
    """Which numbers are open at all; all others are FORBIDDEN. Why, and what is open by default: `deploy/limits.md`."""

    countries: OneOrMore[Annotated[str, AfterValidator(_country_or_all)]] | None = Field(
        None,
        description='ISO 3166, one or a list; `["*"]`: all. Default, without `prefixes`: what the routes and the '
        "numbers in the accounts file name, for a route without prefix and country also RU, UA, KZ and BY; all, if "
        "every provider is a sandbox.",
    )
    prefixes: OneOrMore[Annotated[str, Field(pattern=r"^\d{1,15}$")]] | None = Field(
        None, description="First digits of further numbers, one or a list."
    )
    types: OneOrMore[Literal["mobile", "fixed_line", "voip", "personal", "pager", "company", "toll_free"]] | None = (
        Field(
            None,
            description="Of numbers, one or a list. Default: mobile. Premium and shared-cost numbers never are open.",
        )
    )


Money = Annotated[Decimal, Field(gt=0, le=1_000_000_000), WithJsonSchema({"type": "number", "exclusiveMinimum": 0})]


class QuietSettings(Strict):
    """Hours in which no SMS goes out: it waits until they end, as long as it is valid."""

    hours: Annotated[str, AfterValidator(_hours)] = Field(description="`22:00-08:00`.")
    timezone: TimeZone = Field("UTC", description="Of the hours: `Europe/Moscow`.")
    urgent: OneOrMore[Name] = Field(
        (), description="Words, letter case aside; a text with one of them goes out all the same."
    )


class NumberLimitSettings(Strict):
    """How many SMS one number may get, from all accounts together."""

    per_number_hour: int | None = Field(None, ge=1, description="In a clock hour (UTC); empty: no limit.")
    per_number_day: int | None = Field(None, ge=1, description="In a day (UTC); empty: no limit.")
    per_range_hour: int | None = Field(
        None, ge=1, description="All numbers that differ in the last four digits only, in an hour; empty: no limit."
    )


class UnverifiedLimitSettings(NumberLimitSettings):
    """The same for SMS of senders that nothing verifies (`accept_unverified`)."""

    per_number_hour: int | None = Field(10, ge=1, description="In a clock hour (UTC).")
    per_number_day: int | None = Field(30, ge=1, description="In a day (UTC).")
    per_range_hour: int | None = Field(
        50, ge=1, description="All numbers that differ in the last four digits only, in an hour."
    )


class HouseLimitSettings(NumberLimitSettings):
    """What all accounts together may send, and what one number may get."""

    per_hour: int | None = Field(None, ge=1, description="SMS jobs in a clock hour (UTC); empty: no limit.")
    per_day: int | None = Field(None, ge=1, description="SMS jobs in a day (UTC); empty: no limit.")
    segments_per_day: int | None = Field(None, ge=1, description="Parts of SMS in a day (UTC); empty: no limit.")
    spend_per_day: Money | None = Field(
        None, description="In a day (UTC), by the providers' `prices`, at the dearest provider of the route."
    )
    hold_above: int | None = Field(
        None, ge=1, description="For accounts that say nothing else: more SMS within `hold_window`, and it is held."
    )
    hold_window: Seconds = Field(600, ge=60, le=86400, description="On the clock, as hours and days are.")
    unverified: UnverifiedLimitSettings = UnverifiedLimitSettings.model_construct()
    quiet: QuietSettings | None = Field(None, description="For accounts that have none of their own.")


_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


def weekdays(value: str) -> frozenset[int]:
    """``mon`` or ``mon-fri`` as numbers, 0 is Monday. Raises ``ValueError``."""
    first, _, last = value.lower().partition("-")
    if first not in _DAYS or (last or first) not in _DAYS:
        raise ValueError(f"no days; give one of {', '.join(_DAYS)}, or several such as mon-fri")
    start, end = _DAYS.index(first), _DAYS.index(last or first)
    return frozenset((start + step) % 7 for step in range((end - start) % 7 + 1))


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


def _line_pattern(value: str) -> str:
    line_pattern(value)
    return value


class LimitSettings(Strict):
    """What one account may send, besides what `limits` of the gateway let all of them."""

    per_hour: int | None = Field(None, ge=1, description="SMS jobs in a clock hour (UTC); empty: no limit.")
    per_day: int | None = Field(None, ge=1, description="SMS jobs in a day (UTC); empty: no limit.")
    segments_per_day: int | None = Field(
        None, ge=1, description="Parts of SMS in a day (UTC), which is what providers bill: a cap on spending."
    )
    max_segments: int = Field(10, ge=1, le=255, description="Parts of one long SMS.")
    spend_per_day: Money | None = Field(
        None, description="In a day (UTC), by the providers' `prices`, at the dearest provider of the route."
    )
    hold_above: int | None = Field(
        None,
        ge=1,
        description="More SMS than that within `hold_window`: this and what follows is kept back, nothing is lost, "
        "until `email2sms resume --account`. Default: that of the gateway's `limits`.",
    )
    hold_window: Seconds | None = Field(None, description="Default: that of the gateway's `limits`.")
    quiet: QuietSettings | None = Field(None, description="Default: that of the gateway's `limits`.")


class TextSettings(Strict):
    """What is done with an account's texts before they go out, in this order: `end_markers`, `cut_from`, `clean`,
    `max_lines`, `transliterate`, `on_too_long`. The default changes nothing (a signature below `-- ` is always cut).
    What would leave no text at all is left undone. `email2sms parse FILE.eml` shows what each has done."""

    end_markers: tuple[Annotated[str, Field(min_length=3, max_length=100)], ...] = Field(
        (),
        max_length=20,
        description="The text ends before the first of these, in any letter case: `[[END]]`, `==|| КОНЕЦ ТЕКСТА ||==`.",
    )
    cut_from: tuple[Annotated[str, AfterValidator(_line_pattern)], ...] = Field(
        (),
        max_length=50,
        description="Signatures and disclaimers: the first line in which one of these regular expressions is found "
        "and all below it are cut: `^с уважением`, `confidential`. Letter case does not matter; the syntax is RE2's "
        "(no look-around, no back-references), so that no mail can make them slow.",
    )
    clean: tuple[Literal["quotes", "monitoring", "links", "blank_lines", "typography", "emoji"], ...] = Field(
        (),
        description="`quotes`: the mail that is answered is left out, in English, Russian and Ukrainian; `monitoring`: "
        "of mails as Zabbix, Grafana, Alertmanager, Nagios and Icinga write them, state and name, host and severity, "
        "value, time are kept; `links`: links in angle brackets that were broken over lines are joined, and stand once "
        "if their words say the same; `blank_lines`: two and more become one, none at the ends, no spaces at the ends "
        "of lines; `typography`: quotes, dashes and spaces of office programs become plain where that makes the SMS "
        "shorter; `emoji`: left out.",
    )
    max_lines: int | None = Field(None, ge=1, description="The rest is cut. Blank lines do not count.")
    transliterate: Transliterate = Field(
        Transliterate.NEVER, description="Write Cyrillic and other letters as Latin ones: 160 characters instead of 70."
    )
    scheme: Literal["wikipedia", "icao", "gost", "mvd", "telegram"] = Field(
        "wikipedia", description="How Russian is written; Ukrainian is written by its own official table."
    )
    on_too_long: Literal["refuse", "cut"] = Field(
        "refuse", description="A text that takes more parts than `limits.max_segments`."
    )


class StormSettings(Strict):
    """Alike SMS beyond a rate become one, "×37". Letters matter, figures do not: never for an account that sends
    one-time codes. Described in `deploy/alerts.md`."""

    over: int = Field(5, ge=1, description="So many alike SMS to one number go out as they are.")
    within: Seconds = Field(600, gt=0, description="Counted from the first of them.")
    every: Seconds = Field(
        600,
        gt=0,
        le=6 * 3600,
        description="Of the further ones, one SMS at the end of each such time, until none come.",
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
    verify: Literal["any", "dmarc", "network", "auth"] = Field(
        "any",
        description="The least that verifies a sender of this account: `dmarc`: no signature without a DMARC record; "
        "`network`: SMTP AUTH or a network, whatever the mail says of itself; `auth`: SMTP AUTH.",
    )
    originators: tuple[str, ...] = Field((), description='Registered sender names; ["*"]: any.')
    channels: tuple[Channel, ...] = Field(
        (Channel.SMS, Channel.FLASH), min_length=1, description="What it may send; all but sms and flash cost extra."
    )
    lists: dict[str, tuple[str, ...]] = Field(default_factory=dict, description="Stored lists of numbers.")
    stop_list: tuple[str, ...] = Field((), description="Numbers that never get an SMS of this account: BANNED.")
    limits: LimitSettings = LimitSettings.model_construct()
    destinations: DestinationSettings | None = Field(
        None, description="Instead of the gateway's; a key that is left out is taken from there."
    )
    confirm: tuple[Literal["sent", "receipt"], ...] = Field(
        (),
        description="Answer by mail not only what failed: `sent`, when the provider has taken it; `receipt`, when it "
        "says that it was delivered.",
    )
    text: TextSettings = TextSettings.model_construct()
    storm: StormSettings | None = None
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
