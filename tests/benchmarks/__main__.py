"""First figures: ``make bench``. All on the loopback; absolute figures move, compare runs side by side."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from tests.process import ENVIRONMENT
from tests.running import LOOPBACK, write_config

MAILS = int(os.environ.get("MAILS", "8000"))
WORKERS = int(os.environ.get("WORKERS", "1"))
STORE = os.environ.get("STORE")
"""``postgresql://…``; without it a file of SQLite."""
ACCOUNT = {"login": "user", "password": "qwerty12", "senders": ["*"], "originators": ["My Bank"]}


async def main() -> None:
    """Run all and print a table."""
    with tempfile.TemporaryDirectory(prefix="email2sms-bench-") as folder:
        peer = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tests.benchmarks.peer"), stdout=asyncio.subprocess.PIPE, env=ENVIRONMENT
        )
        assert peer.stdout is not None
        port = int(await peer.stdout.readline())
        try:
            await measure(Path(folder), peer, port)
        finally:
            peer.terminate()
            await peer.wait()


async def measure(folder: Path, peer: asyncio.subprocess.Process, port: int) -> None:
    """Start the gateway and drive it."""
    settings = {"driver": "targetsms", "url": f"http://127.0.0.1:{port}/sendsms.php", "user": "u", "password": "p"}
    changes = {
        "providers": {"main": {**settings, "max_in_flight": 50, "poll": False}},
        "log": {"format": "json", "level": "warning"},
        "server": {"hostname": "sms.example.com", "workers": WORKERS},
        "store": {"url": STORE} if STORE else {},
        "listeners": [
            {
                "name": "lan",
                "bind": "127.0.0.1:3925",
                "trust": LOOPBACK,
                "on_refusal": "reject",
                "max_connections": 6000,
                "max_connections_per_client": 6000,
            }
        ],
    }
    config = write_config(folder, changes, [ACCOUNT])
    started = time.perf_counter()
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "gateway", "serve", "--config", str(config)), env=ENVIRONMENT
    )
    try:
        await accepting(3925)
        print(f"start to first banner: {time.perf_counter() - started:.2f} s")
        idle = resident_kb(process.pid)
        clients = [await asyncio.open_connection("127.0.0.1", 3925) for _ in range(1000)]
        for reader, _ in clients:
            await reader.readuntil(b"\r\n")
        busy = resident_kb(process.pid)
        print(f"memory: {idle / 1024:.0f} MB; 1000 idle clients take {(busy - idle) / 1024:.1f} MB more")
        for _, writer in clients:
            writer.close()
        await run(peer, process.pid, "kept connections", keep=1, rate=0)
        await run(peer, process.pid, "a connection for each mail", keep=0, rate=0)
        await run(peer, process.pid, "200 mails/s", keep=1, rate=200, mails=2000)
    finally:
        process.terminate()
        await process.wait()


async def accepting(port: int) -> None:
    """Until somebody listens."""
    async with asyncio.timeout(30):
        while True:
            try:
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
            except ConnectionError:
                await asyncio.sleep(0.01)
                continue
            await reader.readuntil(b"\r\n")
            writer.close()
            return


async def run(
    peer: asyncio.subprocess.Process, pid: int, name: str, *, keep: int, rate: float, mails: int = MAILS
) -> None:
    """One row of the table."""
    cpu, began = cpu_seconds(pid), time.time()
    arguments = ("-m", "tests.benchmarks.generator", "3925", "20", str(mails), str(keep), str(rate))
    generator = await asyncio.create_subprocess_exec(
        sys.executable, *arguments, stdout=asyncio.subprocess.PIPE, env=ENVIRONMENT
    )
    out, _ = await generator.communicate()
    accepted = json.loads(out)
    arrived, last = 0, 0.0
    relayed: dict[str, Any] = {}
    async with asyncio.timeout(120):
        while arrived < mails:
            await asyncio.sleep(0.2)
            relayed = await reported(peer)
            arrived, last = arrived + relayed["count"], relayed["last"]
            if relayed["count"]:
                slowest = relayed
    spent = cpu_seconds(pid) - cpu
    print(
        f"{name}: accepted {accepted['per_second']:.0f}/s, 250 after {quantiles(accepted)}; "
        f"relayed {mails / (last - began):.0f}/s, request after {quantiles(slowest)}; "
        f"CPU {spent / mails * 1000:.2f} s per 1000 mails"
    )


def quantiles(figures: dict[str, float]) -> str:
    """Of the time since the end of DATA."""
    return f"p50 {figures['p50_ms']:.1f} p99 {figures['p99_ms']:.1f} ms"


async def reported(peer: asyncio.subprocess.Process) -> dict[str, Any]:
    """What came at the peer since the last time."""
    assert peer.stdout is not None
    peer.send_signal(signal.SIGUSR1)
    line: dict[str, Any] = json.loads(await peer.stdout.readline())
    return line


def family(pid: int) -> list[int]:
    """The process and its workers."""
    return [pid, *map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())]


def resident_kb(pid: int) -> int:
    """Resident memory; what workers share counts for each."""
    statuses = [Path(f"/proc/{one}/status").read_text() for one in family(pid)]
    return sum(int(status.partition("VmRSS:")[2].split()[0]) for status in statuses)


def cpu_seconds(pid: int) -> float:
    """User and system time."""
    stats = [Path(f"/proc/{one}/stat").read_text().rpartition(")")[2].split() for one in family(pid)]
    return sum(int(fields[11]) + int(fields[12]) for fields in stats) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    asyncio.run(main())
