"""No figure of time, only a ratio of what was spent side by side: whoever makes a mail twice as dear hears of it here.

What the gateway really does a second stands in ``tests/benchmarks/README.md``.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.benchmarks.generator import Wishes
from tests.benchmarks.runs import Figures, peer, run
from tests.benchmarks.systems import Start, no_op, ours

MAILS = 800
ROUNDS = 2
MOST = 12.0
"""A mail that is judged, stored, relayed and recorded, in those that bare aiosmtpd reads and throws away, by CPU.
Measured: 5.8 to 6.5, also with a load of nine."""


@pytest.mark.skipif(shutil.which("smtp-source") is None, reason="needs Postfix's smtp-source")
async def test_a_mail_costs_no_more_than_so_many_of_bare_aiosmtpd(tmp_path: Path) -> None:
    async def spent(start: Start, name: str, *, relays: bool) -> Figures:
        folder = tmp_path / name
        folder.mkdir()
        async with peer() as at, start(folder, at.port) as running:
            await run(running, at, Wishes(100), relays=relays)
            return await run(running, at, Wishes(MAILS), relays=relays)

    ratios = []
    for turn in range(ROUNDS):  # side by side, so that a busy machine slows both
        bare = await spent(no_op, f"bare{turn}", relays=False)
        whole = await spent(ours(1), f"ours{turn}", relays=True)
        ratios.append(whole.cpu_s / bare.cpu_s)
    assert min(ratios) < MOST, ratios
