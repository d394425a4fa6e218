"""SMSC.ru on HTTP: every error in every format, channels, callbacks, the contract kit, the sandbox."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qsl, urlencode

import pytest
from hypothesis import given as forall
from hypothesis import strategies as st
from pydantic import ValidationError

from gateway.lifecycle import State
from gateway.model import (
    Attempt,
    Callback,
    Channel,
    Deferred,
    Incoming,
    Outcome,
    Rejected,
    Response,
    Scope,
    Submitted,
    Uncertain,
)
from gateway.providers import Driver
from gateway.providers.http import HttpUpstream
from gateway.providers.smsc import DUPLICATE_WINDOW_S, ERRORS, Smsc, SmscSettings
from gateway.sandbox.platform import Cut, Fault, Platform
from gateway.sms.channels import dressed, hlr, neutral
from gateway.testing import DriverContract, attempt
from gateway.verdicts import Refused
from tests.contract.outcomes import Clock, Row, means, rows, sandbox_upstream


def settings(**changes: Any) -> SmscSettings:
    return SmscSettings.model_validate({"driver": "smsc-http", "login": "corp", "password": "p&s", **changes})


@pytest.mark.parametrize("row", rows("smsc/answers.yaml"), ids=lambda row: row["says"][:50])
def test_each_answer(row: Row) -> None:
    (outcome,) = Smsc(settings()).read_submit([attempt()], Response(row.get("status", 200), row["says"].encode()))
    means(outcome, row)


FORMATS = (
    "ERROR = {} (words)",
    "ERROR = {} (words), ID - 77",
    "0,-{}",
    "77,-{}",
    "<result><error>words</error><error_code>{}</error_code></result>",
    '{{"error": "words", "error_code": {}}}',
    '{{"error": "words", "error_code": {}, "id": 77}}',
)


@pytest.mark.parametrize("code", ERRORS)
@pytest.mark.parametrize("says", FORMATS)
def test_every_error_in_every_format(code: int, says: str) -> None:
    (outcome,) = Smsc(settings()).read_submit([attempt()], Response(200, says.format(code).encode()))
    expected: Outcome
    if code in (2, 3, 4):
        expected = Deferred(Scope.PROVIDER, ERRORS[code].text)
        assert outcome == expected
    elif code == 9:
        assert outcome == Deferred(Scope.JOB, ERRORS[9].text, after_s=DUPLICATE_WINDOW_S)
    else:
        assert isinstance(outcome, Rejected)
        assert outcome.refusal.code == {7: "NUMBER", 8: "FORBIDDEN"}.get(code, f"MSG:{code}")
        assert (outcome.alert, outcome.other_route) == (code == 1, code == 8)


class TestSmsc(DriverContract):
    words = ("ok - ", "error")

    def make(self) -> Driver:
        return Smsc(settings(password=self.secret))

    def sent(self, attempts: Sequence[Attempt]) -> Response:
        return Response(200, b'{"id": 1234, "cnt": 1, "cost": "1.40"}')


class TestSmscByKey(TestSmsc):
    def make(self) -> Driver:
        return Smsc(settings(login=None, password=None, key=self.secret, fmt=1))


def asked(**job: Any) -> dict[str, str]:
    one = attempt(text=job.pop("text", "text"))
    request = Smsc(settings()).submit([replace(one, job=replace(one.job, **job))])
    assert (request.method, request.url) == ("POST", "https://smsc.ru/sys/send.php")
    return dict(parse_qsl(request.body.decode(), keep_blank_values=True))


def test_what_is_asked() -> None:
    assert asked(text="Тест & 😀", send_at=1_800_000_000.5) == {
        "login": "corp",
        "psw": "p&s",
        "fmt": "3",
        "charset": "utf-8",
        "phones": "79101234567",
        "sender": "My Bank",
        "cost": "3",
        "mes": "Тест & 😀",
        "time": "01800000000",
    }


@pytest.mark.parametrize(
    ("channel", "detail", "parameters"),
    [
        (Channel.FLASH, "", {"flash": "1"}),
        (Channel.EMAIL, "Заказ\nx", {"mail": "1", "subj": "Заказ x"}),
        (Channel.CALL, "w2", {"call": "1", "voice": "w2"}),
        (Channel.VIBER, "", {"viber": "1"}),
        (Channel.SOC, "", {"soc": "1"}),
        (Channel.BOT, "my_bot", {"bot": "@my_bot"}),
        (Channel.BOT, "@my_bot", {"bot": "@my_bot"}),
    ],
)
def test_each_channel_has_its_parameters(channel: Channel, detail: str, parameters: dict[str, str]) -> None:
    found = asked(channel=channel, detail=detail)
    assert found["mes"] == "text"
    assert {key: found.get(key) for key in parameters} == parameters


def test_questions_need_no_text() -> None:
    assert asked(channel=Channel.HLR, text="")["hlr"] == "1"
    assert "mes" not in asked(channel=Channel.PING, text="")


def test_a_telegram_code_is_one() -> None:
    assert asked(channel=Channel.TELEGRAM, text=" 4711 ")["mes"] == "4711"
    with pytest.raises(Refused) as caught:
        asked(channel=Channel.TELEGRAM, text="code 4711")
    assert caught.value.refusal.code == "FORMAT"


# ── texts that look like channels ────────────────────────────────────────────────────────────


def dressed_as(channel: Channel, text: str, detail: str = "", comment: str = "") -> str:
    return dressed(replace(attempt(text=text).job, channel=channel, detail=detail, comment=comment))


@pytest.mark.parametrize(
    ("channel", "detail", "expected"),
    [
        (Channel.SMS, "", "hello"),
        (Channel.EMAIL, "the\nsubject", "__MAIL__: hello\nsubj:the subject"),
        (Channel.CALL, "w", "__CALL__: hello\nvoice:w"),
        (Channel.CALL, "", "__CALL__: hello"),
        (Channel.VIBER, "", "__VIBER__: hello"),
        (Channel.SOC, "", "__SOC__: hello"),
        (Channel.BOT, "name", "__BOT__: hello\nbot:@name"),
        (Channel.HLR, "", "__HLR__"),
        (Channel.PING, "", "__PING__"),
    ],
)
def test_each_channel_over_smpp(channel: Channel, detail: str, expected: str) -> None:
    assert dressed_as(channel, "hello", detail) == expected
    assert dressed_as(channel, "hello", detail, "order\n17") == f"{expected}\n~~~\norder 17"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("__CALL__: now", "_ _CALL__: now"),
        ("__call__: now", "_ _call__: now"),
        ("\n __HLR__", "\n _ _HLR__"),
        ("a\n~~~\nb", "a\n~~ ~\nb"),
        ("~~~", "~~ ~"),
        ("say __CALL__: now", "say __CALL__: now"),
        ("a ~~~ b", "a ~~~ b"),
        ("~~~~", "~~~~"),
        ("", ""),
    ],
)
def test_a_text_chooses_no_channel(text: str, expected: str) -> None:
    assert neutral(text) == expected


def test_a_text_adds_no_parameter() -> None:
    assert dressed_as(Channel.EMAIL, "a\nsubj:evil", "good") == "__MAIL__: a\nsubj :evil\nsubj:good"
    assert dressed_as(Channel.BOT, "a\n Bot: @evil", "good") == "__BOT__: a\n Bot : @evil\nbot:@good"


@forall(st.text(alphabet=st.sampled_from("_~ \nCALHR:mx"), max_size=20))
def test_neutral_is_neutral(text: str) -> None:
    made = neutral(text)
    assert neutral(made) == made
    assert not made.lstrip().startswith("__CALL__")
    assert "\n~~~\n" not in f"\n{made}\n"
    assert made.replace(" ", "") == text.replace(" ", "")


def test_the_result_of_an_hlr_request() -> None:
    """Seed 003: url-encoded; the example leaves fields out."""
    whole = (
        "id:855469 stat:DELIVRD err:000 imsi:250023012345678 msc:79168999999 mcc:250 mnc:02"
        " cn:%D0%A0%D0%BE%D1%81%D1%81%D0%B8%D1%8F net:MegaFon+Ural rcn: rnet:"
    )
    assert hlr(whole) == {
        "err": "000",
        "imsi": "250023012345678",
        "msc": "79168999999",
        "mcc": "250",
        "mnc": "02",
        "cn": "Россия",
        "net": "MegaFon Ural",
    }
    assert hlr("id:855469 stat:DELIVRD err:000 imsi:250023012345678") == {"err": "000", "imsi": "250023012345678"}


# ── receipts ─────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("says", "state"),
    [
        ('{"status": 1, "last_date": "01.02.2026 10:00:00", "err": 0}', State.DELIVERED),
        ('{"status": -1}', State.SUBMITTED),
        ('{"status": 0}', State.SUBMITTED),
        ('{"status": 2}', State.DELIVERED),
        ('{"status": 3}', State.EXPIRED),
        ('{"status": 20, "err": 6}', State.UNDELIVERED),
        ('{"status": 22}', State.UNDELIVERED),
        ('{"status": 23}', State.UNDELIVERED),
        ('{"status": 24}', State.UNDELIVERED),
        ('{"status": 25}', State.UNDELIVERED),
        ('{"status": -3}', State.UNCERTAIN),
        ("1,1800000000,0", State.DELIVERED),
        ("20,1800000000,6,x,y", State.UNDELIVERED),
        ("Status = 1, check_time = 01.02.2026", State.DELIVERED),
        ("<result><status>1</status></result>", State.DELIVERED),
        ('{"status": 77}', None),
        ('{"error": "x", "error_code": 9}', None),
        (f"ERROR = {'9' * 5000}", None),
        (f"<error_code>{'9' * 5000}</error_code>", None),
        ("", None),
        ("x", None),
    ],
)
def test_each_status(says: str, state: State | None) -> None:
    driver, response = Smsc(settings()), Response(200, says.encode())
    if state is None:
        with pytest.raises(Refused):
            driver.read_status("7", response)
    else:
        assert driver.read_status("7", response).state is state


def callback(**fields: str) -> Callback:
    return Callback("POST", "https://sms.example.com/callbacks/main/x", body=urlencode(fields).encode())


def test_a_receipt_by_callback() -> None:
    said = Smsc(settings()).read_callback(
        callback(id="7", phone="79101234567", status="20", time="01.02.2026 10:00:00", err="6")
    )
    (receipt,) = said.receipts
    assert (receipt.provider_id, receipt.state, receipt.changed_at) == ("7", State.UNDELIVERED, "01.02.2026 10:00:00")
    assert receipt.details == {"err": "6"}


def test_an_incoming_sms_by_callback() -> None:
    said = Smsc(settings()).read_callback(callback(id="9", phone="79107654321", mes="Да", to="79990001122"))
    assert said.incoming == (Incoming("9", "79107654321", "79990001122", "Да"),)


@pytest.mark.parametrize("method", ["md5", "sha1"])
def test_a_signed_callback(method: str) -> None:
    driver = Smsc(settings(callback_secret="s3cret"))
    good = hashlib.new(method, b"7:79101234567:1:s3cret").hexdigest()
    fields = {"id": "7", "phone": "79101234567", "status": "1"}
    assert driver.read_callback(callback(**fields, **{method: good})).receipts[0].state is State.DELIVERED
    for forged in ({method: good, "status": "20"}, {method: "x"}, {}):
        with pytest.raises(Refused) as caught:
            driver.read_callback(callback(**{**fields, **forged}))
        assert caught.value.refusal.code == "AUTH"


def test_what_is_told_is_cut() -> None:
    long = "9" * 5000
    receipt = Smsc(settings()).read_status(
        "7", Response(200, f'{{"status": 1, "cost": "{long}", "imsi": "{long}"}}'.encode())
    )
    assert receipt.price == receipt.details["imsi"] == "9" * 100
    (outcome,) = Smsc(settings()).read_submit([attempt()], Response(200, f'{{"id": 7, "cost": "{long}"}}'.encode()))
    assert outcome == Submitted("7", cost="9" * 100)
    with pytest.raises(Refused):
        Smsc(settings()).read_balance(Response(200, b"9" * 31))


@pytest.mark.parametrize("wrong", [{"key": "k"}, {"password": None}, {"login": None, "password": None}])
def test_one_kind_of_credential(wrong: Row) -> None:
    with pytest.raises(ValidationError, match="either login and password, or key"):
        settings(**wrong)


# ── the sandbox, on HTTP ─────────────────────────────────────────────────────────────────────


@pytest.fixture
def platform() -> Platform:
    return Platform(clock=Clock(), user="corp", password="p&s")


@pytest.fixture(params=[0, 1, 2, 3])
async def upstream(platform: Platform, request: pytest.FixtureRequest) -> AsyncIterator[HttpUpstream]:
    def made(url: str) -> HttpUpstream:
        given = settings(url=f"{url}/sys", fmt=request.param, timeout=1)
        return HttpUpstream.of(Smsc(given), given)

    async with sandbox_upstream(platform, made) as opened:
        yield opened


async def test_send_status_balance_and_errors(upstream: HttpUpstream, platform: Platform) -> None:
    (outcome,) = await upstream.submit([attempt(text="Привет 😀")])
    (sms,) = platform.messages
    assert isinstance(outcome, Submitted)
    assert (outcome.provider_id, sms.text, sms.originator) == (sms.id, "Привет 😀", "My Bank")
    assert (await upstream.status(sms.id, "79101234567")).state is State.SUBMITTED
    sms.state = "deliver"
    assert (await upstream.status(sms.id, "79101234567")).state is State.DELIVERED
    assert (await upstream.balance()).amount == "445.6"
    (again,) = await upstream.submit([attempt(text="Привет 😀")])
    assert again == Deferred(Scope.JOB, ERRORS[9].text, after_s=DUPLICATE_WINDOW_S)
    (wrong,) = await upstream.submit([attempt("123")])
    assert isinstance(wrong, Rejected)
    assert wrong.refusal.code == "NUMBER"
    platform.password = "another"
    assert (await upstream.submit([attempt()]))[0] == Deferred(Scope.PROVIDER, ERRORS[2].text)
    with pytest.raises(Refused):
        await upstream.balance()


async def test_a_lost_answer_stays_uncertain(upstream: HttpUpstream, platform: Platform) -> None:
    """Error 9 proves nothing, so nobody asks again."""
    assert upstream.traits.repeat_within_s == 0
    platform.faults += [Fault(cut=Cut.AFTER), Fault(delay_s=30), Fault(answer="<html>")]
    upstream._timeout_s = 0.2
    for text in ("cut", "slow", "garbled"):
        (outcome,) = await upstream.submit([attempt(text=text)])
        assert isinstance(outcome, Uncertain)
