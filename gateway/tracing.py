"""Traces, for who has OpenTelemetry (``email2sms[otel]``) and says where to: ``OTEL_EXPORTER_OTLP_ENDPOINT``.

One trace for each mail, from the door to the receipts. Its id is made of the queue id, so that whoever goes on with the
mail, another process or a day later, goes on with its trace, and nothing of it is stored. Without an endpoint each span
costs a function call.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import SpanProcessor, TracerProvider

PREFIX = "email2sms."
ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")

_provider: TracerProvider | None = None
_new_root: ContextVar[str] = ContextVar("_new_root", default="")
"""Queue id of the mail whose first span is being made."""


class Seen:
    """What is added to a span at its end. This one is nobody's."""

    def note(self, **values: str | int | float) -> None:
        """Names get the prefix ``email2sms.``. Never a number, an address or a text."""


_NOTHING = nullcontext(Seen())
_NONE: AbstractContextManager[Sequence[Seen]] = nullcontext(())


def is_wanted() -> bool:
    """Whether the environment names somebody who takes traces."""
    return os.environ.get("OTEL_SDK_DISABLED", "").lower() != "true" and any(map(os.environ.get, ENDPOINTS))


def begin(version: str, processor: SpanProcessor | None = None) -> None:
    """From now on. By default to the endpoint of the environment. Raises ``ImportError`` without the extra."""
    global _provider  # noqa: PLW0603 (one for the process, as the log)
    if _provider is not None:
        return
    from opentelemetry.sdk.resources import Resource  # noqa: PLC0415
    from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415

    if processor is None:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415
        from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415

        processor = BatchSpanProcessor(OTLPSpanExporter())
    name = os.environ.get("OTEL_SERVICE_NAME", "email2sms")
    resource = Resource.create({"service.name": name, "service.version": version})
    _provider = TracerProvider(id_generator=_ids(), resource=resource)
    _provider.add_span_processor(processor)


def end() -> None:
    """Send what is left. Takes its time: not for the loop."""
    global _provider
    provider, _provider = _provider, None
    if provider is not None:
        provider.shutdown()


def mail(queue_id: str) -> AbstractContextManager[Seen]:
    """The first span of a mail: it comes in."""
    return _NOTHING if _provider is None else _spanned("mail", {"queue_id": queue_id}, root=queue_id)


def step(name: str) -> AbstractContextManager[Seen]:
    """A part of the span that is under way."""
    return _NOTHING if _provider is None else _spanned(name, {})


def later(name: str, mail_id: str, **values: str | int | float) -> AbstractContextManager[Seen]:
    """Something happens to a mail that has come in some time, somewhere."""
    if _provider is None:
        return _NOTHING
    return _spanned(name, {"queue_id": mail_id, **values}, after=mail_id)


def all_of(spans: Iterable[AbstractContextManager[Seen]]) -> AbstractContextManager[Sequence[Seen]]:
    """Several at once, of jobs that share one call; none of them where nobody wants them."""
    return _NONE if _provider is None else _all_of(spans)


@contextmanager
def _all_of(spans: Iterable[AbstractContextManager[Seen]]) -> Iterator[Sequence[Seen]]:
    with ExitStack() as stack:
        yield [stack.enter_context(span) for span in spans]


@contextmanager
def _spanned(name: str, values: Mapping[str, str | int | float], *, root: str = "", after: str = "") -> Iterator[Seen]:
    from opentelemetry.context import Context  # noqa: PLC0415

    assert _provider is not None
    context = _context_of(after) if after else Context() if root else None
    token = _new_root.set(root)
    try:
        span = _provider.get_tracer("email2sms").start_span(name, context)
    finally:
        _new_root.reset(token)
    from opentelemetry.trace import use_span  # noqa: PLC0415

    seen = _Seen(span)
    seen.note(**values)
    # What an exception says may hold anything.
    with use_span(span, end_on_exit=True, record_exception=False, set_status_on_exception=False):
        yield seen


class _Seen(Seen):
    def __init__(self, span: Any) -> None:
        self._span = span

    def note(self, **values: str | int | float) -> None:
        for key, value in values.items():
            self._span.set_attribute(PREFIX + key, value)


def _numbers(queue_id: str) -> tuple[int, int]:
    """Trace id, and the id of the first span."""
    digest = hashlib.sha256(queue_id.encode()).digest()
    return int.from_bytes(digest[:16], "big") or 1, int.from_bytes(digest[16:24], "big") or 1


def _context_of(mail_id: str) -> Context:
    from opentelemetry import trace  # noqa: PLC0415

    assert _provider is not None
    trace_id, span_id = _numbers(mail_id)
    decision = _provider.sampler.should_sample(None, trace_id, "mail").decision
    chosen = decision.is_sampled()  # type: ignore[no-untyped-call]
    flags = trace.TraceFlags(trace.TraceFlags.SAMPLED if chosen else trace.TraceFlags.DEFAULT)
    parent = trace.SpanContext(trace_id, span_id, is_remote=True, trace_flags=flags)
    return trace.set_span_in_context(trace.NonRecordingSpan(parent))


def _ids() -> Any:
    from opentelemetry.sdk.trace.id_generator import RandomIdGenerator  # noqa: PLC0415

    class Ids(RandomIdGenerator):
        """Of a mail's first span: those that everybody can find out."""

        def generate_trace_id(self) -> int:
            return _numbers(root)[0] if (root := _new_root.get()) else super().generate_trace_id()

        def generate_span_id(self) -> int:
            return _numbers(root)[1] if (root := _new_root.get()) else super().generate_span_id()

    return Ids()
