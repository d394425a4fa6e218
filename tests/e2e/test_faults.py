"""The network fails in every way: before the provider, and before the smarthost (reliability §2.1)."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from tests.faults import (
    GARBAGE,
    HTML_502,
    HTTP_END,
    SILENT,
    SMTP_END,
    SOAK,
    TEN_MEGABYTES,
    Behaviour,
    FaultProxy,
    fault_proxy,
    http,
)
from tests.history import Mail, settled
from tests.process import Program, Provider, program, provider
from tests.running import listener, template, write_config
from tests.smarthost import Smarthost, smarthost

SERVICE = "emailtosms@sms.example.com"

pytestmark = pytest.mark.asyncio(loop_scope="module")


# ── before the provider ──────────────────────────────────────────────────────────────────────────


def lie(answer: bytes) -> Behaviour:
    """The provider gets the request, sends the SMS, and this comes back."""
    return Behaviour(request_end=HTTP_END, answer=answer, forward=True)


def instead(answer: bytes) -> Behaviour:
    """The provider never hears of it."""
    return Behaviour(request_end=HTTP_END, answer=answer)


@dataclass(frozen=True)
class Case:
    """One way to fail: what a job's events must be, in order, repetitions left out."""

    fault: Behaviour
    events: tuple[str, ...]
    why: str
    """How the first event explains itself."""
    requests: int
    """That reach the provider."""
    state: str = "submitted"
    sms: int = 1
    for_ever: bool = False
    """Not only the first connection."""


ASKED_AGAIN = ("uncertain", "submitted")
LATER = ("deferred", "submitted")
LOST = "the answer was lost"
LATE = "no answer in time"

CASES = {
    # 11: nothing has left us
    "refused": Case(Behaviour(), LATER, "no connection to the provider", 1),
    "no such name": Case(Behaviour(), LATER, "no connection to the provider", 0),
    # 12: it may have been sent
    "silence": Case(SILENT, ASKED_AGAIN, LATE, 1),
    "cut in the request": Case(Behaviour(cut_request=20), ASKED_AGAIN, LOST, 1),
    "cut after the request": Case(Behaviour(request_end=HTTP_END, cut_answer=0), ASKED_AGAIN, LOST, 2),
    "cut in the answer": Case(Behaviour(request_end=HTTP_END, cut_answer=20), ASKED_AGAIN, LOST, 2),
    "closed in the answer": Case(Behaviour(request_end=HTTP_END, truncate=20), ASKED_AGAIN, LOST, 2),
    "half an answer": Case(lie(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n11790"), ASKED_AGAIN, LOST, 2),
    "late": Case(Behaviour(request_end=HTTP_END, delay_s=3), ASKED_AGAIN, LATE, 2),
    "slow bytes": Case(Behaviour(request_end=HTTP_END, slow_s=0.002), ("submitted",), "", 1),
    "too slow bytes": Case(Behaviour(request_end=HTTP_END, slow_s=0.1), ASKED_AGAIN, LATE, 2),
    "500": Case(lie(http("500 Oops", b"Internal error")), ASKED_AGAIN, "HTTP 500, Internal error", 2),
    "500 before the script": Case(instead(http("500 Oops", b"Internal error")), ASKED_AGAIN, "HTTP 500", 1),
    "502 in HTML": Case(lie(HTML_502), ASKED_AGAIN, "HTTP 502", 2),
    "504": Case(lie(http("504 Gateway Time-out")), ASKED_AGAIN, "HTTP 504, empty answer", 2),
    "200 in HTML": Case(lie(http("200 OK", b"<html>Welcome", kind="text/html")), ASKED_AGAIN, "HTTP 200", 2),
    "200 and nothing": Case(lie(http("200 OK")), ASKED_AGAIN, "HTTP 200, empty answer", 2),
    "no HTTP": Case(lie(GARBAGE), ASKED_AGAIN, LOST, 2),
    "ten megabytes": Case(lie(TEN_MEGABYTES), ASKED_AGAIN, "the answer is larger than a megabyte", 2),
    "502 for ever": Case(lie(HTML_502), ("uncertain",), "HTTP 502", 5, state="uncertain", for_ever=True),
    "silence for ever": Case(SILENT, ("uncertain",), LATE, 0, state="uncertain", sms=0, for_ever=True),
    # 14: not now
    "429": Case(instead(http("429 Too Many Requests", b"slow down")), LATER, "HTTP 429", 1),
    "503": Case(instead(http("503 Unavailable", b"", "Retry-After: 1")), LATER, "HTTP 503", 1),
    # 16: words that nobody knows
    "unknown words": Case(lie(http("200 OK", b"Quota half used")), ("rejected",), "", 1, state="failed"),
}
REDIRECT = Case(Behaviour(), LATER, "HTTP 302: the address or the permission is wrong", 1)
"""Its fault names the provider's port, so it is made later."""


@dataclass
class History:
    """What is known of a case's one job in the end."""

    events: list[dict[str, Any]]
    job: dict[str, Any]
    texts: list[str]
    """On handsets."""
    requests: int
    elsewhere: int
    """Requests to the route's second provider."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def histories(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[dict[str, History]]:
    """Every case at one time, each with a provider, a proxy and a prefix of its own. The second provider of each route
    is healthy: whatever may have been sent must not go there."""
    folder = tmp_path_factory.mktemp("faults")
    async with AsyncExitStack() as stack:
        sandbox, second = [await stack.enter_async_context(provider()) for _ in range(2)]
        cases = CASES | {"redirect": REDIRECT}
        proxies = {name: await stack.enter_async_context(fault_proxy(sandbox.port)) for name in cases}
        for name, case in cases.items():
            proxies[name].plan = [] if case.for_ever else [case.fault]
            proxies[name].behaviour = case.fault if case.for_ever else Behaviour()
        location = f"Location: http://127.0.0.1:{sandbox.port}/sendsms.php?sadr=x&dadr=79109999999&text=redirected"
        proxies["redirect"].plan = [instead(http("302 Found", b"", location))]
        await proxies["refused"].refuse()
        changes = _changes(sandbox, second, proxies)
        gateway = await stack.enter_async_context(program(folder, sandbox, changes))
        await asyncio.gather(
            *(gateway.mail(template(name, numbers=_number(name)), SERVICE) for name in cases), _admit(gateway, proxies)
        )
        jobs = {job["destination"]: job for job in await settled(gateway.config, timeout_s=60)}
    yield {
        name: History(
            events=[event for event in gateway.log if event.get("job") == jobs[_number(name)]["id"]],
            job=jobs[_number(name)],
            texts=[sms.text for sms in (*sandbox.platform.messages, *second.platform.messages) if sms.text == name],
            requests=sum(entry["text"] == name for entry in sandbox.platform.journal),
            elsewhere=sum(entry["text"] == name for entry in second.platform.journal),
        )
        for name in cases
    }
    assert "redirected" not in {entry["text"] for entry in sandbox.platform.journal}


def _number(name: str) -> str:
    return f"791010000{[*CASES, 'redirect'].index(name):02}"


def _changes(sandbox: Provider, second: Provider, proxies: dict[str, FaultProxy]) -> dict[str, Any]:
    usual = sandbox.settings["main"] | {"timeout": 1}
    providers = {
        f"p{index}": usual | {"url": f"http://127.0.0.1:{proxy.port}/sendsms.php"}
        for index, proxy in enumerate(proxies.values())
    }
    providers[f"p{[*proxies].index('no such name')}"]["url"] = "http://sms.provider.invalid/sendsms.php"
    providers["second"] = second.settings["main"]
    return {
        "providers": providers,
        "routes": [
            *({"prefix": _number(name), "providers": [f"p{i}", "second"]} for i, name in enumerate(proxies)),
            {"providers": ["second"]},
        ],
        "relay": {"first_retry": "1s", "max_retry": "1s", "provider_pause": "1s"},
    }


async def _admit(gateway: Program, proxies: dict[str, FaultProxy]) -> None:
    """The provider that nobody reached comes back after the first try."""
    async with asyncio.timeout(20):
        mine = f"p{[*proxies].index('refused')}"
        while not any(e["event"] == "sms.deferred" and e["provider"] == mine for e in gateway.log):
            await asyncio.sleep(0.05)
    await proxies["refused"].admit()


@pytest.mark.parametrize("name", [*CASES, "redirect"])
async def test_a_fault_before_the_provider(histories: dict[str, History], name: str) -> None:
    case, history = CASES.get(name, REDIRECT), histories[name]
    assert history.texts == [name] * case.sms
    assert history.job["state"] == case.state
    names = [event["event"].removeprefix("sms.") for event in history.events]
    assert tuple(dict.fromkeys(names)) == case.events, history.events
    assert history.events[0].get("why", "").startswith(case.why)
    assert history.requests == case.requests
    assert history.elsewhere == (name == "no such name")
    if case is REDIRECT:
        assert history.events[0]["scope"] == "provider"  # the account is paused, nothing goes to the Location
    if case.state == "uncertain":
        assert history.job["verdict"] == "UNCERTAIN"
    if case.state == "failed":
        assert history.job["verdict"] == "MSG:0"
        assert history.events[0]["alert"] is True


# ── before the smarthost ─────────────────────────────────────────────────────────────────────────


HURRIED = """
import runpy, sys
sys.path.insert(0, "")  # as -m does
import gateway.replies.send, gateway.service.post
assert gateway.service.post.FIRST_RETRY_S == 60 and gateway.replies.send.TIMEOUT_S == 30
gateway.service.post.FIRST_RETRY_S = gateway.replies.send.TIMEOUT_S = 1.0
sys.argv = sys.argv[3:]
runpy.run_module("gateway", run_name="__main__", alter_sys=True)
"""
"""No setting makes the replies hurry. With EMAIL2SMS_SOAK they take their own time."""


@dataclass
class Answering:
    """A gateway that answers by mail, through a proxy."""

    gateway: Program
    proxy: FaultProxy
    host: Smarthost


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def answering(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Answering]:
    folder = tmp_path_factory.mktemp("replies")
    (folder / "hurried.py").write_text(HURRIED)
    async with smarthost() as host, fault_proxy(host.port) as proxy, provider() as sandbox:
        replies = {"from": "sms@sms.example.com", "smarthost": f"smtp://127.0.0.1:{proxy.port}", "per_hour": 100}
        changes = {
            "providers": sandbox.settings,
            "listeners": [listener(on_refusal="reply")],
            "replies": replies,
            "log": {"format": "json"},
        }
        wrapper = () if SOAK else (sys.executable, str(folder / "hurried.py"))
        gateway = await Program.start(write_config(folder, changes), *wrapper)
        try:
            yield Answering(gateway, proxy, host)
        finally:
            await gateway.stop()
        assert not sandbox.platform.journal


@pytest.mark.parametrize(
    ("fault", "copies"),
    [
        pytest.param(None, 1, id="refused"),
        pytest.param(SILENT, 1, id="silence"),
        pytest.param(Behaviour(cut_request=300), 1, id="cut in the mail"),
        pytest.param(Behaviour(request_end=SMTP_END, cut_answer=0), 2, id="cut before the final 250"),
        pytest.param(Behaviour(request_end=SMTP_END, truncate=2), 2, id="closed in the final 250"),
        pytest.param(Behaviour(request_end=SMTP_END, delay_s=3), 2, id="the final 250 is late"),
        pytest.param(Behaviour(request_end=SMTP_END, answer=b"451 4.3.0 later\r\n", forward=True), 2, id="451"),
        pytest.param(Behaviour(request_end=SMTP_END, answer=GARBAGE, forward=True), 2, id="no SMTP"),
        pytest.param(Behaviour(request_end=b"QUIT\r\n", cut_answer=0), 1, id="cut after the final 250"),
    ],
)
async def test_a_fault_before_the_smarthost(
    answering: Answering, request: pytest.FixtureRequest, fault: Behaviour | None, copies: int
) -> None:
    gateway, proxy, host = answering.gateway, answering.proxy, answering.host
    postponed, sent = (sum(e["event"] == f"reply.{name}" for e in gateway.log) for name in ("postponed", "sent"))
    before = len(host.envelopes)
    mail_id = f"<{request.node.name.encode().hex()}@bank.example>"
    if fault is None:
        await proxy.refuse()
    else:
        proxy.plan = [fault]
    content = template(more=f"Message-ID: {mail_id}\r\n").replace(b"My Bank", b"Evil")
    assert (await gateway.mail(content, SERVICE)).startswith("250")
    if request.node.callspec.id.endswith("cut after the final 250"):
        assert gateway.raw_log.count("reply.postponed") == postponed
    else:
        await gateway.event("reply.postponed", postponed + 1, timeout_s=60)
    if fault is None:
        await proxy.admit()
    await gateway.event("reply.sent", sent + 1, timeout_s=120)
    mails = (await host.mails(before + copies))[before:]
    assert len(mails) == copies
    assert {str(mail["In-Reply-To"]) for mail in mails} == {mail_id}
    assert len({str(mail["Message-ID"]) for mail in mails}) == 1
    assert len({mail.as_bytes() for mail in mails}) == 1


# ── between the client and us (row 3) ────────────────────────────────────────────────────────────


async def test_a_250_that_the_client_never_saw(tmp_path: Path, store_url: str) -> None:
    """The client comes again with the same mail: the same queue id, one SMS."""
    async with provider() as sandbox:
        async with program(tmp_path, sandbox, {"store": {"url": store_url}}) as gateway:
            mail = Mail("once")
            async with fault_proxy(gateway.port()) as proxy:
                proxy.plan = [Behaviour(request_end=SMTP_END, cut_answer=0)]
                assert not await asyncio.to_thread(mail.send, proxy.port)
                assert await asyncio.to_thread(mail.send, proxy.port)
            accepted = await gateway.event("mail.accepted")
            assert (await gateway.event("mail.duplicate"))["first"] == accepted["queue_id"]
            assert mail.queue_ids == {accepted["queue_id"]}
            await gateway.event("sms.submitted")
        assert [sms.text for sms in sandbox.platform.messages] == ["once"]


async def test_a_250_to_a_refused_mail_that_the_client_never_saw(answering: Answering) -> None:
    """One mail, one answer; or copies that a mail reader takes for one (reliability §1.3, 4 and 5)."""
    gateway, host = answering.gateway, answering.host
    sent, before = sum(e["event"] == "reply.sent" for e in gateway.log), len(host.envelopes)
    mail = Mail("refused", refused=True)
    async with fault_proxy(gateway.port()) as proxy:
        proxy.plan = [Behaviour(request_end=SMTP_END, cut_answer=0)]
        assert not await asyncio.to_thread(mail.send, proxy.port)
        assert await asyncio.to_thread(mail.send, proxy.port)
    await gateway.event("reply.sent", sent + 1)
    with suppress(TimeoutError):
        await gateway.event("reply.sent", sent + 2, timeout_s=3)
    assert len({str(copy["Message-ID"]) for copy in (await host.mails(before + 1))[before:]}) == 1
