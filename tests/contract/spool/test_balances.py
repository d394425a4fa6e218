from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from structlog.testing import capture_logs

from gateway.model import Balance
from gateway.providers import NoAnswer, Unsupported
from gateway.service.balances import Balances, Terms
from gateway.service.providers import probe
from gateway.spool.store import Store
from gateway.verdicts import PROVIDER_REFUSED, Refused
from tests.contract.spool.given import NOW, rows


class Peer:
    """A provider that says what it is told to."""

    def __init__(self, *answers: str | Exception) -> None:
        self.answers, self.asked, self.status_says = list(answers), 0, Unsupported("no")

    async def balance(self) -> Balance:
        self.asked += 1
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return Balance(answer, "RUB")

    async def status(self, provider_id: str, destination: str) -> Any:
        raise self.status_says


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> float:
        return self.now


def asking(store: Store, peer: Any, clock: Clock, every_s: float = 300.0, low: str | None = None) -> Balances:
    terms = Terms(every_s, Decimal(low) if low else None)
    return Balances(store, {"main": terms}, {"main": peer}, clock)


async def test_asked_once_at_a_time_over_all_processes(store: Store, other: Store) -> None:
    peer, clock = Peer("100.5"), Clock()
    both = asking(store, peer, clock), asking(other, peer, clock)
    for later_s, asked in ((0, 1), (60, 1), (299, 1), (300, 2), (900, 3)):
        clock.now = NOW + later_s
        for one in both:
            await one.ask_due()
        assert peer.asked == asked
    account = await both[0].account("main")
    assert (account.amount, account.currency, account.at, account.why) == (100.5, "RUB", NOW + 900, "")
    assert [one.at for one in account.readings] == [NOW, NOW + 300, NOW + 900]


async def test_low_is_told_once_each_time(store: Store) -> None:
    peer, clock = Peer("60", "49", "40", "90", "30"), Clock()
    balances = asking(store, peer, clock, low="50")
    told = []
    for _ in range(5):
        with capture_logs() as logs:
            await balances.ask_due()
        told.append([(one["amount"], one["alert"]) for one in logs if one["event"] == "balance.low"])
        clock.now += 300
    assert told == [[], [("49", True)], [], [], [("30", True)]]
    account = await balances.account("main")
    assert account.low
    assert account.burndown is None, "of twenty minutes nothing is foretold"


async def test_a_protocol_without_the_question_is_asked_once(store: Store) -> None:
    peer, clock = Peer(Unsupported("no")), Clock()
    balances = asking(store, peer, clock)
    for _ in range(3):
        await balances.ask_due()
        clock.now += 300
    assert peer.asked == 1
    assert await rows(store, "select * from balances") == []
    assert await balances.accounts() == {}


async def test_never_means_never(store: Store) -> None:
    peer = Peer("1")
    await asking(store, peer, Clock(), every_s=0).ask_due()
    assert peer.asked == 0


async def test_no_answer_is_no_zero(store: Store) -> None:
    clock = Clock()
    balances = asking(store, Peer("70", NoAnswer("timed out", sent=True), "many"), clock, low="50")
    with capture_logs() as logs:
        await balances.ask_due()
        clock.now += 300
        await balances.ask_due()
    assert [one["event"] for one in logs] == ["balance.unknown"]
    account = await balances.account("main")
    assert (account.amount, account.why, account.low) == (70.0, "timed out", False)
    clock.now += 300
    await balances.ask_due()
    assert (await balances.account("main")).why == "no number: many"


@pytest.mark.parametrize(
    ("balance", "status", "ok", "asked", "answer"),
    [
        ("12.50", None, True, "balance", "12.50 RUB"),
        (Refused(PROVIDER_REFUSED, code=2, text="bad login"), None, False, "balance", "MSG:2: bad login"),
        (NoAnswer("no connection", sent=False), None, False, "balance", "no connection"),
        (Unsupported("no"), Refused(PROVIDER_REFUSED, code=9, text="no such id"), True, "status", "MSG:9: no such id"),
        (Unsupported("no"), NoAnswer("timed out", sent=True), False, "status", "timed out"),
        (Unsupported("no"), Unsupported("no"), False, "nothing", "its protocol has no question that sends nothing"),
    ],
)
async def test_a_test_sends_nothing(balance: Any, status: Any, ok: bool, asked: str, answer: str) -> None:
    peer: Any = Peer(balance)
    peer.status_says = status
    found = await probe(peer)
    assert (found.ok, found.asked, found.answer) == (ok, asked, answer)
