"""A provider that answers at once: ``python -m tests.benchmarks.peer``. Prints its port, and at the end what came."""

from __future__ import annotations

import asyncio
import json
import re
import signal
import time

import uvloop

_MOMENT = re.compile(rb"t(?:%3D|=)(\d{19})")
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)


class Peer(asyncio.Protocol):
    """HTTP enough for what drivers, curl and others send: GET, and POST with a length."""

    waits: list[float] = []  # noqa: RUF012  (all connections share it)
    count = 0
    last = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport, self.buffer = transport, b""

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        while (end := self.buffer.find(b"\r\n\r\n")) >= 0:
            length = int(found[1]) if (found := _LENGTH.search(self.buffer, 0, end)) else 0
            if len(self.buffer) < end + 4 + length:
                return
            request, self.buffer = self.buffer[: end + 4 + length], self.buffer[end + 4 + length :]
            Peer.count += 1
            Peer.last = time.time()
            if match := _MOMENT.search(request):
                Peer.waits.append((time.time_ns() - int(match[1])) / 1e6)
            answer = b"%d" % (10_000_000 + Peer.count)
            head = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n" % len(answer)
            self.transport.write(head + answer)  # type: ignore[attr-defined]


async def main() -> None:
    """Until TERM."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Peer, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    done = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, done.set)
    loop.add_signal_handler(signal.SIGUSR1, report)
    await done.wait()


def report() -> None:
    """What came since the last report, as one line of JSON."""
    waits = sorted(Peer.waits) or [0.0]
    figures: dict[str, float] = {"count": Peer.count, "last": Peer.last}
    figures |= {"p50_ms": waits[len(waits) // 2], "p99_ms": waits[len(waits) * 99 // 100]}
    print(json.dumps(figures), flush=True)
    Peer.count, Peer.waits = 0, []


if __name__ == "__main__":
    uvloop.run(main())
