"""All that is counted: names, labels and buckets, each in one place. ``deploy/monitoring.md`` shows them to people.

Labels are names of the configuration or words of this program: no phone number, no address, no login (but those that
``metrics.accounts`` names). What others choose (codes of providers, charsets) goes through ``few``.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Generic, TypeVar

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics, values

disable_created_metrics()  # type: ignore[no-untyped-call]  # a second series for each, of which nobody asks anything

M = TypeVar("M", Counter, Gauge, Histogram)

PREFIX = "email2sms_"
MOST_VALUES = 50
"""Different values of a label that others choose; what is beyond is ``other``."""
OTHER = "other"
REGISTRY = CollectorRegistry()
"""What this process counts."""

_FILE_BYTES = 1_048_576
_KINDS = ("counter", "histogram", "gauge_livesum", "gauge_min", "gauge_max")


class Labelled(dict[Any, M], Generic[M]):
    """A metric with labels: ``mails["template", "accepted"].inc()``. A lookup, no work, from the second time on."""

    def __init__(self, metric: M) -> None:
        super().__init__()
        self.metric: M = metric

    def __missing__(self, key: Any) -> M:
        child: M = self.metric.labels(*((key,) if isinstance(key, str) else key))
        self[key] = child
        return child

    def few(self, *key: str) -> M:
        """The same, where others choose the last value of ``key``."""
        if key in self:
            return self[key]
        known = sum(one[:-1] == key[:-1] for one in self)
        return self[key if known < MOST_VALUES else (*key[:-1], OTHER)]


def _counter(name: str, what: str, *labels: str) -> Labelled[Counter]:
    return Labelled(Counter(PREFIX + name, what, labels, registry=REGISTRY))


def _histogram(name: str, what: str, buckets: tuple[float, ...], *labels: str) -> Labelled[Histogram]:
    return Labelled(Histogram(PREFIX + name, what, labels, buckets=buckets, registry=REGISTRY))


# ── the doors ────────────────────────────────────────────────────────────────────────────────

smtp_connections = _counter("smtp_connections", "Clients that were let in.", "listener")
smtp_connections_active = Labelled(
    Gauge(
        PREFIX + "smtp_connections_active",
        "Clients that are connected.",
        ["listener"],
        registry=REGISTRY,
        multiprocess_mode="livesum",
    )
)
smtp_sessions_rejected = _counter(
    "smtp_sessions_rejected", "Clients that were sent away before a mail.", "listener", "reason"
)
smtp_auth_failures = _counter("smtp_auth_failures", "Wrong logins by SMTP AUTH.", "mechanism")
smtp_quirks = _counter("smtp_quirks", "What clients do that is no SMTP, by the rows of devices.md.", "quirk")
mails_received = _counter("mails_received", "Mails, by what was answered.", "dialect", "result")
mails_refused = _counter("mails_refused", "Mails that were refused or put off, by why.", "verdict", "reason")
mail_parse_failures = _counter("mail_parse_failures", "Mails that were not understood.", "dialect", "reason")
charset_fallbacks = _counter(
    "charset_fallbacks", "Texts that were read in another charset than they declare.", "declared", "used"
)
duplicates_suppressed = _counter("duplicates_suppressed", "What came twice and went out once.", "layer")
rate_limited = _counter("rate_limited", "Mails over a cap, by which.", "scope")

# ── the messages ─────────────────────────────────────────────────────────────────────────────

messages = _counter("messages", "Attempts to send an SMS, by what became of them.", "provider", "status")
message_parts = _counter("message_parts", "Parts of SMS that a provider has taken.", "provider", "encoding")
account_parts = _counter("account_parts", "Parts of SMS that a provider has taken, of metrics.accounts.", "account")
spend = _counter("spend", "Money: as the provider says, else by its prices.", "provider")
accept_to_submit_seconds = _histogram(
    "accept_to_submit_seconds",
    "From the mail (or its time, if it is scheduled) until a provider has taken the SMS.",
    (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3600),
    "provider",
)
submit_to_delivered_seconds = _histogram(
    "submit_to_delivered_seconds",
    "From the call to the receipt that says delivered.",
    (1, 2.5, 5, 10, 20, 30, 60, 120, 300, 900, 3600, 21600, 86400),
    "provider",
)
delivery_reports = _counter("delivery_reports", "Receipts that changed something.", "provider", "status")

# ── the providers ────────────────────────────────────────────────────────────────────────────

provider_requests = _counter("provider_requests", "Calls, by what was answered.", "provider", "operation", "outcome")
provider_request_duration_seconds = _histogram(
    "provider_request_duration_seconds",
    "Of one call.",
    (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
    "provider",
    "operation",
)
provider_errors = _counter("provider_errors", "Refusals, by the provider's own code.", "provider", "code")

# ── what is told ─────────────────────────────────────────────────────────────────────────────

replies_sent = _counter("replies_sent", "Reply mails that the smarthost has taken.", "kind")
replies_suppressed = _counter("replies_suppressed", "Reply mails that were not sent.", "reason")
alerts = _counter("alerts", "Events of the log with alert: true.", "event")

# ── the process ──────────────────────────────────────────────────────────────────────────────

config_last_reload_successful = Gauge(
    PREFIX + "config_last_reload_successful",
    "Whether the files were taken when they were read the last time.",
    registry=REGISTRY,
    multiprocess_mode="min",
)
config_last_reload_success_timestamp_seconds = Gauge(
    PREFIX + "config_last_reload_success_timestamp_seconds",
    "When files were taken the last time.",
    registry=REGISTRY,
    multiprocess_mode="max",
)
provider_last_success_timestamp_seconds = Labelled(
    Gauge(
        PREFIX + "provider_last_success_timestamp_seconds",
        "When the provider took an SMS the last time.",
        ["provider"],
        registry=REGISTRY,
        multiprocess_mode="max",
    )
)
event_loop_lag_seconds = Histogram(
    PREFIX + "event_loop_lag_seconds",
    "How late the loop comes round.",
    buckets=(0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5),
    registry=REGISTRY,
)

_LABELLED = [each for each in globals().values() if isinstance(each, Labelled)]
_PLAIN = (
    config_last_reload_successful,
    config_last_reload_success_timestamp_seconds,
    event_loop_lag_seconds,
)


# ── several processes ────────────────────────────────────────────────────────────────────────


def share(folder: Path, process: str) -> None:
    """Count in files of this folder from now on, where the other processes read them. ``process`` names this one among
    those that run: its successor goes on where it was. Called before anything is counted. Raises ``OSError``.
    """
    for kind in _KINDS:
        with (folder / f"{kind}_{process}.db").open("ab") as file:
            # A page of a memory map that finds no room on the disk kills the process.
            os.posix_fallocate(file.fileno(), 0, _FILE_BYTES)
    forget(folder, process)
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(folder)
    values.ValueClass = values.MultiProcessValue(lambda: process)  # type: ignore[no-untyped-call]
    for labelled in _LABELLED:
        labelled.clear()
        labelled.metric._metrics.clear()  # its own ``clear`` warns, rightly, of what has been counted already
    for plain in _PLAIN:
        plain._metric_init()


def forget(folder: Path, process: str) -> None:
    """It has ended: what it had open is closed. Its counts stay."""
    file = folder / f"gauge_livesum_{process}.db"
    if file.exists():
        with file.open("r+b") as opened:
            opened.write(bytes(8))  # so many bytes are used: none. The space stays ours
