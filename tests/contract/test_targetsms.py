"""The TargetSMS driver: every answer of seed 002, and what only a network can show."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from urllib.parse import parse_qsl, urlsplit

import phpserialize
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from gateway.lifecycle import State
from gateway.model import Attempt, Deferred, Job, Outcome, Rejected, Request, Response, Scope, Submitted, Uncertain
from gateway.providers.http import HttpUpstream, NoAnswer
from gateway.providers.targetsms import ERRORS, TargetSms, TargetSmsSettings
from gateway.verdicts import Refused


def driver(url: str = "https://sms.example/sendsms.php", group: int = 1) -> TargetSms:
    settings = TargetSmsSettings(
        driver="targetsms", url=url, user="corp", password=SecretStr("p&s;s+w%rd"), group=group
    )
    return TargetSms(settings)


def attempt(number: str = "79101234567", text: str = "text", *, repeats: bool = False) -> Attempt:
    job = Job("J-1", "J", "user", "My Bank", number, text, 1, ("main",), 0.0, 1e12)
    return Attempt(job, "main", 1, 1, repeats=repeats)


def outcome(body: str, status: int = 200, *, repeats: bool = False) -> Outcome:
    (single,) = driver().read_submit([attempt(repeats=repeats)], Response(status, body.encode()))
    return single


@pytest.mark.parametrize("answer", ["1179038981", " 1179038981\r\n", "\ufeff1179038981"])
def test_an_id(answer: str) -> None:
    assert outcome(answer) == Submitted("1179038981")


REJECTED = {
    "Укажите номер телефона.": "NUMBER",
    "Номер телефона присутствует в стоп-листе.": "BANNED",
    "Данное направление закрыто для вас.": "FORBIDDEN",
    "Данное направление закрыто.": "FORBIDDEN",
    "Текст SMS отклонен модератором.": "MSG:9",
    "Текст SMS отклонён модератором.": "MSG:9",
    "Нет отправителя.": "FORBIDDEN",
    "Отправитель не должен превышать 15 символов для цифровых номеров и 11 для буквенно-числовых.": "FORBIDDEN",
    "Номер телефона должен быть меньше 15 символов.": "NUMBER",
    "Нет текста сообщения.": "MSG:13",
    "Нет ссылки.": "MSG:14",
    "Такого отправителя нет.": "FORBIDDEN",
    "Отправитель не прошел модерацию.": "FORBIDDEN",
    "Error_No_Destination_Address": "NUMBER",
    "Error_Destination_Address_Blocked": "BANNED",
    "Error_User_Destination_Blocked": "FORBIDDEN",
    "Error_SMS_Declined": "MSG:9",
    "Error_No_Source_Address": "FORBIDDEN",
    "Error_No_Text": "MSG:13",
    "Error_No_URL": "MSG:14",
    "Error_No_Vcard": "MSG:14",
    "Error_Invalid_Source_Address": "FORBIDDEN",
    "Error_Source_Address_Declined": "FORBIDDEN",
    "error: ERROR_NO_TEXT": "MSG:13",
}


@pytest.mark.parametrize(("answer", "code"), REJECTED.items())
def test_known_refusals_are_final_and_no_alert(answer: str, code: str) -> None:
    result = outcome(answer)
    assert isinstance(result, Rejected)
    assert (result.refusal.code, result.alert) == (code, False)
    assert result.other_route is ("направление" in answer or "Destination_Blocked" in answer)


@pytest.mark.parametrize(
    ("answer", "scope"),
    [
        ("У нас закончились SMS. Для разрешения проблемы свяжитесь с менеджером.", Scope.ROUTE),
        ("Error_Out_of_Service", Scope.ROUTE),
        ("Закончились SMS.", Scope.PROVIDER),
        ("Error_Not_Enough_Credits", Scope.PROVIDER),
        ("Аккаунт заблокирован.", Scope.PROVIDER),
        ("Error_SMS_User_Disabled", Scope.PROVIDER),
        ("Неправильный логин или пароль.", Scope.PROVIDER),
        ("Error_Invalid_Login", Scope.PROVIDER),
        ("error: Попытка отправки более одного одинакового запроса в течение минуты", Scope.JOB),
        ("Данное сообщение уже было отправлено", Scope.JOB),
        ("Error_Flood_SMS", Scope.JOB),
    ],
)
def test_what_waits(answer: str, scope: Scope) -> None:
    result = outcome(answer)
    assert isinstance(result, Deferred)
    assert result.scope is scope


def test_every_row_has_a_test() -> None:
    tried = " ".join(
        [*REJECTED, "У нас закончились SMS Закончились SMS Аккаунт заблокирован Неправильный логин или пароль"]
    )
    tried += " SMS будет отправлена как только вы пополните счет более одного одинакового запроса"
    tried += " Данное сообщение уже было отправлено"
    assert [row.number for row in ERRORS if row.fragments[0] not in tried] == []


def test_held_until_the_bill_is_paid_is_taken() -> None:
    result = outcome("Недостаточно средств. SMS будет отправлена как только вы пополните счет")
    assert isinstance(result, Submitted)
    assert "held by provider" in result.remark


def test_duplicate_means_seen_only_for_a_repeat() -> None:
    answer = "error: Попытка отправки более одного одинакового запроса в течение минуты"
    assert isinstance(outcome(answer, repeats=True), Submitted)
    assert outcome(answer) == Deferred(Scope.JOB, answer, after_s=70.0)


@pytest.mark.parametrize(
    ("body", "status", "kind"),
    [
        ("Что-то новое", 200, Rejected),
        ("12ab", 200, Rejected),
        ("", 200, Uncertain),
        ("<html>nginx</html>", 200, Uncertain),
        ("<html>nginx</html>", 500, Uncertain),
        ("", 502, Uncertain),
        ("gateway time-out", 504, Uncertain),
        ("1,2", 200, Uncertain),
        ("<html>", 503, Deferred),
        ("slow down", 429, Deferred),
        ("<html>", 404, Deferred),
        ("", 301, Deferred),
        ("", 401, Deferred),
    ],
)
def test_what_nobody_knows_is_never_sent(body: str, status: int, kind: type[Outcome]) -> None:
    result = outcome(body, status)
    assert isinstance(result, kind)
    if isinstance(result, Rejected):
        assert result.alert


@given(st.text(max_size=100), st.integers(100, 599), st.integers(1, 3))
def test_the_contract_of_a_driver(body: str, status: int, count: int) -> None:
    attempts = [attempt() for _ in range(count)]
    results = driver(group=3).read_submit(attempts, Response(status, body.encode("utf-8", "replace")))
    assert len(results) == count
    if not any(char.isdigit() for char in body) and "пополните счет" not in body:
        assert not any(isinstance(result, Submitted) for result in results)


def test_a_group() -> None:
    pair = [attempt("79101234567"), attempt("79102345678")]
    request = driver(group=2).submit(pair)
    assert dict(parse_qsl(urlsplit(request.url).query))["dadr"] == "79101234567,79102345678"
    assert driver(group=2).read_submit(pair, Response(200, b"1, 2")) == [Submitted("1"), Submitted("2")]
    for answer in ("1", "1,2,3", "Error_No_Text"):
        results = driver(group=2).read_submit(pair, Response(200, answer.encode()))
        assert [type(result) for result in results] == [Uncertain, Uncertain]


def test_the_longest_url() -> None:
    room = 2000 - len(driver().submit([attempt(text="")]).url)
    assert len(driver().submit([attempt(text="x" * room)]).url) == 2000
    with pytest.raises(Refused) as caught:
        driver().submit([attempt(text="x" * (room + 1))])
    assert caught.value.refusal.code == "LIMIT"


def test_status() -> None:
    fields = {"time_change_state": "2026-11-20 10:00:00", "state_sms": "deliver", "num_parts": "2", "price": "1.15"}
    receipt = driver().read_status("7", Response(200, phpserialize.dumps(fields)))
    assert (receipt.state, receipt.segments, receipt.price) == (State.DELIVERED, 2, "1.15")
    assert driver().read_status("7", Response(200, b"not_deliver")).state is State.UNDELIVERED
    assert driver().read_status("7", Response(200, b"partly_deliver")).state is State.UNCERTAIN
    for nonsense in (b"a:1:{", b"perhaps", b"", b'a:1:{i:0;O:8:"stdClass":0:{}}'):
        if nonsense:
            with pytest.raises(Refused):
                driver().read_status("7", Response(200, nonsense))


@pytest.mark.parametrize(
    "body", ["445.6 RUR\nРоссия:361,МТС:1", "445.6 RUR,Россия:361,МТС:1", "445,6 руб. Россия:361\nМТС:1"]
)
def test_balance(body: str) -> None:
    balance = driver().read_balance(Response(200, body.encode()))
    assert (balance.amount, balance.packages) == ("445.6", {"Россия": "361", "МТС": "1"})


# ── on a network ─────────────────────────────────────────────────────────────────────────────────

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def server(handler: Handler) -> AsyncIterator[str]:
    """A TCP server that does exactly what the test says."""

    async def tidy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await handler(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()
            ended.set()

    ended = asyncio.Event()
    listening = await asyncio.start_server(tidy, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}/sendsms.php"
    finally:
        listening.close()
        await ended.wait()


async def submit(url: str, text: str = "text", timeout_s: float = 5) -> Outcome:
    upstream = HttpUpstream(driver(url), timeout_s=timeout_s, max_in_flight=2)
    try:
        (single,) = await upstream.submit([attempt(text=text)])
        return single
    finally:
        await upstream.close()


def answering(raw: bytes, *, seen: list[bytes] | None = None, wait: asyncio.Event | None = None) -> Handler:
    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        if seen is not None:
            seen.append(head)
        if wait is not None:
            await wait.wait()
        writer.write(raw)
        writer.close()

    return handler


OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n42"


async def test_every_character_arrives_as_sent() -> None:
    text = "a+b;c%d&e#f=g?h/i \"'<>~«Привет»\n😀"
    seen: list[bytes] = []
    async with server(answering(OK, seen=seen)) as url:
        assert await submit(url, text) == Submitted("42")
    target = seen[0].split(b" ")[1].decode("ascii")
    query = dict(parse_qsl(urlsplit(target).query, strict_parsing=True))
    assert query == {"user": "corp", "pwd": "p&s;s+w%rd", "sadr": "My Bank", "dadr": "79101234567", "text": text}
    assert "+" not in target  # a space is %20: not every server reads a plus as one


@pytest.mark.parametrize(
    ("raw", "kind"),
    [
        (OK, Submitted),
        (b"", Uncertain),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n42", Uncertain),
        (b"HTTP/1.1 200 OK\r\nContent-Len", Uncertain),
        (b"garbage\r\n\r\n", Uncertain),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2000000\r\n\r\n" + b"1" * 2_000_000, Uncertain),
        (b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n", Deferred),
    ],
)
async def test_answers_of_a_network(raw: bytes, kind: type[Outcome]) -> None:
    async with server(answering(raw)) as url:
        assert isinstance(await submit(url), kind)


async def test_no_answer_in_time_is_uncertain() -> None:
    never = asyncio.Event()
    async with server(answering(OK, wait=never)) as url:
        result = await submit(url, timeout_s=0.2)
        never.set()
    assert isinstance(result, Uncertain)


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/", "http://no-such-host.invalid/"])
async def test_no_connection_means_not_sent(url: str) -> None:
    assert isinstance(await submit(url), Deferred)


async def test_no_tls_means_not_sent() -> None:
    async with server(answering(OK)) as url:
        assert isinstance(await submit(url.replace("http:", "https:")), Deferred)


async def test_a_request_is_never_repeated_by_itself() -> None:
    """aiohttp sends a GET again when a kept connection dies under it. The provider has read the first one."""
    requests: list[bytes] = []

    async def one_answer_then_death(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        requests.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(OK)
        requests.append(await reader.readuntil(b"\r\n\r\n"))
        writer.transport.abort()

    async with server(one_answer_then_death) as url:
        upstream = HttpUpstream(driver(url), timeout_s=5, max_in_flight=1)
        results = [(await upstream.submit([attempt(text=text)]))[0] for text in ("one", "two")]
        await upstream.close()
    assert isinstance(results[0], Submitted)
    assert isinstance(results[1], Uncertain)
    assert len(requests) == 2


async def test_proxies_of_the_environment_are_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    async with server(answering(OK)) as url:
        assert await submit(url) == Submitted("42")


async def test_no_secret_in_what_goes_wrong() -> None:
    async with server(answering(b"")) as url:
        upstream = HttpUpstream(driver(url), timeout_s=5, max_in_flight=1)
        request: Request = driver(url).submit([attempt()])
        with pytest.raises(NoAnswer) as caught:
            await upstream.call(request)
        await upstream.close()
    assert "p%26s" not in str(caught.value)
    assert "pwd" not in str(caught.value)
