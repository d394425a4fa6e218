"""Settings → what the gateway thinks with: dialects, routes, caps."""

from __future__ import annotations

from collections.abc import Iterator

from gateway.dialects import Dialect
from gateway.dialects.address import AddressDialect
from gateway.dialects.families import FieldsFamily, PlainFamily, SubjectFamily
from gateway.dialects.reply import ReplyDialect
from gateway.dialects.smsc import SmscDialect
from gateway.dialects.template import TemplateDialect
from gateway.model import NumberCaps
from gateway.policy.caps import HouseCaps
from gateway.policy.heartbeat import Heartbeat
from gateway.policy.retry import RetryPolicy
from gateway.policy.routing import Carrier, Hours, Names, Order, Route, Router
from gateway.policy.senders import Border, SenderChecks
from gateway.settings.dialects import DialectsSettings, FamilySettings
from gateway.settings.directory import quiet
from gateway.settings.limits import HouseLimitSettings, NumberLimitSettings
from gateway.settings.listeners import ListenerSettings
from gateway.settings.notation import minutes, weekdays
from gateway.settings.schema import GatewaySettings, HeartbeatSettings, RelaySettings, RouteSettings
from gateway.sms import numbers
from gateway.strict import zone


def dialects(settings: DialectsSettings) -> Iterator[Dialect]:
    """In the order in which they are asked."""
    if (reply := reply_dialect(settings)) is not None:
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


def reply_dialect(settings: DialectsSettings) -> ReplyDialect | None:
    """None: there are no conversations."""
    reply = settings.reply
    return ReplyDialect(reply.domain.lower(), reply.key.get_secret_value()) if reply is not None else None


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


def national(settings: GatewaySettings) -> tuple[str, ...]:
    """The national tables that every provider knows."""
    return tuple(sorted(frozenset.intersection(*(given.national() for given in settings.providers.values()))))


def sender_checks(listener: ListenerSettings) -> SenderChecks | None:
    """None: mails on this listener prove nothing."""
    front = listener.authentication_results
    if front is None and not listener.verify:
        return None
    border = Border(front.authserv_id, front.peers, front.own_received) if front else None
    return SenderChecks(border, frozenset(listener.verify))


def router(settings: GatewaySettings) -> Router:
    """All routes, with what each provider carries."""
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


def heartbeat(name: str, beat: HeartbeatSettings) -> Heartbeat:
    """One of them."""
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


def retry(relay: RelaySettings) -> RetryPolicy:
    """When a provider cannot."""
    return RetryPolicy(
        first_s=relay.first_retry,
        max_s=relay.max_retry,
        tries_per_provider=relay.tries_per_provider,
        pause_s=relay.provider_pause,
    )


def house_caps(limits: HouseLimitSettings) -> HouseCaps:
    """For all accounts together."""

    def of_numbers(given: NumberLimitSettings) -> NumberCaps:
        return NumberCaps(given.per_number_hour, given.per_number_day, given.per_range_hour)

    return HouseCaps(
        per_hour=limits.per_hour,
        per_day=limits.per_day,
        segments_per_day=limits.segments_per_day,
        spend_per_day=limits.spend_per_day,
        verified=of_numbers(limits),
        unverified=of_numbers(limits.unverified),
        quiet=quiet(limits.quiet),
    )
