"""``email2sms reload``: have the running gateway read its files again, and see that it did."""

from __future__ import annotations

import asyncio
import os
import signal

from gateway.service.presence import place
from gateway.settings.load import Configuration
from gateway.spool import processes
from gateway.spool.processes import Process
from gateway.spool.store import Store

LOOK_S = 0.2


class NotRunning(Exception):
    """No gateway of this configuration runs on this machine."""


class NotTaken(Exception):
    """The gateway still runs the files as they were: its log says why."""


async def reload(configuration: Configuration, store: Store, timeout_s: float) -> int:
    """Send HUP, and wait until every process here runs this state of the files. How many they are.

    Raises ``NotRunning`` and ``NotTaken``.
    """
    try:
        pid = int(configuration.pid_file.read_text("ascii"))
        os.kill(pid, signal.SIGHUP)
    except (OSError, ValueError):
        raise NotRunning from None
    try:
        async with asyncio.timeout(timeout_s):
            while True:
                here = [one for one in await store.read(processes.listed) if _is_here(one)]
                if here and all(one.configuration == configuration.digest for one in here):
                    return len(here)
                await asyncio.sleep(LOOK_S)
    except TimeoutError:
        raise NotTaken from None


def _is_here(one: Process) -> bool:
    return one.place == place()
