"""The page for Prometheus: what this process (or all of them) have counted, and the store in gauges."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from pathlib import Path

import structlog
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.multiprocess import MultiProcessCollector

from gateway import __version__, metrics
from gateway.settings.load import Configuration
from gateway.spool import gauges
from gateway.spool.engine import cause
from gateway.spool.gauges import Gauges
from gateway.spool.holds import Scope
from gateway.spool.store import Store

__all__ = ["CONTENT_TYPE_LATEST", "Gauges", "Page", "StoreGauges", "watch_the_loop"]

log = structlog.get_logger()

REST_S = 5.0
"""So old may the store's figures be; after a look that took long, longer: looking costs a twentieth of the time."""
LAG_S = 0.5


class StoreGauges:
    """A look at the store now and then, whoever asks how often."""

    def __init__(
        self, store: Store, configuration: Callable[[], Configuration], clock: Callable[[], float] = time.time
    ) -> None:
        self._store = store
        self._configuration = configuration
        self._clock = clock
        self._one_at_a_time = asyncio.Lock()
        self._known: Gauges | None = None
        self._until = float("-inf")

    async def look(self) -> Gauges | None:
        """None: the store does not answer."""
        async with self._one_at_a_time:
            began = time.monotonic()
            if began >= self._until:
                self._known = await self._read()
                took_s = time.monotonic() - began
                self._until = began + max(REST_S, 20 * took_s)
            return self._known

    async def _read(self) -> Gauges | None:
        configuration = self._configuration()
        providers, beats = list(configuration.settings.providers), [beat.name for beat in configuration.heartbeats]
        now = self._clock()
        try:
            return await self._store.read(lambda connection: gauges.read(connection, providers, beats, now))
        except Exception as error:
            log.warning("gauges.store_away", why=cause(error))
            return None

    async def remember_successes(self) -> None:
        """At the start: what the processes before this one knew."""
        try:
            found = await self._store.read(lambda connection: gauges.last_successes(connection, self._clock()))
        except Exception as error:
            log.warning("gauges.store_away", why=cause(error))
            return
        for provider, at in found.items():
            metrics.provider_last_success_timestamp_seconds[provider].set(at)


Lowest = Mapping[str, Decimal | None]
"""What is little for each provider, in its own currency."""


class Page:
    """``/metrics``. ``shared`` is the folder in which several processes count together."""

    def __init__(self, store: StoreGauges, providers: Lowest, shared: Path | None = None) -> None:
        self._store = store
        self._providers = providers
        self._registry = metrics.REGISTRY
        self._process = CollectorRegistry()
        if shared is None:
            ProcessCollector(registry=self._process)
            return
        self._registry = CollectorRegistry()
        MultiProcessCollector(self._registry, str(shared))  # type: ignore[no-untyped-call]
        self._process.register(_Family())

    async def read(self) -> bytes:
        """As ``CONTENT_TYPE_LATEST``."""
        store = CollectorRegistry()
        store.register(_Gauges(list(_gauges(await self._store.look(), self._providers))))
        # Beside the loop: a page takes some milliseconds.
        return await asyncio.to_thread(lambda: b"".join(map(generate_latest, (self._registry, store, self._process))))


class _Gauges:
    def __init__(self, families: list[Metric]) -> None:
        self._families = families

    def collect(self) -> list[Metric]:
        return self._families


def _gauges(store: Gauges | None, providers: Lowest) -> Iterator[Metric]:
    yield _by("build_info", "The version that runs.", "version", {__version__: 1})
    yield _gauge("store_up", "Whether the store answers.", store is not None)
    if store is None:
        return
    states = {state: getattr(store, state) for state in ("ready", "waiting", "in_flight", "held", "uncertain")}
    yield _by("queue_messages", "SMS that are not done.", "state", states)
    yield _gauge("queue_oldest_age_seconds", "Of the SMS that waits longest and should not.", store.oldest_age_s)
    yield _gauge("replies_waiting", "Reply mails that wait for the smarthost.", store.replies)
    yield _gauge("webhooks_waiting", "Calls of webhooks that are not done.", store.webhooks)
    scopes = [hold.scope for hold in store.holds]
    holds = {scope.value: scopes.count(scope) for scope in Scope}
    yield _by("holds", "What sends nothing until an operator resumes it.", "scope", holds)
    paused = {name: name in store.paused for name in providers}
    yield _by("provider_circuit_open", "Whether the provider is left alone for a while.", "provider", paused)
    money = {name: reading for name, reading in store.balances.items() if reading.amount is not None}
    family = GaugeMetricFamily(
        metrics.PREFIX + "provider_balance", "What is left at the provider.", labels=["provider", "currency"]
    )
    for name, reading in money.items():
        family.add_metric([name, reading.currency], reading.amount or 0.0)
    yield family
    low = {
        name: (reading.amount or 0.0) < limit
        for name, reading in money.items()
        if (limit := providers.get(name)) is not None
    }
    yield _by("provider_balance_low", "Whether that is less than balance_low.", "provider", low)
    asked = {name: reading.at for name, reading in money.items()}
    yield _by("provider_balance_timestamp_seconds", "When it was so.", "provider", asked)
    what = "Of the last heartbeat that came through."
    yield _by("heartbeat_last_success_timestamp_seconds", what, "heartbeat", store.heartbeats)
    yield _gauge("db_size_bytes", "Of the store.", store.size_bytes)


def _gauge(name: str, what: str, value: float) -> Metric:
    return GaugeMetricFamily(metrics.PREFIX + name, what, value=value)


def _by(name: str, what: str, label: str, series: Mapping[str, float]) -> Metric:
    family = GaugeMetricFamily(metrics.PREFIX + name, what, labels=[label])
    for value, number in series.items():
        family.add_metric([value], number)
    return family


class _Family:
    """``process_*`` of the supervisor's workers, by their PIDs."""

    def collect(self) -> list[Metric]:
        families: dict[str, Metric] = {}
        for pid in _siblings():
            for metric in ProcessCollector(pid=lambda pid=pid: pid, registry=None).collect():  # type: ignore[misc]
                family = families.setdefault(metric.name, Metric(metric.name, metric.documentation, metric.type))
                for sample in metric.samples:
                    family.add_sample(sample.name, {**sample.labels, "pid": pid}, sample.value)
        return list(families.values())


def _siblings() -> list[str]:
    parent = os.getppid()
    try:
        return Path(f"/proc/{parent}/task/{parent}/children").read_text("ascii").split()
    except OSError:  # a kernel without that list
        return [str(os.getpid())]


async def watch_the_loop() -> None:
    """Until cancelled: how late the loop comes round."""
    loop = asyncio.get_running_loop()
    while True:
        due = loop.time() + LAG_S
        await asyncio.sleep(LAG_S)
        metrics.event_loop_lag_seconds.observe(max(0.0, loop.time() - due))
