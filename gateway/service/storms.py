"""Alarm storms: at the end of each period one SMS tells of what was gathered."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import structlog

from gateway.policy.composing import Composed
from gateway.policy.storms import summary
from gateway.settings.load import Configuration
from gateway.spool import gathered
from gateway.spool.store import Store

log = structlog.get_logger()

AT_ONCE = 20
"""Other writes wait meanwhile."""


async def tell(
    store: Store, configuration: Configuration, now: float, wake: Callable[[Iterable[str]], None] = lambda names: None
) -> None:
    """Make the SMS that are due. Any process may; each is made once."""
    accounts = configuration.directory.accounts

    def words(login: str, text: str, count: int, seconds: float) -> Composed:
        account = accounts.get(login)
        language, most = (account.language, account.texts.max_segments) if account else ("en", 10)
        return summary(text, count, seconds, language, most, configuration.house.national)

    def every_s(login: str) -> float | None:
        account = accounts.get(login)
        return account.storm.every_s if account and account.storm else None

    while await store.read(lambda connection: gathered.is_due(connection, now)):
        summed = await store.write(lambda connection: gathered.sum_up(connection, now, AT_ONCE, words, every_s))
        for storm in summed:
            log.warning("storm.told", account=storm.account, job=storm.job_id, count=storm.count)
        wake({storm.provider for storm in summed})
