"""Clients under way while something else happens to the program; and programs whose long waits are short.

Each client is an MTA: it keeps a mail until somebody says 250 to it, and goes to the next door when one is closed.
"""

from __future__ import annotations

import asyncio
import smtplib
import sys
import threading
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from tests.history import SERVICE, Mail
from tests.process import Provider


def offer(mail: Mail, port: int, timeout_s: float = 20.0) -> str:
    """One try. The answer to the mail's end or the refusal before it; empty: the connection died first."""
    answer = ""
    try:
        with smtplib.SMTP("127.0.0.1", port, local_hostname="client", timeout=timeout_s) as client:
            client.ehlo()
            code, words = client.mail("alerts@bank.example")
            if code == 250:
                code, words = client.rcpt(SERVICE)
            if code == 250:
                code, words = client.data(mail.content)
            answer = f"{code} {words.decode()}"
    except smtplib.SMTPResponseException as error:  # the banner, or the answer to DATA
        answer = answer or f"{error.smtp_code} {error.smtp_error!r}"
    except (OSError, smtplib.SMTPException):
        pass  # what was read before stays read
    mail.answers.append(answer)
    return answer


class Load:
    """``clients`` threads, each with one mail in hand."""

    def __init__(self, ports: list[int], pause_s: float, patience_s: float, timeout_s: float) -> None:
        self.ports = ports
        """Where the gateways are; a client whose mail is not taken goes to the next. May be changed on the way."""
        self.mails: list[Mail] = []
        self.slowest_s = 0.0
        """How long the slowest try took."""
        self.refusals: list[str] = []
        self.end = threading.Event()
        self._pause_s = pause_s
        self._patience_s = patience_s
        self._timeout_s = timeout_s
        self._lock = threading.Lock()

    def client(self, turn: int) -> None:
        """Until ``end``; the mail in hand is brought to its 250 first."""
        while not self.end.wait(self._pause_s):
            with self._lock:
                index = len(self.mails)
                mail = Mail(f"load{index}", number=f"79{100_000_000 + index}")
                self.mails.append(mail)
            began = time.monotonic()
            while not self._offer(mail, self.ports[turn % len(self.ports)]):
                turn += 1
                assert time.monotonic() - began < self._patience_s, f"nobody takes {mail.text}: {mail.answers}"
                time.sleep(self._pause_s)

    def _offer(self, mail: Mail, port: int) -> bool:
        began = time.monotonic()
        answer = offer(mail, port, self._timeout_s)
        with self._lock:
            self.slowest_s = max(self.slowest_s, time.monotonic() - began)
            if answer and not answer.startswith("250"):
                self.refusals.append(answer)
        return answer.startswith("250")

    @property
    def acknowledged(self) -> int:
        """Mails that somebody has said 250 to."""
        return sum(mail.acknowledged for mail in list(self.mails))

    async def more(self, count: int, timeout_s: float = 30.0) -> None:
        """Until that many more mails have been acknowledged."""
        wanted = self.acknowledged + count
        async with asyncio.timeout(timeout_s):
            while self.acknowledged < wanted:
                await asyncio.sleep(0.02)

    @property
    def permanent(self) -> list[str]:
        """Refusals that make a client give up."""
        return [answer for answer in self.refusals if not answer.startswith("4")]


@asynccontextmanager
async def load(
    *ports: int, clients: int = 8, pause_s: float = 0.05, patience_s: float = 60.0, timeout_s: float = 20.0
) -> AsyncIterator[Load]:
    """Mails come in until the block ends; then each one in hand is brought to its 250."""
    one = Load(list(ports), pause_s, patience_s, timeout_s)
    loop = asyncio.get_running_loop()
    with ThreadPoolExecutor(clients) as threads:
        running = [loop.run_in_executor(threads, one.client, turn) for turn in range(clients)]
        try:
            yield one
        finally:
            one.end.set()
            results = await asyncio.gather(*running, return_exceptions=True)
        for result in results:
            if result is not None:
                raise result


def remember_everything(sandbox: Provider) -> None:
    """For a judge, who forgets nothing."""
    sandbox.platform.messages, sandbox.platform.journal = deque(), deque()


_HURRIED = """
import pkgutil, runpy, sys
sys.path.insert(0, "")  # as -m does
for name, value in {values!r}.items():
    module, _, constant = name.rpartition(".")
    module = pkgutil.resolve_name(module)
    assert isinstance(getattr(module, constant), float), name
    setattr(module, constant, value)
sys.argv = sys.argv[3:]
runpy.run_module("gateway", run_name="__main__", alter_sys=True)
"""


def hurried(folder: Path, values: Mapping[str, float]) -> tuple[str, ...]:
    """A wrapper for ``Program.start``: these constants of the gateway, which no setting changes, are others.
    ``gateway.room.CONSTANT``, or ``gateway.room:Class.attribute``."""
    script = folder / "hurried.py"
    script.write_text(_HURRIED.format(values=dict(values)))
    return sys.executable, str(script)


async def until(condition: Callable[[], object], timeout_s: float = 20.0) -> None:
    """What can be seen only from outside of a process."""
    async with asyncio.timeout(timeout_s):
        while not condition():
            await asyncio.sleep(0.02)


def is_alive(pid: int) -> bool:
    """Whether there is such a process, and it is no zombie."""
    with suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    return False
