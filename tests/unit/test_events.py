"""What the notes of a trail come down to in one event."""

from __future__ import annotations

import pytest

from gateway.lifecycle import State
from gateway.model import Note
from gateway.service.events import Kind, told
from gateway.spool.events import Look, Order, Written


def written(*notes: Note, number: int = 7, **changes: object) -> Written:
    usual = {"job_id": None, "account": None, "destination": None, "listener": "lan", "peer": "192.0.2.7"}
    return Written(id=number, at=1.0, mail_id="MAIL1", notes=notes, **{**usual, **changes})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("notes", "kind", "state", "verdict", "what"),
    [
        ([Note("policy", "accepted", {"jobs": 2})], Kind.ACCEPTED, None, "", ""),
        (
            [Note("policy", "accepted", {"jobs": 2}), Note("policy", "held", {"why": "caps"})],
            Kind.HELD,
            None,
            "",
            "caps",
        ),
        ([Note("policy", "refused: NO LIST", {"why": "list_unknown"})], Kind.REFUSED, None, "NO LIST", "list_unknown"),
        ([Note("door", "DUPLICATE: came again, not sent twice")], Kind.DUPLICATE, None, "", None),
        ([Note("provider", "submitted", {"provider": "main"})], Kind.SUBMITTED, State.SUBMITTED, "", ""),
        ([Note("provider", "rejected", {"verdict": "MSG:7"})], Kind.FAILED, State.FAILED, "MSG:7", ""),
        ([Note("provider", "deferred", {"why": "no 79101234567 now"})], Kind.DEFERRED, State.QUEUED, "", None),
        ([Note("provider", "receipt: delivered")], Kind.DELIVERED, State.DELIVERED, "", None),
        ([Note("provider", "receipt: uncertain")], Kind.UNCERTAIN, State.UNCERTAIN, "", None),
        ([Note("desk", "retry by an operator")], Kind.RETRIED, State.QUEUED, "", None),
        ([Note("reply", "sent")], Kind.REPLIED, None, "", ""),
        ([Note("new", "what a later version writes", {"why": "so"})], Kind.NOTED, None, "", None),
        ([], Kind.NOTED, None, "", ""),
    ],
)
def test_the_note_that_decides(
    notes: list[Note], kind: Kind, state: State | None, verdict: str, what: str | None
) -> None:
    event = told(written(*notes))
    assert (event.kind, event.state, event.verdict) == (kind, state, verdict)
    assert what is None or event.what == what
    assert "79101234567" not in repr(event)


def test_whose_it_is_and_where_it_goes() -> None:
    event = told(written(Note("provider", "submitted", {"provider": "main"}), account="a", destination="79101234567"))
    assert (event.account, event.to, event.provider, event.listener) == ("a", "7910***4567", "main", "lan")
    came = Note("incoming", "an SMS came in", {"account": "b", "to": "7495***0000", "provider": "main"})
    assert (told(written(came)).account, told(written(came)).to) == ("b", "7495***0000")


# ── the order, where ids are given out before the commit ─────────────────────────────────────────


def look(*ids: int, oldest: int = 100, newer: int = 101) -> Look:
    return Look([written(number=n) for n in ids], oldest, newer)


def passed(order: Order, seen: Look, now: float) -> list[int]:
    return [row.id for row in order.pass_on(seen, now)]


def test_who_comes_late_comes_in_its_turn() -> None:
    order = Order(4)
    assert passed(order, look(5, 7, 8), 0.0) == [5]
    assert passed(order, look(7, 8), 0.5) == []
    assert passed(order, look(6, 7, 8), 0.6) == [6, 7, 8]


def test_a_gap_is_dead_when_all_who_could_fill_it_have_ended() -> None:
    order = Order(4)
    assert passed(order, look(6, oldest=90, newer=101), 0.0) == []
    assert passed(order, look(6, 7, oldest=100, newer=120), 9.0) == []  # 100 may still commit
    assert passed(order, look(6, 7, oldest=101, newer=130), 9.5) == [6, 7]


def test_a_transaction_that_had_just_begun_is_waited_for() -> None:
    order = Order(4)
    assert passed(order, look(6, oldest=101, newer=101), 0.0) == []
    assert passed(order, look(6, oldest=101, newer=101), 0.5) == []
    assert passed(order, look(6, oldest=101, newer=101), 1.0) == [6]


def test_a_second_gap_has_a_wait_of_its_own() -> None:
    order = Order(4)
    assert passed(order, look(6, oldest=90, newer=101), 0.0) == []
    assert passed(order, look(6, 8, oldest=105, newer=110), 2.0) == [6]
    assert passed(order, look(8, oldest=109, newer=120), 4.0) == []
    assert passed(order, look(8, oldest=110, newer=120), 5.0) == [8]


def test_somebody_elses_endless_transaction_holds_nothing_up_for_ever() -> None:
    order = Order(4)
    assert passed(order, look(6, oldest=1, newer=101), 0.0) == []
    assert passed(order, look(6, oldest=1, newer=900), 29.0) == []
    assert passed(order, look(6, oldest=1, newer=999), 30.0) == [6]


def test_one_writer_leaves_no_gap_to_wait_for() -> None:
    assert passed(Order(4), look(9, 12, oldest=0, newer=0), 0.0) == [9, 12]


def test_an_emptied_store_counts_anew() -> None:
    order = Order(90)
    assert passed(order, Look((), newest=0), 0.0) == []
    assert passed(order, look(1, oldest=0), 0.5) == [1]
