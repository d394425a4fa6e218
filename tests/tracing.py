"""strace beside the running program: what it writes, syncs and says, in order; and faults put into its system calls."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import signal
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

needs_strace = pytest.mark.skipif(shutil.which("strace") is None, reason="needs strace")

WRITES = ("pwrite64", "pwritev", "ftruncate")
SYNCS = ("fdatasync", "fsync")
SAYS = ("write", "writev", "sendto", "sendmsg")


def family(pid: int) -> list[int]:
    """The process and its children, and theirs."""
    parents: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            parents.setdefault(int(stat.read_text().rpartition(")")[2].split()[1]), []).append(int(stat.parent.name))
    found = [pid]
    for known in found:
        found += parents.get(known, [])
    return found


@asynccontextmanager
async def strace(pid: int, *options: str) -> AsyncIterator[None]:
    """Attached from here on, to all threads and processes of it; detached at the end, if it still lives."""
    pids = family(pid)
    process = await asyncio.create_subprocess_exec(
        *("strace", "-f", *options, *(part for each in pids for part in ("-p", str(each)))),
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stderr is not None
    try:
        async with asyncio.timeout(10):
            for _ in pids:
                line = (await process.stderr.readline()).decode()
                if "attached" not in line:
                    pytest.skip(f"strace may not attach here: {line}")
        yield
    finally:
        if process.returncode is None:
            with suppress(ProcessLookupError):
                os.kill(
                    process.pid, signal.SIGTERM
                )  # terminate() would take the exit code away from the loop's watcher
        ended = asyncio.create_task(process.communicate())
        await asyncio.wait({ended}, timeout=10)
        if not ended.done():
            # Detaching from a process killed this moment, strace waits for its first thread, which the kernel holds
            # back until strace has buried the others.
            os.kill(process.pid, signal.SIGKILL)
        await ended


def trace_to(path: Path) -> list[str]:
    """Options: every write, sync and word to a socket, whole."""
    calls = ",".join((*WRITES, *SYNCS, *SAYS))
    return ["-yy", "-xx", "-s", "1000000", "-e", "signal=none", "-e", f"trace={calls}", "-o", str(path)]


def inject(call: str, fault: str, when: str = "") -> list[str]:
    """Options: ``fault`` (``signal=KILL``, ``error=EIO``) instead of a call; ``when`` counts in each thread."""
    spec = f"inject={call}:{fault}" + (f":when={when}" if when else "")
    return ["-e", "signal=none", "-e", f"trace={call}", "-e", spec, "-o", "/dev/null"]


@dataclass(slots=True)
class Call:
    """A system call, with the places in the trace where it was entered and where it had returned."""

    thread: int
    name: str
    target: str
    """The file or socket behind the descriptor."""
    data: bytes
    offset: int
    """Of a pwrite; the length for ftruncate."""
    entered: int
    returned: int
    ok: bool


_LINE = re.compile(r"(\d+) +(\w+)\(\d+<(.*?)>(.*)", re.DOTALL)
_RESUMED = re.compile(r"(\d+) +<\.\.\. \w+ resumed>(.*)", re.DOTALL)
_STRING = re.compile(r'"((?:\\x[0-9a-f]{2})*)"')
_OFFSET = re.compile(r", (\d+) *\) += ")
_NEVER = 1 << 60


def read_trace(path: Path) -> list[Call]:
    """The calls in the order in which they were entered."""
    calls: list[Call] = []
    open_calls: dict[int, tuple[Call, str]] = {}
    for number, line in enumerate(path.read_text("ascii").splitlines()):
        if resumed := _RESUMED.match(line):
            call, begun = open_calls.pop(int(resumed[1]))
            _complete(call, begun + resumed[2], number)
        elif match := _LINE.match(line):
            call = Call(int(match[1]), match[2], _plain(match[3]), b"", 0, number, _NEVER, ok=False)
            calls.append(call)
            if match[4].endswith("<unfinished ...>"):
                open_calls[call.thread] = (call, match[4].removesuffix("<unfinished ...>"))
            else:
                _complete(call, match[4], number)
    return calls


def _complete(call: Call, rest: str, number: int) -> None:
    call.data = b"".join(bytes.fromhex(string.replace("\\x", "")) for string in _STRING.findall(rest))
    offset = _OFFSET.search(rest)
    assert offset or call.name not in WRITES, rest[-200:]
    call.offset = int(offset[1]) if offset else 0
    call.returned = number
    call.ok = re.search(r"\) += \d", rest) is not None


def _plain(name: str) -> str:
    return re.sub(r"(?:\\x[0-9a-f]{2})+", lambda m: bytes.fromhex(m[0].replace("\\x", "")).decode(), name)


# ── what the order of calls proves (SQLite's WAL) ────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Commit:
    """A transaction in the WAL: its frames, and where its last write had returned."""

    data: bytes
    written: int


def commits(calls: Sequence[Call]) -> list[Commit]:
    """A frame is a header of 24 bytes and a page; the last header of a transaction names the database's size
    (sqlite.org/fileformat2, The Write-Ahead Log)."""
    found: list[Commit] = []
    data, last = bytearray(), False
    for call in calls:
        if not call.target.endswith("-wal") or call.name != "pwrite64":
            continue
        if len(call.data) == 24:
            last = call.data[4:8] != bytes(4)
        elif len(call.data) >= 512:
            data += call.data
            if last:
                found.append(Commit(bytes(data), call.returned))
                data, last = bytearray(), False
    return found


def said_250(calls: Sequence[Call], queue_id: str) -> Call:
    """Where the client was told."""
    words = f"250 2.0.0 OK queued as {queue_id}\r\n".encode()
    return next(c for c in calls if c.name in SAYS and c.target.startswith("TCP") and words in c.data)


def broken_promises(calls: Sequence[Call], queue_ids: Iterable[str]) -> list[str]:
    """Mails whose 250 was said before their transaction was on the disk."""
    found = []
    transactions = commits(calls)
    syncs = [call for call in calls if call.name in SYNCS and call.ok and call.target.endswith("-wal")]
    for queue_id in queue_ids:
        told = said_250(calls, queue_id).entered
        mine = next((commit for commit in transactions if queue_id.encode() in commit.data), None)
        if mine is None or mine.written >= told:
            found.append(f"{queue_id}: not written before its 250")
        elif not any(mine.written < sync.entered and sync.returned < told for sync in syncs):
            found.append(f"{queue_id}: not synced before its 250")
    return found


def after_power_loss(calls: Sequence[Call], before: dict[str, bytes], at: int) -> dict[str, bytes]:
    """The files as a disk has them that keeps nothing but what a completed sync has forced on it.

    ``before`` is what they held when the trace began; ``at`` is the place in the trace where the power fails.
    """
    disk = {path: bytearray(content) for path, content in before.items()}
    waiting: dict[str, list[Call]] = {path: [] for path in before}
    for call in sorted((c for c in calls if c.ok and c.returned < at), key=lambda c: c.returned):
        if call.target not in disk:
            continue
        if call.name in WRITES:
            waiting[call.target].append(call)
        elif call.name in SYNCS:
            forced = [write for write in waiting[call.target] if write.returned < call.entered]
            waiting[call.target] = [write for write in waiting[call.target] if write.returned >= call.entered]
            for write in forced:
                _apply(disk[call.target], write)
    return {path: bytes(content) for path, content in disk.items()}


def _apply(content: bytearray, write: Call) -> None:
    if write.name == "ftruncate":
        del content[write.offset :]
        return
    content.extend(bytes(max(0, write.offset - len(content))))
    content[write.offset : write.offset + len(write.data)] = write.data
