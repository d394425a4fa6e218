"""Whatever a provider says can be written down: NUL, which PostgreSQL stores nowhere, and halves of characters."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from types import SimpleNamespace
from typing import Any, cast

import pytest

from gateway.lifecycle import State
from gateway.model import Attempt, Incoming, Outcome, Pushed, Receipt, Rejected, Submitted, Uncertain
from gateway.policy.retry import RetryPolicy
from gateway.providers import PLAIN, Upstream
from gateway.providers.storable import storable
from gateway.service.dispatch import Dispatch
from gateway.service.receipts import Receipts
from gateway.service.settlement import Reporting
from gateway.spool.claims import ProviderTerms
from gateway.spool.store import Store
from gateway.verdicts import PROVIDER_UNKNOWN_ANSWER, Refusal
from tests.contract.spool.given import BOOT, NOW, put_jobs, rows

ODD = "a\0b\ud83d"
FIT = "a?b?"


@pytest.fixture
async def store(store_url: str) -> AsyncIterator[Store]:
    opened = await Store.open(store_url, exclusive=True)
    yield opened
    await opened.close()


def answering(outcome: Outcome) -> Upstream:
    async def submit(attempts: Sequence[Attempt]) -> list[Outcome]:
        return [outcome] * len(attempts)

    return cast("Upstream", SimpleNamespace(traits=PLAIN, submit=submit))


@pytest.mark.parametrize(
    ("outcome", "state"),
    [
        (Submitted(ODD, parts=(ODD + "2",), cost=ODD), "submitted"),
        (Rejected(Refusal(PROVIDER_UNKNOWN_ANSWER, {"code": ODD, "text": ODD})), "failed"),
        (Uncertain(ODD), "uncertain"),
    ],
)
async def test_an_outcome(store: Store, outcome: Outcome, state: str) -> None:
    """Otherwise an SMS that was sent would look for ever as if it had not been."""
    await put_jobs(store, 1)
    dispatch = Dispatch(
        ProviderTerms("main"),
        answering(outcome),
        store,
        RetryPolicy(),
        lambda: BOOT,
        reporting=Reporting(),
        clock=lambda: NOW,
    )
    (attempts,) = await dispatch.claim(1)
    await dispatch.submit(attempts)
    ((now, provider_id),) = [tuple(row) for row in await rows(store, "select state, provider_id from jobs")]
    assert (now, provider_id) == (state, FIT if state == "submitted" else None)


async def test_a_receipt(store: Store) -> None:
    """Otherwise the provider would say it again and again."""
    await Receipts(store).take(
        "main", Pushed((Receipt(ODD, State.DELIVERED, ODD, ODD, price=ODD, details={"x": ODD}),))
    )
    (row,) = await rows(store, "select provider_id, raw from receipts")
    assert tuple(row) == (FIT, FIT)


def test_nothing_else_is_changed() -> None:
    told: list[Any] = [
        Submitted("1", parts=("2",)),
        Pushed((), (Incoming("1", "7", "8", "Привет 😀"),)),
        Uncertain("x"),
    ]
    assert all(storable(one) is one for one in told)
    sms = Incoming("1", "7", "8", "Привет \ud83d")
    assert storable(Pushed((), (sms,))).incoming == (Incoming("1", "7", "8", "Привет ?"),)
