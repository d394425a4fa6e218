"""The composition root: configuration in, a running gateway out."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import socket
import time
from collections.abc import Awaitable, Callable, Collection, Coroutine, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from decimal import Decimal
from importlib import import_module
from typing import TYPE_CHECKING

import structlog
import uvloop

from gateway import __version__, metrics, tracing
from gateway.daemon.reloading import reloaded
from gateway.daemon.systemd import keep_watchdog_calm, notify
from gateway.relay import keeper, poller
from gateway.relay.worker import Worker
from gateway.replies.send import Smarthost
from gateway.sandbox.platform import Platform
from gateway.service import balances, figures, storms, upkeep
from gateway.service.balances import Balances
from gateway.service.counts import Counted
from gateway.service.credentials import Credentials
from gateway.service.dispatch import Dispatch
from gateway.service.events import Feed
from gateway.service.figures import Figures
from gateway.service.gauges import StoreGauges
from gateway.service.health import Health
from gateway.service.heartbeats import Heartbeats
from gateway.service.intake import Intake
from gateway.service.mailroom import Mailroom
from gateway.service.memory import Memory
from gateway.service.opening import open_store, unusable
from gateway.service.post import Post
from gateway.service.presence import Presence, bury_all
from gateway.service.providers import About, Providers
from gateway.service.receipts import Poll, Receipts, reporting
from gateway.service.roster import Roster
from gateway.service.standing import standing
from gateway.service.switch import Switch
from gateway.service.upstreams import upstream
from gateway.service.webhooks import Webhooks
from gateway.settings.faults import ConfigError
from gateway.settings.load import Configuration
from gateway.smtp.limits import Budget
from gateway.smtp.server import Listener
from gateway.spool.claims import ProviderTerms

if TYPE_CHECKING:
    from gateway.web.server import Server

log = structlog.get_logger()

BEAT_S = 3.0
QUIRKS_S = 10.0
REJECTIONS_S = 2.0
LOOK_S = 1.0
REMEMBER_S = 2.0
EXPIRE_S = 5.0
STORMS_S = 2.0
HEARTBEAT_S = 5.0
PRUNE_S = 60.0
STATUS_S = 15.0
DRAIN_S = 20.0
"""A little less than what systemd and Docker leave before they kill."""


class Daemon:
    """Everything that runs in one process. Start, wait, stop.

    ``sockets`` are those of the listeners, by name, when several processes share them and the store; without
    them this is the only process on this configuration.
    """

    def __init__(self, configuration: Configuration, sockets: Mapping[str, list[socket.socket]] | None = None) -> None:
        self._configuration = configuration
        self._sockets = sockets
        self._tasks: list[asyncio.Task[None]] = []
        self._stopping = asyncio.Event()
        self.console: Server | None = None
        self.closing: list[Callable[[], Awaitable[None]]] = []
        """What else is open, each with how it is closed."""
        metrics.config_last_reload_successful.set(1)
        metrics.config_last_reload_success_timestamp_seconds.set_to_current_time()

    @property
    def is_alone(self) -> bool:
        """No other process shares its doors."""
        return self._sockets is None

    async def start(self) -> None:
        """Open the store, recover, start the relay, then the doors.

        Raises ``ConfigError``, e.g. for a port in use, and ``Unavailable`` when the database is away: then it may be
        called again.
        """
        settings = self._configuration.settings
        for warning in self._configuration.warnings:
            log.warning("config.dangerous", what=warning, alert=True)
        if tracing.is_wanted():
            _begin_traces()
        await self._open_store()
        self._store_gauges = StoreGauges(self.store, lambda: self._configuration)
        self.health = Health(
            self.store,
            self._presence,
            self._store_gauges,
            lambda: self._configuration,
            doors=lambda: {listener.settings.name: listener.is_open for listener in self.listeners},
            draining=self._stopping.is_set,
        )
        self.platform = Platform(clock=time.time)
        self._receipts = Receipts(self.store, Mailroom(lambda: self._configuration, self.store))
        self._upstreams = {name: upstream(self._configuration, name, self.platform) for name in settings.providers}
        self._workers = {name: self._worker(name) for name in settings.providers}
        budget, tls = Budget(settings.server.max_buffered), self._configuration.tls
        self.listeners = [
            Listener(listener, self.intake, settings.server.hostname, tls.get(listener.name), budget)
            for listener in settings.listeners
        ]
        retention = settings.retention
        self.run(keeper.every(BEAT_S, "beat", self._presence.beat))
        self.run(keeper.every(LOOK_S, "holds", self._switch.look))
        self.run(keeper.every(LOOK_S, "accounts", self.roster.look))
        self.run(keeper.every(REMEMBER_S, "epoch", self._memory.advance))
        self.run(keeper.every(QUIRKS_S, "quirks", self.intake.quirks.write))
        self.run(keeper.every(REJECTIONS_S, "rejections", self.intake.rejections.write))
        self.run(keeper.every(EXPIRE_S, "expiry", lambda: upkeep.expire(self.store, time.time())))
        self.run(keeper.every(PRUNE_S, "retention", lambda: upkeep.prune(self.store, time.time(), retention)))
        self.run(keeper.every(STORMS_S, "storms", self._tell_of_storms))
        self.heartbeats = Heartbeats(
            lambda: self._configuration, self.store, self._credentials, self._reports, self._wake
        )
        self.run(keeper.every(HEARTBEAT_S, "heartbeat", self.heartbeats.beat_and_watch))
        self.run(self.store.database.watch(lambda name: self._wake([name])))
        if settings.replies is not None:
            hostname, owner = settings.server.hostname, self._presence.id
            post = Post(settings.replies, smarthost(self._configuration), self.store, hostname, owner)
            self.run(keeper.work_off("replies", post.send_due))
        self._webhooks = Webhooks(lambda: self._configuration, self.store)
        self.run(keeper.work_off("webhooks", self._webhooks.call_due))
        self.figures = Figures(self.store, retention.records)
        self.run(keeper.every(figures.TURN_S, "figures", self.figures.turn))
        self.providers = self._provider_desk()
        # Not at once: who starts it to see whether it starts need not ask the world.
        ask = self.providers.balances.ask_due
        self.run(keeper.every(balances.LOOK_S, "balances", ask, first_after_s=balances.LOOK_S))
        for name, called in self._upstreams.items():
            await called.start(self._receipts.take)
            if called.can_ask:
                self.run(poller.poll(Poll(name, called, self._receipts)))
        self._relaying = [asyncio.create_task(worker.run()) for worker in self._workers.values()]
        await self._open_doors()

    async def _open_store(self) -> None:
        """Open, and take over from the dead, before anything goes out."""
        alone = self.is_alone and self._configuration.store_is_embedded
        self.store = await open_store(self._configuration, exclusive=alone)
        self._credentials = Credentials()
        self._switch = Switch(self.store)
        self._feed = Feed(self.store)
        self.intake = Intake(
            self._configuration, self.store, self._credentials, self._wake, puts_off=self._switch.refuses
        )
        self.roster = Roster(self.store, lambda: self._configuration, self._adopt)
        self._memory = Memory(self._configuration.epoch_file, self.store)
        self._presence = Presence(self.store, lambda: self._configuration.digest, follow=self.intake.bans.follow)
        try:
            if alone:
                await bury_all(self.store, time.time())
            await self._memory.check()
            await self._presence.beat()
            await self._switch.look()
            await self.roster.look()
        except Exception as error:
            await self.store.close()
            raise unusable(self._configuration, error) from None

    def _provider_desk(self) -> Providers:
        settings = self._configuration.settings.providers
        terms = {name: balances.Terms(one.balance_every, one.balance_low) for name, one in settings.items()}
        about = {name: About(one.driver, one.rate, one.max_in_flight) for name, one in settings.items()}
        return Providers(self.store, about, self._upstreams, Balances(self.store, terms, self._upstreams))

    def _worker(self, name: str) -> Worker:
        settings = self._configuration.settings
        provider = settings.providers[name]
        dispatch = Dispatch(
            ProviderTerms(name, provider.rate),
            self._upstreams[name],
            self.store,
            self._configuration.retry,
            self._presence.claimant,
            sending=self._memory.mark,
            reporting=reporting(self._upstreams[name]),
        )
        dispatch.counted = Counted(name, self._price(name), self._counted_accounts)
        return Worker(dispatch, provider.max_in_flight)

    def _price(self, provider: str) -> Callable[[str], Decimal | None]:
        return lambda number: self._configuration.house.router.carrier(provider).price(number)

    def _counted_accounts(self) -> Collection[str]:
        monitored = self._configuration.settings.metrics
        return monitored.accounts if monitored is not None else ()

    async def _open_doors(self) -> None:
        settings = self._configuration.settings
        if settings.metrics is not None:
            from gateway.daemon.sites import open_monitoring  # noqa: PLC0415

            await open_monitoring(self, settings.metrics.bind)
        if settings.callbacks is not None:
            from gateway.daemon.sites import open_callbacks  # noqa: PLC0415

            await open_callbacks(self, settings.callbacks.bind)
        for index, listener in enumerate(self.listeners):
            bound = self._sockets[listener.settings.name] if self._sockets is not None else None
            await self.bind(f"listeners[{index}].bind", listener.settings.bind, listener.start(bound))
        if settings.console is not None:
            # Half a second, for which no mail waits.
            await asyncio.to_thread(import_module, "gateway.daemon.console")
            from gateway.daemon.console import open_console  # noqa: PLC0415

            self.console = await open_console(self, settings.console.bind)

    async def bind(self, key: str, value: str, start: Awaitable[None]) -> None:
        """Open a door; ``key`` says where it stands in the file. Raises ``ConfigError``, and stops all that runs."""
        try:
            await start
        except OSError as error:
            await self.stop()
            raise cannot_bind(self._configuration, key, value, error) from None

    def run(self, loop: Coroutine[None, None, None]) -> None:
        """Until the process stops."""
        self._tasks.append(asyncio.create_task(loop))

    def _wake(self, providers: Iterable[str]) -> None:
        for name in providers:
            if worker := self._workers.get(name):
                worker.wake()

    def _reports(self, provider: str) -> bool:
        known = self._upstreams.get(provider)
        return known is None or reporting(known).is_possible

    async def _tell_status(self) -> None:
        notify(f"STATUS={standing(await self.providers.listed())}")

    async def _tell_of_storms(self) -> None:
        await storms.tell(self.store, self._configuration, time.time(), self._wake)

    def reload(self) -> None:
        """HUP: accounts, dialects and routes change all together, or nothing does."""
        if fresh := reloaded(self._configuration, lambda *_: self.roster.logins):
            self._adopt(self.roster.over(fresh))
            self.run(self._presence.beat())  # so that everybody can see it
            log.info("config.reloaded", accounts=len(self._configuration.directory.accounts))

    def _adopt(self, configuration: Configuration) -> None:
        self._configuration = self.intake.configuration = configuration

    async def serve(self) -> None:
        """Run until TERM or INT, then drain."""
        self.listen_for_signals()
        await self.start()
        gc.freeze()  # all of it stays; a look for garbage that goes through it holds the loop for a tenth of a second
        doors = {door.settings.name: door.where for door in self.listeners}
        log.info("gateway.ready", version=__version__, listeners=doors)
        with pid_file(self._configuration):
            notify("READY=1")
            watched = asyncio.create_task(keep_watchdog_calm())
            if os.environ.get("NOTIFY_SOCKET"):
                self.run(keeper.every(STATUS_S, "status", self._tell_status))
            await self.wait()
            notify("STOPPING=1")
            await self.stop()
            watched.cancel()

    def listen_for_signals(self) -> None:
        """TERM and INT end ``wait``, HUP reloads."""
        loop = asyncio.get_running_loop()
        for name in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(name, self._stopping.set)
        loop.add_signal_handler(signal.SIGHUP, self.reload)

    def end(self) -> None:
        """As TERM does."""
        self._stopping.set()

    async def wait(self) -> None:
        """Until it is to stop."""
        await self._stopping.wait()

    async def stop(self) -> None:
        """No new mail, the mails and calls in flight to their end, then the store."""
        log.info("gateway.stopping")
        self._feed.close()
        await asyncio.gather(*(listener.stop(DRAIN_S) for listener in self.listeners))
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for worker in self._workers.values():
            worker.stop()
        await asyncio.gather(*self._relaying)
        await asyncio.gather(*(worker.drain(DRAIN_S) for worker in self._workers.values()))
        for close in reversed(self.closing):
            await close()
        await self._webhooks.close()
        self._credentials.close()
        with suppress(Exception):  # the store may be away; the others find out
            await self.intake.quirks.write()
            await self.intake.rejections.write()
            await self._presence.end()
        await self.store.close()
        await asyncio.to_thread(tracing.end)
        log.info("gateway.stopped")


@contextmanager
def pid_file(configuration: Configuration) -> Iterator[None]:
    """For ``email2sms reload``: who takes the signals."""
    configuration.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    configuration.pid_file.write_text(f"{os.getpid()}\n")
    try:
        yield
    finally:
        configuration.pid_file.unlink(missing_ok=True)


def cannot_bind(configuration: Configuration, key: str, value: str, error: OSError) -> ConfigError:
    """A socket that cannot be had, in words."""
    why = os.strerror(error.errno) if error.errno else str(error)
    return ConfigError(f'{configuration.path}: {key}: "{value}": {why}; choose another, or stop what uses it')


def smarthost(configuration: Configuration) -> Smarthost:
    """Where reply mails go."""
    replies = configuration.settings.replies
    assert replies is not None
    return Smarthost(
        replies.smarthost,
        user=replies.user,
        password=replies.password.get_secret_value() if replies.password else None,
        hostname=configuration.settings.server.hostname,
    )


def _begin_traces() -> None:
    try:
        tracing.begin(__version__)
    except ImportError:
        log.warning("tracing.missing", what="OTEL_… asks for traces: pip install 'email2sms[otel]'", alert=True)


def run(configuration: Configuration) -> None:
    """``email2sms serve``, in one process. Raises ``ConfigError``."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(Daemon(configuration).serve())
