"""Where providers report to, on HTTP: whose it is, on the disk before the answer, nothing for strangers."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from aiohttp.test_utils import TestServer

from gateway.lifecycle import State
from gateway.model import Callback, Incoming, Pushed, Receipt, Response
from gateway.providers import PLAIN
from gateway.providers.http import HttpUpstream
from gateway.service.callbacks import Callbacks, Reporter
from gateway.service.receipts import Receipts
from gateway.spool.store import Store
from gateway.verdicts import CREDENTIALS_WRONG, TEXT_EMPTY, Refused
from gateway.web.callbacks import MAX_BYTES, application
from tests.contract.jobs import driver
from tests.contract.spool.given import rows

URL = "https://sms.example.com/behind/a/proxy/main/t0ken-of-sixteen"


class Mute:
    """A driver whose provider reports nothing."""

    traits = PLAIN
    submit = driver().submit
    read_submit = driver().read_submit


class Reporting(Mute):
    """One whose provider reports ``id state``, signed by nothing."""

    def __init__(self) -> None:
        self.heard: list[Callback] = []

    def read_callback(self, callback: Callback) -> Pushed:
        self.heard.append(callback)
        if callback.body == b"forged":
            raise Refused(CREDENTIALS_WRONG)
        if not callback.body:
            raise Refused(TEXT_EMPTY)
        provider_id, state = callback.body.decode().split()
        receipt = Receipt(provider_id, State(state), state)
        return Pushed((receipt,), answer=Response(202, b"heard", {"Content-Type": "text/plain"}))


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    opened = await Store.open(f"sqlite:///{tmp_path}/gateway.db", exclusive=True)
    yield opened
    await opened.close()


@pytest.fixture
def reporting() -> Reporting:
    return Reporting()


@pytest.fixture
async def client(store: Store, reporting: Reporting) -> AsyncIterator[httpx.AsyncClient]:
    silent = HttpUpstream(Mute(), timeout_s=1, max_in_flight=1)
    reporters = {
        "main": Reporter("main", HttpUpstream(reporting, timeout_s=1, max_in_flight=1), URL),
        "mute": Reporter("mute", silent, "https://sms.example.com/mute/sixteencharacters"),
    }
    server = TestServer(application(Callbacks(reporters, Receipts(store))))
    await server.start_server()
    async with httpx.AsyncClient(base_url=str(server.make_url("/")), trust_env=False) as made:
        yield made
    await server.close()


async def test_a_report_is_written_and_answered_as_the_provider_wants(
    client: httpx.AsyncClient, store: Store, reporting: Reporting
) -> None:
    answer = await client.post("/any/way/main/t0ken%2Dof-sixteen?a=1&b=%20x", content=b"11 delivered")
    assert (answer.status_code, answer.content, answer.headers["content-type"]) == (202, b"heard", "text/plain")
    (row,) = await rows(store, "select provider, provider_id, state from receipts")
    assert tuple(row) == ("main", "11", "delivered")
    (heard,) = reporting.heard
    assert (heard.method, heard.url) == ("POST", f"{URL}?a=1&b=%20x")
    assert (heard.query, heard.headers["host"].partition(":")[0]) == ((("a", "1"), ("b", " x")), "127.0.0.1")


@pytest.mark.parametrize(
    "path", ["/", "/main", "/main/", "/main/wrong", "/other/t0ken-of-sixteen", "/main/t0ken", "/x"]
)
async def test_strangers_find_nothing(client: httpx.AsyncClient, reporting: Reporting, path: str) -> None:
    for method in ("GET", "POST", "PUT"):
        answer = await client.request(method, path, content=b"11 delivered")
        assert (answer.status_code, answer.content) == (404, b"")
    assert not reporting.heard


async def test_a_provider_that_has_nothing_to_say(client: httpx.AsyncClient) -> None:
    assert (await client.post("/mute/sixteencharacters", content=b"x")).status_code == 404


@pytest.mark.parametrize(("body", "status"), [(b"forged", 403), (b"", 400), (b"x" * (MAX_BYTES + 1), 413)])
async def test_what_is_wrong_is_refused(client: httpx.AsyncClient, store: Store, body: bytes, status: int) -> None:
    answer = await client.post("/main/t0ken-of-sixteen", content=body)
    assert answer.status_code == status
    assert await rows(store, "select * from receipts") == []


async def test_what_cannot_be_written_is_not_acknowledged(client: httpx.AsyncClient, store: Store) -> None:
    await store.close()

    async def away(*_: Any) -> None:
        raise OSError("the disk is away")

    store.record = away  # type: ignore[assignment]
    answer = await client.post("/main/t0ken-of-sixteen", content=b"11 delivered")
    assert (answer.status_code, answer.content) == (503, b"")


def test_an_incoming_sms_shows_no_number_in_full_by_accident() -> None:
    """``repr`` ends in logs of other people."""
    assert "secret" not in repr(Callback("GET", "https://x/secret", headers={"a": "secret"}, body=b"secret"))
    assert Incoming("1", "79101234567", "79990001122", "x").text == "x"
