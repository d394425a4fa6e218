"""What is counted under which labels."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from gateway import metrics
from gateway.dialects.address import AddressDialect
from gateway.lifecycle import Event, State
from gateway.model import (
    Attempt,
    Channel,
    Deferred,
    Note,
    Outcome,
    Receipt,
    ReceivedEmail,
    Rejected,
    Scope,
    Submitted,
    Uncertain,
)
from gateway.service import counts
from gateway.service.counts import Counted
from gateway.service.judge import Case
from gateway.spool.receipts import Applied
from gateway.spool.settle import Settlement
from gateway.verdicts import (
    CHARSET_UNKNOWN,
    PROVIDER_NUMBER,
    PROVIDER_REFUSED,
    QUOTA_HOUR,
    RELAY_DENIED,
    TEXT_EMPTY,
    Reason,
    Refusal,
)
from gateway.watch.log import _count_alerts
from tests.contract.spool.given import NOW, mail, settled

Grown = Callable[[], dict[str, float]]


def values() -> dict[str, float]:
    return {
        f"{sample.name.removeprefix(metrics.PREFIX)}{sorted(sample.labels.values())}": sample.value
        for family in metrics.REGISTRY.collect()
        for sample in family.samples
        if not sample.name.endswith("_bucket")
    }


@pytest.fixture
def grown() -> Iterator[Grown]:
    """What has changed since the test began."""
    before = values()
    yield lambda: {key: value - before.get(key, 0) for key, value in values().items() if value != before.get(key, 0)}


def case(*notes: Note, dialect: bool = True) -> Case:
    found = Case(mail().envelope)
    if dialect:
        found.dialect = AddressDialect(frozenset({"sms.example.com"}))
    found.mail = ReceivedEmail("", "", (), "", "", (), notes)
    return found


@pytest.mark.parametrize(
    ("reason", "wanted"),
    [
        (None, ["mails_received_total['accepted', 'address']"]),
        (
            RELAY_DENIED,
            ["mails_received_total['address', 'refused']", "mails_refused_total['FORBIDDEN', 'relay_denied']"],
        ),
        (
            TEXT_EMPTY,
            [
                "mails_received_total['address', 'refused']",
                "mails_refused_total['FORMAT', 'text_empty']",
                "mail_parse_failures_total['address', 'text_empty']",
            ],
        ),
        (
            CHARSET_UNKNOWN,
            [
                "mails_received_total['address', 'refused']",
                "mails_refused_total['CHARSET', 'charset_unknown']",
                "mail_parse_failures_total['address', 'charset_unknown']",
            ],
        ),
        (
            QUOTA_HOUR,
            [
                "mails_received_total['address', 'deferred']",
                "mails_refused_total['LIMIT', 'quota_hour']",
                "rate_limited_total['hour']",
            ],
        ),
    ],
    ids=lambda value: value.key if isinstance(value, Reason) else "",
)
def test_a_mail(grown: Grown, reason: Reason | None, wanted: list[str]) -> None:
    counts.mail(case(), Refusal(reason) if reason else None)
    assert grown() == dict.fromkeys(wanted, 1)


def test_a_mail_that_came_twice(grown: Grown) -> None:
    counts.mail(case(), duplicate=True)
    assert grown() == {"mails_received_total['address', 'duplicate']": 1, "duplicates_suppressed_total['mail']": 1}


@pytest.mark.parametrize(
    ("declared", "label"),
    [("us-ascii", "ascii"), ("none", "none"), ("x-79101234567", "other"), ("\0", "other")],
)
def test_a_charset_that_was_not_the_declared_one(grown: Grown, declared: str, label: str) -> None:
    counts.mail(case(Note("charset", "windows-1251", {"declared": declared, "why": "a reason"}), dialect=False))
    assert grown() == {
        "mails_received_total['accepted', 'none']": 1,
        f"charset_fallbacks_total{sorted([label, 'windows-1251'])}": 1,
    }


def test_a_charset_that_is_the_declared_one(grown: Grown) -> None:
    counts.mail(case(Note("charset", "utf-8", {"declared": "utf-8", "why": "declared"})))
    assert grown() == {"mails_received_total['accepted', 'address']": 1}


def attempt(**changes: Any) -> Attempt:
    (job,) = mail("79101234567", words="Привет").accepted.jobs  # type: ignore[union-attr]
    repeats = bool(changes.pop("repeats", False))
    return Attempt(replace(job, **changes), "main", 1, 0, 1, repeats=repeats, send_before=0.0)


def taken(one: Attempt, at: float = NOW) -> Settlement:
    return settled(one, Event.ACK, outcome="submitted", at=at)


PRICED = Counted("main", lambda number: Decimal("3.5") if number.startswith("7") else None, lambda: ("test_user",))


def test_an_sms_that_is_taken(grown: Grown) -> None:
    one = attempt(segments=3)
    PRICED.settled(one, Submitted("1"), taken(one, NOW + 2))
    found = grown()
    assert found.pop("provider_last_success_timestamp_seconds['main']", None) is not None
    assert found == {
        "messages_total['main', 'submitted']": 1,
        "message_parts_total['main', 'ucs2']": 3,
        "account_parts_total['test_user']": 3,
        "accept_to_submit_seconds_count['main']": 1,
        "accept_to_submit_seconds_sum['main']": 2,
        "spend_total['main']": 10.5,
    }


@pytest.mark.parametrize(
    ("said", "spent"),
    [("1.25", 1.25), ("", 3.5), ("free!", 3.5), ("NaN", 3.5), ("-1", 3.5), ("0", None)],
)
def test_the_money_is_what_the_provider_says_else_by_its_prices(grown: Grown, said: str, spent: float | None) -> None:
    PRICED.settled(attempt(), Submitted("1", cost=said), taken(attempt()))
    assert grown().get("spend_total['main']") == spent


def test_what_is_asked_again_is_not_paid_again(grown: Grown) -> None:
    one = attempt(repeats=True)
    PRICED.settled(one, Submitted("1", cost="1"), taken(one))
    assert "spend_total['main']" not in grown()


def test_a_scheduled_sms_is_late_only_after_its_time(grown: Grown) -> None:
    one = attempt(due_at=NOW + 3600)
    PRICED.settled(one, Submitted("1"), taken(one, NOW + 3601))
    assert grown()["accept_to_submit_seconds_sum['main']"] == 1


def test_a_call_has_no_parts(grown: Grown) -> None:
    one = attempt(channel=Channel.CALL)
    PRICED.settled(one, Submitted("1"), taken(one))
    assert not [key for key in grown() if "parts" in key]


def test_a_refusal_is_counted_by_the_providers_code(grown: Grown) -> None:
    one = attempt()
    item = settled(one, Event.NACK, outcome="rejected")
    PRICED.settled(one, Rejected(Refusal(PROVIDER_REFUSED, {"code": 17})), item)
    PRICED.settled(one, Rejected(Refusal(PROVIDER_NUMBER)), item)
    assert grown() == {"messages_total['main', 'rejected']": 2, "provider_errors_total['17', 'main']": 1}


@pytest.mark.parametrize(
    ("outcome", "label"),
    [
        (Submitted("1"), "ok"),
        (Rejected(Refusal(PROVIDER_NUMBER)), "rejected"),
        (Deferred(Scope.ROUTE, "no connection"), "unreachable"),
        (Deferred(Scope.PROVIDER, "no money"), "deferred"),
        (Uncertain("no answer"), "uncertain"),
    ],
)
def test_a_call(grown: Grown, outcome: Outcome, label: str) -> None:
    PRICED.submitted([outcome], 0.25)
    assert grown() == {
        f"provider_requests_total{sorted(['main', 'submit', label])}": 1,
        "provider_request_duration_seconds_count['main', 'submit']": 1,
        "provider_request_duration_seconds_sum['main', 'submit']": 0.25,
    }
    assert label in counts.OUTCOMES


def test_a_receipt(grown: Grown) -> None:
    said = Receipt("1", State.DELIVERED, "")
    counts.receipt("main", said, Applied(), NOW)
    counts.receipt("main", said, Applied("x-1"), NOW)
    assert grown() == {}
    counts.receipt("main", said, Applied("x-1", State.DELIVERED, NOW - 7), NOW)
    counts.receipt("main", said, Applied("x-1", State.UNDELIVERED, NOW - 7), NOW)
    assert grown() == {
        "delivery_reports_total['delivered', 'main']": 1,
        "delivery_reports_total['main', 'undelivered']": 1,
        "submit_to_delivered_seconds_count['main']": 1,
        "submit_to_delivered_seconds_sum['main']": 7,
    }


def test_replies(grown: Grown) -> None:
    counts.reply("report", "sent", "")
    counts.reply("report", "suppressed", "too many replies to this address")
    counts.reply("report", "dropped", "550 5.1.1 no such user")
    assert grown() == {
        "replies_sent_total['report']": 1,
        "replies_suppressed_total['too many']": 1,
        "replies_suppressed_total['undeliverable']": 1,
    }


def test_alerts_of_the_log(grown: Grown) -> None:
    _count_alerts(None, "error", {"event": "provider.paused", "alert": True})
    _count_alerts(None, "error", {"event": "provider.paused"})
    assert grown() == {"alerts_total['provider.paused']": 1}


def test_known_series_begin_at_nothing() -> None:
    counts.begin(["new door"], ["new dialect"], ["new provider"])
    fresh = {key: value for key, value in values().items() if "new " in key}
    assert {*fresh.values()} == {0}
    assert {"messages_total['new provider', 'rejected']", "smtp_connections_total['new door']"} <= fresh.keys()
