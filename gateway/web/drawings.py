"""The overview's charts: from what the service counted to what is drawn, in the visitor's language."""

from __future__ import annotations

from collections.abc import Sequence

from gateway.lifecycle import State
from gateway.policy import tally
from gateway.policy.tally import HOUR_S
from gateway.service.balances import Account
from gateway.service.figures import Level, Overview, Period
from gateway.sms.segments import Alphabet
from gateway.web.charts import Chart, Rule, Series, columns, lines, nice_seconds
from gateway.web.wording import Words

ONE_TIME_CODE_S = 60.0
"""So long a one-time code is good for, as firewalls send it: later it is of no use."""
SECONDS = (0.1, 1.0, 10.0, 60.0, 600.0, 3600.0)
QUARTER_S = 900
BALANCE_STEP_S = 6 * HOUR_S
AHEAD = 28
"""Steps for which a balance is foretold."""


def brief(t: Words, seconds: float) -> str:
    """``0.5 s``, ``10 min``, ``3 h``, ``2 d``."""
    for unit, size in (("d", 86400.0), ("h", 3600.0), ("min", 60.0)):
        if seconds >= size:
            return f"{t.number(round(seconds / size, 1 if seconds < 10 * size else 0))} {t(f'overview.unit_{unit}')}"
    return f"{t.number(round(seconds, 1 if seconds < 10 else 0))} {t('overview.unit_s')}"


def traffic(t: Words, hours: Sequence[Period]) -> Chart:
    """What became of the SMS of each hour."""
    kinds: tuple[tuple[str, str, tuple[str, ...]], ...] = (
        ("states.delivered", "good", ("delivered",)),
        ("states.submitted", "s1", ("submitted",)),
        ("overview.waiting", "wait", ("queued", "submitting", "held")),
        ("states.uncertain", "warn", ("uncertain",)),
        ("overview.failed", "bad", ("failed", "undelivered", "expired")),
    )
    series = [
        Series(t(key), style, [float(hour.tally.state(*states)) for hour in hours]) for key, style, states in kinds
    ]
    return columns("traffic", t("overview.traffic"), [t.clock(hour.at) for hour in hours], series, t.number)


def latency(t: Words, hours: Sequence[Period]) -> Chart:
    """From the mail's acceptance to the provider's; one-time codes must be faster than a minute."""
    series = [
        Series(f"p{share * 100:.0f}", style, [hour.tally.percentile(tally.TO_SUBMIT, share) for hour in hours])
        for share, style in ((0.5, "s1"), (0.95, "s2"), (0.99, "s3"))
    ]
    return lines(
        "latency",
        t("overview.latency"),
        [t.clock(hour.at) for hour in hours],
        series,
        lambda seconds: brief(t, seconds),
        ticks=SECONDS,
        log=True,
        rules=[Rule(ONE_TIME_CODE_S, t("overview.one_time_code"))],
    )


def queue(t: Words, now: float, levels: Sequence[Level]) -> tuple[Chart, Chart]:
    """How much waited, and how long the oldest had waited."""
    first = int(now // HOUR_S - 23) * HOUR_S
    starts = [first + n * QUARTER_S for n in range(96)]
    labels = [t.clock(at) for at in starts]
    waiting = (State.QUEUED, State.SUBMITTING)
    depths, ages = [], []
    for name, style, states in (
        (t("overview.in_queue"), "s1", waiting),
        (t("states.held"), "warn", (State.HELD,)),
        (t("states.uncertain"), "s4", (State.UNCERTAIN,)),
    ):
        mine = [level for level in levels if level.state in states]
        by_minute: dict[int, int] = {}
        for level in mine:
            by_minute[level.at] = by_minute.get(level.at, 0) + level.depth
        depth, age = dict[int, float](), dict[int, float]()
        for at, count in by_minute.items():
            depth[at // QUARTER_S * QUARTER_S] = max(depth.get(at // QUARTER_S * QUARTER_S, 0.0), float(count))
        for level in mine:
            slot = level.at // QUARTER_S * QUARTER_S
            waited = level.at + 59 - level.oldest_at if level.oldest_at is not None else 0.0
            age[slot] = max(age.get(slot, 0.0), waited)
        if states == waiting or any(depth.values()):
            depths.append(Series(name, style, [depth.get(at) for at in starts]))
            if states != (State.UNCERTAIN,):  # those wait for a person, if for anybody
                ages.append(Series(name, style, [age.get(at) for at in starts]))
    oldest = max((value or 0.0 for one in ages for value in one.values), default=0.0)
    return (
        lines("depth", t("overview.depth"), labels, depths, t.number, area=True),
        lines("age", t("overview.age"), labels, ages, lambda seconds: brief(t, seconds), ticks=nice_seconds(oldest)),
    )


def alphabets(t: Words, hours: Sequence[Period]) -> Chart:
    """Parts of SMS, which is what is paid for."""
    names = ((Alphabet.GSM7, "s1"), (Alphabet.UCS2, "s2"))
    series = [
        Series(name.value, style, [float(hour.tally.names(tally.SEGMENTS).get(name.value, 0)) for hour in hours])
        for name, style in names
    ]
    return columns("alphabets", t("overview.alphabets"), [t.clock(hour.at) for hour in hours], series, t.number)


def balance(t: Words, now: float, account: Account, low: float | None) -> Chart:
    """The last week, and how it goes on at this rate."""
    end = int(now // BALANCE_STEP_S) * BALANCE_STEP_S
    starts = [end + (n - AHEAD) * BALANCE_STEP_S for n in range(2 * AHEAD + 1)]
    known: dict[int, float] = {}
    for reading in account.readings:
        if reading.amount is not None:
            known[int(reading.at // BALANCE_STEP_S) * BALANCE_STEP_S] = reading.amount
    foretold: list[float | None] = [None] * len(starts)
    if account.burndown is not None and account.amount is not None:
        per_s = account.burndown.per_day / 86400.0
        foretold = [max(0.0, account.amount - per_s * (at - end)) if at >= end else None for at in starts]
    rules = [Rule(low, t("overview.low"))] if low is not None else []
    return lines(
        f"balance-{account.provider}",
        t("overview.balance_of", provider=account.provider),
        [t.day(t.local(at)) for at in starts],
        [
            Series(t("overview.balance"), "s1", [known.get(at) for at in starts]),
            Series(t("overview.foretold"), "dashed", foretold),
        ],
        t.number,
        rules=rules,
    )


def drawn(t: Words, shown: Overview) -> dict[str, Chart]:
    """All but the balances."""
    charts = {
        "traffic": traffic(t, shown.hours),
        "latency": latency(t, shown.hours),
        "alphabets": alphabets(t, shown.hours),
    }
    if shown.levels:
        charts["depth"], charts["age"] = queue(t, shown.at, shown.levels)
    return charts
