"""Whatever is said to the doors: the target of ``make fuzz``, for a moment."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fuzz import dialogue

LINES = st.tuples(st.sampled_from(dialogue.COMMANDS), st.sampled_from(dialogue.ENDS)).map(b"".join)
TALKS = st.lists(st.one_of(LINES, LINES, LINES, st.binary(max_size=20)), max_size=10).map(b"".join)
HEADS = st.binary(min_size=2, max_size=2)


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """A good dialogue, changed in a few places."""
    data, chance = draw(st.sampled_from(dialogue.seeds())), draw(st.randoms(use_true_random=False))
    for _ in range(draw(st.integers(0, 4))):
        data = dialogue.damage(data, chance)
    return data


@pytest.fixture(scope="module")
def gateway() -> Iterator[dialogue.Gateway]:
    made = dialogue.Gateway()
    yield made
    made.close()


@settings(max_examples=120, suppress_health_check=list(HealthCheck))
@given(data=st.one_of(damaged(), st.tuples(HEADS, TALKS).map(b"".join)))
def test_any_dialogue_ends_in_order(gateway: dialogue.Gateway, data: bytes) -> None:
    """Proper answers, nothing queued that was not ended, no fault, and the next client is greeted."""
    gateway.hear(data)


def test_a_good_dialogue_is_taken_at_every_door(gateway: dialogue.Gateway) -> None:
    """So that the doors are what they look like."""
    for door in dialogue.DOORS:
        expected = b"queued as" if door != "tls" else b"530 5.7.0"
        assert expected in gateway.hear(dialogue.good(door)), door
