"""What a running gateway says of itself over HTTP."""

from __future__ import annotations

from collections.abc import Callable

import aiohttp
from prometheus_client.parser import text_string_to_metric_families

Figures = Callable[..., float]


async def get(port: int, path: str) -> tuple[int, str]:
    async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{port}{path}") as answer:
        return answer.status, await answer.text()


async def scraped(port: int) -> Figures:
    """The page, as a function of a name and labels; 0 for what is not there."""
    code, page = await get(port, "/metrics")
    assert code == 200
    samples = {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(page)
        for sample in family.samples
    }
    return lambda name, **labels: samples.get((f"email2sms_{name}", *sorted(labels.items())), 0.0)
