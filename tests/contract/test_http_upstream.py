"""The line that decides everything: did bytes leave us? Shown on real connections."""

from __future__ import annotations

import asyncio
import gzip
import socket
import ssl
import subprocess
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import parse_qsl

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pytest_httpserver import HTTPServer

from gateway.model import Deferred, Outcome, Rejected, Request, Scope, Submitted, Uncertain
from gateway.providers import NoAnswer
from gateway.providers.http import CONNECT_TIMEOUT_S, MAX_ANSWER_BYTES, HttpClient, HttpUpstream
from tests.contract.jobs import PASSWORD, attempt, driver
from tests.contract.peer import OK, answering, head, peer
from tests.process import free_port


async def submit(url: str, text: str = "text", timeout_s: float = 5) -> Outcome:
    upstream = HttpUpstream(driver(url), timeout_s=timeout_s, max_in_flight=2)
    try:
        (outcome,) = await upstream.submit([attempt(text=text)])
    finally:
        await upstream.close()
    return outcome


# ── nothing left us ──────────────────────────────────────────────────────────────────────────────


async def test_a_refused_connection_means_not_sent() -> None:
    outcome = await submit(f"http://127.0.0.1:{free_port()}/sendsms.php")
    assert isinstance(outcome, Deferred)
    assert (outcome.scope, outcome.after_s) == (Scope.ROUTE, None)
    assert outcome.why.startswith("no connection to the provider: ")


@pytest.mark.parametrize(
    "url",
    [
        "http://no-such-host.invalid/sendsms.php",
        "http:///sendsms.php",
        "http://127.0.0.1:99999/",
        "http://[::1/",
        "http://two..dots.example/",
        "http://" + "long" * 16 + ".example/",
    ],
)
async def test_no_address_means_not_sent(url: str) -> None:
    outcome = await submit(url)
    assert isinstance(outcome, Deferred)
    assert outcome.why.startswith("no connection to the provider: ")


async def test_a_connection_that_never_comes_means_not_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    """A full backlog: the kernel lets the handshake wait."""
    monkeypatch.setattr("gateway.providers.http.CONNECT_TIMEOUT_S", 0.2)
    assert CONNECT_TIMEOUT_S <= 10
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(0)
        waiting = []
        for _ in range(4):
            client = socket.socket()
            client.setblocking(False)
            client.connect_ex(listening.getsockname())
            waiting.append(client)
        outcome = await submit(f"http://127.0.0.1:{listening.getsockname()[1]}/")
        for client in waiting:
            client.close()
    assert outcome == Deferred(Scope.ROUTE, "no connection to the provider: timed out")


async def test_waiting_for_a_free_connection_means_not_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.providers.http.CONNECT_TIMEOUT_S", 0.2)
    asked = asyncio.Event()

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await head(reader)
        asked.set()
        await asyncio.Event().wait()

    async with peer(silent) as url:
        upstream = HttpUpstream(driver(url), timeout_s=1, max_in_flight=1)
        first = asyncio.create_task(upstream.submit([attempt()]))
        await asked.wait()
        assert await upstream.submit([attempt()]) == [Deferred(Scope.ROUTE, "no connection to the provider: timed out")]
        assert await first == [Uncertain("no answer in time")]
        await upstream.close()


async def test_a_request_that_cannot_be_written_means_refused() -> None:
    outcome = await submit("http://127.0.0.1:1/", text="ы" * 400)
    assert isinstance(outcome, Rejected)
    assert (outcome.refusal.code, outcome.alert) == ("LIMIT", False)


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> ssl.SSLContext:
    """A server's context with a certificate that nobody vouches for."""
    folder: Path = tmp_path_factory.mktemp("tls")
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    command += ["-keyout", f"{folder}/key.pem", "-out", f"{folder}/certificate.pem", "-subj", "/CN=127.0.0.1"]
    command += ["-addext", "subjectAltName=IP:127.0.0.1", "-days", "2"]
    subprocess.run(command, check=True, capture_output=True)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(f"{folder}/certificate.pem", f"{folder}/key.pem")
    return context


async def test_a_certificate_that_is_not_trusted_means_not_sent(tls: ssl.SSLContext) -> None:
    seen: list[bytes] = []
    async with peer(answering(OK, seen), tls) as url:
        outcome = await submit(url)
    assert isinstance(outcome, Deferred)
    assert outcome.scope is Scope.ROUTE
    assert "certificate" in outcome.why
    assert seen == []


async def test_no_tls_means_not_sent() -> None:
    async def deaf(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(OK)

    async with peer(deaf) as url:
        outcome = await submit(url.replace("http:", "https:"))
    assert isinstance(outcome, Deferred)


@pytest.mark.parametrize("abort", [True, False], ids=["reset", "closed"])
async def test_a_connection_lost_in_the_handshake_means_not_sent(abort: bool) -> None:
    async def rude(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        if abort:
            writer.transport.abort()

    async with peer(rude) as url:
        outcome = await submit(url.replace("http:", "https:"))
    assert isinstance(outcome, Deferred)


async def test_a_handshake_that_never_ends_means_not_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.providers.http.CONNECT_TIMEOUT_S", 0.2)

    async def stuck(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        await asyncio.Event().wait()

    async with peer(stuck) as url:
        outcome = await submit(url.replace("http:", "https:"))
    assert outcome == Deferred(Scope.ROUTE, "no connection to the provider: timed out")


# ── bytes left us, and no whole answer came ──────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Len",
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n1179038",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n7\r\n1179038\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n42\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n42",
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\n\r\n42",
        b"HTTP/9.9 200\r\n\r\n",
        b"220 smtp.example ESMTP\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"x" * 100_000 + b"\r\n\r\n42",
        b"\x00\xff" * 50,
    ],
    ids=lambda raw: repr(raw[:50]),
)
async def test_a_broken_answer_is_uncertain(raw: bytes) -> None:
    seen: list[bytes] = []
    async with peer(answering(raw, seen)) as url:
        outcome = await submit(url)
    assert isinstance(outcome, Uncertain)
    assert len(seen) == 1


async def test_a_reset_instead_of_an_answer_is_uncertain() -> None:
    async def rude(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await head(reader)
        writer.transport.abort()

    async with peer(rude) as url:
        assert isinstance(await submit(url), Uncertain)


async def test_a_reset_before_the_request_was_read_is_uncertain() -> None:
    async def rude(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.transport.abort()

    async with peer(rude) as url:
        assert isinstance(await submit(url), Uncertain)


@pytest.mark.parametrize("begin", [b"", OK[:20], OK[:-1]], ids=["silence", "half a head", "half a body"])
async def test_no_answer_in_time_is_uncertain(begin: bytes) -> None:
    async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await head(reader)
        writer.write(begin)
        await asyncio.Event().wait()

    async with peer(slow) as url:
        assert await submit(url, timeout_s=0.2) == Uncertain("no answer in time")


async def test_an_answer_that_trickles_for_ever_is_uncertain(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.providers.http.CONNECT_TIMEOUT_S", 0.2)

    async def trickle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await head(reader)
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            writer.write(b"4")
            await asyncio.sleep(0.02)

    async with peer(trickle) as url:
        assert await submit(url, timeout_s=0.2) == Uncertain("no answer in time")


async def test_after_a_time_out_nothing_more_is_delivered() -> None:
    """The connection is reset, not closed: the kernel must not bring the request to the provider later."""
    ended: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await head(reader)
        try:
            await reader.read()
            ended.set_result("closed")
        except ConnectionResetError:
            ended.set_result("reset")

    async with peer(slow) as url:
        await submit(url, timeout_s=0.1)
        async with asyncio.timeout(5):
            assert await ended == "reset"


@pytest.mark.parametrize("framed", [True, False], ids=["announced", "endless"])
async def test_an_answer_over_a_megabyte_is_uncertain(framed: bool) -> None:
    size = f"Content-Length: {2 * MAX_ANSWER_BYTES}\r\n" if framed else ""
    raw = f"HTTP/1.1 200 OK\r\n{size}\r\n".encode() + b"1" * 2 * MAX_ANSWER_BYTES
    async with peer(answering(raw)) as url:
        assert await submit(url) == Uncertain("the answer is larger than a megabyte")


async def test_a_small_answer_that_unpacks_to_megabytes_is_uncertain() -> None:
    packed = gzip.compress(b"1" * 20 * MAX_ANSWER_BYTES)
    assert len(packed) < 50_000
    raw = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(packed) + packed
    async with peer(answering(raw)) as url:
        assert await submit(url) == Uncertain("the answer is larger than a megabyte")


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.one_of(
        st.binary(max_size=80),
        st.binary(max_size=40).map(lambda junk: b"HTTP/1.1 200 OK\r\n" + junk + b"\r\n\r\n"),
        st.binary(max_size=40).map(lambda junk: b"HTTP/1.1 200 OK\r\nContent-Length: 40\r\n\r\n" + junk[:39]),
    )
)
def test_no_bytes_make_it_raise_or_say_not_sent(raw: bytes) -> None:
    async def once() -> Outcome:
        async with peer(answering(raw)) as url:
            return await submit(url)

    assert isinstance(asyncio.run(once()), Uncertain | Rejected)


# ── never by itself ──────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("abort", [True, False], ids=["reset", "closed"])
async def test_a_request_on_a_kept_connection_that_dies_is_not_repeated(abort: bool) -> None:
    """aiohttp's session sends such a GET again. The provider has read the first one, and the handset would get two."""
    requests: list[bytes] = []
    connections = 0

    async def one_answer_then_death(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        requests.append(await head(reader))
        writer.write(OK)
        requests.append(await head(reader))
        if abort:
            writer.transport.abort()

    async with peer(one_answer_then_death) as url:
        upstream = HttpUpstream(driver(url), timeout_s=5, max_in_flight=1)
        outcomes = [(await upstream.submit([attempt(text=text)]))[0] for text in ("one", "two")]
        await upstream.close()
    assert outcomes[0] == Submitted("42")
    assert isinstance(outcomes[1], Uncertain)
    assert (len(requests), connections) == (2, 1)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_not_followed(status: int) -> None:
    elsewhere: list[bytes] = []
    async with peer(answering(OK, elsewhere)) as target:
        raw = f"HTTP/1.1 {status} Elsewhere\r\nLocation: {target}\r\nContent-Length: 0\r\n\r\n"
        async with peer(answering(raw.encode())) as url:
            outcome = await submit(url)
    assert isinstance(outcome, Deferred)
    assert outcome.scope is Scope.PROVIDER
    assert elsewhere == []


@pytest.fixture
async def proxy() -> AsyncIterator[list[bytes]]:
    seen: list[bytes] = []
    async with peer(answering(OK, seen)) as url:
        with pytest.MonkeyPatch.context() as patch:
            for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
                patch.setenv(name, url.removesuffix("/sendsms.php"))
            for name in ("no_proxy", "NO_PROXY"):
                patch.delenv(name, raising=False)
            yield seen


async def test_proxies_of_the_environment_are_ignored(proxy: list[bytes]) -> None:
    """A proxy may repeat a GET by itself."""
    seen: list[bytes] = []
    async with peer(answering(OK, seen)) as url:
        assert await submit(url) == Submitted("42")
    assert (len(seen), len(proxy)) == (1, 0)


async def test_cookies_are_not_kept() -> None:
    seen: list[bytes] = []
    raw = OK.replace(b"\r\n\r\n", b"\r\nSet-Cookie: session=1\r\n\r\n")
    async with peer(answering(raw, seen)) as url:
        upstream = HttpUpstream(driver(url), timeout_s=5, max_in_flight=1)
        for _ in range(2):
            await upstream.submit([attempt()])
        await upstream.close()
    assert not any(b"cookie" in request.lower() for request in seen)


# ── what arrives ─────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "text",
    [
        *"+;%&#=?/ '\"<>~\\^[]{}|`,()!*$@:\n\t\r",
        "%20",
        "%2B+%",
        "a;b=c&text=other#end",
        "Привет, «мир»",
        "😀👨‍👩‍👧",
        " spaces around ",
        "\u00a0\u2028",
    ],
    ids=ascii,
)
async def test_every_character_arrives_as_sent(httpserver: HTTPServer, text: str) -> None:
    httpserver.expect_request("/sendsms.php").respond_with_data("1179038981")
    assert await submit(httpserver.url_for("/sendsms.php"), text) == Submitted("1179038981")
    (request, _response) = httpserver.log[0]
    raw = request.query_string.decode("ascii")
    assert dict(parse_qsl(raw, strict_parsing=True)) == {
        "user": "corp",
        "pwd": PASSWORD,
        "sadr": "My Bank",
        "dadr": "79101234567",
        "text": text,
    }
    assert not set(raw) & set('+; "<>#')  # a space is %20, and no server takes a ; for a &
    assert request.args["text"] == text
    assert len(httpserver.log) == 1


async def test_the_whole_request(httpserver: HTTPServer) -> None:
    httpserver.expect_request("/get/").respond_with_data("7")
    assert await submit(httpserver.url_for("/get/")) == Submitted("7")
    request = httpserver.log[0][0]
    assert (request.method, request.get_data()) == ("GET", b"")
    assert request.headers["User-Agent"] == "email2sms"


@pytest.mark.parametrize(
    ("request_", "line", "wanted"),
    [
        (Request("POST", "/get/"), b"POST /get/ HTTP/1.1", b"Content-Length: 0"),
        (Request("POST", "/get/", {"content-length": "9"}, b"body"), b"POST /get/ HTTP/1.1", b"Content-Length: 4"),
        (Request("GET", "?a=%2B b#end", {"user-agent": "mine"}), b"GET /?a=%2B%20b HTTP/1.1", b"user-agent: mine"),
        (Request("GET", "", {"X-Key": "ключ"}), b"GET / HTTP/1.1", "X-Key: ключ".encode()),
    ],
    ids=["no body", "length", "ours", "utf-8"],
)
async def test_what_a_request_begins_with(request_: Request, line: bytes, wanted: bytes) -> None:
    seen: list[bytes] = []
    async with peer(answering(OK, seen)) as url:
        client = HttpClient(timeout_s=5, max_in_flight=1)
        await client.call(replace(request_, url=url.removesuffix("/sendsms.php") + request_.url))
        await client.close()
    first, *headers = seen[0].removesuffix(b"\r\n\r\n").split(b"\r\n")
    assert (first, headers.count(wanted)) == (line, 1)
    assert len({header.partition(b":")[0].lower() for header in headers}) == len(headers)


async def test_a_header_cannot_smuggle_another() -> None:
    seen: list[bytes] = []
    async with peer(answering(OK, seen)) as url:
        client = HttpClient(timeout_s=5, max_in_flight=1)
        with pytest.raises(ValueError, match="control character"):
            await client.call(Request("GET", url, {"X": "a\r\nY: b"}))
        await client.close()
    assert seen == []


async def test_an_interim_answer_is_not_the_answer() -> None:
    async with peer(answering(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + OK)) as url:
        assert await submit(url) == Submitted("42")


async def test_what_a_provider_says_unasked_answers_no_request() -> None:
    """On a kept connection it would be taken for the answer to the next request."""
    answered, said = asyncio.Event(), asyncio.Event()

    async def talkative(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            await head(reader)
            writer.write(OK)
            await answered.wait()
            if not said.is_set():
                writer.write(OK.replace(b"42", b"99"))
                said.set()

    async with peer(talkative) as url, peer(answering(OK)) as other:
        upstream = HttpUpstream(driver(url), timeout_s=5, max_in_flight=1)
        assert await upstream.submit([attempt()]) == [Submitted("42")]
        answered.set()
        await said.wait()
        await submit(other)  # meanwhile it has arrived
        (outcome,) = await upstream.submit([attempt()])
        assert outcome == Deferred(Scope.ROUTE, "no connection to the provider: it did not wait to be asked")
        assert await upstream.submit([attempt()]) == [Submitted("42")]
        await upstream.close()


async def test_connections_are_kept() -> None:
    connections = 0

    async def polite(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        while True:
            await head(reader)
            writer.write(OK)

    async with peer(polite) as url:
        upstream = HttpUpstream(driver(url), timeout_s=5, max_in_flight=2)
        for _ in range(3):
            assert await upstream.submit([attempt()]) == [Submitted("42")]
        await upstream.close()
    assert connections == 1


@pytest.mark.parametrize(
    ("encoding", "body"), [("gzip", gzip.compress(b"1179038981")), ("identity", b"1179038981")], ids=["gzip", "plain"]
)
async def test_packed_answers_are_unpacked(encoding: str, body: bytes) -> None:
    raw = f"HTTP/1.1 200 OK\r\nContent-Encoding: {encoding}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body
    async with peer(answering(raw)) as url:
        assert await submit(url) == Submitted("1179038981")


# ── secrets ──────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("raw", [b"", b"junk\r\n\r\n", OK[:-1]], ids=["nothing", "junk", "half"])
async def test_what_goes_wrong_names_no_secret(raw: bytes, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(0)
    async with peer(answering(raw)) as url:
        account = driver(url)
        upstream = HttpUpstream(account, timeout_s=5, max_in_flight=1)
        request: Request = account.submit([attempt()])
        with pytest.raises(NoAnswer) as caught:
            await upstream.call(request)
        await upstream.close()
    assert caught.value.sent
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__
    for told in (str(caught.value), repr(caught.value), repr(request), caplog.text):
        for secret in (PASSWORD, "pwd=", "p%26s"):
            assert secret not in told
