"""What is open, what is capped, when it is quiet: the rules, and what the configuration makes of them."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from gateway.model import Accepted, Asked, At, Channel, NumberCaps, Wishes
from gateway.policy.accounts import Account
from gateway.policy.caps import AccountCaps, HouseCaps, Quiet
from gateway.policy.decide import House, decide
from gateway.policy.destinations import HOME, Destinations
from gateway.policy.routing import Carrier, Hours, Route, Router
from gateway.settings.load import load
from gateway.sms import numbers
from gateway.sms.numbers import Kind
from gateway.verdicts import Refused
from tests.running import ACCOUNT as TEST_USER
from tests.running import write_config
from tests.unit.test_policy import ACCOUNT, ENVELOPE, SUBMISSION

RUSSIAN, KAZAKH, UKRAINIAN, GERMAN, AMERICAN = (
    "79101234567",
    "77012345678",
    "380501234567",
    "4915112345678",
    "12025550123",
)
ROUTER = Router((Route(("cheap", "dear")),), {"cheap": Carrier(prices={"7": Decimal("1.5")}), "dear": Carrier()})
MOSCOW = ZoneInfo("Europe/Moscow")
NIGHT = Hours(22 * 60, 8 * 60, MOSCOW)


def at(clock: str, day: int = 20) -> float:
    hour, minute = clock.split(":")
    return datetime(2026, 11, day, int(hour), int(minute), tzinfo=MOSCOW).timestamp()


def accept(
    *to: str, house: House | None = None, now: float = 0.0, text: str = "text", verified: str = "x", **account: Any
) -> Accepted:
    envelope = replace(ENVELOPE, received_at=now)
    submission = replace(SUBMISSION, destinations=tuple(Asked(number, "x@y.example") for number in to), text=text)
    return decide(envelope, submission, replace(ACCOUNT, **account), verified, house or House(ROUTER, 3600))


# ── destinations ─────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("number", "kind"),
    [
        (RUSSIAN, Kind.MOBILE),
        (AMERICAN, Kind.MOBILE),  # nobody can tell there
        ("74951234567", Kind.FIXED_LINE),
        ("78091234567", Kind.PREMIUM),
        ("78001234567", Kind.TOLL_FREE),
        ("449098790123", Kind.PREMIUM),
        ("491801123456", Kind.SHARED_COST),
        ("445612345678", Kind.VOIP),
        ("447012345678", Kind.PERSONAL),
        ("447640123456", Kind.PAGER),
        ("445512345678", Kind.COMPANY),
        ("80012345678", Kind.TOLL_FREE),  # of no country
        ("881612345678", Kind.MOBILE),  # a satellite
    ],
)
def test_what_answers_at_a_number(number: str, kind: Kind) -> None:
    assert numbers.kind(numbers.parse(number)) is kind


RU = Destinations(frozenset({"RU"}))


@pytest.mark.parametrize(
    ("destinations", "number", "channel", "reason"),
    [
        (Destinations(), GERMAN, Channel.SMS, ""),
        (Destinations(frozenset()), RUSSIAN, Channel.SMS, "destination_closed"),
        (RU, RUSSIAN, Channel.SMS, ""),
        (RU, KAZAKH, Channel.SMS, "destination_closed"),  # the same +7
        (RU, "881612345678", Channel.SMS, "destination_closed"),  # satellites are of no country
        (Destinations(frozenset(), ("7701",)), KAZAKH, Channel.SMS, ""),
        (Destinations(frozenset(), ("7702",)), KAZAKH, Channel.SMS, "destination_closed"),
        (Destinations(frozenset({"RU"}), ("49",)), GERMAN, Channel.SMS, ""),
        (RU, "78091234567", Channel.SMS, "number_kind_closed"),
        (Destinations(frozenset(), ("7809",)), "78091234567", Channel.SMS, "number_kind_closed"),
        (RU, "74951234567", Channel.SMS, "number_kind_closed"),
        (RU, "74951234567", Channel.CALL, ""),
        (RU, "78091234567", Channel.CALL, "number_kind_closed"),
        (replace(RU, kinds=frozenset({Kind.FIXED_LINE})), "74951234567", Channel.SMS, ""),
    ],
)
def test_what_is_open(destinations: Destinations, number: str, channel: Channel, reason: str) -> None:
    try:
        destinations.check(number, channel)
    except Refused as refused:
        assert refused.refusal.reason.key == reason
        assert refused.refusal.verdict.smtp == "550 5.7.1"
        assert number not in str(refused.refusal.values)
    else:
        assert not reason


def test_a_closed_number_is_dropped_and_the_others_are_sent() -> None:
    accepted = accept(RUSSIAN, GERMAN, house=House(ROUTER, 3600, destinations=RU))
    assert [job.destination for job in accepted.jobs] == [RUSSIAN]
    assert [drop.refusal.code for drop in accepted.dropped] == ["FORBIDDEN"]


def test_an_accounts_own_destinations_go_before_the_houses() -> None:
    house = House(ROUTER, 3600, destinations=RU)
    accepted = accept(RUSSIAN, GERMAN, house=house, destinations=Destinations(frozenset({"DE"})))
    assert [job.destination for job in accepted.jobs] == [GERMAN]


PAID = {"driver": "targetsms", "url": "http://127.0.0.1:9/", "user": "corp", "password": "secret"}
EVERYTHING, RUSSIA = {"providers": ["main"]}, {"prefix": "7", "providers": ["main"]}


@pytest.mark.parametrize(
    ("routes", "destinations", "phone", "opened"),
    [
        ([RUSSIA, EVERYTHING], None, None, "BY, KZ, RU, UA, +7…; mobile"),  # the contract's example
        ([EVERYTHING], None, None, "BY, KZ, RU, UA; mobile"),
        ([EVERYTHING], None, GERMAN, "BY, DE, KZ, RU, UA; mobile"),  # who writes down a number means it
        ([RUSSIA], None, None, "+7…; mobile"),
        ([{"country": "DE", "providers": ["main"]}], None, None, "DE; mobile"),
        ([EVERYTHING], {"countries": ["*"]}, None, "all countries; mobile"),
        ([RUSSIA, EVERYTHING], {"countries": "de"}, None, "DE; mobile"),
        ([EVERYTHING], {"prefixes": ["7910"]}, GERMAN, "+7910…; mobile"),
        ([EVERYTHING], {"types": ["mobile", "fixed_line"]}, None, "BY, KZ, RU, UA; fixed_line, mobile"),
    ],
)
def test_by_default_only_what_somebody_asked_for_is_open(
    tmp_path: Path, routes: list[Any], destinations: Any, phone: str | None, opened: str
) -> None:
    changes = {"providers": {"main": PAID}, "routes": routes} | ({"destinations": destinations} if destinations else {})
    account = {"login": "test_user", "password": "qwerty12"} | ({"phone": phone} if phone else {})
    assert str(load(write_config(tmp_path, changes, [account])).house.destinations) == opened


def test_sandboxes_cost_nothing_and_open_everything(tmp_path: Path) -> None:
    assert load(write_config(tmp_path)).house.destinations.countries is None
    one_of_two = {"providers": {"main": {"driver": "sandbox"}, "paid": PAID}}
    assert load(write_config(tmp_path, one_of_two)).house.destinations.countries == HOME


def test_what_an_account_leaves_out_is_the_houses(tmp_path: Path) -> None:
    changes = {"destinations": {"countries": ["RU"], "types": ["mobile", "voip"]}}
    account = {**TEST_USER, "destinations": {"prefixes": ["49"]}}
    found = load(write_config(tmp_path, changes, [account])).directory.accounts["test_user"].destinations
    assert str(found) == "RU, +49…; mobile, voip"


# ── caps ─────────────────────────────────────────────────────────────────────────────────────────


def test_money_is_reserved_at_the_dearest_provider_and_rounded_up() -> None:
    prices = {"cheap": Carrier(prices={"7": Decimal("0.1")}), "dear": Carrier(prices={"7": Decimal("0.00450000001")})}
    house = House(Router((Route(("cheap", "dear")),), prices), 3600, caps=HouseCaps(spend_per_day=Decimal(2)))
    accepted = accept(RUSSIAN, "79102345678", house=house, text="x" * 200, caps=AccountCaps(Decimal("0.5")))
    assert [(cap.key, cap.wanted, cap.limit) for cap in accepted.caps] == [
        (("user", "1970-01-01 spend"), 400_000, 500_000),  # two SMS of two parts
        (("", "1970-01-01 spend"), 400_000, 2_000_000),
    ]
    dear = replace(house.router.carriers["dear"], prices={"7": Decimal("0.10000000001")})
    dearer = replace(house, router=Router(house.router.routes, {**prices, "dear": dear}))
    assert accept(RUSSIAN, house=dearer, caps=AccountCaps(Decimal("0.5"))).caps[0].wanted == 100_001


def test_what_has_no_price_is_not_sent_where_money_is_capped() -> None:
    """``dear`` has no prices at all, and it is the spare one of the route."""
    (drop,) = accept(RUSSIAN, caps=AccountCaps(Decimal(5))).dropped
    assert (drop.refusal.code, drop.refusal.reason.key) == ("FORBIDDEN", "price_unknown")
    assert accept(RUSSIAN).jobs


def test_caps_of_the_house() -> None:
    caps = HouseCaps(per_hour=5, per_day=6, segments_per_day=7)
    found = accept(RUSSIAN, house=House(ROUTER, 3600, caps=caps), text="x" * 200).caps
    assert [(cap.key, cap.wanted, cap.limit) for cap in found] == [
        (("", "1970-01-01T00"), 1, 5),
        (("", "1970-01-01"), 1, 6),
        (("", "1970-01-01 segments"), 2, 7),
    ]


def test_numbers_are_capped_for_those_whom_nothing_verifies(tmp_path: Path) -> None:
    house = load(write_config(tmp_path)).house
    assert accept(RUSSIAN, house=replace(house, router=ROUTER)).number_caps == NumberCaps()
    assert accept(RUSSIAN, house=replace(house, router=ROUTER), verified="").number_caps == NumberCaps(10, 30, 50)


def test_an_account_that_says_nothing_is_held_above_what_the_house_says(tmp_path: Path) -> None:
    limits = {"limits": {"hold_above": 7, "hold_window": "5m"}}
    own = {**TEST_USER, "login": "own", "api_keys": [], "limits": {"hold_above": 3}}
    accounts = load(write_config(tmp_path, limits, [TEST_USER, own])).directory.accounts
    found = {login: (account.caps.hold_above, account.caps.hold_window_s) for login, account in accounts.items()}
    assert found == {"test_user": (7, 300.0), "own": (3, 300.0)}


# ── quiet hours ──────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("now", "due"),
    [
        (at("21:59"), None),
        (at("22:00"), at("08:00", 21)),
        (at("23:30"), at("08:00", 21)),
        (at("00:00"), at("08:00")),
        (at("07:59"), at("08:00")),
        (at("08:00"), None),
    ],
)
def test_in_quiet_hours_an_sms_waits_until_they_end(now: float, due: float | None) -> None:
    accepted = accept(RUSSIAN, now=now, caps=AccountCaps(quiet=Quiet(NIGHT, ("ПОЖАР",))))
    (job,) = accepted.jobs
    assert job.due_at == due
    assert job.expires_at == now + 3600  # its validity goes on: EXPIRED if it ends first
    assert Hours.written(job.quiet) == NIGHT
    told = [note.values for note in accepted.notes if "quiet" in note.what]
    assert [str(values["until"])[11:16] for values in told] == ["08:00"] * (due is not None)


@pytest.mark.parametrize("text", ["ПОЖАР!", "внимание: пожар", "x\nПожары"])
def test_what_is_urgent_goes_out_at_night(text: str) -> None:
    (job,) = accept(RUSSIAN, now=at("23:00"), text=text, caps=AccountCaps(quiet=Quiet(NIGHT, ("ПОЖАР",)))).jobs
    assert (job.due_at, job.quiet) == (None, "")


def test_the_accounts_quiet_hours_go_before_the_houses() -> None:
    house = House(ROUTER, 3600, caps=HouseCaps(quiet=Quiet(NIGHT)))
    assert accept(RUSSIAN, house=house, now=at("23:00")).jobs[0].due_at == at("08:00", 21)
    noon = AccountCaps(quiet=Quiet(Hours(12 * 60, 13 * 60, MOSCOW)))
    assert accept(RUSSIAN, house=house, now=at("23:00"), caps=noon).jobs[0].due_at is None


def test_a_time_that_the_sender_set_may_be_quiet_too() -> None:
    """And then it is not left to the provider, where nobody could hold it."""
    router = Router((Route(("later",)),), {"later": Carrier(schedules=True)})
    account: Account = replace(ACCOUNT, caps=AccountCaps(quiet=Quiet(NIGHT)))

    def scheduled(clock: str) -> tuple[float | None, float | None, str]:
        wishes = Wishes(when=At(at(clock)))
        envelope = replace(ENVELOPE, received_at=at("12:00"))
        (job,) = decide(envelope, replace(SUBMISSION, wishes=wishes), account, "x", House(router, 86400)).jobs
        return job.due_at, job.send_at, job.quiet

    assert scheduled("21:00") == (None, at("21:00"), "")
    assert scheduled("23:00") == (at("08:00", 21), None, str(NIGHT))


def test_hours_end_when_the_clocks_of_the_zone_say_so() -> None:
    berlin = Hours(22 * 60, 8 * 60, ZoneInfo("Europe/Berlin"))
    saturday = datetime(2026, 10, 24, 23, 0, tzinfo=berlin.zone).timestamp()  # that night the clocks are set back
    assert berlin.ending_after(saturday) - saturday == 10 * 3600
    until_midnight = Hours(20 * 60, 24 * 60, MOSCOW)
    assert until_midnight.ending_after(at("21:00")) == at("00:00", 21)
    for hours in (NIGHT, berlin, until_midnight):
        assert Hours.written(str(hours)) == hours
