from __future__ import annotations

import pytest

from gateway.lifecycle import FINAL, TRANSITIONS, Event, State, after, sources

BY_A_PERSON = {Event.HOLD, Event.RELEASE, Event.CANCEL, Event.RETRY}
CONTRACT = [  # SPEC, "Never lost, never twice"
    (State.QUEUED, State.SUBMITTING),
    (State.SUBMITTING, State.SUBMITTED),
    (State.SUBMITTED, State.DELIVERED),
    (State.SUBMITTED, State.UNDELIVERED),
    (State.SUBMITTED, State.EXPIRED),
    (State.SUBMITTING, State.QUEUED),
    (State.SUBMITTING, State.FAILED),
    (State.SUBMITTING, State.UNCERTAIN),
    (State.UNCERTAIN, State.SUBMITTING),
    (State.QUEUED, State.EXPIRED),
    (State.QUEUED, State.HELD),
    (State.HELD, State.QUEUED),
    (State.QUEUED, State.CANCELLED),
]


def steps(*, without: set[Event]) -> set[tuple[State, State]]:
    return {(state, TRANSITIONS[state, event]) for state, event in TRANSITIONS if event not in without}


def reached(start: State, moves: set[tuple[State, State]]) -> set[State]:
    seen, last = {start}, set[State]()
    while seen != last:
        last = set(seen)
        seen |= {end for begin, end in moves if begin in seen}
    return seen


@pytest.mark.parametrize(("before", "then"), CONTRACT)
def test_the_contracts_ways_exist(before: State, then: State) -> None:
    assert (before, then) in steps(without=set())


def test_every_state_can_be_reached() -> None:
    assert reached(State.QUEUED, steps(without=set())) == set(State)


@pytest.mark.parametrize("state", sorted(FINAL))
def test_only_an_operator_takes_a_job_out_of_a_final_state(state: State) -> None:
    assert {event for begin, event in TRANSITIONS if begin is state} <= {Event.RETRY}


@pytest.mark.parametrize("state", sorted(set(State) - FINAL))
def test_every_other_state_has_a_way_to_a_final_one(state: State) -> None:
    assert reached(state, steps(without=set())) & FINAL


@pytest.mark.parametrize("state", [State.DELIVERED, State.UNDELIVERED, State.CANCELLED])
def test_what_has_arrived_or_was_cancelled_is_never_sent_again(state: State) -> None:
    assert reached(state, steps(without=set())) == {state}


def test_without_a_person_an_unclear_call_is_only_asked_about() -> None:
    """Never blindly sent again: out of UNCERTAIN lead RESOLVE and what the provider says later, and a call under way is
    not claimed again."""
    own = {(state, event) for state, event in TRANSITIONS if event not in BY_A_PERSON}
    known = {Event.RECEIPT_DELIVERED, Event.RECEIPT_UNDELIVERED, Event.RECEIPT_EXPIRED}
    assert {event for state, event in own if state is State.UNCERTAIN} == {Event.RESOLVE} | known
    assert not {Event.CLAIM, Event.RESOLVE, Event.RETRY} & {e for s, e in TRANSITIONS if s is State.SUBMITTING}


def test_calls_begin_only_from_queued_and_uncertain() -> None:
    assert {state for (state, _), end in TRANSITIONS.items() if end is State.SUBMITTING} == {
        State.QUEUED,
        State.UNCERTAIN,
    }
    assert sources(Event.CLAIM) == (State.QUEUED,)
    assert sources(Event.RESOLVE) == (State.UNCERTAIN,)


@pytest.mark.parametrize("event", Event)
def test_sources_and_after_say_what_the_table_says(event: Event) -> None:
    assert sources(event)
    for state in State:
        if state in sources(event):
            assert after(state, event) is TRANSITIONS[state, event]
        else:
            with pytest.raises(KeyError):
                after(state, event)


def test_values_are_what_the_store_and_the_documents_say() -> None:
    assert [state.value for state in State] == [state.name.lower() for state in State]
    assert max(len(state.value) for state in State) <= 16  # the column
