"""The sandbox: TargetSMS's rules in front of fake handsets, in the same process and on HTTP alike."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import httpx
import phpserialize
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from gateway.lifecycle import State
from gateway.model import Deferred, Outcome, Rejected, Scope, Submitted, Uncertain
from gateway.providers import sandbox
from gateway.providers.http import HttpUpstream
from gateway.providers.registry import Surroundings, connect
from gateway.providers.sandbox import SandboxSettings
from gateway.providers.sandbox_transport import SandboxTransport
from gateway.providers.targetsms import TargetSms, TargetSmsSettings
from gateway.sandbox.platform import Answer, Cut, Fault, Platform, Sms
from gateway.sandbox.targetsms import BAD_LOGIN, DUPLICATE, get
from gateway.sandbox.web import application
from tests.contract.jobs import attempt

SENT = {"user": "corp", "pwd": "secret", "sadr": "My Bank", "dadr": "79101234567", "text": "text"}


class Clock:
    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def platform(clock: Clock) -> Platform:
    return Platform(clock=clock)


def send(platform: Platform, **changes: str) -> Answer:
    return get(platform, {**SENT, **changes}.items())


# ── the platform ─────────────────────────────────────────────────────────────────────────────────


def test_an_sms_rings(clock: Clock) -> None:
    rung: list[Sms] = []
    platform = Platform(clock=clock, rings=rung.append)
    answer = send(platform, text="Привет 😀")
    (sms,) = rung
    assert answer == Answer(sms.id)
    assert (sms.originator, sms.destination, sms.text) == ("My Bank", "79101234567", "Привет 😀")
    assert (sms.alphabet, sms.segments, sms.at, sms.state) == ("UCS-2", 1, clock.now, "send")
    assert list(platform.messages) == rung


def test_a_group_gets_an_id_each(platform: Platform) -> None:
    answer = send(platform, dadr="79101234567, 79102345678")
    assert answer.body.split(",") == [sms.id for sms in platform.messages]
    assert [sms.destination for sms in platform.messages] == ["79101234567", "79102345678"]


@pytest.mark.parametrize(
    ("later_s", "refused"), [(0.0, True), (1.0, True), (59.9, True), (60.0, False), (61.0, False), (3600.0, False)]
)
def test_an_identical_request_within_a_minute_is_refused(
    platform: Platform, clock: Clock, later_s: float, refused: bool
) -> None:
    assert send(platform).body.isdigit()
    clock.now += later_s
    assert (send(platform).body == DUPLICATE) is refused
    assert len(platform.messages) == (1 if refused else 2)


@pytest.mark.parametrize(
    "change", [{"text": "text "}, {"dadr": "79102345678"}, {"sadr": "Bank"}, {"user": "other"}], ids=str
)
def test_another_request_is_not_identical(platform: Platform, change: dict[str, str]) -> None:
    send(platform)
    assert send(platform, **change).body.isdigit()


def test_a_refused_repeat_does_not_begin_the_minute_anew(platform: Platform, clock: Clock) -> None:
    send(platform)
    clock.now += 50
    assert send(platform).body == DUPLICATE
    clock.now += 10
    assert send(platform).body.isdigit()


@pytest.mark.parametrize(
    ("change", "body"),
    [
        ({"sadr": ""}, "Нет отправителя."),
        ({"sadr": "TwelveLetter"}, "Отправитель не должен превышать 15 символов"),
        ({"sadr": "1" * 16}, "Отправитель не должен превышать 15 символов"),
        ({"dadr": ""}, "Укажите номер телефона."),
        ({"dadr": " , "}, "Укажите номер телефона."),
        ({"dadr": "7" * 16}, "Номер телефона должен быть меньше 15 символов."),
        ({"dadr": "79101234567,x"}, "Номер телефона должен быть меньше 15 символов."),
        ({"text": ""}, "Нет текста сообщения."),
    ],
)
def test_what_is_refused(platform: Platform, change: dict[str, str], body: str) -> None:
    assert send(platform, **change).body.startswith(body)
    assert not platform.messages


@pytest.mark.parametrize("extra", [{}, {"balance": "1"}, {"smsid": "7"}], ids=["send", "balance", "status"])
@pytest.mark.parametrize("wrong", [{"pwd": "x"}, {"user": "x"}, {"pwd": ""}], ids=str)
def test_a_wrong_login(clock: Clock, extra: dict[str, str], wrong: dict[str, str]) -> None:
    platform = Platform(clock=clock, user="corp", password="secret")
    assert send(platform, **extra, **wrong) == Answer(BAD_LOGIN)
    assert send(platform, **extra).body != BAD_LOGIN
    assert "secret" not in repr(platform)


def test_the_journal_holds_no_password(platform: Platform) -> None:
    send(platform)
    send(platform)
    assert [entry["answer"] == DUPLICATE for entry in platform.journal] == [False, True]
    assert "secret" not in repr(platform.journal)


def test_a_handset_confirms_after_a_moment(platform: Platform, clock: Clock) -> None:
    sms_id = send(platform).body
    assert get(platform, [("smsid", sms_id)]) == Answer("send")
    clock.now += platform.deliver_after_s
    assert get(platform, [("smsid", sms_id)]) == Answer("deliver")
    assert get(platform, [("smsid", "1")]) == Answer("Error_Invalid_SMS_ID")


def test_a_detailed_status_is_a_php_array_in_moscow_time(platform: Platform, clock: Clock) -> None:
    sms_id = send(platform, text="ы" * 71).body
    asked = [("smsid", sms_id), ("detail", "1")]
    before = phpserialize.loads(get(platform, asked).body.encode(), decode_strings=True)
    assert (before["state_sms"], before["time_change_state"], before["num_parts"]) == ("send", "", "2")
    clock.now += platform.deliver_after_s
    after = phpserialize.loads(get(platform, asked).body.encode(), decode_strings=True)
    assert (after["id_sms"], after["state_sms"]) == (sms_id, "deliver")
    assert after["time_change_state"] == "2027-01-15 11:00:01"


@pytest.mark.parametrize(
    ("fault", "answer", "rung"),
    [
        (Fault(answer="Закончились SMS."), Answer("Закончились SMS."), 0),
        (Fault(answer="<html>", status=502), Answer("<html>", status=502), 0),
        (Fault(cut=Cut.BEFORE), Answer("", cut=True), 0),
        (Fault(cut=Cut.AFTER), Answer("1179038981", cut=True), 1),
        (Fault(status=500), Answer("1179038981", status=500), 1),
        (Fault(delay_s=3), Answer("1179038981", delay_s=3), 1),
    ],
    ids=repr,
)
def test_faults(platform: Platform, fault: Fault, answer: Answer, rung: int) -> None:
    platform.faults.append(fault)
    assert send(platform) == answer
    assert len(platform.messages) == rung
    assert not platform.faults


def test_a_lost_request_was_not_seen_and_a_lost_answer_was(platform: Platform) -> None:
    platform.faults += [Fault(cut=Cut.BEFORE), Fault(cut=Cut.AFTER)]
    assert [send(platform).cut for _ in range(2)] == [True, True]
    assert send(platform).body == DUPLICATE
    assert len(platform.messages) == 1


def test_a_fault_counts_down_and_picks_its_numbers(platform: Platform) -> None:
    platform.faults.append(Fault(answer="x", times=2, destination="7916"))
    bodies = [send(platform, dadr=number, text=str(n)).body for n, number in enumerate(["79101234567", "79161234567"])]
    bodies += [send(platform, dadr="79161234567", text=str(n)).body for n in range(2, 4)]
    assert [body == "x" for body in bodies] == [False, True, True, False]


def test_status_and_balance_use_up_no_fault(platform: Platform) -> None:
    platform.faults.append(Fault(answer="x"))
    get(platform, [("balance", "1")])
    get(platform, [("smsid", "1")])
    assert send(platform).body == "x"


# ── on HTTP ──────────────────────────────────────────────────────────────────────────────────────

Client = TestClient[web.Request, web.Application]


@pytest.fixture
async def client(platform: Platform) -> AsyncIterator[Client]:
    async with TestClient(TestServer(application(platform))) as opened:
        yield opened


@pytest.mark.parametrize("path", ["/sendsms.php", "/get/"])
async def test_the_wire(client: Client, platform: Platform, path: str) -> None:
    async with client.get(path, params={**SENT, "text": "Привет+&;%"}) as response:
        assert (response.status, response.content_type, response.charset) == (200, "text/plain", "utf-8")
        assert await response.text() == platform.messages[0].id
    assert platform.messages[0].text == "Привет+&;%"


async def test_the_shelf(client: Client, platform: Platform, clock: Clock) -> None:
    send(platform, text="<script>alert(1)</script>")
    send(platform, dadr="79102345678")
    clock.now += 2
    async with client.get("/phones.json", params={"to": "79102345678"}) as response:
        (sms,) = await response.json()
    assert (sms["destination"], sms["state"], sms["segments"]) == ("79102345678", "deliver", 1)
    async with client.get("/requests.json") as response:
        requests = await response.json()
    assert [entry["to"] for entry in requests] == ["79101234567", "79102345678"]
    assert "secret" not in str(requests)
    async with client.delete("/phones.json") as response:
        assert response.status == 204
    assert not platform.messages
    assert not platform.journal


@pytest.mark.parametrize("path", ["/", "/phones"])
async def test_the_page_runs_nothing_from_elsewhere(client: Client, path: str) -> None:
    async with client.get(path) as response:
        assert response.content_type == "text/html"
        assert "default-src 'none'" in response.headers["Content-Security-Policy"]
        page = await response.text()
    assert "phones.json" in page
    assert "innerHTML" not in page


async def test_the_switches(client: Client, platform: Platform) -> None:
    wanted = {"answer": None, "status": 503, "delay_s": 0, "cut": "after", "times": 2, "destination": "79"}
    async with client.post("/faults", json=wanted) as response:
        assert response.status == 204
    assert platform.faults == [Fault(status=503, cut=Cut.AFTER, times=2, destination="79")]


@pytest.mark.parametrize(
    "body", ["", "no json", "[]", '"x"', '{"tims": 1}', '{"times": "many"}', '{"cut": "middle"}', '{"status": null}']
)
async def test_a_switch_that_is_none(client: Client, platform: Platform, body: str) -> None:
    async with client.post("/faults", data=body) as response:
        assert response.status == 400
        assert (await response.text()).startswith("not a fault")
    assert not platform.faults


@pytest.mark.parametrize("state", ["deliver", "not_deliver", "expired", "partly_deliver"])
async def test_a_state_decided_by_hand_stays(client: Client, platform: Platform, clock: Clock, state: str) -> None:
    sms_id = send(platform).body
    async with client.post(f"/phones/{sms_id}/state", json={"state": state}) as response:
        assert response.status == 204
    clock.now += 10
    assert get(platform, [("smsid", sms_id)]) == Answer(state)


@pytest.mark.parametrize(
    ("body", "status"), [('{"state": "gone"}', 404), ('{"state": []}', 404), ("{}", 400), ("[]", 400), ("", 400)]
)
async def test_a_state_that_is_none(client: Client, platform: Platform, body: str, status: int) -> None:
    sms_id = send(platform).body
    async with client.post(f"/phones/{sms_id}/state", data=body) as response:
        assert response.status == status
    async with client.post("/phones/1/state", json={"state": "deliver"}) as response:
        assert response.status == 404
    assert platform.messages[0].state == "send"


# ── both the same ────────────────────────────────────────────────────────────────────────────────


@pytest.fixture(params=["http", "transport"])
async def upstream(request: pytest.FixtureRequest, platform: Platform) -> AsyncIterator[HttpUpstream]:
    """The driver before the platform: over a real connection, and in the same process."""
    platform.user, platform.password = "demo", "demo"
    server = TestServer(application(platform))
    if request.param == "http":
        await server.start_server()
        settings: dict[str, Any] = {"driver": "targetsms", "user": "demo", "password": "demo", "group": 2}
        settings["url"] = str(server.make_url("/sendsms.php"))
        opened = HttpUpstream(TargetSms(TargetSmsSettings.model_validate(settings)), timeout_s=0.3, max_in_flight=2)
    else:
        opened = HttpUpstream(sandbox.driver(), timeout_s=0.3, max_in_flight=2, transport=SandboxTransport(platform))
    yield opened
    await opened.close()
    await server.close()


@pytest.mark.parametrize(
    ("fault", "outcome"),
    [
        (Fault(answer="Закончились SMS."), Deferred(Scope.PROVIDER, "Закончились SMS.")),
        (Fault(answer="<html>", status=502), Uncertain("HTTP 502, <html>")),
        (Fault(answer="", status=200), Uncertain("HTTP 200, empty answer")),
        (Fault(answer="", status=429), Deferred(Scope.ROUTE, "HTTP 429")),
        (Fault(answer="\ufeff 77 \r\n"), Submitted("77")),
        (
            Fault(answer="", status=302),
            Deferred(Scope.PROVIDER, "HTTP 302: the address or the permission is wrong"),
        ),
        (Fault(delay_s=0.05), Submitted("1179038981")),
    ],
    ids=repr,
)
async def test_both_play_the_same_faults(
    upstream: HttpUpstream, platform: Platform, fault: Fault, outcome: Outcome
) -> None:
    platform.faults.append(fault)
    assert await upstream.submit([attempt()]) == [outcome]


@pytest.mark.parametrize(
    ("fault", "rung"),
    [(Fault(cut=Cut.BEFORE), 0), (Fault(cut=Cut.AFTER), 1), (Fault(delay_s=30), 1)],
    ids=["request lost", "answer lost", "too late"],
)
async def test_both_lose_answers(
    upstream: HttpUpstream, platform: Platform, fault: Fault, rung: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.providers.http.CONNECT_TIMEOUT_S", 0.3)
    platform.faults.append(fault)
    (outcome,) = await upstream.submit([attempt()])
    assert isinstance(outcome, Uncertain)
    assert len(platform.messages) == rung
    (repeated,) = await upstream.submit([attempt(repeats=True)])
    assert isinstance(repeated, Submitted)
    assert (repeated.provider_id is None) is (rung == 1)
    assert len(platform.messages) == 1


@pytest.mark.parametrize("text", ["a+b;c%d&e#f=g h\nПривет 😀", "%41", "+", "&text=other"])
async def test_both_hear_the_same_text(upstream: HttpUpstream, platform: Platform, text: str) -> None:
    assert await upstream.submit([attempt(text=text)]) == [Submitted("1179038981")]
    assert platform.messages[0].text == text


async def test_both_know_the_minute(upstream: HttpUpstream, clock: Clock) -> None:
    first = await upstream.submit([attempt()])
    assert first == [Submitted("1179038981")]
    assert await upstream.submit([attempt()]) == [Deferred(Scope.JOB, DUPLICATE, after_s=70.0)]
    clock.now += 60
    assert await upstream.submit([attempt()]) == [Submitted("1179038982")]


async def test_both_refuse_a_wrong_login(upstream: HttpUpstream, platform: Platform) -> None:
    platform.password = "other"
    assert await upstream.submit([attempt()]) == [Deferred(Scope.PROVIDER, BAD_LOGIN)]


async def test_both_tell_status_and_balance(upstream: HttpUpstream, clock: Clock) -> None:
    await upstream.submit([attempt()])
    clock.now += 2
    receipt = await upstream.status("1179038981", "79101234567")
    assert (receipt.state, receipt.segments) == (State.DELIVERED, 1)
    balance = await upstream.balance()
    assert (balance.amount, balance.currency, balance.packages["МТС"]) == ("445.6", "RUR", "1")


async def test_both_refuse_what_the_platform_refuses(upstream: HttpUpstream) -> None:
    job = attempt()
    nameless = replace(job, job=replace(job.job, originator=""))
    (outcome,) = await upstream.submit([nameless])
    assert isinstance(outcome, Rejected)
    assert outcome.refusal.reason.key == "provider_originator"


async def test_a_provider_section_becomes_an_upstream(platform: Platform) -> None:
    upstream = connect(SandboxSettings(driver="sandbox"), Surroundings(platform))
    assert await upstream.submit([attempt()]) == [Submitted("1179038981")]
    await upstream.close()
    section = {"driver": "targetsms", "url": "http://127.0.0.1:1/", "user": "u", "password": "p"}
    remote = connect(TargetSmsSettings.model_validate(section), Surroundings(platform))
    assert isinstance((await remote.submit([attempt()]))[0], Deferred)
    await remote.close()


async def test_the_transport_answers_byte_for_byte_like_http(client: Client, platform: Platform) -> None:
    """Twins of one platform get the same requests, one of each kind."""
    twin = SandboxTransport(Platform(clock=platform.clock))
    for parameters in (
        SENT,
        SENT,
        {**SENT, "text": ""},
        {**SENT, "dadr": "79101234567,79102345678"},
        {"balance": "1"},
        {"smsid": "1179038981"},
        {"smsid": "1179038981", "detail": "1"},
        {"smsid": "1"},
        {},
    ):
        there = await twin.handle_async_request(httpx.Request("GET", "http://sandbox.invalid", params=parameters))
        async with client.get("/sendsms.php", params=parameters) as here:
            assert (there.status_code, there.content) == (here.status, await here.read())
