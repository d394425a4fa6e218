"""The TargetSMS driver: the tables of ``tests/providers/targetsms``, and the requests that it writes."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import phpserialize
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from gateway.model import Deferred, Outcome, Rejected, Response, Submitted, Uncertain
from gateway.providers.targetsms import ERRORS, find_error
from gateway.verdicts import Refused
from tests.contract.jobs import PASSWORD, attempt, driver

TABLES = Path(__file__).parents[1] / "providers" / "targetsms"
Row = dict[str, Any]


def rows(name: str) -> list[Row]:
    loaded: list[Row] = yaml.safe_load((TABLES / name).read_text("utf-8"))
    return loaded


def shown(outcome: Outcome) -> Row:
    """An outcome as a row of the tables tells it."""
    match outcome:
        case Submitted(provider_id=None, remark=remark):
            return {"outcome": "submitted", "remark": remark}
        case Submitted(provider_id=provider_id):
            return {"outcome": "submitted", "id": provider_id}
        case Deferred(scope=scope, why=why, after_s=after_s):
            return {"outcome": "deferred", "scope": scope.value, "why": why, "after_s": after_s}
        case Rejected(refusal=refusal, alert=alert, other_route=other_route):
            return {
                "outcome": "rejected",
                "code": refusal.code,
                "reason": refusal.reason.key,
                "alert": alert,
                "other_route": other_route,
            }
        case Uncertain(why=why):
            return {"outcome": "uncertain", "why": why}


def expected(row: Row, says: str) -> Row:
    told = {key: value for key, value in row.items() if key not in {"says", "status", "repeats", "error"}}
    match row["outcome"]:
        case "rejected":
            return {"alert": False, "other_route": False, **told}
        case "deferred":
            return {"after_s": None, "why": " ".join(says.split()), **told}
    return told


def read(says: str, status: int = 200, *, repeats: bool = False) -> Outcome:
    (outcome,) = driver().read_submit([attempt(repeats=repeats)], Response(status, says.encode()))
    return outcome


ANSWERS = rows("answers.yaml")
SENTENCES = [row for row in ANSWERS if row.get("error")]


@pytest.mark.parametrize("row", ANSWERS, ids=lambda row: f"{row.get('status', 200)} {row['says'][:40]}")
def test_each_answer_has_its_meaning(row: Row) -> None:
    outcome = read(row["says"], row.get("status", 200), repeats=row.get("repeats", False))
    assert shown(outcome) == expected(row, row["says"])


@pytest.mark.parametrize("frame", ["{}", "\ufeff{}", "  {}\r\n", "error: {}", "Ошибка. {} (!)"])
@pytest.mark.parametrize("change", [str, str.upper, str.lower, lambda text: text.replace(" ", "\u00a0\n")])
def test_a_sentence_is_known_in_any_dress(frame: str, change: Any) -> None:
    for row in SENTENCES:
        says = frame.format(change(row["says"]))
        assert shown(read(says)) == expected(row, says.lstrip("\ufeff"))


def test_each_sentence_stands_in_the_table() -> None:
    told = [row["says"].casefold() for row in SENTENCES]
    missing = [f for error in ERRORS for f in error.fragments if not any(f.casefold() in says for says in told)]
    assert missing == []


def test_the_numbers_are_stable() -> None:
    """They reach people as ``MSG:<number>``: a number keeps its sentence for ever."""
    assert [(error.number, error.fragments[0]) for error in ERRORS] == [
        (1, "У нас закончились SMS"),
        (2, "Закончились SMS"),
        (3, "Аккаунт заблокирован"),
        (4, "Укажите номер телефона"),
        (5, "Номер телефона присутствует в стоп-листе"),
        (6, "Данное направление закрыто для вас"),
        (7, "Данное направление закрыто"),
        (8, "SMS будет отправлена как только вы пополните счет"),
        (9, "Текст SMS отклонен модератором"),
        (10, "Нет отправителя"),
        (11, "Отправитель не должен превышать 15 символов"),
        (12, "Номер телефона должен быть меньше 15 символов"),
        (13, "Нет текста сообщения"),
        (14, "Нет ссылки"),
        (15, "Такого отправителя нет"),
        (16, "Отправитель не прошел модерацию"),
        (17, "более одного одинакового запроса"),
        (18, "Данное сообщение уже было отправлено"),
        (19, "Неправильный логин или пароль"),
    ]


@pytest.mark.parametrize("row", rows("groups.yaml"), ids=lambda row: row["says"][:40])
def test_each_answer_to_a_group(row: Row) -> None:
    three = [attempt(number) for number in ("79101234567", "79102345678", "79103456789")]
    outcomes = driver(group=3).read_submit(three, Response(row.get("status", 200), row["says"].encode()))
    if "ids" in row:
        assert outcomes == [Submitted(provider_id) for provider_id in row["ids"]]
    else:
        assert [shown(outcome)["outcome"] for outcome in outcomes] == [row["kind"]] * 3


# ── receipts and balance ─────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("bom", [b"", b"\xef\xbb\xbf"], ids=["", "BOM"])
@pytest.mark.parametrize("row", rows("receipts.yaml"), ids=lambda row: str(row.get("says", row.get("fields")))[:50])
def test_each_receipt(row: Row, bom: bytes) -> None:
    body = phpserialize.dumps(row["fields"]) if "fields" in row else row["says"].encode()
    response = Response(200, bom + body)
    if "refused" in row:
        with pytest.raises(Refused) as caught:
            driver().read_status("7", response)
        assert caught.value.refusal.code == row["refused"]
        return
    receipt = driver().read_status("7", response)
    assert receipt.provider_id == "7"
    assert (receipt.state, receipt.changed_at) == (row["state"], row.get("changed_at", ""))
    assert (receipt.segments, receipt.price) == (row.get("segments"), row.get("price"))


@pytest.mark.parametrize("row", rows("balances.yaml"), ids=lambda row: row["says"][:40])
def test_each_balance(row: Row) -> None:
    response = Response(200, row["says"].encode())
    if "refused" in row:
        with pytest.raises(Refused) as caught:
            driver().read_balance(response)
        assert caught.value.refusal.code == row["refused"]
        return
    balance = driver().read_balance(response)
    assert (balance.amount, balance.currency, balance.packages) == (row["amount"], row["currency"], row["packages"])


# ── requests ─────────────────────────────────────────────────────────────────────────────────────


def query(url: str) -> dict[str, str]:
    return dict(parse_qsl(urlsplit(url).query, strict_parsing=True))


def test_what_is_asked() -> None:
    account = {"user": "corp", "pwd": PASSWORD}
    sms = {"sadr": "My Bank", "dadr": "79101234567", "text": "text"}
    for request, parameters in (
        (driver().submit([attempt()]), sms),
        (driver().status("7", "79101234567"), {"smsid": "7", "detail": "1"}),
        (driver().balance(), {"balance": "1"}),
    ):
        assert (request.method, request.body) == ("GET", b"")
        assert request.url.startswith("https://sms.example/sendsms.php?")
        assert query(request.url) == {**account, **parameters}


def test_a_group_shares_one_request() -> None:
    pair = [attempt("79101234567"), attempt("79102345678")]
    assert query(driver(group=2).submit(pair).url)["dadr"] == "79101234567,79102345678"


def test_an_address_that_has_a_query_keeps_it() -> None:
    request = driver("https://gateway.example/get/?v=1").submit([attempt()])
    assert request.url.startswith("https://gateway.example/get/?v=1&user=corp&")


def test_a_repeat_is_the_identical_request() -> None:
    assert driver().submit([attempt(repeats=True)]) == driver().submit([attempt()])


@pytest.mark.parametrize(("unit", "cost"), [("x", 1), ("ы", 6), ("😀", 12), ("\n", 3)])
def test_two_thousand_characters_and_no_more(unit: str, cost: int) -> None:
    room = 2000 - len(driver().submit([attempt(text="")]).url)
    text = unit * (room // cost) + "x" * (room % cost)
    assert len(driver().submit([attempt(text=text)]).url) == 2000
    with pytest.raises(Refused) as caught:
        driver().submit([attempt(text=text + "x")])
    refusal = caught.value.refusal
    assert (refusal.code, refusal.values) == ("LIMIT", {"length": 2001, "limit": 2000})


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=100))
def test_any_text_is_written_so_that_it_is_read_back(text: str) -> None:
    url = driver().submit([attempt(text=text)]).url
    assert url.isascii()
    assert dict(parse_qsl(urlsplit(url).query, keep_blank_values=True))["text"] == text


# ── secrets ──────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "echo",
    [
        "The requested URL {url} was not found",
        "<html><title>414</title>{html}</html>",
        "Access denied for corp using password {password}",
        "Access denied: {escaped}",
    ],
)
@pytest.mark.parametrize("status", [200, 400, 500])
def test_an_answer_that_repeats_the_request_gives_nothing_away(echo: str, status: int) -> None:
    job = attempt(text="code-4711")
    url = driver().submit([job]).url
    says = echo.format(
        url=url.partition("example")[2],
        html=url.replace("&", "&amp;"),
        password=PASSWORD,
        escaped="p&amp;s;s+w%rd&lt;1&gt;",
    )
    response = Response(status, says.encode())
    refusals: list[object] = []
    for reading in (lambda: driver().read_status("7", response), lambda: driver().read_balance(response)):
        with pytest.raises(Refused) as caught:
            reading()
        refusals.append(caught.value.refusal)
    for told in (*map(repr, driver().read_submit([job], response)), *map(repr, refusals)):
        assert "4711" not in told
        for secret in (PASSWORD, "p%26s", "p&amp;s"):
            assert secret not in told
    assert "79101234567" not in repr(driver().read_submit([job], response))


def test_a_sentence_in_html_is_still_found() -> None:
    assert find_error("<p>Закончились SMS.</p>") is ERRORS[1]
    assert find_error("nothing of ours") is None
