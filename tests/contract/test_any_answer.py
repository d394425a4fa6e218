"""Every driver and preset, and whatever a provider may answer or report: the target of ``make fuzz``, for a moment."""

from __future__ import annotations

import random

import pytest
import structlog
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fuzz import providers

SEEDS = {"answers": providers.answers(), "calls": providers.calls()}
HEADS = st.binary(min_size=3, max_size=3).filter(lambda head: head[2] != providers.SHOUTED)


@st.composite
def damaged(draw: st.DrawFn, of: str) -> bytes:
    """Recorded once, and changed in a few places."""
    data, chance = draw(st.sampled_from(SEEDS[of])), draw(st.randoms(use_true_random=False))
    for _ in range(draw(st.integers(0, 4))):
        data = providers.damage(data, chance)
    return data if data[2] != providers.SHOUTED else data[:2] + b"\0" + data[3:]


@settings(max_examples=150)
@given(st.one_of(damaged("answers"), st.tuples(HEADS, st.binary(max_size=100)).map(b"".join)))
def test_any_answer_has_a_meaning_or_is_refused(data: bytes) -> None:
    providers.answer(data)


@settings(max_examples=150)
@given(st.one_of(damaged("calls"), st.tuples(HEADS, st.binary(max_size=100)).map(b"".join)))
def test_any_callback_is_taken_or_refused(data: bytes) -> None:
    with structlog.testing.capture_logs():
        providers.call(data)


@pytest.mark.parametrize("of", SEEDS)
def test_the_seeds_reach_every_account(of: str) -> None:
    assert {data[0] for data in SEEDS[of]} == set(range(max(data[0] for data in SEEDS[of]) + 1))
    first = SEEDS[of][0]
    assert len({providers.damage(first, random.Random(seed)) for seed in range(20)}) > 10
