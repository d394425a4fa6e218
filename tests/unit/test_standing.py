from __future__ import annotations

from dataclasses import replace

import pytest

from gateway.lifecycle import State
from gateway.policy.tally import NOTHING
from gateway.service.balances import Account
from gateway.service.providers import Condition, Provider
from gateway.service.standing import standing
from gateway.spool.levels import Waiting

MAIN = Provider("main", "targetsms", None, 20, Condition.OK, "", None, (), 0, None, NOTHING, None)
MONEY = Account("main", 445.6, "RUR", 0.0, "", None, False, ())
PAUSED = replace(MAIN, name="spare", condition=Condition.PAUSED, why="5 calls in a row failed:\n no connection")


@pytest.mark.parametrize(
    ("providers", "words"),
    [
        ([MAIN], "queue 0, main ok"),
        (
            [replace(MAIN, balance=MONEY, waiting=(Waiting(State.QUEUED, "main", 3, 0.0),)), PAUSED],
            "queue 3, main ok, balance 445.60 RUR, spare paused (5 calls in a row failed: no connection)",
        ),
        ([replace(MAIN, balance=replace(MONEY, currency=""))], "queue 0, main ok, balance 445.60"),
        ([replace(MAIN, balance=replace(MONEY, amount=None, why="timed out"))], "queue 0, main ok"),
    ],
)
def test_how_it_stands_in_one_line(providers: list[Provider], words: str) -> None:
    assert standing(providers) == words
