"""AlphaSMS, both faces: tables of its documented answers, the contract kit, and the sandbox on real HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qs

import pytest
from defusedxml import ElementTree
from pydantic import ValidationError

from gateway.lifecycle import State
from gateway.model import Attempt, Balance, Deferred, Rejected, Response, Submitted, Uncertain
from gateway.providers import BalanceQuery, Driver, PriceQuery, client_id
from gateway.providers.alphasms import AlphaSmsHttp, AlphaSmsSettings, AlphaSmsXml, alphasms
from gateway.providers.http import HttpUpstream
from gateway.sandbox.platform import Cut, Fault, Platform
from gateway.testing import DriverContract, attempt
from gateway.verdicts import Refused
from tests.contract.outcomes import Clock, Row, means, rows, sandbox_upstream

ID = client_id("J-1", 53)


def settings(**changes: Any) -> AlphaSmsSettings:
    return AlphaSmsSettings.model_validate({"driver": "alphasms", "key": "k3y", **changes})


def with_id(row: Row) -> Row:
    """The table writes ``{id}`` for our number."""
    return {**row, "id": str(row.get("id", "")).format(id=ID)}


@pytest.mark.parametrize("row", rows("alphasms/xml.yaml"), ids=lambda row: row["says"][:70])
def test_each_answer_of_the_xml_face(row: Row) -> None:
    response = Response(row.get("status", 200), row["says"].replace("{id}", str(ID)).encode())
    (outcome,) = alphasms(settings()).read_submit([attempt(repeats=row.get("repeats", False))], response)
    means(outcome, with_id(row))


@pytest.mark.parametrize("row", rows("alphasms/http.yaml"), ids=lambda row: row["says"][:40])
def test_each_answer_of_the_http_face(row: Row) -> None:
    response = Response(row.get("status", 200), row["says"].encode())
    (outcome,) = alphasms(settings(face="http")).read_submit([attempt()], response)
    means(outcome, with_id(row))


class TestXml(DriverContract):
    words = ("<package", "<msg")

    def make(self) -> Driver:
        return alphasms(settings(key=self.secret))

    def sent(self, attempts: Sequence[Attempt]) -> Response:
        answers = "".join(
            f'<msg id="{client_id(a.job.id, 53)}" sms_id="{n}" sms_count="1">1</msg>' for n, a in enumerate(attempts, 1)
        )
        return Response(200, f"<package><message>{answers}</message></package>".encode())


class TestXmlByLogin(TestXml):
    def make(self) -> Driver:
        return alphasms(settings(key=None, login="380501234567", password=self.secret))


class TestHttp(DriverContract):
    words = ("id:",)

    def make(self) -> Driver:
        return alphasms(settings(face="http", key=self.secret))

    def sent(self, attempts: Sequence[Attempt]) -> Response:
        return Response(200, b"id:84523377 sms_count:1")


def test_what_the_xml_face_is_asked() -> None:
    """As the documentation shows it, and whatever the text is."""
    text = 'Тест <b> & "кавычки" \x01😀'
    request = alphasms(settings(key='a"&<')).submit([attempt("380501234567", text)])
    assert (request.method, request.url) == ("POST", "https://alphasms.ua/api/xml.php")
    package = ElementTree.fromstring(request.body)
    (msg,) = package.iterfind("message/msg")
    assert package.get("key") == 'a"&<'
    assert (msg.get("id"), msg.get("recipient"), msg.get("sender")) == (str(ID), "+380501234567", "My Bank")
    assert (msg.text, msg.get("type")) == (text.replace("\x01", " "), "0")


@pytest.mark.parametrize(
    ("valid_for_s", "date_end"),
    [
        (1.0, "2027-01-15T08:02:01+00:00"),
        (86400.0, "2027-01-16T08:02:00+00:00"),
        (5 * 86400.0 - 120, "2027-01-20T08:00:00+00:00"),
        (5 * 86400.0, None),
        (1e12, None),
    ],
)
def test_the_end_lies_a_minute_to_five_days_ahead(valid_for_s: float, date_end: str | None) -> None:
    """Whenever the request leaves, up to the last second of the job."""
    made = attempt("380501234567")
    job = replace(made.job, created_at=1_800_000_000.0, expires_at=1_800_000_000.0 + valid_for_s)
    (msg,) = ElementTree.fromstring(alphasms(settings()).submit([replace(made, job=job)]).body).iter("msg")
    assert msg.get("date_end") == date_end


def test_what_the_http_face_is_asked() -> None:
    request = alphasms(settings(face="http")).submit([attempt("380501234567", "a&b=ї")])
    assert request.url == "https://alphasms.ua/api/http.php"
    assert {key: value for key, (value,) in parse_qs(request.body.decode()).items()} == {
        "version": "http",
        "key": "k3y",
        "command": "send",
        "from": "My Bank",
        "to": "380501234567",
        "message": "a&b=ї",
    }


@pytest.mark.parametrize(
    ("says", "state"),
    [
        (1, State.SUBMITTED),
        (100, State.SUBMITTED),
        (101, State.SUBMITTED),
        (102, State.DELIVERED),
        (103, State.EXPIRED),
        (104, State.UNDELIVERED),
        (105, State.UNDELIVERED),
        (106, State.SUBMITTED),
        (107, State.UNCERTAIN),
        (108, State.UNDELIVERED),
        (109, State.UNDELIVERED),
        (110, State.SUBMITTED),
        (111, State.UNDELIVERED),
        (112, State.UNDELIVERED),
        (113, State.UNDELIVERED),
        (201, None),
        (999, None),
    ],
)
def test_each_status_of_the_xml_face(says: int, state: State | None) -> None:
    body = f'<package><status><msg sms_id="7" sms_count="2" date_completed="2024-11-11T12:00:00">{says}</msg></status>'
    made, response = AlphaSmsXml(settings()), Response(200, f"{body}</package>".encode())
    if state is None:
        with pytest.raises(Refused) as caught:
            made.read_status("7", response)
        assert caught.value.refusal.code == f"MSG:{says}"
        return
    receipt = made.read_status("7", response)
    assert (receipt.state, receipt.raw, receipt.changed_at) == (state, str(says), "2024-11-11T12:00:00")
    assert receipt.segments == 2


def test_an_error_of_one_sms_is_called_by_its_own_name() -> None:
    """202 is a wrong login for a whole request, and a wrong sender for one SMS."""
    made = AlphaSmsXml(settings())
    inside = {"ERR_SENDER": '<status><msg sms_id="7">202</msg></status>', "ERR_AUTHORIZATION": "<error>202</error>"}
    for name, answer in inside.items():
        with pytest.raises(Refused) as caught:
            made.read_status("7", Response(200, f"<package>{answer}</package>".encode()))
        assert caught.value.refusal.values == {"code": 202, "text": name}


@pytest.mark.parametrize("digits", [5, 5000])
def test_a_count_of_segments_that_is_none(digits: int) -> None:
    count = "9" * digits
    body = f'<package><status><msg sms_id="7" sms_count="{count}">102</msg></status></package>'
    receipt = AlphaSmsXml(settings()).read_status("7", Response(200, body.encode()))
    assert (receipt.state, receipt.segments) == (State.DELIVERED, int(count) if digits == 5 else None)


@pytest.mark.parametrize(
    ("says", "amount"),
    [
        ("31.168300000000002", "31.1683"),
        ("164.719700000656", "164.7197"),
        ("0", "0"),
        ("-0.00001", "0"),
        ("-5.50", "-5.5"),
        ("1200", "1200"),
        ("nan", None),
        ("inf", None),
        ("1e400", None),
        ("1e9999999", None),
        ("-1e9999999", None),
        ("1e-9999999", "0"),
        ("", None),
    ],
)
def test_each_amount(says: str, amount: str | None) -> None:
    xml = f"<package><balance><amount>{says}</amount><currency>UAH</currency></balance></package>"
    answers: list[tuple[BalanceQuery, str]] = [
        (AlphaSmsXml(settings()), xml),
        (AlphaSmsHttp(settings(face="http")), f"balance:{says}"),
    ]
    for made, answer in answers:
        response = Response(200, answer.encode())
        if amount is None:
            with pytest.raises(Refused):
                made.read_balance(response)
        else:
            assert made.read_balance(response) == Balance(amount, "UAH")


def test_a_price_of_nothing_means_not_served() -> None:
    xml = '<package><prices><phone price="0" currency="UAH">+380501234567</phone></prices></package>'
    answers: list[tuple[PriceQuery, str]] = [
        (AlphaSmsXml(settings()), xml),
        (AlphaSmsHttp(settings(face="http")), "price:0 currency:UAH"),
    ]
    for made, answer in answers:
        with pytest.raises(Refused) as caught:
            made.read_price(Response(200, answer.encode()))
        assert caught.value.refusal.code == "FORBIDDEN"


@pytest.mark.parametrize(
    ("says", "state"),
    [
        ("status:Delivered code:3 status_time:2024-11-11 12:00:00", State.DELIVERED),
        ("status:Out of touch\ncode:5\nstatus_time:", State.SUBMITTED),
        ("status:Read code:116", State.DELIVERED),
        ("status:x code:99", State.UNDELIVERED),
        ("status:x code:12345", None),
        ("status:x code:0000000030", None),
        ("errors:Unknown message id", None),
        ("status:x" + " " * 10_000 + "code:3", None),
        ("", None),
    ],
)
def test_each_status_of_the_http_face(says: str, state: State | None) -> None:
    made, response = AlphaSmsHttp(settings(face="http")), Response(200, says.encode())
    if state is None:
        with pytest.raises(Refused):
            made.read_status("7", response)
    else:
        assert made.read_status("7", response).state is state


@pytest.mark.parametrize(
    "wrong",
    [
        {"key": None},
        {"key": None, "login": "x"},
        {"key": None, "password": "y"},
        {"login": "x"},
        {"password": "y"},
        {"login": "x", "password": "y"},
    ],
)
def test_one_kind_of_credential(wrong: Row) -> None:
    with pytest.raises(ValidationError, match="either key, or login and password"):
        settings(**wrong)


# ── the sandbox, on HTTP ─────────────────────────────────────────────────────────────────────


@pytest.fixture
def platform() -> Platform:
    return Platform(clock=Clock(), user="380500000000", password="k3y")


@pytest.fixture(params=["xml", "http"])
def face(request: pytest.FixtureRequest) -> str:
    chosen: str = request.param
    return chosen


@pytest.fixture
async def upstream(platform: Platform, face: str) -> AsyncIterator[HttpUpstream]:
    def made(url: str) -> HttpUpstream:
        given = settings(url=url, face=face, timeout=1, group=20)
        return HttpUpstream.of(alphasms(given), given)

    async with sandbox_upstream(platform, made) as opened:
        yield opened


async def test_send_status_balance_price(upstream: HttpUpstream, platform: Platform) -> None:
    (outcome,) = await upstream.submit([attempt("380501234567", "Привіт 😀")])
    assert isinstance(outcome, Submitted)
    assert outcome.provider_id is not None
    (sms,) = platform.messages
    assert (sms.id, sms.destination, sms.originator, sms.text) == (
        outcome.provider_id,
        "380501234567",
        "My Bank",
        "Привіт 😀",
    )
    assert (await upstream.status(sms.id, "380501234567")).state is State.SUBMITTED
    sms.state, sms.changed_at = "deliver", 1_800_000_001.0
    receipt = await upstream.status(sms.id, "380501234567")
    assert (receipt.state, receipt.changed_at) == (State.DELIVERED, "2027-01-15T08:00:01")
    assert (await upstream.balance()).amount == "31.1683"
    assert float((await upstream.price("380501234567")).amount) > 0


@pytest.mark.parametrize("face", ["xml"], indirect=True)
async def test_a_lost_answer_is_found_out(upstream: HttpUpstream, platform: Platform) -> None:
    """One SMS on the handset, and its receipt can be had although its id was lost."""
    platform.faults.append(Fault(cut=Cut.AFTER))
    (lost,) = await upstream.submit([attempt()])
    assert isinstance(lost, Uncertain)
    (found,) = await upstream.submit([attempt(repeats=True)])
    assert found == Submitted(f"id:{ID}")
    (sms,) = platform.messages
    sms.state = "deliver"
    assert (await upstream.status(f"id:{ID}", "79101234567")).state is State.DELIVERED


@pytest.mark.parametrize("face", ["xml"], indirect=True)
async def test_what_was_never_seen_is_sent_by_the_repetition(upstream: HttpUpstream, platform: Platform) -> None:
    platform.faults.append(Fault(cut=Cut.BEFORE))
    (lost,) = await upstream.submit([attempt()])
    assert isinstance(lost, Uncertain)
    (found,) = await upstream.submit([attempt(repeats=True)])
    assert found == Submitted(platform.messages[0].id)
    assert len(platform.messages) == 1


@pytest.mark.parametrize("face", ["xml"], indirect=True)
async def test_each_of_a_group_has_its_own_answer(upstream: HttpUpstream, platform: Platform) -> None:
    good, bad = attempt("380501234567"), attempt("38050")
    bad = replace(bad, job=replace(bad.job, id="J-2"))
    first, second = await upstream.submit([good, bad])
    assert first == Submitted(platform.messages[0].id)
    assert isinstance(second, Rejected)
    assert second.refusal.code == "NUMBER"


@pytest.mark.parametrize("face", ["xml", "http"], indirect=True)
async def test_what_is_answered_instead_of_an_sms(upstream: HttpUpstream, platform: Platform, face: str) -> None:
    """Each row of the face's table, as it comes over the wire. None of these puts an SMS on the handset."""
    table = [row for row in rows(f"alphasms/{face}.yaml") if row["says"] and row["outcome"] != "submitted"]
    assert len(table) > 10
    for row in table:
        platform.faults.append(Fault(answer=row["says"].replace("{id}", str(ID)), status=row.get("status", 200)))
        (outcome,) = await upstream.submit([attempt(repeats=row.get("repeats", False))])
        means(outcome, with_id(row))
    assert not platform.messages


@pytest.mark.parametrize("face", ["http"], indirect=True)
async def test_a_lost_answer_of_the_http_face_stays_lost(upstream: HttpUpstream, platform: Platform) -> None:
    """It knows no repetition, so none may be made."""
    platform.faults.append(Fault(cut=Cut.AFTER))
    (lost,) = await upstream.submit([attempt()])
    assert isinstance(lost, Uncertain)
    assert (upstream.traits.repeat_within_s, upstream.traits.keyed, upstream.traits.group) == (0, False, 1)
    assert len(platform.messages) == 1


async def test_a_slow_answer_is_uncertain(upstream: HttpUpstream, platform: Platform) -> None:
    platform.faults.append(Fault(delay_s=30, cut=Cut.AFTER))
    upstream._timeout_s = 0.2
    (outcome,) = await upstream.submit([attempt()])
    assert outcome == Uncertain("no answer in time")


async def test_a_wrong_key_stops_the_account(upstream: HttpUpstream, platform: Platform) -> None:
    platform.password = "another"
    (outcome,) = await upstream.submit([attempt()])
    assert isinstance(outcome, Deferred)
    assert outcome.scope.value == "provider"
    with pytest.raises(Refused):
        await upstream.balance()
