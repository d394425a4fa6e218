"""Settings of accounts → accounts as policy knows them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from gateway.model import StormRule, Tell
from gateway.policy.accounts import Account, Webhook, address_pattern, key_digest
from gateway.policy.caps import AccountCaps, Quiet
from gateway.policy.composing import TextRules
from gateway.policy.cutting import Cuts, line_pattern
from gateway.policy.destinations import HOME, Destinations
from gateway.policy.routing import Hours
from gateway.settings.accounts import AccountSettings
from gateway.settings.limits import DestinationSettings, HouseLimitSettings, QuietSettings
from gateway.settings.notation import minutes
from gateway.settings.schema import GatewaySettings
from gateway.sms import numbers
from gateway.sms.numbers import Kind
from gateway.strict import zone

if TYPE_CHECKING:
    from gateway.settings.load import Configuration


def account_of(account: AccountSettings, configuration: Configuration) -> Account:
    """As the gateway uses it, with what this configuration says for all."""
    settings = configuration.settings
    return account_for(account, usual_language(settings), settings.limits, configuration.house.destinations)


def account_for(account: AccountSettings, language: str, house: HouseLimitSettings, open_to: Destinations) -> Account:
    """``language``, ``house`` and ``open_to`` (the destinations of all) say what the account leaves open."""

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
            quiet=quiet(account.limits.quiet),
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


def open_to_all(settings: GatewaySettings, accounts: tuple[AccountSettings, ...]) -> Destinations:
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


def quiet(given: QuietSettings | None) -> Quiet | None:
    """None: no hours are quiet."""
    return Quiet(Hours(*minutes(given.hours), zone(given.timezone)), given.urgent) if given else None


def usual_language(settings: GatewaySettings) -> str:
    """Of who names none."""
    return settings.replies.language if settings.replies else "en"
