"""For whom wrong credentials are counted, and what follows."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.policy.guessing import DAY_S, MAX_BAN_S, Attempt, Record, Terms, alarming, network, struck, subjects

NOW = 1_800_000_000.0
TERMS = Terms()
ELSEWHERE = "account user"


@pytest.mark.parametrize(
    ("peer", "found"),
    [
        ("192.0.2.7", "192.0.2.7/32"),
        ("::ffff:192.0.2.7", "192.0.2.7/32"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("", ""),
        ("unknown", ""),
    ],
)
def test_whose_an_address_is(peer: str, found: str) -> None:
    assert network(peer) == found


@pytest.mark.parametrize(
    ("attempt", "counted"),
    [
        (Attempt("user", "192.0.2.7", at_home=False), ["network 192.0.2.7/32", "account user"]),
        (Attempt("user", "192.0.2.7", False, "a@b.example"), ["network 192.0.2.7/32", "account user"]),
        (Attempt("", "192.0.2.7", at_home=False), ["network 192.0.2.7/32"]),
        (Attempt("user", "unknown", at_home=False), ["account user"]),
        (
            Attempt("user", "10.0.0.7", True, "A@b.example"),
            ["account user at 10.0.0.7/32", "sender a@b.example at 10.0.0.7/32"],
        ),
        (Attempt("user", "", at_home=True), ["account user at the machine"]),
        (Attempt("x" * 500, "", at_home=False), ["account " + "x" * 80]),
    ],
)
def test_what_an_attempt_counts_for(attempt: Attempt, counted: list[str]) -> None:
    assert list(subjects(attempt)) == counted


def after(subject: str, *times: float) -> Record:
    record = Record(subject)
    for at in times:
        record = struck(record, NOW + at, TERMS)
    return record


@pytest.mark.parametrize(
    ("subject", "times", "until"),
    [
        ("network 192.0.2.7/32", [0, 1, 2, 3], 0),
        ("network 192.0.2.7/32", [0, 1, 2, 3, 4], NOW + 4 + 3600),
        ("network 192.0.2.7/32", [0, 1, 2, 3, 601], 0),  # not within ten minutes
        ("network 192.0.2.7/32", [0, 1, 2, 3, 4, *range(4000, 4005)], NOW + 4004 + 7200),  # and again
        ("network 192.0.2.7/32", [0, 1, 2, 3, 4, *range(200_000, 200_005)], NOW + 200_004 + 3600),  # after a quiet day
        ("account user", [0, 1, 2, 3, 4], NOW + 4 + 600),
        ("account user", [i * 1000 for i in range(19)], 0),
        ("account user", [i * 1000 for i in range(20)], NOW + 19_000 + 86400),  # slowly, but too much for a day
        ("account user at 10.0.0.7/32", [0, 1, 2, 3, 4], NOW + 4 + 600),
        ("account user at 10.0.0.7/32", [i * 1000 for i in range(40)], 0),  # never a lock at home
        ("sender a@b.example at 10.0.0.7/32", [0, 1, 2, 3, 4], NOW + 4 + 600),
    ],
)
def test_pauses(subject: str, times: list[float], until: float) -> None:
    assert after(subject, *times).until == until


def test_people_look_once_a_day() -> None:
    record, alarms = Record("account user at 10.0.0.7/32"), 0
    for _ in range(50):
        record = struck(record, NOW, TERMS)
        alarms += alarming(record, TERMS)
    assert alarms == 1
    assert not alarming(replace(record, subject="network 192.0.2.7/32", today=20), TERMS)


@given(st.lists(st.floats(0, 3 * DAY_S), max_size=60), st.sampled_from(["network 192.0.2.7/32", ELSEWHERE]))
def test_nobody_is_out_for_longer_than_a_day_and_no_five_in_a_row_stay_without_a_pause(
    times: list[float], subject: str
) -> None:
    record, recent = Record(subject), 0
    for at in sorted(times):
        before, record = record, struck(record, NOW + at, TERMS)
        assert record.until <= NOW + at + MAX_BAN_S
        assert record.until >= before.until
        recent = record.recent
        assert 0 <= recent < TERMS.attempts
