"""kill -9 at random moments, under load, with a provider that loses answers: nothing lost, nothing twice."""

from __future__ import annotations

import asyncio
import random
import threading
import time
from collections import deque
from contextlib import suppress
from pathlib import Path

import pytest

from gateway.sandbox.platform import Cut, Fault, Platform
from gateway.sandbox.targetsms import get
from tests.faults import SOAK
from tests.history import Mail, judge, say, seed, settled
from tests.process import Program, Provider, provider
from tests.running import listener, write_config
from tests.smarthost import Smarthost, smarthost

KILLS = 200 if SOAK else 6
CLIENTS = 10
PAUSE_S = 0.1
"""Of a client between two mails: the program is to be hit in all that it does, not to be flooded."""


async def test_kill_again_and_again(tmp_path: Path, store_url: str) -> None:
    chance = random.Random(seed())
    async with provider() as sandbox, smarthost() as host:
        sandbox.platform.messages, sandbox.platform.journal = deque(), deque()  # the judge forgets nothing
        replies = {"from": "sms@sms.example.com", "smarthost": f"smtp://127.0.0.1:{host.port}", "per_hour": 1_000_000}
        config = write_config(
            tmp_path,
            {
                "providers": sandbox.settings,
                "store": {"url": store_url},
                "listeners": [listener(on_refusal="reply")],
                "replies": replies,
                "relay": {"first_retry": "1s", "max_retry": "2s"},
                "log": {"format": "json"},
            },
        )
        fleet = _Fleet(sandbox, chance.getrandbits(32))
        gateway = await Program.start(config)
        fleet.port = gateway.port()
        kills_at_start = 0
        try:
            async with asyncio.timeout(KILLS * 10 + 60), asyncio.TaskGroup() as clients:
                for _ in range(CLIENTS):
                    clients.create_task(asyncio.to_thread(fleet.client))
                try:
                    for _ in range(KILLS):
                        await asyncio.sleep(chance.uniform(0.05, 1.5))
                        await gateway.kill()
                        if chance.random() < 0.15:  # once more, somewhere between exec and ready
                            gateway = await Program.spawn(config)
                            await asyncio.sleep(chance.uniform(0.3, 1.2))
                            await gateway.kill()
                            kills_at_start += 1
                        gateway = await Program.start(config)
                        fleet.port = gateway.port()
                finally:
                    fleet.end.set()
            jobs = await settled(config)
            refused = [mail for mail in fleet.mails if mail.refused]
            with suppress(TimeoutError):
                async with asyncio.timeout(30):
                    while judge(refused, [], sandbox.platform, host).lost:
                        await asyncio.sleep(0.5)
        finally:
            fleet.end.set()
            await gateway.stop()
    verdict = judge(fleet.mails, jobs, sandbox.platform, host)
    repeated = sum(entry["answer"].startswith("error") for entry in sandbox.platform.journal)
    cut = sum(entry["answer"] == "(cut)" for entry in sandbox.platform.journal)
    say(f"{KILLS + kills_at_start} kills, {len(fleet.mails)} mails, {fleet.faults} with a fault of the provider")
    say(f"{len(sandbox.platform.journal)} requests: {cut} cut, {repeated} repeats that it refused")
    say({key: value for key, value in vars(verdict).items() if key != "faults"})
    say([job["why"] for job in jobs if job["state"] == "uncertain"])
    assert verdict.faults == []
    assert all(mail.acknowledged for mail in fleet.mails)
    assert verdict.ok + verdict.uncertain + verdict.replied == len(fleet.mails)
    assert verdict.recovered > KILLS / 2, "the kills hit nobody: this proved little"
    assert cut > 0
    assert verdict.replied == len(refused) > 0


class _Fleet:
    """Clients that keep each mail until somebody says 250 to it."""

    def __init__(self, sandbox: Provider, chance: int) -> None:
        self.port = 0
        self.end = threading.Event()
        self.mails: list[Mail] = []
        self.faults = 0
        self._sandbox = sandbox
        self._chance = random.Random(chance)
        self._lock = threading.Lock()

    def client(self) -> None:
        """Until ``end``; the mail in hand is brought to its 250 first."""
        while not self.end.wait(PAUSE_S):
            mail = self._next()
            deadline = time.monotonic() + 60
            while not mail.send(self.port):
                assert time.monotonic() < deadline, f"nobody takes {mail.text}: {mail.answers}"
                time.sleep(PAUSE_S)

    def _next(self) -> Mail:
        with self._lock:
            index, chance = len(self.mails), self._chance
            mail = Mail(f"loop{index}", number=f"79{100_000_000 + index}", refused=index % 10 == 9)
            if not mail.refused and (lot := chance.random()) < 0.2:
                # One in ten loses its answer; another is answered late, so that kills find calls in flight.
                cut = chance.choice([Cut.BEFORE, Cut.AFTER]) if lot < 0.1 else None
                times, delay_s = chance.choice([1, 1, 2]), chance.uniform(0.0, 1.5) if cut is None else 0.0
                fault = Fault(cut=cut, times=times, delay_s=delay_s, destination=mail.number)
                self._sandbox.platform.faults.append(fault)
                self.faults += 1
            self.mails.append(mail)
            return mail


def _job(queue_id: str, state: str = "submitted", number: int = 1) -> dict[str, str]:
    return {"id": f"{queue_id}-{number}", "state": state, "why": ""}


@pytest.mark.parametrize(
    ("answers", "jobs", "shown", "asked", "fault"),
    [
        (["250 2.0.0 OK queued as A"], [_job("A")], 1, 1, ""),
        (["", "250 2.0.0 OK queued as A"], [_job("A", "delivered")], 1, 2, ""),
        (["250 2.0.0 OK queued as A"], [_job("A", "uncertain")], 0, 1, ""),
        ([""], [_job("A")], 1, 1, ""),
        (["250 2.0.0 OK queued as A"], [], 0, 0, "lost"),
        (["250 2.0.0 OK queued as A"], [_job("A")], 0, 0, "lost"),
        (["250 2.0.0 OK queued as A"], [_job("A", "queued")], 0, 0, "lost"),
        (["250 2.0.0 OK queued as A"], [_job("A", "submitting")], 1, 1, "lost"),
        (["250 2.0.0 OK queued as A"], [_job("A", "failed")], 0, 1, "lost"),
        (["250 2.0.0 OK queued as A"], [_job("A", "uncertain")], 0, 0, "lost"),
        (["250 2.0.0 OK queued as A"], [_job("A")], 2, 2, "duplicated"),
        ([""], [], 2, 2, "duplicated"),
        (["250 2.0.0 OK queued as A", "250 2.0.0 OK queued as B"], [_job("A"), _job("B")], 1, 2, "duplicated"),
        (["250 2.0.0 OK queued as A"], [_job("A"), _job("A", number=2)], 1, 1, "duplicated"),
        (["250 2.0.0 OK queued as A"], [_job("A"), _job("B")], 1, 1, "unexpected"),
    ],
)
def test_the_judge_sees_it(answers: list[str], jobs: list[dict[str, str]], shown: int, asked: int, fault: str) -> None:
    platform = Platform(clock=lambda: 0.0, window_s=0.0)
    for _ in range(shown):
        get(platform, {"sadr": "x", "dadr": "79101234567", "text": "once"}.items())
    platform.journal.clear()
    platform.journal.extend({"text": "once"} for _ in range(asked))
    verdict = judge([Mail("once", answers=answers)], jobs, platform, Smarthost())
    assert [line.partition(":")[0] for line in verdict.faults] == ([fault] if fault else [])


def test_the_judge_wants_a_reply() -> None:
    verdict = judge(
        [Mail("no", refused=True, answers=["250 OK queued as A"])], [], Platform(clock=lambda: 0), Smarthost()
    )
    assert verdict.lost == 1
