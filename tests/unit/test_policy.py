"""Who may send what, where it goes, when it is tried again, and what an outcome does to a job."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC
from ipaddress import ip_network
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.lifecycle import Event, State
from gateway.model import (
    Accepted,
    After,
    ApiKey,
    Asked,
    Attempt,
    Deferred,
    Door,
    Envelope,
    Job,
    NoSecret,
    Outcome,
    Password,
    Rejected,
    Scope,
    Submission,
    Submitted,
    Uncertain,
    Wishes,
)
from gateway.policy import checks
from gateway.policy.accounts import Account, Directory, address_pattern, in_networks, key_digest, proves
from gateway.policy.composing import TextRules
from gateway.policy.decide import House, decide
from gateway.policy.retry import RetryPolicy, backoff
from gateway.policy.routing import Hours, Names, Order, Route, Router, Trip
from gateway.replies.guard import why_silent
from gateway.service.settlement import Terms, settlement
from gateway.verdicts import PROVIDER_CLOSED, REASONS, Kind, Refusal, Refused

ACCOUNT = Account(
    login="user",
    password="qwerty12",
    phone="79101234567",
    senders=(address_pattern("alerts@bank.example"), address_pattern("*@ops.bank.example")),
    originators=frozenset({"My Bank"}),
    lists={"1": ("79101234567", "79102345678")},
    stop_list=frozenset({"79161234567"}),
)
ENVELOPE = Envelope("Q", Door.SMTP, "lan", "192.0.2.1", False, None, "alerts@bank.example", ("x@y.example",), 0.0)
SUBMISSION = Submission(
    "template",
    "template",
    Password("user", "qwerty12"),
    "My Bank",
    (Asked("79101234567", "x@y.example"),),
    "text",
    "x@y.example",
)
ROUTES = (Route(("main",)), Route(("russia", "main"), ("7",)), Route(("special",), ("7999",)))


def accept(
    submission: Submission = SUBMISSION, account: Account = ACCOUNT, routes: tuple[Route, ...] = ROUTES
) -> Accepted:
    return decide(ENVELOPE, submission, account, "SMTP AUTH", House(Router(routes), 3600))


def asked(*numbers: str) -> tuple[Asked, ...]:
    return tuple(Asked(number, "x@y.example") for number in numbers)


# ── the sender ───────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("addresses", "allowed"),
    [
        (("alerts@bank.example",), True),
        (("Alerts@BANK.example", "x@ops.bank.example"), True),
        (("alerts@bank.example", "evil@x.example"), False),
        (("x@ops.bank.example.evil.example",), False),
        (("alerts@bankXexample",), False),
        (("", "alerts@bank.example"), True),
        (("",), False),
        (("<unreadable>",), False),
    ],
)
def test_the_allowlist(addresses: tuple[str, ...], allowed: bool) -> None:
    assert ACCOUNT.allows_sender(addresses) is allowed
    assert Directory.of([ACCOUNT]).allows_sender(addresses) is allowed
    assert replace(ACCOUNT, senders=(address_pattern("*"),)).allows_sender(addresses)


@pytest.mark.parametrize(
    ("changes", "networks", "verified"),
    [
        ({}, (), ""),
        ({"trusted": True}, (), "trusted network"),
        ({"identity": "user"}, (), "SMTP AUTH"),
        ({"identity": "other"}, (), ""),
        ({}, (ip_network("192.0.2.0/24"),), "account network"),
        ({"peer": "::ffff:192.0.2.1"}, (ip_network("192.0.2.0/24"),), "account network"),
        ({"peer": "198.51.100.1"}, (ip_network("192.0.2.0/24"),), ""),
    ],
)
def test_what_verifies(changes: dict[str, Any], networks: Any, verified: str) -> None:
    assert checks.verified_by(replace(ENVELOPE, **changes), replace(ACCOUNT, networks=networks)) == verified


def test_an_unverified_sender_never_sends_without_a_secret() -> None:
    lax = replace(ENVELOPE, accept_unverified=True)
    checks.sender_is_verified(lax, SUBMISSION, "")
    for envelope, submission in ((ENVELOPE, SUBMISSION), (lax, replace(SUBMISSION, credential=NoSecret("user")))):
        with pytest.raises(Refused):
            checks.sender_is_verified(envelope, submission, "")


def test_networks() -> None:
    assert in_networks("::1", [ip_network("::1/128")])
    assert not in_networks("", [ip_network("0.0.0.0/0")])


# ── the credential ───────────────────────────────────────────────────────────────────────────────


def never(_hash: str, _password: str) -> bool:
    raise AssertionError


def test_credentials() -> None:
    keyed = replace(ACCOUNT, api_keys=frozenset({key_digest("0a1b2c")}))
    directory = Directory.of([keyed])
    assert proves(ACCOUNT, Password("user", "qwerty12"), never)
    assert not proves(ACCOUNT, Password("user", "qwerty1"), never)
    assert not proves(replace(ACCOUNT, password=None), Password("user", ""), never)
    assert proves(replace(ACCOUNT, password_hash="$h"), Password("user", "x"), lambda h, p: (h, p) == ("$h", "x"))
    assert directory.claimed(ApiKey("0a1b2c")) is keyed
    assert directory.claimed(ApiKey("other1")) is None
    assert proves(keyed, ApiKey("0a1b2c", login="user"), never)
    assert not proves(keyed, ApiKey("other1", login="user"), never)


# ── the decision ─────────────────────────────────────────────────────────────────────────────────


def test_good_and_bad_destinations() -> None:
    accepted = accept(
        replace(SUBMISSION, destinations=asked("79101234567", "+7 910 123 45 67", "79161234567", "12", "79101234568"))
    )
    assert [(job.destination, job.id) for job in accepted.jobs] == [("79101234567", "Q-1"), ("79101234568", "Q-2")]
    assert [drop.refusal.code for drop in accepted.dropped] == ["BANNED", "NUMBER"]


@pytest.mark.parametrize(
    ("changes", "account", "code", "reason"),
    [
        ({}, {"enabled": False}, "FORBIDDEN", "not_activated"),
        ({"originator": "Evil"}, {}, "FORBIDDEN", "originator_not_allowed"),
        ({"originator": "my bank"}, {}, "FORBIDDEN", "originator_not_allowed"),
        ({"originator": "A much too long name"}, {"originators": frozenset("*")}, "FORBIDDEN", "originator_shape"),
        ({"destinations": asked(*["79101234567"] * 21)}, {}, "LIMIT", "too_many_destinations"),
        ({"list_id": "2"}, {}, "NO LIST", "list_unknown"),
        ({"own_number": True}, {"phone": None}, "FORBIDDEN", "own_number_unknown"),
        ({"text": "x" * 501, "max_text_length": 500}, {}, "LIMIT", "text_too_long"),
        ({"text": "x" * 200}, {"texts": TextRules(max_segments=1)}, "LIMIT", "too_many_segments"),
    ],
)
def test_what_refuses_the_whole(changes: dict[str, Any], account: dict[str, Any], code: str, reason: str) -> None:
    with pytest.raises(Refused) as caught:
        accept(replace(SUBMISSION, **changes), replace(ACCOUNT, **account))
    assert (caught.value.refusal.code, caught.value.refusal.reason.key) == (code, reason)


def test_twenty_destinations_and_any_originator() -> None:
    twenty = asked(*(f"791012345{n:02}" for n in range(20)))
    accepted = accept(
        replace(SUBMISSION, destinations=twenty, originator="Any Name"), replace(ACCOUNT, originators=frozenset("*"))
    )
    assert len(accepted.jobs) == 20


def test_lists_and_the_own_number() -> None:
    assert [job.destination for job in accept(replace(SUBMISSION, list_id="1")).jobs] == ["79101234567", "79102345678"]
    assert [job.destination for job in accept(replace(SUBMISSION, own_number=True)).jobs] == ["79101234567"]


@pytest.mark.parametrize(
    ("number", "providers"),
    [("79101234567", ("russia", "main")), ("79991234567", ("special",)), ("380501234567", ("main",))],
)
def test_the_longest_prefix_decides(number: str, providers: tuple[str, ...]) -> None:
    assert Router(ROUTES).providers(Trip(number)) == providers


def test_what_a_route_may_ask_for_comes_from_the_mail_and_its_account() -> None:
    night = Hours(0, 6 * 60, UTC)
    routes = (
        Route(("later",)),
        Route(("now",), hours=night, accounts=Names(("user",)), originators=Names(("My Bank",))),
    )
    assert accept(routes=routes).jobs[0].route == ("now",)
    scheduled = replace(SUBMISSION, wishes=Wishes(when=After(6 * 3600.0)))
    assert accept(scheduled, routes=routes).jobs[0].route == ("later",)  # the hour in which it is to go out


def test_a_weighted_route_draws_for_each_job() -> None:
    route = Route(("a", "b"), order=Order.WEIGHTED)
    twenty = asked(*(f"791012345{n:02}" for n in range(20)))
    jobs = accept(replace(SUBMISSION, destinations=twenty), routes=(route,)).jobs
    assert [job.route for job in jobs] == [tuple(route.drawn(job.id)) for job in jobs]
    assert {job.route[0] for job in jobs} == {"a", "b"}


def test_no_route() -> None:
    (drop,) = accept(routes=(Route(("main",), ("380",)),)).dropped
    assert drop.refusal.reason.key == "no_route"


# ── afterwards ───────────────────────────────────────────────────────────────────────────────────


def test_backoff_grows_and_ends() -> None:
    policy = RetryPolicy()
    waits = [backoff(policy, tries, 0.0) for tries in (1, 2, 3, 8, 99)]
    assert waits == [5.0, 10.0, 20.0, 600.0, 600.0]
    assert 4.0 <= backoff(policy, 1, 0.999) < 5.0


JOB = Job("Q-1", "Q", "user", "My Bank", "79101234567", "text", 1, ("main", "spare"), 0.0, 3600.0)
FIRST = Attempt(JOB, "main", 1, 1)
REPEAT = replace(FIRST, repeats=True, send_before=1050.0)
CLOSED = Refusal(PROVIDER_CLOSED, {"code": 6, "text": "x"})


@pytest.mark.parametrize(
    ("attempt", "outcome", "state", "provider", "due_at", "notify"),
    [
        pytest.param(FIRST, Submitted("1"), State.SUBMITTED, "main", None, False, id="taken"),
        pytest.param(FIRST, Submitted(None, "held"), State.SUBMITTED, "main", None, True, id="held by provider"),
        pytest.param(FIRST, Rejected(CLOSED), State.FAILED, "main", None, True, id="refused"),
        pytest.param(FIRST, Rejected(CLOSED, other_route=True), State.QUEUED, "spare", 100.0, False, id="rerouted"),
        pytest.param(
            replace(FIRST, provider="spare"),
            Rejected(CLOSED, other_route=True),
            State.FAILED,
            "spare",
            None,
            True,
            id="last",
        ),
        pytest.param(
            REPEAT, Rejected(CLOSED, other_route=True), State.FAILED, "main", None, True, id="no reroute of a repeat"
        ),
        pytest.param(FIRST, Deferred(Scope.ROUTE, "x"), State.QUEUED, "main", 105.0, False, id="first failure"),
        pytest.param(
            replace(FIRST, tries=2), Deferred(Scope.ROUTE, "x"), State.QUEUED, "spare", 100.0, False, id="third"
        ),
        pytest.param(FIRST, Deferred(Scope.JOB, "x", after_s=70.0), State.QUEUED, "main", 170.0, False, id="window"),
        pytest.param(FIRST, Deferred(Scope.JOB, "x", after_s=3500.0), State.EXPIRED, "main", None, True, id="too late"),
        pytest.param(FIRST, Deferred(Scope.PROVIDER, "x"), State.QUEUED, "main", 100.0, False, id="account stopped"),
        pytest.param(FIRST, Uncertain("x"), State.UNCERTAIN, "main", 102.0, False, id="lost, ask again"),
        pytest.param(REPEAT, Uncertain("x"), State.UNCERTAIN, "main", 102.0, False, id="lost again"),
        pytest.param(REPEAT, Deferred(Scope.ROUTE, "x"), State.UNCERTAIN, "main", 102.0, False, id="repeat not taken"),
        pytest.param(
            REPEAT, Deferred(Scope.PROVIDER, "x"), State.UNCERTAIN, "main", 102.0, False, id="repeat, stopped"
        ),
        pytest.param(
            replace(REPEAT, send_before=1001.0), Uncertain("x"), State.UNCERTAIN, "main", None, True, id="for good"
        ),
    ],
)
def test_settlement(
    attempt: Attempt, outcome: Outcome, state: State, provider: str, due_at: float | None, notify: bool
) -> None:
    terms = Terms(
        RetryPolicy(jitter=0.0), resolve_within_s=50.0, window_s=70.0, now=100.0, boot_seconds=1000.0, chance=0.0
    )
    result = settlement(attempt, outcome, terms)
    assert (result.state, result.provider, result.due_at, result.notify) == (state, provider, due_at, notify)


def test_without_a_window_a_lost_answer_is_final() -> None:
    terms = Terms(RetryPolicy(), resolve_within_s=0.0, window_s=None, now=100.0, boot_seconds=1000.0, chance=0.0)
    result = settlement(FIRST, Uncertain("x"), terms)
    assert (result.event, result.due_at, result.notify) == (Event.LOSE, None, True)
    assert result.refusal is not None
    assert result.refusal.code == "UNCERTAIN"


@pytest.mark.parametrize(
    ("attempt", "window_s", "tries", "due_at"),
    [
        pytest.param(FIRST, None, 0, 105.0, id="no window: after the backoff"),
        pytest.param(FIRST, None, 3, 140.0, id="which grows"),
        pytest.param(REPEAT, 70.0, 0, 170.0, id="when the provider has forgotten the first"),
    ],
)
def test_an_account_that_prefers_twice_to_never(
    attempt: Attempt, window_s: float | None, tries: int, due_at: float
) -> None:
    wished = replace(attempt, job=replace(attempt.job, resend=True), tries=tries, send_before=0.0)
    terms = Terms(
        RetryPolicy(jitter=0.0), resolve_within_s=0.0, window_s=window_s, now=100.0, boot_seconds=1000.0, chance=0.0
    )
    result = settlement(wished, Uncertain("x"), terms)
    assert (result.state, result.due_at, result.notify) == (State.QUEUED, due_at, False)
    assert result.why == "x; goes out again, as the account wishes"
    late = replace(wished, job=replace(wished.job, expires_at=101.0))
    assert (settlement(late, Uncertain("x"), terms).state) is State.UNCERTAIN


# ── words ────────────────────────────────────────────────────────────────────────────────────────


def test_codes_and_statuses_agree() -> None:
    for reason in REASONS.values():
        basic, enhanced = reason.verdict.smtp.split()
        assert basic[0] == enhanced[0] == str(int(reason.verdict.kind))
        assert (reason.verdict.kind is Kind.DEFER) == (reason.verdict.sysexit == 75)


@pytest.mark.parametrize(
    ("changes", "automatic", "verified", "silent"),
    [
        ({}, "", "trusted network", False),
        ({"reverse_path": ""}, "", "trusted network", True),
        ({}, "List-*", "trusted network", True),
        ({}, "", "", True),
        ({"reverse_path": "MAILER-DAEMON@x.example"}, "", "SMTP AUTH", True),
        ({"reverse_path": "owner-list@x.example"}, "", "SMTP AUTH", True),
        ({"reverse_path": "ours@x.example"}, "", "SMTP AUTH", True),
        ({"reverse_path": '"a b"@x.example'}, "", "SMTP AUTH", True),
        ({"reverse_path": "a@x.example\r\nBcc: y@z.example"}, "", "SMTP AUTH", True),
    ],
)
def test_who_is_never_answered(changes: dict[str, Any], automatic: str, verified: str, silent: bool) -> None:
    why = why_silent(replace(ENVELOPE, **changes), automatic, verified, lambda address: address.startswith("ours@"))
    assert bool(why) is silent


@given(st.lists(st.text("a*@.b", min_size=1, max_size=8), max_size=4), st.text("ab@.", max_size=8))
def test_the_directory_knows_senders_as_its_accounts_do(patterns: list[str], address: str) -> None:
    account = replace(ACCOUNT, senders=tuple(map(address_pattern, patterns)))
    assert Directory.of([account]).allows_sender([address]) is account.allows_sender([address])
