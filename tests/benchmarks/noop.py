"""aiosmtpd with a handler that does nothing: ``python -m tests.benchmarks.noop PORT``."""

from __future__ import annotations

import asyncio
import sys

import uvloop
from aiosmtpd.smtp import SMTP


class _Nothing:
    async def handle_DATA(self, *_arguments: object) -> str:
        return "250 OK"


async def main(port: int) -> None:
    """Until it is killed."""
    loop = asyncio.get_running_loop()
    await loop.create_server(lambda: SMTP(_Nothing(), loop=loop), "127.0.0.1", port)
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1])))
