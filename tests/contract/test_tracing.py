"""One trace for each mail, from the door to the receipt."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any

import pytest

from gateway import tracing
from gateway.lifecycle import State
from gateway.model import Pushed, Receipt
from tests.running import Client, handsets, running, template

pytest.importorskip("opentelemetry.sdk")

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

SERVICE = "emailtosms@sms.example.com"


class Collector(InMemorySpanExporter):
    """Says when a span of that name has come."""

    def __init__(self, wanted: str) -> None:
        super().__init__()
        self._wanted = wanted
        self.came = asyncio.Event()

    def export(self, spans: Any) -> Any:
        if any(span.name == self._wanted for span in spans):
            self.came.set()
        return super().export(spans)


def attributes(span: ReadableSpan) -> dict[str, Any]:
    return {key.removeprefix("email2sms."): value for key, value in (span.attributes or {}).items()}


async def test_a_mail_is_one_trace(tmp_path: Path) -> None:
    collector = Collector("settle")
    tracing.begin("1", SimpleSpanProcessor(collector))
    async with running(tmp_path) as daemon:
        client = await Client.connect(daemon)
        await client.say("EHLO client")
        answer = await client.mail(template("Привет"), SERVICE)
        await handsets(daemon, 1)
        async with asyncio.timeout(10):
            await collector.came.wait()
        (sms,) = daemon.platform.messages
        await daemon._receipts.take("main", Pushed((Receipt(sms.id, State.DELIVERED, "delivered"),)))
        refusal = await client.mail(template(password="wrong"), SERVICE)
    queue_id = answer.rpartition(" ")[2]
    spans = collector.get_finished_spans()
    mine = [span for span in spans if span.context.trace_id == tracing._numbers(queue_id)[0]]
    (root,) = [span for span in mine if span.name == "mail"]
    assert sorted(span.name for span in mine) == ["commit", "judge", "mail", "receipt", "settle", "submit"]
    assert root.parent is None
    assert {span.parent.span_id for span in mine if span.parent} == {root.context.span_id}
    assert attributes(root) == {"queue_id": queue_id, "answer": "250", "verdict": ""}
    by_name = {span.name: attributes(span) for span in mine}
    job = {"queue_id": queue_id, "job": f"{queue_id}-1", "provider": "main"}
    assert by_name["submit"] == job | {"attempt": 1, "outcome": "submitted"}
    assert by_name["settle"] == job | {"attempt": 1, "state": "submitted"}
    assert by_name["receipt"] == job | {"state": "delivered"}
    (refused,) = [attributes(span) for span in spans if span.name == "mail" and span not in mine]
    assert (refused["answer"], refused["verdict"]) == ("550", "AUTH")
    assert refusal.startswith("550")
    told = " ".join(span.to_json() for span in spans)
    for secret in ("7910", "qwerty12", "wrong", "Привет", "alerts@", "My Bank"):
        assert secret not in told


async def test_an_endpoint_without_the_extra_is_an_alert(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace", None)
    async with running(tmp_path) as daemon:
        assert tracing.mail("Q") is tracing.later("submit", "Q") is tracing.step("x")
        client = await Client.connect(daemon)
        await client.say("EHLO client")
        assert (await client.mail(template(), SERVICE)).startswith("250")
    assert "pip install 'email2sms[otel]'" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("environment", "wanted"),
    [
        ({}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318"}, True),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://collector:4318/v1/traces"}, True),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318", "OTEL_SDK_DISABLED": "true"}, False),
    ],
)
def test_when_traces_are_wanted(monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], wanted: bool) -> None:
    for name in (*tracing.ENDPOINTS, "OTEL_SDK_DISABLED"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert tracing.is_wanted() is wanted
