"""Which route takes a job, in which order its providers are tried, and how that is explained."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest

from gateway.model import Channel
from gateway.policy.routing import Carrier, Hours, Names, Order, Route, Router, Trip

RUSSIAN, KAZAKH, UKRAINIAN, ARMENIAN = "79101234567", "77012345678", "380501234567", "37491234567"
MOSCOW, KYIV = ZoneInfo("Europe/Moscow"), ZoneInfo("Europe/Kyiv")


def at(moment: str) -> float:
    """With its offset."""
    return datetime.fromisoformat(moment).timestamp()


DAY, NIGHT = Hours(8 * 60, 22 * 60, MOSCOW), Hours(22 * 60, 8 * 60, MOSCOW)
NOON, MIDNIGHT = at("2026-11-25T12:00+03:00"), at("2026-11-25T00:00+03:00")


def to(name: str, *prefixes: str, **conditions: object) -> Route:
    return replace(Route((name,), prefixes or ("",)), **conditions)  # type: ignore[arg-type]


def names(*patterns: str) -> Names:
    return Names(patterns)


def countries(*codes: str) -> frozenset[str]:
    return frozenset(codes)


ALL = to("all")
CASES: dict[str, tuple[tuple[Route, ...], Trip, str]] = {
    "nothing else": ((ALL,), Trip(RUSSIAN), "all"),
    "a prefix of another number": ((to("x", "380"),), Trip(RUSSIAN), ""),
    "one prefix of several": ((ALL, to("x", "380", "7910")), Trip(RUSSIAN), "x"),
    "the longest prefix": ((ALL, to("x", "7"), to("y", "791"), to("z", "79")), Trip(RUSSIAN), "y"),
    "the longest prefix of a list": ((to("x", "79"), to("y", "7", "7910")), Trip(RUSSIAN), "y"),
    "equal prefixes: the first": ((to("x", "7"), to("y", "7")), Trip(RUSSIAN), "x"),
    "Russia": ((ALL, to("ru", countries=countries("RU")), to("kz", countries=countries("KZ"))), Trip(RUSSIAN), "ru"),
    "Kazakhstan": ((ALL, to("ru", countries=countries("RU")), to("kz", countries=countries("KZ"))), Trip(KAZAKH), "kz"),
    "either": ((ALL, to("x", countries=countries("KZ", "AM"))), Trip(ARMENIAN), "x"),
    "neither": ((ALL, to("x", countries=countries("KZ", "AM"))), Trip(UKRAINIAN), "all"),
    "a country before its code": ((to("x", "7"), to("kz", countries=countries("KZ"))), Trip(KAZAKH), "kz"),
    "the code for the rest": ((to("x", "7"), to("kz", countries=countries("KZ"))), Trip(RUSSIAN), "x"),
    "a longer prefix before the country": ((to("kz", countries=countries("KZ")), to("x", "7701")), Trip(KAZAKH), "x"),
    "country and prefix, both": ((ALL, to("x", "77", countries=countries("RU"))), Trip(KAZAKH), "all"),
    "originator": ((ALL, to("x", originators=names("My Bank"))), Trip(RUSSIAN, "My Bank"), "x"),
    "originator, other letters": ((ALL, to("x", originators=names("My Bank"))), Trip(RUSSIAN, "my bank"), "all"),
    "originator, pattern": ((ALL, to("x", originators=names("Shop", "My*"))), Trip(RUSSIAN, "My Bank"), "x"),
    "a pattern is of the whole": ((ALL, to("x", originators=names("Bank", "*My"))), Trip(RUSSIAN, "My Bank"), "all"),
    "a dot is a dot": ((ALL, to("x", originators=names("My.Bank"))), Trip(RUSSIAN, "My Bank"), "all"),
    "account": ((ALL, to("x", accounts=names("ops-*"))), Trip(RUSSIAN, account="ops-1"), "x"),
    "another account": ((ALL, to("x", accounts=names("ops-*"))), Trip(RUSSIAN, account="dev"), "all"),
    "an account before a longer prefix": ((to("x", "7910"), to("y", accounts=names("a"))), Trip(RUSSIAN, "", "a"), "y"),
    "of such routes the first": (
        (ALL, to("x", originators=names("*")), to("y", "7", accounts=names("a"))),
        Trip(RUSSIAN, "", "a"),
        "x",
    ),
    "all conditions": (
        (ALL, to("x", "7", originators=names("A"), accounts=names("a"), hours=DAY, countries=countries("RU"))),
        Trip(RUSSIAN, "A", "a", at=NOON),
        "x",
    ),
    "all but one": (
        (ALL, to("x", "7", originators=names("A"), accounts=names("a"), hours=DAY, countries=countries("RU"))),
        Trip(RUSSIAN, "A", "a", at=MIDNIGHT),
        "all",
    ),
}


@pytest.mark.parametrize(("routes", "trip", "taken"), CASES.values(), ids=CASES)
def test_the_route(routes: tuple[Route, ...], trip: Trip, taken: str) -> None:
    router = Router(routes)
    assert router.providers(trip) == ((taken,) if taken else ())
    assert [item.route.providers[0] for item in router.explain(trip).judged if item.taken] == [taken] * bool(taken)


@pytest.mark.parametrize(
    ("hours", "moment", "inside"),
    [
        (DAY, "2026-11-25T08:00+03:00", True),
        (DAY, "2026-11-25T21:59:59+03:00", True),
        (DAY, "2026-11-25T22:00+03:00", False),
        (DAY, "2026-11-25T07:59:59+03:00", False),
        (NIGHT, "2026-11-25T22:00+03:00", True),
        (NIGHT, "2026-11-26T00:00+03:00", True),
        (NIGHT, "2026-11-26T07:59:59+03:00", True),
        (NIGHT, "2026-11-26T08:00+03:00", False),
        (Hours(22 * 60, 24 * 60, MOSCOW), "2026-11-25T23:59+03:00", True),
        (Hours(22 * 60, 24 * 60, MOSCOW), "2026-11-26T00:00+03:00", False),
        # The night when Kyiv puts its clocks back from 04:00 to 03:00, and Moscow does not.
        (replace(DAY, zone=KYIV), "2026-10-24T05:00+00:00", True),
        (replace(DAY, zone=KYIV), "2026-10-25T05:00+00:00", False),
        (replace(DAY, zone=KYIV), "2026-10-25T06:00+00:00", True),
        (DAY, "2026-10-24T05:00+00:00", True),
        (DAY, "2026-10-25T05:00+00:00", True),
        (Hours(3 * 60, 4 * 60, KYIV), "2026-10-25T00:30+00:00", True),  # the first 03:30
        (Hours(3 * 60, 4 * 60, KYIV), "2026-10-25T01:30+00:00", True),  # and the second
        (Hours(3 * 60, 4 * 60, KYIV), "2026-03-29T01:00+00:00", False),  # no 03:… on that day
    ],
)
def test_hours(hours: Hours, moment: str, inside: bool) -> None:
    assert hours.include(at(moment)) is inside


# ── the order of the providers ───────────────────────────────────────────────────────────────────

WEIGHTED = Route(("main", "spare", "third"), order=Order.WEIGHTED, weights=(6, 3, 1))


def test_weights() -> None:
    router = Router((WEIGHTED,))
    drawn = [router.providers(Trip(RUSSIAN, key=f"Q-{n}")) for n in range(10_000)]
    assert all(sorted(order) == ["main", "spare", "third"] for order in drawn)
    first = Counter(order[0] for order in drawn)
    for name, share in {"main": 6000, "spare": 3000, "third": 1000}.items():
        assert first[name] == pytest.approx(share, abs=200)  # more than four standard deviations
    behind_main = Counter(order[1] for order in drawn if order[0] == "main")
    assert behind_main["spare"] / behind_main.total() == pytest.approx(0.75, abs=0.03)


def test_a_draw_is_the_same_each_time_and_in_each_process() -> None:
    firsts = [Router((WEIGHTED,)).providers(Trip(RUSSIAN, key=f"Q-{n}"))[0] for n in range(8)]
    assert firsts == ["main", "main", "spare", "spare", "main", "spare", "main", "main"]


def test_another_provider_moves_only_what_it_takes_over() -> None:
    more = replace(WEIGHTED, providers=(*WEIGHTED.providers, "new"), weights=(*WEIGHTED.weights, 2))
    for n in range(1000):
        before, after = (route.drawn(f"Q-{n}") for route in (WEIGHTED, more))
        assert [name for name in after if name != "new"] == before


PRICES = {
    "a": Carrier(prices={"7": Decimal("3.5"), "77": Decimal("1.1")}),
    "b": Carrier(prices={"7": Decimal("2.95"), "": Decimal(9)}),
    "c": Carrier(prices={"380": Decimal(0)}),
    "d": Carrier(prices={"7": Decimal("2.950")}),
}


@pytest.mark.parametrize(
    ("number", "order"), [(RUSSIAN, "bdac"), (KAZAKH, "abdc"), (UKRAINIAN, "cbad"), (ARMENIAN, "bacd")]
)
def test_the_cheapest_first_unknown_prices_last(number: str, order: str) -> None:
    router = Router((Route(tuple("abcd"), order=Order.CHEAPEST),), PRICES)
    assert "".join(router.providers(Trip(number))) == order


@pytest.mark.parametrize("order", list(Order))
def test_only_those_that_carry_the_channel(order: Order) -> None:
    carriers = {"a": Carrier(frozenset({Channel.VIBER})), "b": Carrier(), "c": Carrier(frozenset(Channel))}
    router = Router((Route(("a", "b", "c"), order=order),), carriers)
    for channel, expected in ((Channel.SMS, {"b", "c"}), (Channel.VIBER, {"a", "c"}), (Channel.CALL, {"c"})):
        trip = Trip(RUSSIAN, channel=channel, key="Q-1")
        assert set(router.providers(trip)) == expected
        hops = router.explain(trip).hops
        assert tuple(hop.provider for hop in hops if hop.carries) == router.providers(trip)
        assert {hop.why for hop in hops if not hop.carries} == {f"left out: does not carry {channel.value}"}


# ── words, and what can never be ─────────────────────────────────────────────────────────────────


def test_an_explanation_names_every_reason() -> None:
    routes = (
        to("bank", accounts=names("bank"), hours=NIGHT),
        to("kz", "77", countries=countries("KZ"), originators=names("Shop")),
        to("ru", countries=countries("RU")),
        to("seven", "7"),
        ALL,
    )
    found = Router(routes).explain(Trip(RUSSIAN, "My Bank", at=NOON))
    assert [item.why_not for item in found.judged] == [
        "no account given; 12:00 in Europe/Moscow",
        'another prefix; country is RU; originator is "My Bank"',
        "",
        "behind routes[2], a country",
        "behind routes[2], a longer prefix",
    ]
    assert [item.matches for item in found.judged] == [False, False, True, True, True]


def test_why_the_providers_stand_in_that_order() -> None:
    def whys(order: Order) -> list[str]:
        route = Route(("a", "c"), order=order, weights=(3, 1))
        return [hop.why for hop in Router((route,), PRICES).explain(Trip(RUSSIAN)).hops]

    assert [whys(order) for order in Order] == [
        ["as listed", "as listed"],
        ["first for 3 of 4", "first for 1 of 4"],
        ["by price", "no price: last"],
    ]


@pytest.mark.parametrize(
    ("first", "second", "hidden"),
    [
        (ALL, to("other"), True),
        (ALL, to("x", "7"), False),
        (to("x", "7"), ALL, False),
        (to("x", "7", "8"), to("y", "7"), True),
        (to("x", "7"), to("y", "7", "8"), False),
        (to("x", "7"), to("y", countries=countries("RU")), False),
        (to("x", countries=countries("RU")), to("y", "7"), False),
        (to("x", countries=countries("RU", "KZ")), to("y", countries=countries("KZ")), True),
        (to("x", countries=countries("KZ")), to("y", countries=countries("RU", "KZ")), False),
        (ALL, to("x", accounts=names("a")), False),
        (to("x", accounts=names("a")), ALL, False),
        (to("x", accounts=names("a", "b")), to("y", "7", accounts=names("a"), hours=DAY), True),
        (to("x", "7", accounts=names("a")), to("y", accounts=names("a")), False),
        (to("x", accounts=names("a"), hours=DAY), to("y", accounts=names("a"), hours=NIGHT), False),
        (to("x", accounts=names("a"), hours=DAY), to("y", accounts=names("a"), hours=DAY), True),
        (to("x", accounts=names("a")), to("y", originators=names("a")), False),
        (to("x", accounts=names("a"), countries=countries("RU")), to("y", accounts=names("a")), False),
    ],
)
def test_a_route_that_is_never_taken(first: Route, second: Route, hidden: bool) -> None:
    assert list(Router((first, second)).never_taken()) == ([(1, 0)] if hidden else [])
