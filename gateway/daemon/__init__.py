"""The composition root: configuration in, a running gateway out."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
import time
from collections.abc import Awaitable, Callable, Collection, Coroutine, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from decimal import Decimal
from pathlib import Path
from typing import IO, TYPE_CHECKING

import structlog
import uvloop
from aiohttp import web
from sqlalchemy.exc import OperationalError

from gateway import __version__, metrics, tracing
from gateway.providers import Upstream
from gateway.providers.registry import Surroundings, connect
from gateway.providers.sandbox import SandboxSettings
from gateway.relay import keeper, poller
from gateway.relay.worker import Worker
from gateway.replies.send import Smarthost
from gateway.sandbox.platform import Platform
from gateway.service import balances, counts, figures, storms, upkeep
from gateway.service.accounts import Accounts
from gateway.service.audit import Audit
from gateway.service.balances import Balances
from gateway.service.callbacks import Callbacks, Reporter
from gateway.service.counts import Counted
from gateway.service.credentials import Credentials
from gateway.service.desk import Desk
from gateway.service.dispatch import Dispatch
from gateway.service.events import Feed
from gateway.service.figures import Figures
from gateway.service.gauges import Page, StoreGauges, watch_the_loop
from gateway.service.health import Health
from gateway.service.heartbeats import Heartbeats
from gateway.service.intake import Intake
from gateway.service.lists import Lists
from gateway.service.mailroom import Mailroom
from gateway.service.memory import Memory
from gateway.service.messages import Messages
from gateway.service.people import People
from gateway.service.phones import Phones
from gateway.service.post import Post
from gateway.service.presence import Presence, bury_all
from gateway.service.providers import About, Providers
from gateway.service.receipts import Poll, Receipts, reporting
from gateway.service.rejections import Rejections
from gateway.service.roster import Roster
from gateway.service.sessions import Sessions
from gateway.service.standing import standing
from gateway.service.switch import Switch
from gateway.service.tokens import Tokens
from gateway.service.webhooks import Webhooks
from gateway.service.workbench import Workbench
from gateway.settings.document import ConfigError, Unavailable
from gateway.settings.load import Configuration, load
from gateway.settings.schema import GatewaySettings, host_and_port
from gateway.smtp.limits import Budget
from gateway.smtp.server import Listener
from gateway.spool import accounts
from gateway.spool.claims import ProviderTerms
from gateway.spool.engine import StoreInUse, cause, is_away, is_misconfigured
from gateway.spool.migrations import SchemaTooNew
from gateway.spool.sealing import Sealing, WrongKey
from gateway.spool.sqlite import lock
from gateway.spool.store import Store
from gateway.web.callbacks import application as callback_site
from gateway.web.monitoring import application as monitoring_site

if TYPE_CHECKING:
    from gateway.web.console import Console
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
        metrics.config_last_reload_successful.set(1)
        metrics.config_last_reload_success_timestamp_seconds.set_to_current_time()

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
        self._upstreams = {name: self._upstream(name) for name in settings.providers}
        self._workers = {name: self._worker(name) for name in settings.providers}
        budget, tls = Budget(settings.server.max_buffered), self._configuration.tls
        self.listeners = [
            Listener(listener, self.intake, settings.server.hostname, tls.get(listener.name), budget)
            for listener in settings.listeners
        ]
        retention = settings.retention
        self._run(keeper.every(BEAT_S, "beat", self._presence.beat))
        self._run(keeper.every(LOOK_S, "holds", self._switch.look))
        self._run(keeper.every(LOOK_S, "accounts", self.roster.look))
        self._run(keeper.every(REMEMBER_S, "epoch", self._memory.advance))
        self._run(keeper.every(QUIRKS_S, "quirks", self.intake.quirks.write))
        self._run(keeper.every(REJECTIONS_S, "rejections", self.intake.rejections.write))
        self._run(keeper.every(EXPIRE_S, "expiry", lambda: upkeep.expire(self.store, time.time())))
        self._run(keeper.every(PRUNE_S, "retention", lambda: upkeep.prune(self.store, time.time(), retention)))
        self._run(keeper.every(STORMS_S, "storms", self._tell_of_storms))
        self.heartbeats = Heartbeats(
            lambda: self._configuration, self.store, self._credentials, self._reports, self._wake
        )
        self._run(keeper.every(HEARTBEAT_S, "heartbeat", self.heartbeats.beat_and_watch))
        self._run(self.store.database.watch(lambda name: self._wake([name])))
        if settings.replies is not None:
            hostname, owner = settings.server.hostname, self._presence.id
            post = Post(settings.replies, smarthost(self._configuration), self.store, hostname, owner)
            self._run(keeper.work_off("replies", post.send_due))
        self._webhooks = Webhooks(lambda: self._configuration, self.store)
        self._run(keeper.work_off("webhooks", self._webhooks.call_due))
        self.figures = Figures(self.store, retention.records)
        self._run(keeper.every(figures.TURN_S, "figures", self.figures.turn))
        self.providers = self._provider_desk()
        # Not at once: who starts it to see whether it starts need not ask the world.
        ask = self.providers.balances.ask_due
        self._run(keeper.every(balances.LOOK_S, "balances", ask, first_after_s=balances.LOOK_S))
        for name, upstream in self._upstreams.items():
            await upstream.start(self._receipts.take)
            if upstream.can_ask:
                self._run(poller.poll(Poll(name, upstream, self._receipts)))
        self._relaying = [asyncio.create_task(worker.run()) for worker in self._workers.values()]
        await self._open_doors()

    async def _open_store(self) -> None:
        """Open, and take over from the dead, before anything goes out."""
        alone = self._sockets is None and self._configuration.store_is_embedded
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
            raise _unusable(self._configuration, error) from None

    def _upstream(self, name: str) -> Upstream:
        around = Surroundings(self.platform, self._configuration.callback_url(name), name)
        return connect(self._configuration.settings.providers[name], around)

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
        self._sites: list[web.AppRunner] = []
        if (console := self._configuration.settings.console) is not None:
            await self._open_console(console.bind)
        if (monitored := self._configuration.settings.metrics) is not None:
            self._run(watch_the_loop())
            listeners = [listener.settings.name for listener in self.listeners]
            counts.begin(listeners, [dialect.name for dialect in self._configuration.dialects], self._upstreams)
            await self._store_gauges.remember_successes()
            await self._open_site("metrics.bind", monitored.bind, monitoring_site(self._metrics_page(), self.health))
        if (callbacks := self._configuration.settings.callbacks) is not None:
            await self._open_site("callbacks.bind", callbacks.bind, callback_site(self._callbacks()))
        for index, listener in enumerate(self.listeners):
            bound = self._sockets[listener.settings.name] if self._sockets is not None else None
            await self._bind(f"listeners[{index}].bind", listener.settings.bind, listener.start(bound))

    async def _open_console(self, bind: str) -> None:
        from gateway.web.app import site  # noqa: PLC0415  (half a second, for those only who have a console)
        from gateway.web.server import Server  # noqa: PLC0415

        console = self._console()
        tls = self._configuration.console_tls
        self.console = Server(site(console), tls)
        await self._bind("console.bind", bind, self.console.start(bind, shared=self._sockets is not None))
        if self._sockets is None:  # with several processes their supervisor does it once
            await greet(console.people)

    def _console(self) -> Console:
        from gateway.web.console import Console  # noqa: PLC0415
        from gateway.web.gate import Gate  # noqa: PLC0415

        has_sandbox = any(isinstance(p, SandboxSettings) for p in self._configuration.settings.providers.values())
        terms = (self.store, lambda: self._configuration, self._credentials)
        sessions, tokens = Sessions(*terms, self.intake.bans), Tokens(self.store)
        return Console(
            configuration=lambda: self._configuration,
            gate=Gate(sessions, tokens, lambda: self._configuration),
            people=People(*terms),
            sessions=sessions,
            tokens=tokens,
            audit=Audit(self.store),
            health=self.health,
            accounts=Accounts(self.store, lambda: self._configuration),
            desk=Desk(self.store),
            feed=self._feed,
            rejections=Rejections(self.store),
            intake=self.intake,
            messages=Messages(self.store),
            lists=Lists(self.store, lambda: self._configuration),
            switch=self._switch,
            figures=self.figures,
            providers=self.providers,
            workbench=Workbench(
                lambda: self._configuration, self.store, self._credentials, self._upstreams, self._wake
            ),
            phones=Phones(self.platform, lambda: self._configuration, self._receipts.take) if has_sandbox else None,
        )

    def _metrics_page(self) -> Page:
        shared = self._configuration.metrics_dir if self._sockets is not None else None
        return Page(self._store_gauges, lambda: list(self._configuration.settings.providers), shared)

    def _callbacks(self) -> Callbacks:
        addresses = {name: self._configuration.callback_url(name) for name in self._upstreams}
        reporters = {name: Reporter(name, self._upstreams[name], url) for name, url in addresses.items() if url}
        return Callbacks(reporters, self._receipts)

    async def _open_site(self, key: str, bind: str, site: web.Application) -> None:
        runner = web.AppRunner(site, access_log=None)
        self._sites.append(runner)
        await runner.setup()
        host, port = host_and_port(bind)
        several = self._sockets is not None  # each process has one, and the kernel shares the callers out
        await self._bind(key, bind, web.TCPSite(runner, host, port, reuse_port=several or None).start())

    async def _bind(self, key: str, value: str, start: Awaitable[None]) -> None:
        try:
            await start
        except OSError as error:
            await self.stop()
            raise cannot_bind(self._configuration, key, value, error) from None

    def _run(self, loop: Coroutine[None, None, None]) -> None:
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
            self._run(self._presence.beat())  # so that everybody can see it
            log.info("config.reloaded", accounts=len(self._configuration.directory.accounts))

    def _adopt(self, configuration: Configuration) -> None:
        self._configuration = self.intake.configuration = configuration

    async def serve(self) -> None:
        """Run until TERM or INT, then drain."""
        self.listen_for_signals()
        await self.start()
        doors = {door.settings.name: door.where for door in self.listeners}
        log.info("gateway.ready", version=__version__, listeners=doors)
        with pid_file(self._configuration):
            notify("READY=1")
            watched = asyncio.create_task(keep_watchdog_calm())
            if os.environ.get("NOTIFY_SOCKET"):
                self._run(keeper.every(STATUS_S, "status", self._tell_status))
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
        for site in self._sites:
            await site.cleanup()
        if self.console is not None:
            await self.console.stop()
        await self._webhooks.close()
        self._credentials.close()
        with suppress(Exception):  # the store may be away; the others find out
            await self.intake.quirks.write()
            await self.intake.rejections.write()
            await self._presence.end()
        await self.store.close()
        await asyncio.to_thread(tracing.end)
        log.info("gateway.stopped")


async def open_store(configuration: Configuration, *, exclusive: bool) -> Store:
    """The store of this configuration. Raises ``ConfigError`` when it cannot be used, ``Unavailable`` when it cannot
    be used now."""
    try:
        store = configuration.settings.store
        key = Sealing(store.key_bytes) if store.key_bytes is not None else None
        return await Store.open(configuration.store_url, exclusive=exclusive, min_free=store.min_free, key=key)
    except Exception as error:
        raise _unusable(configuration, error) from None


def stored_logins(settings: GatewaySettings, url: str) -> Collection[str]:
    """Of the accounts in the store; for who has no loop yet. Raises ``ConfigError`` and ``Unavailable``."""
    if url.startswith("sqlite") and not Path(url.removeprefix("sqlite:///")).exists():
        return ()

    async def asked() -> list[str]:
        key = Sealing(settings.store.key_bytes) if settings.store.key_bytes is not None else None
        store = await Store.open(url, exclusive=False, key=key)
        try:
            return await store.read(accounts.logins)
        finally:
            await store.close()

    try:
        return asyncio.run(asked())
    except Exception as error:
        fault = f"store.url: {cause(error)}; which accounts it has cannot be seen"
        raise (Unavailable if is_away(error) else ConfigError)(fault) from None


def lock_store(configuration: Configuration) -> IO[str] | None:
    """Claim an embedded store for this process and all that it forks, until the result is closed. Raises
    ``ConfigError``."""
    if not configuration.store_is_embedded:
        return None
    try:
        return lock(Path(configuration.store_url.removeprefix("sqlite:///")))
    except (StoreInUse, OSError) as error:
        raise _unusable(configuration, error) from None


def _unusable(configuration: Configuration, error: Exception) -> Exception:
    """In words, what can be said of it in words."""
    where = f"{configuration.path}: store.url"
    match error:
        case StoreInUse():
            return ConfigError(f"{where}: {error}: another gateway serves from it; stop that one first")
        case SchemaTooNew():
            return ConfigError(f"{where}: written by a newer version (schema {error}); install that version")
        case WrongKey():
            key = configuration.settings.store.key
            what = "is sealed with another key" if key else "is sealed, and no key is given"
            return ConfigError(
                f"{configuration.path}: store.key: the store {what}; give the one that it was sealed with"
            )
        case ImportError(name=str(name)) if name.partition(".")[0] == "cryptography":
            return ConfigError(
                f"{configuration.path}: store.key: needs a package that is missing: pip install 'email2sms[encryption]'"
            )
        case OSError(filename=str(path)):
            return ConfigError(f"{where}: {path}: {error.strerror}; mend the folder's permissions")
    is_file = configuration.store_is_embedded and isinstance(error, OperationalError)
    if is_misconfigured(error) or (is_file and "locked" not in str(error)):
        return ConfigError(f"{where}: {cause(error)}; make it, or mend the path, its permissions or the URL")
    if is_away(error):
        return Unavailable(f"{where}: {cause(error)}; start the database, or mend the URL")
    return error


@contextmanager
def pid_file(configuration: Configuration) -> Iterator[None]:
    """For ``email2sms reload``: who takes the signals."""
    configuration.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    configuration.pid_file.write_text(f"{os.getpid()}\n")
    try:
        yield
    finally:
        configuration.pid_file.unlink(missing_ok=True)


async def greet(people: People) -> None:
    """The link for the first admin, into the log and before the eyes of who has started the gateway."""
    if (link := await people.greet()) and sys.stderr.isatty():
        sys.stderr.write(f"Nobody may come into the console yet. Who opens this link first is its admin:\n  {link}\n")


def cannot_bind(configuration: Configuration, key: str, value: str, error: OSError) -> ConfigError:
    """A socket that cannot be had, in words."""
    why = os.strerror(error.errno) if error.errno else str(error)
    return ConfigError(f'{configuration.path}: {key}: "{value}": {why}; choose another, or stop what uses it')


def upstream(configuration: Configuration, name: str) -> Upstream:
    """A provider account of this configuration, for a question from the command line."""
    around = Surroundings(Platform(clock=time.time), configuration.callback_url(name), name)
    return connect(configuration.settings.providers[name], around)


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


def reloaded(
    running: Configuration, stored: Callable[[GatewaySettings, str], Collection[str]] = stored_logins
) -> Configuration | None:
    """The files as they are now; None, with an alert, when a running process cannot take them. ``stored``: as ``load``
    asks for it."""
    fresh = _taken(running, stored)
    metrics.config_last_reload_successful.set(fresh is not None)
    if fresh is not None:
        metrics.config_last_reload_success_timestamp_seconds.set_to_current_time()
    return fresh


def _taken(running: Configuration, stored: Callable[[GatewaySettings, str], Collection[str]]) -> Configuration | None:
    try:
        fresh = load(running.path, stored)
    except (ConfigError, Unavailable) as fault:
        log.error("config.refused", why=str(fault), alert=True)  # noqa: TRY400 (no bug of ours: no traceback)
        return None
    fixed = (
        "server",
        "store",
        "listeners",
        "providers",
        "dns",
        "replies",
        "relay",
        "retention",
        "console",
        "callbacks",
        "metrics",
        "log",
    )
    if changed := [name for name in fixed if getattr(running.settings, name) != getattr(fresh.settings, name)]:
        log.error("config.refused", why=f"changed, but only a restart applies it: {', '.join(changed)}", alert=True)
        return None
    return fresh


def notify(state: str) -> None:
    """Tell systemd (sd_notify(3)): a datagram to the socket that it names."""
    path = os.environ.get("NOTIFY_SOCKET")
    if not path:
        return
    with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
        channel.sendto(state.encode(), "\0" + path[1:] if path.startswith("@") else path)


def _begin_traces() -> None:
    try:
        tracing.begin(__version__)
    except ImportError:
        log.warning("tracing.missing", what="OTEL_… asks for traces: pip install 'email2sms[otel]'", alert=True)


async def keep_watchdog_calm() -> None:
    """Until cancelled: tell systemd that the loop turns, where the unit has ``WatchdogSec``."""
    if watchdog_s := float(os.environ.get("WATCHDOG_USEC") or 0) / 1e6:
        while True:
            notify("WATCHDOG=1")
            await asyncio.sleep(watchdog_s / 3)


def run(configuration: Configuration) -> None:
    """``email2sms serve``, in one process. Raises ``ConfigError``."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(Daemon(configuration).serve())
