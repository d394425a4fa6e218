"""What every driver must keep, whatever protocol it speaks. A new driver is a new row of ``DRIVERS``."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from gateway.model import Attempt, Deferred, Outcome, Rejected, Request, Response, Submitted, Uncertain
from gateway.providers import BalanceQuery, Driver, StatusQuery, sandbox
from gateway.providers.targetsms import ERRORS, TargetSmsSettings
from gateway.verdicts import REASONS, Refused
from tests.contract.jobs import attempt, driver

SECRET = "s3cr+t&<x>"

DRIVERS: dict[str, Callable[[], Driver]] = {
    "targetsms": lambda: driver(password=SECRET),
    "targetsms, groups": lambda: driver(password=SECRET, group=3),
    "sandbox": sandbox.driver,
}
every_driver = pytest.mark.parametrize("make", DRIVERS.values(), ids=DRIVERS.keys())

WORDS = [fragment for row in ERRORS for fragment in row.fragments]
STATUSES = st.one_of(st.sampled_from([200, 200, 200, 204, 302, 400, 404, 429, 500, 502, 503]), st.integers(100, 599))
BODIES = st.one_of(
    st.binary(max_size=200),
    st.text(max_size=100).map(lambda text: text.encode("utf-8", "surrogatepass")),
    st.lists(st.integers(-5, 10**22), max_size=4).map(lambda ids: ",".join(map(str, ids)).encode()),
    st.tuples(st.text(max_size=10), st.sampled_from(WORDS), st.text(max_size=10)).map(
        lambda parts: "".join(parts).encode("utf-8", "replace")
    ),
    st.sampled_from([f"said: {SECRET}", f"/send?pwd={SECRET}&text=x", "s3cr%2Bt%26%3Cx%3E"]).map(str.encode),
    st.binary(max_size=60).map(lambda junk: b'a:2:{s:9:"state_sms";' + junk),
)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=200)


def attempts_for(made: Driver, count: int, *, repeats: bool = False, text: str = "text") -> list[Attempt]:
    return [attempt(f"791012345{n:02}", text, repeats=repeats) for n in range(min(count, made.group))]


def secrets_of(made: Driver) -> tuple[str, ...]:
    """As the requests name them."""
    return made.submit(attempts_for(made, 1)).secrets


def hides_secrets(made: Driver, told: object) -> bool:
    return not any(secret in repr(told) for secret in secrets_of(made))


def answer(made: Driver, status: int, body: bytes) -> Response:
    """Bodies repeat ``SECRET``; to each driver its own."""
    return Response(status, body.replace(SECRET.encode(), secrets_of(made)[0].encode()))


@every_driver
@given(count=st.integers(1, 3), text=TEXTS)
def test_a_request_is_data_and_always_the_same(make: Callable[[], Driver], count: int, text: str) -> None:
    made = make()
    attempts = attempts_for(made, count, text=text)
    try:
        request = made.submit(attempts)
    except Refused as refused:
        assert refused.refusal.reason.key in REASONS
        return
    assert request == make().submit(attempts)
    assert request.url.startswith(("http://", "https://"))
    assert request.url.isascii()
    assert not set(request.url) & set(" \r\n\"'<>#")
    assert hides_secrets(made, request)


@every_driver
@given(body=BODIES, status=STATUSES, count=st.integers(1, 3), repeats=st.booleans())
def test_one_outcome_for_each_attempt_whatever_is_answered(
    make: Callable[[], Driver], body: bytes, status: int, count: int, repeats: bool
) -> None:
    made = make()
    attempts = attempts_for(made, count, repeats=repeats)
    outcomes = made.read_submit(attempts, answer(made, status, body))
    assert len(outcomes) == len(attempts)
    assert hides_secrets(made, outcomes)
    for outcome in outcomes:
        check(outcome, body, status)


def check(outcome: Outcome, body: bytes, status: int) -> None:
    match outcome:
        case Submitted(provider_id=None, remark=remark):
            assert remark
        case Submitted(provider_id=str(provider_id)):
            assert provider_id
            assert provider_id.encode() in body
            assert 200 <= status < 300
        case Deferred(why=why, after_s=after_s):
            assert why
            assert "\n" not in why
            assert after_s is None or after_s > 0
        case Uncertain(why=why):
            assert why
            assert "\n" not in why
        case Rejected(refusal=refusal):
            assert refusal.reason.key in REASONS
        case _:
            pytest.fail(f"no outcome: {outcome!r}")


@every_driver
@given(text=st.text(st.characters(categories=["L", "P", "Zs"]), min_size=1, max_size=60))
def test_words_that_nobody_knows_never_mean_sent(make: Callable[[], Driver], text: str) -> None:
    made = make()
    for outcome in made.read_submit(attempts_for(made, 3), Response(200, text.encode())):
        if not any(word.casefold() in text.casefold() for word in WORDS):
            assert isinstance(outcome, Rejected | Uncertain)


@every_driver
@given(body=BODIES, status=STATUSES)
def test_what_is_asked_besides_is_answered_or_refused(make: Callable[[], Driver], body: bytes, status: int) -> None:
    made = make()
    response = answer(made, status, body)
    readings: list[Callable[[], object]] = []
    if isinstance(made, StatusQuery):
        asking: StatusQuery = made
        readings.append(lambda: asking.read_status("7", response))
    if isinstance(made, BalanceQuery):
        counting: BalanceQuery = made
        readings.append(lambda: counting.read_balance(response))
    for reading in readings:
        try:
            reading()
        except Refused as refused:
            assert refused.refusal.reason.key in REASONS
            assert hides_secrets(made, refused.refusal)


@every_driver
def test_nothing_that_is_shown_holds_a_secret(make: Callable[[], Driver]) -> None:
    made = make()
    shown: list[object] = [made, made.submit(attempts_for(made, 1))]
    if isinstance(made, StatusQuery):
        shown.append(made.status("7"))
    if isinstance(made, BalanceQuery):
        shown.append(made.balance())
    assert secrets_of(made)
    assert all(hides_secrets(made, item) for item in shown)


def test_requests_name_their_secrets() -> None:
    """In plain and as they stand in the URL: whoever shows one masks both."""
    request: Request = DRIVERS["targetsms"]().submit([attempt()])
    masked = request.url
    for secret in request.secrets:
        masked = masked.replace(secret, "***")
    assert SECRET in request.secrets
    assert masked != request.url
    assert "s3cr" not in masked


@pytest.mark.parametrize(
    "wrong", [{"group": 0}, {"timeout": 31}, {"rate": 0}, {"url": "ftp://x"}, {"user": ""}, {"passwort": "x"}]
)
def test_settings_and_their_faults_hold_no_secret(wrong: dict[str, object]) -> None:
    good: dict[str, object] = {"driver": "targetsms", "url": "https://x.example/", "user": "corp", "password": SECRET}
    assert SECRET not in repr(TargetSmsSettings.model_validate(good))
    with pytest.raises(ValidationError) as caught:
        TargetSmsSettings.model_validate({**good, **wrong})
    assert SECRET not in f"{caught.value} {caught.value!r}"
