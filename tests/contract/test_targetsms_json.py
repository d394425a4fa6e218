"""The platform's JSON face: tables, the contract kit, the sandbox on real HTTP; and what the platform pushes."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from typing import Any

import pytest
from aiohttp.test_utils import TestServer
from defusedxml import ElementTree
from pydantic import ValidationError

from gateway.lifecycle import State
from gateway.model import Attempt, Callback, Deferred, Incoming, Rejected, Response, Submitted, Uncertain
from gateway.providers import Driver, client_id
from gateway.providers.http import HttpUpstream
from gateway.providers.targetsms import ERRORS, TargetSms, TargetSmsSettings
from gateway.providers.targetsms_json import TargetSmsJson, TargetSmsJsonSettings
from gateway.sandbox.platform import Cut, Fault, Platform
from gateway.sandbox.web import application
from gateway.testing import DriverContract, attempt
from gateway.verdicts import Refused
from tests.contract.outcomes import Clock, Row, means, rows, sandbox_upstream

ID = str(client_id("J-1", 53))


def settings(**changes: Any) -> TargetSmsJsonSettings:
    usual = {
        "driver": "targetsms-json",
        "url": "https://sms.example/sendsmsjson.php",
        "user": "corp",
        "password": "p&s",
    }
    return TargetSmsJsonSettings.model_validate({**usual, **changes})


@pytest.mark.parametrize("row", rows("targetsms-json/answers.yaml"), ids=lambda row: row["says"][:70])
def test_each_answer(row: Row) -> None:
    response = Response(row.get("status", 200), row["says"].encode())
    (outcome,) = TargetSmsJson(settings()).read_submit([attempt(repeats=row.get("repeats", False))], response)
    means(outcome, row)


@pytest.mark.parametrize("error", [e for e in ERRORS if e.number < 17], ids=lambda error: error.fragments[0])
def test_each_error_means_what_it_means_on_the_other_face(error: Any) -> None:
    for words in error.fragments:
        given = {"driver": "targetsms", "url": "https://x/", "user": "u", "password": "p"}
        by_get = TargetSms(TargetSmsSettings.model_validate(given))
        (expected,) = by_get.read_submit([attempt()], Response(200, words.encode()))
        for document in ({"sms": [{"number_sms": "1", "action": words}]}, {"error": words}):
            body = json.dumps(document, ensure_ascii=False).encode()
            (outcome,) = TargetSmsJson(settings()).read_submit([attempt()], Response(200, body))
            assert type(outcome) is type(expected)
            if isinstance(outcome, Rejected) and isinstance(expected, Rejected):
                assert (outcome.refusal, outcome.other_route) == (expected.refusal, expected.other_route)


class TestJson(DriverContract):
    words = ('"action"', *(fragment for error in ERRORS for fragment in error.fragments))

    def make(self) -> Driver:
        return TargetSmsJson(settings(password=self.secret))

    def sent(self, attempts: Sequence[Attempt]) -> Response:
        listed = [{"number_sms": str(n), "id_sms": str(n + 7), "action": "send"} for n in range(1, len(attempts) + 1)]
        return Response(200, json.dumps({"sms": listed}).encode())


class TestJsonInGroupsByToken(TestJson):
    def make(self) -> Driver:
        return TargetSmsJson(settings(user=None, password=None, token=self.secret, group=3))


def test_what_is_asked() -> None:
    """As jsonGateDoc shows it; times are the platform's."""
    driver = TargetSmsJson(settings(translite=True, group=2, hand_over_early=True))
    one = attempt(text='Тест "x"\n')
    two = replace(one, job=replace(one.job, id="J-2", destination="79102345678", send_at=1e9 - 3600))
    request = driver.submit([one, two])
    assert json.loads(request.body) == {
        "security": {"login": "corp", "password": "p&s"},
        "type": "sms",
        "message": [
            {
                "type": "sms",
                "sender": "My Bank",
                "text": 'Тест "x"\n',
                "translite": "1",
                "abonent": [
                    {
                        "phone": "79101234567",
                        "number_sms": "1",
                        "client_id_sms": ID,
                        "validity_period": "2001-09-09 05:46",
                    },
                    {
                        "phone": "79102345678",
                        "number_sms": "2",
                        "client_id_sms": str(client_id("J-2", 53)),
                        "validity_period": "2001-09-09 05:46",
                        "time_send": "2001-09-09 04:46",
                    },
                ],
            }
        ],
    }
    assert settings(hand_over_early=True).schedules()
    assert not settings().schedules()


def test_a_token_stands_in_the_header() -> None:
    by_json = TargetSmsJson(settings(user=None, password=None, token="t0ken")).submit([attempt()])
    assert by_json.headers["Authorization"] == "Bearer t0ken"
    assert "security" not in json.loads(by_json.body)
    given = {"driver": "targetsms", "url": "https://x.example/get/", "token": "t0ken", "translite": "true"}
    by_get = TargetSms(TargetSmsSettings.model_validate(given)).submit([attempt()])
    assert by_get.headers == {"Authorization": "Bearer t0ken"}
    assert by_get.url == "https://x.example/get/?sadr=My%20Bank&dadr=79101234567&text=text&translite=1"


@pytest.mark.parametrize("wrong", [{"password": None}, {"user": None}, {"token": "t"}, {"user": None, "token": "t"}])
def test_one_kind_of_credential(wrong: Row) -> None:
    with pytest.raises(ValidationError, match="either user and password, or token"):
        settings(**wrong)


# ── the sandbox, on HTTP ─────────────────────────────────────────────────────────────────────


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def platform(clock: Clock) -> Platform:
    return Platform(clock=clock, user="corp", password="p&s")


@pytest.fixture
async def upstream(platform: Platform) -> AsyncIterator[HttpUpstream]:
    def made(url: str) -> HttpUpstream:
        given = settings(url=f"{url}/sendsmsjson.php", timeout=1, group=20)
        return HttpUpstream.of(TargetSmsJson(given), given)

    async with sandbox_upstream(platform, made) as opened:
        yield opened


async def test_send_status_balance(upstream: HttpUpstream, platform: Platform, clock: Clock) -> None:
    """A text for which the GET face has no room."""
    text = "Привет 😀 " * 100
    (outcome,) = await upstream.submit([attempt(text=text)])
    (sms,) = platform.messages
    assert outcome == Submitted(sms.id)
    assert sms.text == text
    assert (await upstream.status(sms.id, "79101234567")).state is State.SUBMITTED
    clock.now += 2
    receipt = await upstream.status(sms.id, "79101234567")
    assert (receipt.state, receipt.segments, receipt.price) == (State.DELIVERED, sms.segments, "1.15")
    balance = await upstream.balance()
    assert (balance.amount, balance.currency, balance.packages["МТС"]) == ("445.6", "RUR", "323")
    with pytest.raises(Refused):
        await upstream.status("404", "79101234567")


async def test_a_lost_answer_is_found_out(upstream: HttpUpstream, platform: Platform, clock: Clock) -> None:
    """One SMS on the handset; the repetition brings the first one's id."""
    platform.faults.append(Fault(cut=Cut.AFTER))
    (lost,) = await upstream.submit([attempt()])
    assert isinstance(lost, Uncertain)
    clock.now += 3600
    (found,) = await upstream.submit([attempt(repeats=True)])
    assert found == Submitted(platform.messages[0].id)
    assert len(platform.messages) == 1


async def test_a_repetition_within_the_minute_is_made_again(upstream: HttpUpstream, platform: Platform) -> None:
    """The platform forgot the SMS before it had a number, and remembers the document."""
    (request,) = [TargetSmsJson(settings()).submit([attempt()])]
    platform.repeated(json.loads(request.body))
    (again,) = await upstream.submit([attempt(repeats=True)])
    assert isinstance(again, Uncertain)
    assert not platform.messages


async def test_each_of_a_group_has_its_own_answer(upstream: HttpUpstream, platform: Platform) -> None:
    good = attempt()
    bad = replace(good, job=replace(good.job, id="J-2", destination="7910123456789012"))
    first, second = await upstream.submit([good, bad])
    assert first == Submitted(platform.messages[0].id)
    assert isinstance(second, Rejected)
    assert second.refusal.code == "NUMBER"


async def test_slow_garbled_throttled_wrong(upstream: HttpUpstream, platform: Platform) -> None:
    platform.faults += [Fault(answer="{", status=200), Fault(answer="", status=429), Fault(answer="{}")]
    (garbled,), (throttled,), (empty,) = [await upstream.submit([attempt()]) for _ in range(3)]
    assert isinstance(garbled, Rejected)
    assert garbled.alert
    assert isinstance(throttled, Deferred)
    assert isinstance(empty, Uncertain)
    platform.password = "another"
    (stopped,) = await upstream.submit([attempt()])
    assert isinstance(stopped, Deferred)
    assert stopped.scope.value == "provider"


def test_numbers_that_are_none() -> None:
    made, long = TargetSmsJson(settings()), "9" * 5000
    says = {"state": [{"id_sms": "7", "state": "deliver", "num_parts": long, "price": long}]}
    receipt = made.read_status("7", Response(200, json.dumps(says).encode()))
    assert (receipt.state, receipt.segments, receipt.price) == (State.DELIVERED, None, "9" * 40)
    says = {"sms": [{"number_sms": "1", "id_sms": long, "action": "send"}]}
    (outcome,) = made.read_submit([attempt()], Response(200, json.dumps(says).encode()))
    assert isinstance(outcome, Uncertain)
    for value in ("9" * 31, "x", None, {"a": "1"}):
        with pytest.raises(Refused):
            made.read_balance(Response(200, json.dumps({"money": {"value": value}}).encode()))


async def test_the_xml_face_of_the_sandbox(platform: Platform) -> None:
    """For other people's programs: send, the old id for an old number, state, balance, a wrong login."""
    server = TestServer(application(platform))
    await server.start_server()
    import aiohttp

    login = '<security><login value="corp" /><password value="p&amp;s" /></security>'
    message = (
        '<message type="sms"><sender>My Bank</sender><text>one\\ntwo</text>'
        '<abonent phone="79101234567" number_sms="1" client_id_sms="100" /></message>'
    )

    async def ask(path: str, inside: str, security: str = login) -> Any:
        document = f'<?xml version="1.0" encoding="utf-8" ?><request>{security}{inside}</request>'
        async with aiohttp.ClientSession() as session, session.post(server.make_url(path), data=document) as answer:
            return ElementTree.fromstring(await answer.read())

    try:
        first, again = [(await ask("/xml/", message)).find("information") for _ in range(2)]
        (sms,) = platform.messages
        assert (first.text, first.get("id_sms"), again.get("id_sms")) == ("send", sms.id, sms.id)
        assert sms.text == "one\ntwo"
        state = (await ask("/xml/state.php", f"<get_state><id_sms>{sms.id}</id_sms></get_state>")).find("state")
        assert (state.text, state.get("num_parts")) == ("send", "1")
        assert (await ask("/xml/balance.php", "")).findtext("money") == "445.6"
        assert (await ask("/xml/", message, "<security/>")).findtext("error") == "Неправильный логин или пароль"
    finally:
        await server.close()


# ── what it pushes ───────────────────────────────────────────────────────────────────────────


def pushed(body: bytes = b"", query: dict[str, str] | None = None) -> Callback:
    method = "POST" if body else "GET"
    return Callback(method, "https://sms.example.com/callbacks/main/token", tuple((query or {}).items()), body=body)


@pytest.mark.parametrize("root", ["request", "response"])
def test_receipts_as_xml_are_answered_by_their_ids(root: str) -> None:
    states = '<state id_sms="1" time="2020-01-01 12:57:46">deliver</state><state id_sms="2" time="">not_deliver</state>'
    said = TargetSmsJson(settings()).read_callback(pushed(f"<?xml version='1.0'?><{root}>{states}</{root}>".encode()))
    assert [(r.provider_id, r.state, r.changed_at) for r in said.receipts] == [
        ("1", State.DELIVERED, "2020-01-01 12:57:46"),
        ("2", State.UNDELIVERED, ""),
    ]
    assert [e.text for e in ElementTree.fromstring(said.answer.body).iterfind("id_sms")] == ["1", "2"]


def test_receipts_as_json() -> None:
    body = b'[{"id_sms":"1","time":"2020-01-01 12:57:46","state":"read"},{"id_sms":2,"state":"partly_deliver"}]'
    said = TargetSmsJson(settings()).read_callback(pushed(body))
    assert [(r.provider_id, r.state) for r in said.receipts] == [("1", State.DELIVERED), ("2", State.UNCERTAIN)]
    assert json.loads(said.answer.body) == [{"id_sms": "1"}, {"id_sms": "2"}]


def test_an_incoming_sms() -> None:
    given = {"date": "x", "prefix": "AKCIYA", "text": "AKCIYA да", "smsid": "9", "sender": "+79107654321"}
    said = TargetSmsJson(settings()).read_callback(pushed(query={**given, "receiver": "3443"}))
    assert said.incoming == (Incoming("9", "79107654321", "3443", "AKCIYA да"),)
    assert said.answer.body == b"smsid=9"


@pytest.mark.parametrize(
    "body",
    [
        b"<request><state id_sms='1'>flies</state></request>",
        b"<request><state>deliver</state></request>",
        b"<request",
        b"<!DOCTYPE x [<!ENTITY a 'b'>]><request>&a;</request>",
        b'{"id_sms": "1"',
        b"[1]",
        b'[{"id_sms":"1","state":"flies"}]',
        b"[" * 50_000,
        b"",
    ],
)
def test_what_is_not_understood_is_refused(body: bytes) -> None:
    with pytest.raises(Refused) as caught:
        TargetSmsJson(settings()).read_callback(pushed(body))
    assert caught.value.refusal.code == "FORMAT"
