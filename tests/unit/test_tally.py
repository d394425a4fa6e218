from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.policy.burndown import burndown
from gateway.policy.tally import BOUNDS_S, NOTHING, TO_SUBMIT, Tally, latency_class, money, percentile, top, total
from gateway.service.reports import as_csv, period
from gateway.service.wording import cause, verdict_of

DAY = 86400.0
names = st.dictionaries(st.sampled_from(["a", "b", "c"]), st.integers(0, 10**9))
tallies = st.builds(Tally, st.dictionaries(st.sampled_from(["state", "reason"]), names))


@given(st.lists(tallies))
def test_a_sum_is_the_same_in_any_order_and_by_parts(some: list[Tally]) -> None:
    assert total(some) == total([total(some[:2]), total(reversed(some[2:]))])
    for kind in ("state", "reason"):
        assert total(some).total(kind) == sum(tally.total(kind) for tally in some)


@given(st.lists(st.floats(0, 200_000), min_size=1, max_size=200), st.sampled_from([0.5, 0.95, 0.99]))
def test_a_percentile_is_exact_to_its_class(seconds: list[float], share: float) -> None:
    classes: dict[str, int] = {}
    for one in seconds:
        classes[str(latency_class(one))] = classes.get(str(latency_class(one)), 0) + 1
    exact = sorted(seconds)[max(0, -(-len(seconds) * int(share * 100) // 100) - 1)]
    found = percentile(classes, share)
    assert found is not None
    index = latency_class(exact)
    low = BOUNDS_S[index - 1] if index else 0.0
    high = BOUNDS_S[index] if index < len(BOUNDS_S) else BOUNDS_S[-1]
    assert low <= found <= high


def test_nothing_has_no_percentile_and_no_rate() -> None:
    assert NOTHING.percentile(TO_SUBMIT, 0.5) is None
    assert NOTHING.delivery_rate is None


def test_what_is_left_is_told_by_state() -> None:
    tally = Tally({"state": {"delivered": 6, "failed": 1, "expired": 1, "dropped": 2, "queued": 3, "uncertain": 1}})
    assert (tally.asked, tally.accepted, tally.failed, tally.waiting, tally.uncertain) == (14, 12, 2, 3, 1)
    assert tally.delivery_rate == 0.75


@pytest.mark.parametrize(
    ("written", "means"),
    [
        ("1.20", (1_200_000, "")),
        ("0,0045 RUB", (4_500, "RUB")),
        (" 3 UAH ", (3_000_000, "UAH")),
        ("-1", None),
        ("free", None),
        ("", None),
        ("NaN", None),
        ("1e400", None),
    ],
)
def test_money_as_providers_write_it(written: str, means: tuple[int, str] | None) -> None:
    assert money(written) == means


def test_the_top_is_the_same_each_time() -> None:
    assert top({"b": 1, "a": 1, "c": 5, "d": 0}, 3) == [("c", 5), ("a", 1), ("b", 1)]


# ── how long the money lasts ─────────────────────────────────────────────────────────────────


def test_a_balance_that_falls_evenly_is_gone_when_it_must_be() -> None:
    found = burndown([(n * DAY, 1000.0 - 100 * n) for n in range(6)])
    assert found is not None
    assert found.per_day == pytest.approx(100)
    assert found.zero_at == pytest.approx(10 * DAY)


def test_what_was_paid_in_is_no_spending() -> None:
    found = burndown([(0, 100.0), (DAY, 50.0), (2 * DAY, 1050.0), (3 * DAY, 1000.0)])
    assert found is not None
    assert found.per_day == pytest.approx(100 / 3)
    assert found.zero_at == pytest.approx(3 * DAY + 30 * DAY)


@pytest.mark.parametrize(
    ("readings", "zero_at"),
    [([(0, 5.0), (DAY, 5.0)], None), ([(0, 5.0), (DAY, 0.0)], DAY), ([(0, 5.0), (DAY, -1.0)], DAY)],
    ids=["nothing spent", "empty", "in debt"],
)
def test_ends_of_the_burndown(readings: list[tuple[float, float]], zero_at: float | None) -> None:
    found = burndown(readings)
    assert found is not None
    assert found.zero_at == zero_at


def test_of_a_few_minutes_nothing_is_foretold() -> None:
    assert burndown([]) is None
    assert burndown([(0, 5.0), (600, 4.0)]) is None


def test_only_the_last_week_counts() -> None:
    found = burndown([(0, 10_000.0), (10 * DAY, 100.0), (11 * DAY, 90.0)])
    assert found is not None
    assert found.per_day == pytest.approx(10)


# ── in words ─────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("name", "language", "words", "verdict"),
    [
        ("provider_refused|8|No such number", "en", "the provider refused: No such number", "MSG:8"),
        ("stop_listed", "ru", "номер … в стоп-листе", "BANNED"),
        ("undelivered|UNDELIV", "en", "not delivered: UNDELIV", ""),
        ("expired|EXPIRED", "uk", "не надіслано вчасно: EXPIRED", ""),
        ("who knows", "en", "who knows", ""),
    ],
)
def test_reasons_in_words(name: str, language: str, words: str, verdict: str) -> None:
    assert (cause(name, language), verdict_of(name)) == (words, verdict)


def test_a_spreadsheet_runs_no_formula() -> None:
    rows = [["=1+1", "12", "3.5"], ["@x", "-2", "a;b"]]
    assert as_csv(["a", "b", "c"], rows) == "a,b,c\r\n'=1+1,12,3.5\r\n'@x,'-2,a;b\r\n"
    assert as_csv(["a"], [["3.5"]], excel=True, language="ru") == '\ufeffa\r\n"3,5"\r\n'.replace('"', "")
    assert as_csv(["a", "b"], [["x;y", "3.5"]], excel=True, language="uk") == '\ufeffa;b\r\n"x;y";3,5\r\n'


def test_the_period_that_is_meant() -> None:
    from datetime import date

    today = date(2026, 11, 26)
    assert period(None, None, today) == (date(2026, 11, 1), today)
    assert period(None, date(2026, 10, 15), today) == (date(2026, 10, 1), date(2026, 10, 15))
    with pytest.raises(ValueError, match="after its end"):
        period(date(2026, 11, 27), date(2026, 11, 26), today)
    with pytest.raises(ValueError, match="more than"):
        period(date(1900, 1, 1), today, today)
