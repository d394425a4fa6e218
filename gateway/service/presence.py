"""This process among the others on the store: it beats, and gives up those that do not."""

from __future__ import annotations

import os
import secrets
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import structlog
from sqlalchemy import Connection

from gateway.model import Job
from gateway.spool import outbox, processes, recovery
from gateway.spool.claims import Claimant
from gateway.spool.processes import Process
from gateway.spool.store import Store

log = structlog.get_logger()

GIVE_UP_S = 90.0
"""Without a beat for so long, a process on another machine counts as dead: longer than the duplicate window
of a provider and the time-out of a call together, so that nothing of it can still be answered."""
SET_BACK_S = 1.0
STOPPED = "the gateway stopped during the call"


@dataclass(slots=True)
class _Seen:
    beat: int
    since: float


class Presence:
    """``claimant`` signs the claims of this process; ``beat`` is to be called every few seconds."""

    def __init__(
        self,
        store: Store,
        configuration: Callable[[], str],
        clock: Callable[[], float] = time.time,
        follow: Callable[[Connection], None] = lambda connection: None,
    ) -> None:
        self._store = store
        self._configuration = configuration
        self._clock = clock
        self._follow = follow
        """What else is read with each beat."""
        pid = os.getpid()
        self._me = Process(secrets.token_hex(8), place(), pid, _ticks(pid) or 0, socket.gethostname())
        self._seen: dict[str, _Seen] = {}
        self._offset = float("-inf")
        self._beaten = time.monotonic()

    @property
    def silent_s(self) -> float:
        """Seconds since the last beat that was written."""
        return time.monotonic() - self._beaten

    @property
    def id(self) -> str:
        """Of this process, chosen anew at each start."""
        return self._me.id

    def claimant(self) -> Claimant:
        """Who claims, and when on the clock of this boot."""
        return Claimant(self._me.place.partition(" ")[0], time.clock_gettime(time.CLOCK_BOOTTIME), self.id)

    async def beat(self) -> None:
        """Become known, live on, and take over from the dead: their calls in flight become uncertain."""
        lost = await self._store.write(self._turn)
        self._beaten = time.monotonic()
        for job in lost:
            log.warning("sms.uncertain", job=job.id, why=STOPPED)

    def _turn(self, connection: Connection) -> list[Job]:
        self._follow_clock(connection)
        self._follow(connection)
        processes.beat(connection, replace(self._me, configuration=self._configuration(), at=self._clock()))
        others = processes.listed(connection)
        dead = [other for other in others if other.id != self.id and not self._lives(other)]
        for other in dead:
            log.warning("process.dead", process=other.id, host=other.host, pid=other.pid)
        processes.forget(connection, [other.id for other in dead])
        alive = {other.id for other in others} - {other.id for other in dead}
        outbox.release(connection, self._clock(), alive)
        return recovery.recover(connection, self._clock(), alive)

    def _follow_clock(self, connection: Connection) -> None:
        """What is due by the wall clock must not wait for a clock that was set back to catch up."""
        offset = self._clock() - time.clock_gettime(time.CLOCK_BOOTTIME)
        back_s, self._offset = self._offset - offset, offset
        if back_s > SET_BACK_S:
            log.warning("clock.set_back", seconds=round(back_s), alert=True)
            recovery.hasten(connection, self._clock(), back_s)
            outbox.hasten(connection, self._clock(), back_s)

    def _lives(self, other: Process) -> bool:
        if other.place == self._me.place:
            return _ticks(other.pid) == other.started
        now = time.monotonic()
        seen = self._seen.setdefault(other.id, _Seen(other.beat, now))
        if seen.beat != other.beat:
            self._seen[other.id] = seen = _Seen(other.beat, now)
        return now - seen.since < GIVE_UP_S

    async def end(self) -> None:
        """Leave in order."""
        await self._store.write(lambda connection: processes.forget(connection, [self.id]))


async def bury_all(store: Store, now: float) -> None:
    """For who has just locked the store for itself: everybody known to it is dead."""

    def transaction(connection: Connection) -> list[Job]:
        processes.forget(connection, [other.id for other in processes.listed(connection)])
        outbox.release(connection, now)
        return recovery.recover(connection, now)

    for job in await store.write(transaction):
        log.warning("sms.uncertain", job=job.id, why=STOPPED)


def place() -> str:
    """Boot id and PID namespace: processes with the same can see each other."""
    boot_id = Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
    return f"{boot_id} {Path('/proc/self/ns/pid').readlink()}"


def _ticks(pid: int) -> int | None:
    """When the process started, in ticks since the boot (proc(5), field 22); None when there is none, or a zombie."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text("ascii", "replace").rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in "ZX" else int(fields[19])
