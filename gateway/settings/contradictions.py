"""What is wrong with ``gateway.yaml`` that single values cannot show."""

from __future__ import annotations

import codecs
from collections.abc import Iterator, Set
from importlib.util import find_spec
from urllib.parse import urlsplit

from gateway.settings.accounts import AccountSettings
from gateway.settings.dialects import DialectsSettings
from gateway.settings.document import Key
from gateway.settings.families import family_faults
from gateway.settings.house import router
from gateway.settings.listeners import ListenerSettings
from gateway.settings.notation import host_and_port, is_loopback
from gateway.settings.schema import GatewaySettings
from gateway.settings.sites import ConsoleSettings
from gateway.sms import numbers, originator
from gateway.verdicts import Refused


def named_logins(settings: GatewaySettings) -> set[str]:
    """Accounts that sections name."""
    families = {family.account for family in settings.dialects.families if family.account}
    return families | {beat.account for beat in settings.heartbeat.values()}


def gateway_faults(
    settings: GatewaySettings, accounts: tuple[AccountSettings, ...], logins: Set[str]
) -> Iterator[tuple[Key, str]]:
    """Each with the key that it is about. ``logins`` are all that there are, of the file and of the store."""
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
        yield ("limits", "spend_per_day"), NO_PRICES
    yield from _heartbeat_faults(settings, accounts, logins)
    if settings.console is not None:
        yield from ((("console", *key), what) for key, what in _console_faults(settings.console))


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


def _route_faults(settings: GatewaySettings) -> Iterator[tuple[Key, str]]:
    for index, route in enumerate(settings.routes):
        for name in route.providers:
            if name not in settings.providers:
                yield ("routes", index, "providers"), f'"{name}" is no provider; one of {", ".join(settings.providers)}'
        if route.order not in (None, "weighted") and any(route.providers.values()):
            yield ("routes", index, "order"), f'"{route.order}" knows no weights; say weighted, or list the providers'
        if route.timezone is not None and route.hours is None:
            yield ("routes", index, "timezone"), "is for hours, which this route does not name; add them"
    for index, before in router(settings).never_taken():
        yield ("routes", index), f"never taken: routes[{before}] always goes before it; put it first, or take it out"


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


def console_warnings(console: ConsoleSettings | None) -> Iterator[str]:
    """What is right and yet dangerous."""
    if console is None:
        return
    host, _ = host_and_port(console.bind)
    is_behind_tls = console.url is not None and console.url.startswith("https:") and bool(console.proxies)
    if not is_loopback(host) and console.tls is None and not is_behind_tls:
        yield (
            f"console.bind {console.bind}: passwords and pages cross the network in clear; give console.tls, or bind "
            "to 127.0.0.1 behind a proxy with TLS and name it in console.url and console.proxies"
        )


NO_PRICES = 'needs to know what an SMS costs; add prices to the providers, e.g. prices: {"7": 3.5, "": 20}'


def _heartbeat_faults(
    settings: GatewaySettings, accounts: tuple[AccountSettings, ...], logins: Set[str]
) -> Iterator[tuple[Key, str]]:
    written = {account.login: account for account in accounts}
    for name, beat in settings.heartbeat.items():
        key = ("heartbeat", name)
        for fault in map(number_fault, beat.to):
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


def _charset_fault(charset: str) -> str:
    try:
        codecs.lookup(charset)
    except LookupError:
        return f'"{charset}" is no charset; e.g. windows-1251, utf-8, koi8-r'
    return ""


def number_fault(value: str) -> str:
    """Empty: it is a phone number."""
    try:
        numbers.parse(value)
    except Refused:
        return f'"{value[:20]}" is no phone number; write it with the country code: 79101234567'
    return ""
