"""The presets of ``driver: http``: the recorded exchanges of ``tests/providers/http``, and the contract of drivers."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode

import pytest
import yaml

from gateway.model import Attempt, Callback, Deferred, Outcome, Rejected, Request, Response, Submitted, Uncertain
from gateway.providers import BalanceQuery, CallbackReader, StatusQuery, client_id
from gateway.providers.declarative.driver import Answer, Declarative
from gateway.providers.declarative.settings import HttpSettings, presets
from gateway.testing import SECRET, DriverContract, attempt
from gateway.verdicts import Refused

TABLES = Path(__file__).parents[1] / "providers" / "http"
CALLBACK_URL = "https://sms.example.com/callbacks/main/0123456789abcdef"
TEXT = "Привет & пока"
Row = dict[str, Any]


@cache
def table(preset: str) -> Row:
    loaded: Row = yaml.safe_load((TABLES / f"{preset}.yaml").read_text("utf-8"))
    return loaded


def made(preset: str, *, callback_url: str = CALLBACK_URL, password: str = "SECRET", **more: Any) -> Declarative:
    given = {"driver": "http", "preset": preset, "password": password, **table(preset)["settings"], **more}
    return Declarative(HttpSettings.model_validate(given), callback_url)


def rows(section: str, inner: str = "") -> list[Any]:
    found = [
        (preset, row)
        for preset in presets()
        for row in (table(preset).get(section, {}).get(inner, []) if inner else table(preset).get(section, []))
    ]
    return [pytest.param(preset, row, id=f"{preset}-{index}") for index, (preset, row) in enumerate(found)]


def answered(row: Row) -> Response:
    says = json.dumps(row["json"], ensure_ascii=False) if "json" in row else row.get("says", "")
    return Response(row.get("status", 200), says.encode())


def shown(outcome: Outcome) -> str:
    match outcome:
        case Submitted(provider_id=provider_id, parts=parts):
            return " ".join(["submitted", provider_id or "-", *parts])
        case Rejected(refusal=refusal, alert=alert, other_route=other_route):
            return f"rejected {refusal.code}" + " alert" * alert + " elsewhere" * other_route
        case Deferred(scope=scope, after_s=after_s):
            return f"deferred {scope}" + (f" {after_s:g}" if after_s else "")
        case Uncertain():
            return "uncertain"


def is_as_told(request: Request, row: Row) -> None:
    key = str(client_id("J-1", 31))
    assert request.method == row.get("method", request.method)
    assert request.url == row.get("url", request.url).replace("KEY", key)
    for name, value in row.get("headers", {}).items():
        assert request.headers[name] == value
    if "form" in row:
        assert request.headers["Content-Type"] == "application/x-www-form-urlencoded"
        assert dict(parse_qsl(request.body.decode(), keep_blank_values=True)) == row["form"]
    if "json" in row:
        assert request.headers["Content-Type"] == "application/json"
        assert json.loads(request.body) == row["json"]
    if "?" in request.url or request.method == "GET":
        assert not request.body or "json" in row or "form" in row


def test_each_preset_has_its_recorded_exchanges() -> None:
    assert presets() == sorted(path.stem for path in TABLES.glob("*.yaml"))
    assert len(presets()) == 10


@pytest.mark.parametrize(("preset", "row"), rows("sends"))
def test_a_request_is_as_documented(preset: str, row: Row) -> None:
    driver = made(preset, callback_url=row.get("callback_url", CALLBACK_URL), **row.get("settings", {}))
    plain = attempt(text=row.get("text", TEXT))
    job = replace(plain.job, originator=row.get("originator", plain.job.originator))
    is_as_told(driver.submit([replace(plain, job=job)]), row)


@pytest.mark.parametrize(("preset", "row"), rows("answers"))
def test_an_answer_has_its_meaning(preset: str, row: Row) -> None:
    (outcome,) = made(preset).read_submit([attempt()], answered(row))
    assert shown(outcome) == row["is"]


@pytest.mark.parametrize("preset", presets())
def test_each_row_of_errors_has_an_example(preset: str) -> None:
    described = HttpSettings.model_validate(
        {"driver": "http", "preset": preset, "user": "u", "password": "p", "url": "http://x"}
    ).description
    answers = [Answer(described, answered(row)) for row in table(preset)["answers"]]
    firsts = [next((n for n, row in enumerate(described.errors) if said.is_error(row)), None) for said in answers]
    assert set(range(len(described.errors))) <= set(firsts)


@pytest.mark.parametrize(("preset", "row"), rows("status", "answers"))
def test_a_status_is_asked_and_read(preset: str, row: Row) -> None:
    driver = made(preset)
    assert isinstance(driver, StatusQuery)
    is_as_told(driver.status("SM17", "79101234567"), table(preset)["status"])
    if "refused" in row:
        with pytest.raises(Refused) as refused:
            driver.read_status("SM17", answered(row))
        assert refused.value.refusal.code == row["refused"]
        return
    receipt = driver.read_status("SM17", answered(row))
    assert (receipt.provider_id, receipt.state.value, receipt.price) == ("SM17", row["state"], row.get("price"))


@pytest.mark.parametrize(("preset", "row"), rows("balance", "answers"))
def test_a_balance_is_asked_and_read(preset: str, row: Row) -> None:
    driver = made(preset)
    assert isinstance(driver, BalanceQuery)
    is_as_told(driver.balance(), table(preset)["balance"])
    if "refused" in row:
        with pytest.raises(Refused) as refused:
            driver.read_balance(answered(row))
        assert refused.value.refusal.code == row["refused"]
        return
    balance = driver.read_balance(answered(row))
    assert (balance.amount, balance.currency) == (row["amount"], row["currency"])


def called(row: Row) -> Callback:
    body = row.get("body", json.dumps(row["json"]) if "json" in row else urlencode(row.get("form", {}))).encode()
    headers = {"x-twilio-signature": twilio("SECRET", row["form"])} if row.get("sign") == "twilio" else {}
    return Callback(row.get("method", "POST"), CALLBACK_URL, tuple(row.get("query", {}).items()), headers, body)


def twilio(secret: str, form: Mapping[str, str]) -> str:
    """As twilio.com/docs/usage/security tells it."""
    message = CALLBACK_URL + "".join(key + form[key] for key in sorted(form))
    return base64.b64encode(hmac.new(secret.encode(), message.encode(), hashlib.sha1).digest()).decode()


@pytest.mark.parametrize(("preset", "row"), rows("callbacks"))
def test_a_callback_is_read(preset: str, row: Row) -> None:
    driver = made(preset)
    assert isinstance(driver, CallbackReader)
    if "refused" in row:
        with pytest.raises(Refused) as refused:
            driver.read_callback(called(row))
        assert refused.value.refusal.code == row["refused"]
        return
    pushed = driver.read_callback(called(row))
    receipts = [" ".join([got.provider_id, got.state, *got.details.values()]) for got in pushed.receipts]
    incoming = [f"{got.provider_id} {got.sender} {got.destination} {got.text}" for got in pushed.incoming]
    assert receipts == row.get("receipts", [])
    assert incoming == row.get("incoming", [])
    assert (pushed.answer.status, pushed.answer.text) == (200, row.get("answer", ""))


def test_a_signature_of_any_bytes_is_wrong() -> None:
    """aiohttp hands on what is no UTF-8 in a header as half characters."""
    with pytest.raises(Refused) as refused:
        made("twilio").read_callback(Callback("POST", CALLBACK_URL, headers={"x-twilio-signature": "\udcff"}))
    assert refused.value.refusal.code == "AUTH"


def test_an_id_that_no_index_holds_is_none() -> None:
    form = {"messageId": "x" * 200, "status": "delivered", "price": "1" * 99}
    (receipt,) = made("vonage").read_callback(Callback("POST", CALLBACK_URL, body=urlencode(form).encode())).receipts
    assert (receipt.provider_id, receipt.price) == ("x" * 200, "1" * 40)
    form["messageId"] += "x"
    with pytest.raises(Refused):
        made("vonage").read_callback(Callback("POST", CALLBACK_URL, body=urlencode(form).encode()))


@pytest.mark.parametrize("preset", presets())
def test_it_can_do_what_is_recorded_and_no_more(preset: str) -> None:
    driver, recorded = made(preset), table(preset)
    abilities = {"status": StatusQuery, "balance": BalanceQuery, "callbacks": CallbackReader}
    assert {name for name, ability in abilities.items() if isinstance(driver, ability)} == set(recorded) & set(
        abilities
    )


class PresetContract(DriverContract):
    """Each preset keeps what every driver must."""

    preset = ""

    def make(self) -> Declarative:
        return made(self.preset, password=SECRET)

    def sent(self, attempts: Sequence[Attempt]) -> Response:
        good: Row = next(row for row in table(self.preset)["answers"] if row["is"].startswith("submitted"))
        return answered(good)


class TestTwilio(PresetContract):
    preset = "twilio"


class TestVonage(PresetContract):
    preset = "vonage"


class TestInfobip(PresetContract):
    preset = "infobip"


class TestBulkSms(PresetContract):
    preset = "bulksms"
    words = ("errors#insufficient-credits", "errors#bad-request")


class TestSmsRu(PresetContract):
    preset = "smsru"


class TestSmsAero(PresetContract):
    preset = "smsaero"
    words = ("no credits", "not enough money", "not enough credits", "insufficient", "incorrect login", "unauthorized")


@pytest.mark.parametrize("says", ["false", "null", "NaN", "7", '"x"', "[]", "{}"])
def test_the_http_status_is_no_code_of_the_provider(says: str) -> None:
    """TurboSMS's 200 and SMS.ru's 200 are errors; HTTP's is not."""
    for preset in presets():
        (outcome,) = made(preset, password=SECRET).read_submit([attempt()], Response(200, says.encode()))
        assert isinstance(outcome, Uncertain) or (isinstance(outcome, Rejected) and outcome.alert)


class TestTurboSms(PresetContract):
    preset = "turbosms"


class TestExolve(PresetContract):
    preset = "exolve"
    words = ("not enough", "insufficient", "balance")


class TestKannel(PresetContract):
    preset = "kannel"
    words = ("Authorization failed", "Not routable", "Temporal failure", "rejected", "0: Accepted for delivery")


class TestJasmin(PresetContract):
    preset = "jasmin"
    words = ("Authentication failure", "Cannot charge", "No route found", "throughput exceeded", "filter mismatch")
