"""What systemd is told (sd_notify(3))."""

from __future__ import annotations

import asyncio
import os
import socket
from contextlib import suppress


def notify(state: str) -> None:
    """A datagram to the socket that it names, if it does."""
    path = os.environ.get("NOTIFY_SOCKET")
    if not path:
        return
    with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
        channel.sendto(state.encode(), "\0" + path[1:] if path.startswith("@") else path)


async def keep_watchdog_calm() -> None:
    """Until cancelled: tell systemd that the loop turns, where the unit has ``WatchdogSec``."""
    if watchdog_s := float(os.environ.get("WATCHDOG_USEC") or 0) / 1e6:
        while True:
            notify("WATCHDOG=1")
            await asyncio.sleep(watchdog_s / 3)
