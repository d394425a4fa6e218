"""Files → ``Configuration``: everything checked that can be checked without starting."""

from __future__ import annotations

import codecs
import difflib
import hashlib
import os
import re
import ssl
import warnings
from collections.abc import Callable, Collection, Iterator, Mapping, Set
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote, urlsplit

from pydantic import BaseModel, ValidationError

from gateway.dialects import Dialect
from gateway.dialects.address import AddressDialect
from gateway.dialects.families import FieldsFamily, PlainFamily, SubjectFamily
from gateway.dialects.reply import ReplyDialect
from gateway.dialects.smsc import SmscDialect
from gateway.dialects.template import TemplateDialect
from gateway.model import NumberCaps, StormRule, Tell
from gateway.policy.accounts import Account, Directory, Webhook, address_pattern, key_digest
from gateway.policy.caps import AccountCaps, HouseCaps, Quiet
from gateway.policy.composing import TextRules
from gateway.policy.cutting import Cuts, line_pattern
from gateway.policy.decide import House
from gateway.policy.destinations import HOME, Destinations
from gateway.policy.guessing import Terms as GuessingTerms
from gateway.policy.heartbeat import Heartbeat
from gateway.policy.retry import RetryPolicy
from gateway.policy.routing import Carrier, Hours, Names, Order, Route, Router
from gateway.policy.senders import Border, SenderChecks
from gateway.settings.document import ConfigError, Document, Key, dotted, read
from gateway.settings.families import family_faults
from gateway.settings.schema import (
    AccountSettings,
    AccountsFile,
    ConsoleSettings,
    DestinationSettings,
    DialectsSettings,
    FamilySettings,
    GatewaySettings,
    HeartbeatSettings,
    HouseLimitSettings,
    ListenerSettings,
    NumberLimitSettings,
    QuietSettings,
    RelaySettings,
    RouteSettings,
    TlsSettings,
    host_and_port,
    is_loopback,
    minutes,
    weekdays,
)
from gateway.sms import numbers, originator
from gateway.sms.numbers import Kind
from gateway.strict import zone
from gateway.verdicts import Refused

Model = TypeVar("Model", bound=BaseModel)
_PASSWORD_IN_URL = re.compile(r"(://[^:@/]*):.*@")
_TLS_VERSIONS = {
    "TLSv1": ssl.TLSVersion.TLSv1,
    "TLSv1.1": ssl.TLSVersion.TLSv1_1,
    "TLSv1.2": ssl.TLSVersion.TLSv1_2,
    "TLSv1.3": ssl.TLSVersion.TLSv1_3,
}
_SECRETS = ("password", "key", "secret", "token", "api_keys")


@dataclass(frozen=True, slots=True)
class Configuration:
    """One checked state of all files."""

    path: Path
    settings: GatewaySettings
    directory: Directory
    """Of the accounts file; a running gateway adds those of the store (``service.roster``)."""
    accounts: tuple[AccountSettings, ...] = field(repr=False)
    """Of the accounts file, as they are written there."""
    dialects: tuple[Dialect, ...]
    house: House
    retry: RetryPolicy
    heartbeats: tuple[Heartbeat, ...]
    tls: Mapping[str, ssl.SSLContext]
    """By the listener's name."""
    console_tls: ssl.SSLContext | None
    senders: Mapping[str, SenderChecks]
    """How listeners verify senders by their mails, by the listener's name."""
    store_url: str
    """With an absolute path."""
    digest: str
    """Equal for processes that run the same state of the files."""

    @property
    def store_shown(self) -> str:
        """The URL without its password."""
        return _PASSWORD_IN_URL.sub(r"\1:***@", self.store_url)

    @property
    def data_dir(self) -> Path:
        """Absolute."""
        return (self.path.parent / self.settings.server.data_dir).resolve()

    @property
    def console_url(self) -> str:
        """Where people find the console, without a slash at the end; empty: there is none."""
        console = self.settings.console
        if console is None:
            return ""
        if console.url is not None:
            return console.url.rstrip("/")
        return f"{'https' if console.tls else 'http'}://{console.bind}"

    def callback_url(self, provider: str) -> str:
        """Where this provider reports to us; empty: nowhere."""
        callbacks, token = self.settings.callbacks, self.settings.providers[provider].callback_token
        if callbacks is None or token is None:
            return ""
        return f"{callbacks.url.rstrip('/')}/{quote(provider, safe='')}/{token.get_secret_value()}"

    @property
    def guessing(self) -> GuessingTerms:
        """How many wrong credentials are too many."""
        return GuessingTerms(**self.settings.defence.model_dump())

    @property
    def conversations(self) -> ReplyDialect | None:
        """How answers to incoming SMS are addressed; None: there are none."""
        return _reply_dialect(self.settings.dialects)

    @property
    def home_domain(self) -> str:
        """Of recipients without a domain; empty where our addresses are in several."""
        given = self.settings.dialects
        domains = list(given.address.domains) if given.address else []
        services = [dialect.addresses for dialect in (given.template, given.smsc) if dialect is not None]
        if not domains:
            domains = [address.rpartition("@")[2] for addresses in services for address in addresses]
        only = {domain.lower() for domain in domains}
        return only.pop() if len(only) == 1 else ""

    @property
    def domains(self) -> frozenset[str]:
        """Of all addresses that are ours."""
        services = {one.rpartition("@")[2] for dialect in self.dialects for one in getattr(dialect, "addresses", ())}
        return frozenset(services.union(*(getattr(dialect, "domains", ()) for dialect in self.dialects)))

    @property
    def warnings(self) -> tuple[str, ...]:
        """What is right and yet dangerous, in words."""
        old = tuple(
            f"listener {listener.name}: tls.min_version {listener.tls.min_version}: anybody on the way can read and "
            "change what old TLS protects; only in a network of its own, and no longer than the device lives"
            for listener in self.settings.listeners
            if listener.tls is not None and listener.tls.is_old
        )
        return (*old, *_console_warnings(self.settings.console))

    @property
    def pid_file(self) -> Path:
        """Of the process that takes TERM and HUP."""
        return self.data_dir / "email2sms.pid"

    @property
    def metrics_dir(self) -> Path:
        """Where several processes count together, absolute."""
        return self.data_dir / "metrics"

    @property
    def epoch_file(self) -> Path:
        """Absolute."""
        given = self.settings.server.epoch_file
        return (self.path.parent / given).resolve() if given else self.data_dir / "epoch"

    @property
    def store_is_embedded(self) -> bool:
        """SQLite: one daemon has the file for itself."""
        return self.store_url.startswith("sqlite")

    @property
    def processes(self) -> int:
        """How many share the work."""
        return self.settings.server.workers or len(os.sched_getaffinity(0))


def load(path: Path, stored: Callable[[GatewaySettings, str], Collection[str]] = lambda *_: ()) -> Configuration:
    """Read ``gateway.yaml`` and the files that it names. Raises ``ConfigError`` with one line for each fault.

    ``stored(settings, store_url)`` knows the logins of accounts in the store; it is asked where a section names an
    account that is not in the file.
    """
    path = path.resolve()
    document = read(path)
    settings = _validated(GatewaySettings, document)
    accounts_path = path.parent / settings.accounts_file
    if not accounts_path.exists():
        raise ConfigError(
            f"{document.at(('accounts_file',))}: {accounts_path} does not exist; make it or mend the path"
        )
    accounts_document = read(accounts_path)
    accounts = _validated(AccountsFile, accounts_document).accounts
    store_url = _store_url(settings, path.parent)
    logins = {account.login for account in accounts}
    if not _named_logins(settings) <= logins:
        logins.update(stored(settings, store_url))
    faults = [
        *(document.at(key) + ": " + what for key, what in _gateway_faults(settings, accounts, logins)),
        *(accounts_document.at(key) + ": " + what for key, what in account_faults(accounts, settings)),
    ]
    if faults:
        raise ConfigError("\n".join(faults))
    open_to = _open_to(settings, accounts)
    default_language = _language(settings)
    return Configuration(
        path=path,
        settings=settings,
        directory=Directory.of(_account(account, default_language, settings.limits, open_to) for account in accounts),
        accounts=accounts,
        dialects=tuple(_dialects(settings.dialects)),
        house=House(
            _router(settings),
            settings.relay.validity,
            settings.relay.schedule_ahead,
            _national(settings),
            open_to,
            _house_caps(settings.limits),
        ),
        retry=_retry(settings.relay),
        heartbeats=tuple(_heartbeat(name, beat) for name, beat in settings.heartbeat.items()),
        tls={
            listener.name: _tls(listener.tls, path.parent, document.at(("listeners", index, "tls")))
            for index, listener in enumerate(settings.listeners)
            if listener.tls is not None
        },
        console_tls=_console_tls(settings.console, path.parent, document.at(("console", "tls"))),
        senders={found.name: checks for found in settings.listeners if (checks := _sender_checks(found))},
        store_url=store_url,
        digest=hashlib.sha256(path.read_bytes() + accounts_path.read_bytes()).hexdigest()[:16],
    )


def accounts_in(path: Path, settings: GatewaySettings) -> tuple[tuple[AccountSettings, dict[str, Any]], ...]:
    """The accounts of a file like ``accounts.yaml``, each checked and as it is written. Raises ``ConfigError``."""
    document = read(path.resolve())
    accounts = _validated(AccountsFile, document).accounts
    if faults := [document.at(key) + ": " + what for key, what in account_faults(accounts, settings)]:
        raise ConfigError("\n".join(faults))
    return tuple(zip(accounts, _without_empty(document.content).get("accounts", ()), strict=True))


def checked_account(content: Mapping[str, Any], settings: GatewaySettings) -> AccountSettings:
    """One account that is in no file, as its section would stand in one. Raises ``AccountFaults``."""
    name = Path("account")
    document = Document(name, _without_empty(dict(content)), dict.fromkeys(_keys_of(content), 1))
    try:
        account = AccountSettings.model_validate(document.content)
    except ValidationError as error:
        raise AccountFaults(tuple(_faults(document, AccountSettings, error))) from None
    if faults := tuple((key[2:], what) for key, what in account_faults((account,), settings)):
        raise AccountFaults(faults)
    return account


class AccountFaults(Exception):
    """What is wrong with an account, key by key: the key, and the value with its fix."""

    def __init__(self, faults: tuple[tuple[Key, str], ...]) -> None:
        super().__init__("\n".join(f"{dotted(key)}: {what}" for key, what in faults))
        self.faults = faults


def account_of(account: AccountSettings, configuration: Configuration) -> Account:
    """As the gateway uses it, with what this configuration says for all."""
    settings = configuration.settings
    return _account(account, _language(settings), settings.limits, configuration.house.destinations)


def _keys_of(content: Any, key: Key = ()) -> Iterator[Key]:
    yield key
    parts = content.items() if isinstance(content, Mapping) else enumerate(content) if isinstance(content, list) else ()
    for name, value in parts:
        yield from _keys_of(value, (*key, name))


def _language(settings: GatewaySettings) -> str:
    return settings.replies.language if settings.replies else "en"


def _store_url(settings: GatewaySettings, folder: Path) -> str:
    url = settings.store.url
    if url is not None and not url.startswith("sqlite"):
        return url
    path = settings.server.data_dir / "gateway.db" if url is None else Path(url.removeprefix("sqlite:///"))
    return f"sqlite:///{(folder / path).resolve()}"


# ── single values ────────────────────────────────────────────────────────────────────────────


def _validated(model: type[Model], document: Document) -> Model:
    if not isinstance(document.content, dict):
        raise ConfigError(f"{document.path}:1: not a mapping; write keys such as {', '.join(model.model_fields)}")
    try:
        return model.model_validate(_without_empty(document.content), context={"folder": document.path.parent})
    except ValidationError as error:
        found = _faults(document, model, error)
        raise ConfigError("\n".join(f"{document.at(key)}: {what}" for key, what in found)) from None


def _faults(document: Document, model: type[BaseModel], error: ValidationError) -> Iterator[tuple[Key, str]]:
    # Unknown keys first: a key that is misspelt is also missing, and the cause should stand before the effect.
    found = error.errors()
    broken_lists = {tuple(item["loc"][:length]) for item in found for length in range(len(item["loc"]))}
    faults = [item for item in found if item["type"] != "too_short" or tuple(item["loc"]) not in broken_lists]
    faults.sort(key=lambda item: item["type"] != "extra_forbidden")
    return (_fault(document, model, item) for item in faults)


def _without_empty(content: Any) -> Any:
    """A key without a value means the default, as in most YAML configurations."""
    if isinstance(content, dict):
        return {key: _without_empty(value) for key, value in content.items() if value is not None}
    if isinstance(content, list):
        return [_without_empty(item) for item in content]
    return content


def _fault(document: Document, model: type[BaseModel], item: Any) -> tuple[Key, str]:
    key = _existing(document, tuple(item["loc"]), item["type"] == "missing")
    name, value = str(key[-1]) if key else "", _value(document.content, key)
    match item["type"]:
        case "extra_forbidden":
            what = f"unknown key{_suggestion(document, model, key)}"
        case "missing":
            what = "missing; add it"
        case "union_tag_invalid":
            what = f"{_shown('driver', item['ctx']['tag'])} is no driver; one of {item['ctx']['expected_tags']}"
        case "union_tag_not_found":
            what = "missing the key driver; add e.g. driver: targetsms"
        case "value_error":
            reason = str(item["ctx"]["error"])
            what = reason if isinstance(value, dict | list) else f"{_shown(name, value)}: {reason}"
        case "model_type" | "model_attributes_type":  # the value may be a secret that belongs one level deeper
            what = "expected a section: keys and values"
        case "too_short":
            what = "give at least one"
        case "literal_error":
            what = f"{_shown(name, value)}: one of {item['ctx']['expected']}"
        case "string_pattern_mismatch":
            what = f"{_shown(name, value)}: does not look right; expected the pattern {item['ctx']['pattern']}"
        case _:
            reason = item["msg"].removeprefix("Input should be ")
            what = f"{_shown(name, value)}: expected {reason}"
    return key, what


def _existing(document: Document, loc: tuple[str | int, ...], missing: bool) -> Key:
    """pydantic's location without the union tags and validator names that it mixes in."""
    key: Key = ()
    for part in loc:
        if (*key, part) in document.lines:
            key = (*key, part)
    return (*key, loc[-1]) if missing else key


def _value(content: Any, key: Key) -> Any:
    for part in key:
        try:
            content = content[part]
        except (KeyError, IndexError, TypeError):
            return None
    return content


def _shown(name: str, value: Any) -> str:
    if any(secret in name for secret in _SECRETS):
        return "(hidden)"
    if isinstance(value, dict | list):
        return "a mapping" if isinstance(value, dict) else "a list"
    return '"' + _PASSWORD_IN_URL.sub(r"\1:***@", str(value))[:60] + '"'


def _suggestion(document: Document, model: type[BaseModel], key: Key) -> str:
    known = sorted(_keys_near(model, document.content, key[:-1]))
    close = difflib.get_close_matches(str(key[-1]), known, 1)
    return f"; did you mean {close[0]!r}?" if close else f"; known here: {', '.join(known)}"


def _keys_near(model: type[BaseModel], content: Any, key: Key) -> Iterator[str]:
    """The keys of the section at ``key``, found through the JSON Schema: it knows unions and containers."""
    schema = model.model_json_schema()
    definitions, node = schema.get("$defs", {}), schema
    for part in key:
        content = _value(content, (part,))
        if isinstance(part, int):
            node = node.get("items", {})
        else:
            node = node.get("properties", {}).get(part) or node.get("additionalProperties") or {}
        for choice in (node, *node.get("anyOf", ())):
            if "items" in choice:
                node = choice
        mapping = node.get("discriminator", {}).get("mapping", {})
        reference = (
            mapping.get(_value(content, ("driver",)))
            or node.get("$ref")
            or next((c["$ref"] for c in node.get("anyOf", ()) if "$ref" in c), None)
        )
        if reference:
            node = definitions[reference.rsplit("/", 1)[1]]
    yield from node.get("properties", ())


# ── what single values cannot show ───────────────────────────────────────────────────────────


def _named_logins(settings: GatewaySettings) -> set[str]:
    """Accounts that sections name."""
    families = {family.account for family in settings.dialects.families if family.account}
    return families | {beat.account for beat in settings.heartbeat.values()}


def _gateway_faults(
    settings: GatewaySettings, accounts: tuple[AccountSettings, ...], logins: Set[str]
) -> Iterator[tuple[Key, str]]:
    names: set[str] = set()
    for index, listener in enumerate(settings.listeners):
        key = ("listeners", index)
        if listener.name in names:
            yield (*key, "name"), f'"{listener.name}" is the name of another listener; choose one of its own'
        names.add(listener.name)
        if fault := _verification_fault(listener, accounts):
            yield key, fault
        yield from (((*key, *at), fault) for at, fault in _leniency_faults(listener))
        yield from _sender_faults(key, listener)
        yield from (((*key, name), what) for name, what in _proxy_faults(listener))
        if listener.answers_by_mail and listener.on_refusal and settings.replies is None:
            yield (*key, "on_refusal"), '"reply" needs the section replies; add it, or say reject'
    yield from _provider_faults(settings)
    yield from _dialect_faults(settings.dialects)
    yield from family_faults(settings.dialects, logins)
    yield from _route_faults(settings)
    if settings.limits.spend_per_day is not None and not any(p.prices for p in settings.providers.values()):
        yield ("limits", "spend_per_day"), _NO_PRICES
    yield from _heartbeat_faults(settings, accounts, logins)
    if settings.console is not None:
        yield from ((("console", *key), what) for key, what in _console_faults(settings.console))


def _console_faults(console: ConsoleSettings) -> Iterator[tuple[Key, str]]:
    if (oidc := console.oidc) is None:
        return
    if console.url is None:
        yield ("oidc",), "the provider must know where people come back to; add console.url"
    where = urlsplit(oidc.issuer)
    if where.scheme != "https" and not is_loopback(where.hostname or ""):
        yield ("oidc", "issuer"), f'"{oidc.issuer}": who is on the way could be anybody; say https://'
    if "openid" not in oidc.scopes:
        yield ("oidc", "scopes"), "without openid nobody is named; add it"
    if find_spec("authlib") is None:
        yield ("oidc",), 'needs a library; pip install "email2sms[oidc]", or take oidc out'


def _console_warnings(console: ConsoleSettings | None) -> Iterator[str]:
    if console is None:
        return
    host, _ = host_and_port(console.bind)
    is_behind_tls = console.url is not None and console.url.startswith("https:") and bool(console.proxies)
    if not is_loopback(host) and console.tls is None and not is_behind_tls:
        yield (
            f"console.bind {console.bind}: passwords and pages cross the network in clear; give console.tls, or bind "
            "to 127.0.0.1 behind a proxy with TLS and name it in console.url and console.proxies"
        )


_NO_PRICES = 'needs to know what an SMS costs; add prices to the providers, e.g. prices: {"7": 3.5, "": 20}'


def _heartbeat_faults(
    settings: GatewaySettings, accounts: tuple[AccountSettings, ...], logins: Set[str]
) -> Iterator[tuple[Key, str]]:
    written = {account.login: account for account in accounts}
    for name, beat in settings.heartbeat.items():
        key = ("heartbeat", name)
        for fault in map(_number_fault, beat.to):
            if fault:
                yield (*key, "to"), fault
        account = written.get(beat.account)
        if beat.account not in logins:
            known = ", ".join(sorted(logins)) or "none: add it"
            yield (*key, "account"), f'"{beat.account}" is no account; one of {known}'
        elif account and not beat.originator and len([one for one in account.originators if one != "*"]) != 1:
            yield (*key, "originator"), f'missing: "{beat.account}" has not exactly one; add it'
        if beat.originator and not originator.is_wellformed(beat.originator):
            yield (*key, "originator"), f'"{beat.originator[:30]}": at most 11 letters and digits, or at most 15 digits'


def _proxy_faults(listener: ListenerSettings) -> Iterator[tuple[str, str]]:
    used = {"proxy_protocol": listener.proxy_protocol, "xclient": listener.xclient}
    for name in (name for name, is_on in used.items() if is_on):
        if not listener.proxies:
            yield name, '"true": from whom? Add proxies: [addresses of your load balancers or MTAs]'
        if listener.bind.startswith("unix:"):
            yield name, '"true": whoever may open a Unix socket is trusted as it is; bind to host:port'
    if listener.proxies and not any(used.values()):
        yield "proxies", "what do they speak? Add proxy_protocol: true or xclient: true"
    if listener.xclient_login and not listener.xclient:
        yield "xclient_login", '"true": needs xclient: true'


def _route_faults(settings: GatewaySettings) -> Iterator[tuple[Key, str]]:
    for index, route in enumerate(settings.routes):
        for name in route.providers:
            if name not in settings.providers:
                yield ("routes", index, "providers"), f'"{name}" is no provider; one of {", ".join(settings.providers)}'
        if route.order not in (None, "weighted") and any(route.providers.values()):
            yield ("routes", index, "order"), f'"{route.order}" knows no weights; say weighted, or list the providers'
        if route.timezone is not None and route.hours is None:
            yield ("routes", index, "timezone"), "is for hours, which this route does not name; add them"
    for index, before in _router(settings).never_taken():
        yield ("routes", index), f"never taken: routes[{before}] always goes before it; put it first, or take it out"


def _dialect_faults(dialects: DialectsSettings) -> Iterator[tuple[Key, str]]:
    given = {"template": dialects.template, "address": dialects.address, "smsc": dialects.smsc}
    if not any(given.values()) and not dialects.families:
        yield ("dialects",), "no dialect; give template, address, smsc, families or several"
    for name, dialect in given.items():
        if dialect is not None and (fault := _charset_fault(dialect.charset)):
            yield ("dialects", name, "charset"), fault
    if dialects.template is not None and dialects.smsc is not None:
        mine = {address.lower() for address in dialects.template.addresses}
        for address in dialects.smsc.addresses:
            if address.lower() in mine:
                yield ("dialects", "smsc", "addresses"), f'"{address}" is an address of template, too; choose another'


def _provider_faults(settings: GatewaySettings) -> Iterator[tuple[Key, str]]:
    for name, provider in settings.providers.items():
        if provider.driver == "sandbox" and settings.server.workers != 1:
            yield (
                ("providers", name, "driver"),
                (
                    '"sandbox" lives inside one process; say workers: 1, or run "email2sms sandbox" beside it '
                    "and use the driver targetsms"
                ),
            )
        if provider.callback_token is not None and settings.callbacks is None:
            yield (
                ("providers", name, "callback_token"),
                'needs the section callbacks; add callbacks: {url: "https://…"}, or leave the token out',
            )


def _sender_faults(key: Key, listener: ListenerSettings) -> Iterator[tuple[Key, str]]:
    front = listener.authentication_results
    for peer in front.peers if front else ():
        if any(peer.version == trusted.version and peer.overlaps(trusted) for trusted in listener.trust):
            yield (
                (*key, "authentication_results", "peers"),
                f'"{peer}" is in trust, where every mail is verified already; take it out of one of the two',
            )
    if listener.verify and any(find_spec(name) is None for name in ("dkim", "spf", "dns")):
        yield (*key, "verify"), 'needs more libraries; pip install "email2sms[mailauth]", or take verify out'


def _verification_fault(listener: ListenerSettings, accounts: tuple[AccountSettings, ...]) -> str:
    """SPEC: a public listener with no way to verify a sender does not start by accident."""
    can_verify = (
        listener.trust
        or listener.tls is not None
        or listener.bind.startswith("unix:")
        or listener.accept_unverified
        or listener.authentication_results is not None
        or {"dkim", "dmarc"} & set(listener.verify)
        or listener.xclient_login
        or any(account.networks for account in accounts)
    )
    if can_verify:
        return ""
    return (
        f'"{listener.name}" can verify no sender; add trust: [your networks], or tls (for SMTP AUTH), '
        "verify: [dkim, dmarc, spf], or authentication_results, or networks to an account; "
        "accept_unverified: true lets anybody who knows a password in"
    )


def _leniency_faults(listener: ListenerSettings) -> Iterator[tuple[Key, str]]:
    if listener.lenient and not listener.trust and not listener.bind.startswith("unix:"):
        yield ("lenient",), '"true" forgives clients in trusted networks, and none is named; add trust: [your networks]'
    for index, network in enumerate(listener.trust):
        if listener.lenient and network.prefixlen == 0:
            yield ("trust", index), f'"{network}" is everybody, and lenient is for devices; name their networks'
    if listener.tls is not None and listener.tls.is_old and not listener.lenient:
        what = f'"{listener.tls.min_version}" is broken and for old devices; say lenient: true, or TLSv1.2'
        yield ("tls", "min_version"), what


def _charset_fault(charset: str) -> str:
    try:
        codecs.lookup(charset)
    except LookupError:
        return f'"{charset}" is no charset; e.g. windows-1251, utf-8, koi8-r'
    return ""


def account_faults(accounts: tuple[AccountSettings, ...], settings: GatewaySettings) -> Iterator[tuple[Key, str]]:
    """What of these accounts, each right by itself, cannot be: the key below ``accounts``, and the fix."""
    logins: set[str] = set()
    keys: set[str] = set()
    incoming: set[str] = set()
    for index, account in enumerate(accounts):
        key = ("accounts", index)
        if account.login in logins:
            yield (*key, "login"), f'"{account.login}" is the login of another account; logins are unique'
        logins.add(account.login)
        if account.password and account.password_hash:
            yield (*key, "password_hash"), "give password or password_hash, not both"
        for api_key in account.api_keys:
            if len(api_key) < 6 or api_key in keys:
                yield (*key, "api_keys"), "a key is shorter than 6 characters or another account's; make a new one"
            keys.add(api_key)
        for name in account.originators:
            if name != "*" and not originator.is_wellformed(name):
                yield (*key, "originators"), f'"{name}": at most 11 letters and digits, or at most 15 digits'
        for number in account.incoming.numbers if account.incoming else ():
            if number in incoming:
                yield (*key, "incoming", "numbers"), f'"{number[:20]}" is another account\'s; SMS to it are of one'
            incoming.add(number)
        yield from _number_faults(key, account)
    yield from _spending_faults(settings, accounts)


def _spending_faults(settings: GatewaySettings, accounts: tuple[AccountSettings, ...]) -> Iterator[tuple[Key, str]]:
    if any(provider.prices for provider in settings.providers.values()):
        return
    for index, account in enumerate(accounts):
        if account.limits.spend_per_day is not None:
            yield ("accounts", index, "limits", "spend_per_day"), _NO_PRICES


def _number_faults(key: Key, account: AccountSettings) -> Iterator[tuple[Key, str]]:
    fields: list[tuple[Key, tuple[str, ...]]] = [(("stop_list",), account.stop_list)]
    fields += [(("lists", name), values) for name, values in account.lists.items()]
    if account.phone is not None:
        fields.append((("phone",), (account.phone,)))
    for name, values in fields:
        for value in values:
            if fault := _number_fault(value):
                yield (*key, *name), fault


def _number_fault(value: str) -> str:
    try:
        numbers.parse(value)
    except Refused:
        return f'"{value[:20]}" is no phone number; write it with the country code: 79101234567'
    return ""


# ── into the domain ──────────────────────────────────────────────────────────────────────────


def _reply_dialect(settings: DialectsSettings) -> ReplyDialect | None:
    reply = settings.reply
    return ReplyDialect(reply.domain.lower(), reply.key.get_secret_value()) if reply is not None else None


def _dialects(settings: DialectsSettings) -> Iterator[Dialect]:
    if (reply := _reply_dialect(settings)) is not None:
        yield reply
    if (template := settings.template) is not None:
        yield TemplateDialect(
            addresses=frozenset(address.lower() for address in template.addresses),
            charset=template.charset,
            max_destinations=template.max_destinations,
            password_max_length=template.password_max_length or None,
        )
    if (smsc := settings.smsc) is not None:
        yield SmscDialect(
            addresses=frozenset(address.lower() for address in smsc.addresses),
            charset=smsc.charset,
            max_destinations=smsc.max_destinations,
        )
    families = sorted(settings.families, key=lambda family: family.style != "fields")
    yield from map(_family, families)  # service addresses before whole domains
    if (address := settings.address) is not None:
        yield AddressDialect(
            domains=frozenset(domain.lower() for domain in address.domains),
            charset=address.charset,
            max_text_length=address.max_text_length,
            max_destinations=address.max_destinations,
        )


def _family(family: FamilySettings) -> Dialect:
    domains = frozenset(domain.lower() for domain in family.domains)
    common = (family.charset, family.max_destinations)
    match family.style:
        case "fields":
            addresses = frozenset(address.lower() for address in family.addresses)
            keys = {key.strip().lower(): role for key, role in family.keys.items()}
            return FieldsFamily(family.name, addresses, keys, family.separator or ":", *common)
        case "subject":
            fields, optional = family.fields, family.optional
            return SubjectFamily(family.name, domains, fields, optional, family.separator or ";", *common)
    return PlainFamily(family.name, domains, family.text, family.account or "", family.originator or "", *common)


def _national(settings: GatewaySettings) -> tuple[str, ...]:
    return tuple(sorted(frozenset.intersection(*(given.national() for given in settings.providers.values()))))


def _sender_checks(listener: ListenerSettings) -> SenderChecks | None:
    front = listener.authentication_results
    if front is None and not listener.verify:
        return None
    border = Border(front.authserv_id, front.peers, front.own_received) if front else None
    return SenderChecks(border, frozenset(listener.verify))


def _router(settings: GatewaySettings) -> Router:
    carriers = {
        name: Carrier(given.carries(), given.schedules(), given.prices) for name, given in settings.providers.items()
    }
    return Router(tuple(map(_route, settings.routes)), carriers)


def _route(route: RouteSettings) -> Route:
    weights = tuple(weight or 1 for weight in route.providers.values())
    hours = Hours(*minutes(route.hours), zone(route.timezone or "UTC")) if route.hours else None
    return Route(
        providers=tuple(route.providers),
        prefixes=route.prefix or ("",),
        countries=frozenset(route.country),
        originators=Names(route.originator) if route.originator else None,
        accounts=Names(route.account) if route.account else None,
        hours=hours,
        order=Order(route.order or ("weighted" if any(route.providers.values()) else "listed")),
        weights=weights,
    )


def _heartbeat(name: str, beat: HeartbeatSettings) -> Heartbeat:
    return Heartbeat(
        name=name,
        account=beat.account,
        to=tuple(map(numbers.parse, beat.to)),
        originator=beat.originator,
        minutes=tuple(int(at[:2]) * 60 + int(at[3:]) for at in beat.at),
        days=frozenset[int]().union(*map(weekdays, beat.days)),
        zone=zone(beat.timezone),
        text=beat.text,
        within_s=beat.within,
    )


def _retry(relay: RelaySettings) -> RetryPolicy:
    return RetryPolicy(
        first_s=relay.first_retry,
        max_s=relay.max_retry,
        tries_per_provider=relay.tries_per_provider,
        pause_s=relay.provider_pause,
    )


def _open_to(settings: GatewaySettings, accounts: tuple[AccountSettings, ...]) -> Destinations:
    """What is open for all. Only what somebody asked for by a route, a number or a word: deny by default."""
    given = settings.destinations
    if given.countries is not None or given.prefixes is not None:
        return _destinations(given, Destinations(frozenset()))
    if all(provider.driver == "sandbox" for provider in settings.providers.values()):
        return _destinations(given, Destinations())  # it costs nothing, whatever the number
    written = [number for account in accounts for number in _own_numbers(account)]
    countries = {numbers.country(numbers.parse(number)) for number in written}
    prefixes = {prefix for route in settings.routes if not route.country for prefix in route.prefix if prefix}
    for route in settings.routes:
        countries.update(route.country or (() if any(route.prefix) else HOME))
    return _destinations(given, Destinations(frozenset(countries), tuple(sorted(prefixes))))


def _own_numbers(account: AccountSettings) -> Iterator[str]:
    yield from (account.phone,) if account.phone else ()
    yield from (number for values in account.lists.values() for number in values)


def _destinations(given: DestinationSettings, usual: Destinations) -> Destinations:
    """``usual`` with what is given instead."""
    countries, prefixes = usual.countries, usual.prefixes
    if given.countries is not None:
        countries = None if "*" in given.countries else frozenset(given.countries)
    if given.prefixes is not None:
        prefixes = given.prefixes
    return Destinations(countries, prefixes, frozenset(map(Kind, given.types)) if given.types else usual.kinds)


def _quiet(given: QuietSettings | None) -> Quiet | None:
    return Quiet(Hours(*minutes(given.hours), zone(given.timezone)), given.urgent) if given else None


def _house_caps(limits: HouseLimitSettings) -> HouseCaps:
    def of_numbers(given: NumberLimitSettings) -> NumberCaps:
        return NumberCaps(given.per_number_hour, given.per_number_day, given.per_range_hour)

    return HouseCaps(
        per_hour=limits.per_hour,
        per_day=limits.per_day,
        segments_per_day=limits.segments_per_day,
        spend_per_day=limits.spend_per_day,
        verified=of_numbers(limits),
        unverified=of_numbers(limits.unverified),
        quiet=_quiet(limits.quiet),
    )


def _account(account: AccountSettings, language: str, house: HouseLimitSettings, open_to: Destinations) -> Account:
    def number(value: str) -> str:
        return numbers.parse(value)

    return Account(
        login=account.login,
        password=account.password.get_secret_value() if account.password else None,
        password_hash=account.password_hash,
        api_keys=frozenset(key_digest(key) for key in account.api_keys),
        phone=number(account.phone) if account.phone else None,
        enabled=account.enabled,
        senders=tuple(address_pattern(sender) for sender in account.senders),
        networks=account.networks,
        verify=account.verify,
        originators=frozenset(account.originators),
        channels=frozenset(account.channels),
        lists={name: tuple(map(number, values)) for name, values in account.lists.items()},
        stop_list=frozenset(map(number, account.stop_list)),
        per_hour=account.limits.per_hour,
        per_day=account.limits.per_day,
        segments_per_day=account.limits.segments_per_day,
        caps=AccountCaps(
            spend_per_day=account.limits.spend_per_day,
            hold_above=account.limits.hold_above or house.hold_above,
            hold_window_s=account.limits.hold_window or house.hold_window,
            quiet=_quiet(account.limits.quiet),
        ),
        destinations=_destinations(account.destinations, open_to) if account.destinations else None,
        tell=frozenset(map(Tell, account.confirm)) | ({Tell.HOOK} if account.webhook else frozenset()),
        webhook=Webhook(account.webhook.url, account.webhook.secret.get_secret_value()) if account.webhook else None,
        incoming_numbers=frozenset(account.incoming.numbers) if account.incoming else frozenset(),
        incoming_mail=account.incoming.mail if account.incoming else None,
        resends_uncertain=account.on_uncertain == "resend",
        texts=_texts(account),
        storm=StormRule(storm.over, storm.within, storm.every) if (storm := account.storm) else None,
        language=account.language or language,
    )


def _texts(account: AccountSettings) -> TextRules:
    text = account.text
    cuts = Cuts(
        end_markers=text.end_markers,
        cut_from=tuple(map(line_pattern, text.cut_from)),
        quotes="quotes" in text.clean,
        monitoring="monitoring" in text.clean,
        links="links" in text.clean,
        blank_lines="blank_lines" in text.clean,
        max_lines=text.max_lines,
    )
    return TextRules(
        cuts=cuts,
        transliterate=text.transliterate,
        scheme=text.scheme,
        plain_typography="typography" in text.clean,
        no_emoji="emoji" in text.clean,
        cut=account.text.on_too_long == "cut",
        max_segments=account.limits.max_segments,
    )


def _tls(tls: TlsSettings, folder: Path, where: str) -> ssl.SSLContext:
    certificate, key = folder / tls.certificate, folder / tls.key
    for file in (certificate, key):
        if not file.is_file():
            raise ConfigError(f"{where}: {file} does not exist; make it or mend the path")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    if tls.is_old:
        context.set_ciphers("DEFAULT:@SECLEVEL=0")  # OpenSSL 3 signs no older handshake otherwise
    with warnings.catch_warnings():  # who reads `check-config` or the log is warned there
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = _TLS_VERSIONS[tls.min_version]
    try:
        context.load_cert_chain(certificate, key)
    except (ssl.SSLError, OSError) as error:
        raise ConfigError(f"{where}: {certificate} and {key} cannot be used: {error}") from None
    return context


def _console_tls(console: ConsoleSettings | None, folder: Path, where: str) -> ssl.SSLContext | None:
    if console is None or console.tls is None:
        return None
    return _tls(TlsSettings(certificate=console.tls.certificate, key=console.tls.key), folder, where)
