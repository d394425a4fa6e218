"""Several processes behind the same doors: start them, start them again, end them.

The parent binds the sockets and does nothing else, so that nothing in it can fail. It forks: a worker that died is
replaced in milliseconds, and clients that come meanwhile wait in the socket's queue.
"""

from __future__ import annotations

import asyncio
import os
import selectors
import signal
import socket
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass

import structlog
import uvloop

from gateway import __version__, metrics
from gateway.daemon import DRAIN_S, Daemon, cannot_bind, pid_file
from gateway.daemon.ahead import import_ahead
from gateway.daemon.reloading import reloaded
from gateway.daemon.systemd import notify
from gateway.service.credentials import Credentials
from gateway.service.opening import lock_store, open_store
from gateway.service.people import People
from gateway.service.presence import bury_all
from gateway.settings.faults import ConfigError, Unavailable
from gateway.settings.load import Configuration
from gateway.smtp.server import bind, release, where

log = structlog.get_logger()

WAITING, WORKING = b"-", b"."
"""What a worker says, each second."""
BEAT_S = 1.0
HUNG_S = 30.0
"""A worker whose loop has not turned for so long is killed: it answers nobody."""
STEADY_S = 10.0
MAX_RESTART_S = 30.0
KILL_AFTER_S = DRAIN_S + 10.0

_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD)


@dataclass(slots=True)
class _Worker:
    number: int
    pid: int
    pipe: int
    started: float
    seen: float
    ready: bool = False


class Supervisor:
    """``server.workers`` processes of one configuration."""

    def __init__(self, configuration: Configuration) -> None:
        self._configuration = configuration
        self._sockets: dict[str, list[socket.socket]] = {}
        self._workers: dict[int, _Worker] = {}
        self._falls: dict[int, int] = {}
        self._restart_at: dict[int, float] = {}
        self._selector = selectors.DefaultSelector()
        self._announced = False
        self._stopping_since: float | None = None
        self._code = 0

    def run(self) -> int:
        """Until TERM or INT. The exit code. Raises ``ConfigError``."""
        signals, wakeup = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(wakeup)
        for name in _SIGNALS:
            signal.signal(name, lambda *_: None)
        self._selector.register(signals, selectors.EVENT_READ)
        held = lock_store(self._configuration)
        try:
            self._count_together()
            asyncio.run(self._prepare())
            import_ahead(self._configuration)
            self._bind()
            for number in range(self._configuration.processes):
                self._start(number)
            with pid_file(self._configuration):
                while self._workers or (self._restart_at and self._stopping_since is None):
                    self._turn(signals)
        finally:
            for listener in self._configuration.settings.listeners:
                release(listener, self._sockets.get(listener.name, []))
            if held is not None:
                held.close()
        log.info("gateway.stopped")
        return self._code

    async def _prepare(self) -> None:
        """Bring the store to the newest schema; when nobody else can be at work on it, everybody known is dead."""
        store = await open_store(self._configuration, exclusive=False)
        if self._configuration.store_is_embedded:
            await bury_all(store, time.time())
        if self._configuration.settings.console is not None:
            from gateway.daemon.console import greet  # noqa: PLC0415

            credentials = Credentials()
            await greet(People(store, lambda: self._configuration, credentials))
            credentials.close()
        await store.close()

    def _count_together(self) -> None:
        """What the processes of the last run had counted is gone with them, as with one process."""
        if self._configuration.settings.metrics is None:
            return
        folder = self._configuration.metrics_dir
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        for file in folder.glob("*.db"):
            file.unlink()
        _share(self._configuration, "supervisor")

    def _bind(self) -> None:
        for index, listener in enumerate(self._configuration.settings.listeners):
            try:
                self._sockets[listener.name] = bind(listener)
            except OSError as error:
                key = f"listeners[{index}].bind"
                raise cannot_bind(self._configuration, key, listener.bind, error) from None

    # ── workers ──────────────────────────────────────────────────────────────────────────────

    def _start(self, number: int) -> None:
        ours, theirs = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        now = time.monotonic()
        if (pid := os.fork()) == 0:
            signal.set_wakeup_fd(-1)
            for name in _SIGNALS:
                signal.signal(name, signal.SIG_DFL)
            self._selector.close()
            for other in self._workers.values():
                os.close(other.pipe)
            os.close(ours)
            os._exit(_work(self._configuration, number, self._sockets, theirs))
        os.close(theirs)
        self._workers[pid] = _Worker(number, pid, ours, now, now)
        self._selector.register(ours, selectors.EVENT_READ)

    def _turn(self, signals: int) -> None:
        for key, _ in self._selector.select(BEAT_S):
            if key.fd == signals:
                for number in os.read(signals, 4096):
                    self._signalled(signal.Signals(number))
            elif worker := next((w for w in self._workers.values() if w.pipe == key.fd), None):
                self._beaten(worker)
        self._bury()
        if "WATCHDOG_USEC" in os.environ:
            notify("WATCHDOG=1")
        now = time.monotonic()
        for worker in self._workers.values():
            is_late = self._stopping_since is not None and now - self._stopping_since > KILL_AFTER_S
            if is_late or now - worker.seen > HUNG_S:
                log.error("worker.hung", pid=worker.pid, alert=True)
                worker.seen = now
                os.kill(worker.pid, signal.SIGKILL)
        for number in [number for number, at in self._restart_at.items() if at <= now]:
            del self._restart_at[number]
            self._start(number)

    def _beaten(self, worker: _Worker) -> None:
        said = os.read(worker.pipe, 4096)
        if not said:
            self._selector.unregister(worker.pipe)
            return
        worker.seen = time.monotonic()
        worker.ready = worker.ready or WORKING in said
        if self._announced or self._stopping_since is not None:
            return
        if all(w.ready for w in self._workers.values()):
            self._announced = True
            doors = {one.name: where(one, self._sockets[one.name]) for one in self._configuration.settings.listeners}
            log.info("gateway.ready", version=__version__, listeners=doors, workers=len(self._workers))
            notify("READY=1")

    def _bury(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if not pid:
                return
            worker = self._workers.pop(pid)
            if self._configuration.settings.metrics is not None:
                metrics.forget(self._configuration.metrics_dir, str(worker.number))
            with suppress(KeyError):
                self._selector.unregister(worker.pipe)
            os.close(worker.pipe)
            self._ended(worker, os.waitstatus_to_exitcode(status))

    def _ended(self, worker: _Worker, code: int) -> None:
        if self._stopping_since is not None:
            return
        if code == os.EX_CONFIG:
            self._code = code
            self._stop()
            return
        now = time.monotonic()
        fast = now - worker.started < STEADY_S
        self._falls[worker.number] = falls = self._falls.get(worker.number, 0) + 1 if fast else 0
        delay_s = min(MAX_RESTART_S, 2.0**falls - 1)
        log.error("worker.died", pid=worker.pid, code=code, restart_s=delay_s, alert=True)
        self._restart_at[worker.number] = now + delay_s

    # ── signals ──────────────────────────────────────────────────────────────────────────────

    def _signalled(self, number: signal.Signals) -> None:
        if number in (signal.SIGTERM, signal.SIGINT):
            self._stop()
        elif number == signal.SIGHUP:
            self._reload()

    def _stop(self) -> None:
        if self._stopping_since is None:
            log.info("gateway.stopping")
            notify("STOPPING=1")
            self._stopping_since = time.monotonic()
            self._restart_at.clear()
            self._send(signal.SIGTERM)
            for bound in self._sockets.values():
                for one in bound:
                    one.close()  # else new clients would wait, unanswered, until the last mail in progress has ended

    def _reload(self) -> None:
        """All workers, or none."""
        if fresh := reloaded(self._configuration):
            self._configuration = fresh
            self._send(signal.SIGHUP)

    def _send(self, number: signal.Signals) -> None:
        for pid in self._workers:
            os.kill(pid, number)


# ── in a worker ──────────────────────────────────────────────────────────────────────────────


def _share(configuration: Configuration, process: str) -> None:
    try:
        metrics.share(configuration.metrics_dir, process)
    except OSError as error:
        log.warning("metrics.not_shared", process=process, why=str(error), alert=True)
    metrics.config_last_reload_successful.set(1)


def _work(configuration: Configuration, number: int, sockets: Mapping[str, list[socket.socket]], pipe: int) -> int:
    if configuration.settings.metrics is not None:
        _share(configuration, str(number))
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_serve(Daemon(configuration, sockets), pipe))
    except ConfigError as fault:
        print(fault, file=sys.stderr)
        return os.EX_CONFIG
    except BaseException:
        log.exception("worker.failed", alert=True)
        return 1
    finally:
        with suppress(OSError, ValueError):
            sys.stderr.flush()
    return 0


async def _serve(daemon: Daemon, pipe: int) -> None:
    daemon.listen_for_signals()
    if not await _started(daemon, pipe):
        return
    beating = asyncio.create_task(_beat(daemon, pipe))
    await daemon.wait()
    await daemon.stop()
    beating.cancel()


async def _started(daemon: Daemon, pipe: int) -> bool:
    """Whether it has, before TERM came. A database that is being restarted is no reason to die."""
    while True:
        try:
            await daemon.start()
        except Unavailable as error:
            log.warning("store.away", why=str(error))
        else:
            return True
        with suppress(OSError):
            os.write(pipe, WAITING)
        with suppress(TimeoutError):
            await asyncio.wait_for(daemon.wait(), BEAT_S)
            return False


async def _beat(daemon: Daemon, pipe: int) -> None:
    while True:
        try:
            os.write(pipe, WORKING)
        except BrokenPipeError:  # the supervisor was killed; its successor starts workers of its own
            daemon.end()
            return
        except BlockingIOError:
            pass
        await asyncio.sleep(BEAT_S)
