"""When a provider is left alone, and when it is tried again."""

from __future__ import annotations

import pytest

from gateway.policy.circuit import FIRST_S, MAX_S, THRESHOLD, Circuit


def failing(circuit: Circuit, count: int, at: float = 0.0) -> list[float | None]:
    return [circuit.record(True, at) for _ in range(count)]


def test_it_opens_after_some_failures_in_a_row() -> None:
    circuit = Circuit()
    assert failing(circuit, THRESHOLD - 1) == [None] * (THRESHOLD - 1)
    assert circuit.record(False, 0.0) is None
    assert failing(circuit, THRESHOLD - 1) == [None] * (THRESHOLD - 1)
    assert not circuit.is_open(0.0)
    assert circuit.slots(20) == 20
    assert circuit.record(True, 0.0) == FIRST_S
    assert circuit.is_open(FIRST_S - 0.1)
    assert not circuit.is_open(FIRST_S)


def test_what_was_in_flight_says_nothing_new() -> None:
    circuit = Circuit()
    failing(circuit, THRESHOLD)
    assert failing(circuit, 50, at=FIRST_S - 1) == [None] * 50
    assert not circuit.is_open(FIRST_S)


def test_one_call_tries_and_each_failure_waits_longer() -> None:
    circuit = Circuit()
    failing(circuit, THRESHOLD)
    at, pauses = FIRST_S, []
    for _ in range(6):
        assert circuit.slots(20) == 1
        pauses.append(circuit.record(True, at))
        at += pauses[-1] or 0.0
    assert pauses == [10.0, 20.0, 40.0, MAX_S, MAX_S, MAX_S]


@pytest.mark.parametrize("times", [1, 5])
def test_a_success_closes_it(times: int) -> None:
    circuit = Circuit()
    for _ in range(times):
        failing(circuit, THRESHOLD)
    assert circuit.record(False, 100.0) is None
    assert circuit.slots(20) == 20
    assert failing(circuit, THRESHOLD, at=200.0)[-1] == FIRST_S
