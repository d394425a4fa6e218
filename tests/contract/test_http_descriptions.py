"""``driver: http`` with a description of one's own: the ten lines of its docstring, and what is wrong with others."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
import yaml
from pydantic import BaseModel, ValidationError

from gateway.model import Callback, Deferred, Response, Scope, Submitted, Uncertain
from gateway.providers import CallbackReader, Traits, client_id, declarative
from gateway.providers.declarative.description import Description
from gateway.providers.declarative.driver import Declarative
from gateway.providers.declarative.paths import find, parse, texts
from gateway.providers.declarative.settings import HttpSettings, presets
from gateway.providers.declarative.template import fill
from gateway.testing import attempt
from gateway.verdicts import Refused

README = Path(__file__).parents[2] / "config" / "providers" / "README.md"
SEND = {"path": "/send", "query": {"to": "{destination}", "text": "{text}"}}
TAKEN = {"where": {"ok": "true"}, "id": "id"}


def described(**more: Any) -> dict[str, Any]:
    return {"url": "https://sms.example.net", "send": SEND, "taken": TAKEN, **more}


def settings(describe: dict[str, Any], **more: Any) -> HttpSettings:
    return HttpSettings.model_validate({"driver": "http", "describe": describe, **more})


def indented(text: str) -> str:
    lines = [line for line in text.splitlines() if line.startswith("    ") or not line.strip()]
    return dedent("\n".join(lines))


def ten_lines(text: str) -> dict[str, Any]:
    section: dict[str, Any] = yaml.load(text, Loader=yaml.CBaseLoader)["providers"]["main"]
    section["password"] = "p&w" if section.pop("password_file") else ""
    return section


def test_ten_lines_describe_a_provider() -> None:
    text = indented(declarative.__doc__ or "")
    assert len(text.strip().splitlines()) <= 10
    driver = Declarative(HttpSettings.model_validate(ten_lines(text)))
    request = driver.submit([attempt(text="a&b")])
    assert request.url == "https://sms.example.net/send?login=corp&pwd=p%26w&to=79101234567&text=a%26b"
    assert driver.read_submit([attempt()], Response(200, b"OK 17")) == [Submitted("17")]
    assert driver.read_submit([attempt()], Response(200, b"no money")) == [Deferred(Scope.PROVIDER, "no money")]


def test_the_page_shows_the_same_ten_lines() -> None:
    shown = re.search(r"```yaml\n(providers:.*?)```", README.read_text("utf-8"), re.DOTALL)
    assert shown is not None
    assert ten_lines(shown[1]) == ten_lines(indented(declarative.__doc__ or ""))


def models(model: type[BaseModel], path: str = "") -> list[str]:
    found = []
    for name, field in model.model_fields.items():
        found.append(f"{path}{field.alias or name}")
        kinds = [field.annotation, *getattr(field.annotation, "__args__", ())]
        for kind in kinds:
            if isinstance(kind, type) and issubclass(kind, BaseModel):
                many = "[]" if kind is not field.annotation and "tuple" in str(field.annotation) else ""
                found += models(kind, f"{path}{field.alias or name}{many}.")
    return found


def test_the_page_tells_of_each_key_and_each_preset() -> None:
    page = README.read_text("utf-8")
    keys = {key.rpartition(".")[2] for key in models(Description)}
    assert {key for key in keys if f"`{key}`" not in page} == set()
    assert {name for name in presets() if f"`{name}`" not in page} == set()


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (
            {"send": {"query": {"to": "{dest}"}}},
            'send.query.to: {dest} is no placeholder here; did you mean "{destination}"?',
        ),
        ({"send": {"query": {"to": "{text:hax}"}}}, 'send.query.to: {text:hax}: "hax" is no format'),
        ({"send": {"headers": {"X": "{text}"}}}, "send.headers.X: {text} is no placeholder"),
        ({"send": {"form": {}, "json": {}}}, "give form or json, not both"),
        ({"send": {"method": "GET", "form": {"a": "b"}}}, "GET has no body"),
        ({"taken": {"where": {"ok": "1"}}}, "give one of id, id_match and id_is"),
        ({"taken": {"id_match": "OK"}}, "needs brackets"),
        ({"taken": {"match": "(", "id": "id"}}, "is no regular expression"),
        ({"taken": {"status": "500", "id": "id"}}, "should match pattern"),
        ({"errors": [{"fate": "stop"}]}, "an error needs a code, status, where or match"),
        ({"errors": [{"code": "1", "fate": "stop"}]}, "code: say where"),
        ({"errors": [{"match": "x", "fate": "ignore"}]}, "'reject'"),
        ({"status": {"state": "a"}}, "states: say what"),
        ({"balance": {"path": "/b"}}, "balance: give amount or amount_match"),
        ({"alphabet": {"gsm": "0", "unicode": "2"}}, "use {alphabet} in send"),
        ({"sent": {}}, "Extra inputs"),
    ],
)
def test_a_wrong_description_is_refused_when_it_is_read(wrong: dict[str, Any], says: str) -> None:
    with pytest.raises(ValidationError) as error:
        settings(described(**wrong))
    assert says in str(error.value)


@pytest.mark.parametrize(
    ("section", "says"),
    [
        ({"preset": "twillio"}, '"twillio" is none of bulksms'),
        ({"preset": "./none.yaml"}, "No such file"),
        ({"preset": "./bad.yaml"}, "bad.yaml: send.query.to: {dest} is no placeholder"),
        ({"preset": "./twice.yaml"}, 'twice.yaml:2: "url" stands twice'),
        ({"preset": "twilio"}, "password is missing"),
        ({"preset": "kannel", "user": "u", "password": "p"}, "url is missing"),
        (
            {"preset": "smsru", "password": "p", "values": {"tset": "1"}},
            "values.tset: the description has no such value",
        ),
        ({"preset": "smsru", "password": "p\r\nX: y"}, "line end"),
        ({"preset": "smsru", "describe": described()}, "give preset or describe, not both"),
        ({}, "give preset (one of bulksms"),
    ],
)
def test_a_wrong_section_is_refused(section: dict[str, Any], says: str, tmp_path: Path) -> None:
    (tmp_path / "bad.yaml").write_text("url: http://x\nsend: {query: {to: '{dest}'}}\ntaken: {id: id}\n")
    (tmp_path / "twice.yaml").write_text("url: http://x\nurl: http://y\n")
    with pytest.raises(ValidationError) as error:
        HttpSettings.model_validate({"driver": "http", **section}, context={"folder": tmp_path})
    assert says in str(error.value)


def test_a_description_of_ones_own_is_found_beside_the_configuration(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("url: http://x\nsend: {query: {to: '{destination}'}}\ntaken: {id: id}\n")
    found = HttpSettings.model_validate({"driver": "http", "preset": "mine.yaml"}, context={"folder": tmp_path})
    assert Declarative(found).submit([attempt()]).url == "http://x?to=79101234567"


def test_templates_keep_types_and_leave_out_what_is_empty() -> None:
    tree = {
        "to": "{n:number}",
        "flag": "{true}",
        "count": "{5}",
        "note": "{none}",
        "hook": {"url": "{none}", "as": "x"},
    }
    assert fill(tree, {"n": "79101234567", "none": ""}) == {"to": 79101234567, "flag": True, "count": 5}
    assert fill({"a": "{x}?b={y:url}"}, {"x": "", "y": "1"}) is None
    assert fill({"a": "yes{x:if}"}, {"x": "1"}) == {"a": "yes"}
    assert fill("{t:hex}", {"t": "Я€"}) == "042F20AC"
    assert fill("{{t}}", {"t": "{x}"}) == "{{x}}"


def test_paths_bear_any_answer() -> None:
    assert texts(parse('{"a": [{"b": 1.50}, {"b": true}, {"b": null}]}'), "a.*.b") == ["1.50", "true"]
    assert find({"a": "text"}, "a.0.b.*") == []
    assert len(find([[0] * 2000] * 2000, "*.*")) == 1000
    with pytest.raises(ValueError, match="too deep"):
        parse("[" * 200_000)


def test_a_number_may_lose_its_prefix() -> None:
    driver = Declarative(settings(described(number="national:7")))
    assert "to=9101234567&" in driver.submit([attempt()]).url


def test_a_key_makes_the_provider_one_that_may_be_asked_again() -> None:
    send = {"json": {"to": "{destination:number}", "key": "{key:number}"}}
    driver = Declarative(settings(described(send=send, key={"bits": 63, "lasts": 3600}, duplicate_window=60)))
    assert driver.traits == Traits(duplicate_window_s=60, repeat_within_s=3600, keyed=True)
    assert yaml.safe_load(driver.submit([attempt()]).body) == {"to": 79101234567, "key": client_id("J-1", 63)}


def test_duplicate_and_held_are_never_failures() -> None:
    errors = [{"match": "twice", "fate": "duplicate"}, {"match": "later", "fate": "held"}]
    driver = Declarative(settings(described(errors=errors)))
    assert driver.read_submit([attempt()], Response(200, b"twice")) == [Deferred(Scope.JOB, "twice", after_s=70)]
    (seen,) = driver.read_submit([attempt(repeats=True)], Response(200, b"twice"))
    (held,) = driver.read_submit([attempt()], Response(200, b"later"))
    assert isinstance(seen, Submitted)
    assert isinstance(held, Submitted)
    assert seen.remark
    assert held.remark


def test_half_of_a_good_answer_is_uncertain() -> None:
    driver = Declarative(settings(described()))
    assert isinstance(driver.read_submit([attempt()], Response(200, b'{"ok": true, "i'))[0], Uncertain)


@pytest.mark.parametrize("encoding", ["hex", "base64"])
def test_a_signed_body_is_believed_and_another_is_not(encoding: str) -> None:
    signature = {"kind": "hmac-sha256", "header": "X-Signature", "encoding": encoding}
    receipt = {"id": "id", "state": "state"}
    callback = {"read": "json", "signature": signature, "receipt": receipt}
    states = {"done": "delivered"}
    made = settings(described(callback=callback, states=states), signing_secret="secret")
    driver = Declarative(made)
    assert isinstance(driver, CallbackReader)
    body = b'{"id": 17, "state": "Done"}'
    mac = hmac.new(b"secret", body, hashlib.sha256)
    signed = {"x-signature": mac.hexdigest() if encoding == "hex" else base64.b64encode(mac.digest()).decode()}
    (got,) = driver.read_callback(Callback("POST", "https://x/", headers=signed, body=body)).receipts
    assert (got.provider_id, got.state.value) == ("17", "delivered")
    for headers, other in [({}, body), (signed, body + b" "), ({"x-signature": "é"}, body)]:
        with pytest.raises(Refused) as refused:
            driver.read_callback(Callback("POST", "https://x/", headers=headers, body=other))
        assert refused.value.refusal.code == "AUTH"
