"""Files → ``Configuration``: everything checked that can be checked without starting."""

from __future__ import annotations

import hashlib
import os
import ssl
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

from gateway.dialects import Dialect
from gateway.dialects.reply import ReplyDialect
from gateway.policy.accounts import Directory
from gateway.policy.decide import House
from gateway.policy.guessing import Terms as GuessingTerms
from gateway.policy.heartbeat import Heartbeat
from gateway.policy.retry import RetryPolicy
from gateway.policy.senders import SenderChecks
from gateway.settings.accounts import AccountSettings, AccountsFile
from gateway.settings.checked_accounts import account_faults
from gateway.settings.contradictions import console_warnings, gateway_faults, named_logins
from gateway.settings.directory import account_for, open_to_all, usual_language
from gateway.settings.document import read
from gateway.settings.faults import ConfigError
from gateway.settings.house import (
    dialects,
    heartbeat,
    house_caps,
    national,
    reply_dialect,
    retry,
    router,
    sender_checks,
)
from gateway.settings.schema import GatewaySettings
from gateway.settings.tls import console_context, server_context
from gateway.settings.validation import PASSWORD_IN_URL, validated


@dataclass(frozen=True, slots=True)
class Configuration:
    """One checked state of all files."""

    path: Path
    settings: GatewaySettings
    directory: Directory
    """Of the accounts file; a running gateway adds those of the store (``service.roster``)."""
    accounts: tuple[AccountSettings, ...] = field(repr=False)
    """Of the accounts file, as they are written there."""
    dialects: tuple[Dialect, ...]
    house: House
    retry: RetryPolicy
    heartbeats: tuple[Heartbeat, ...]
    tls: Mapping[str, ssl.SSLContext]
    """By the listener's name."""
    console_tls: ssl.SSLContext | None
    senders: Mapping[str, SenderChecks]
    """How listeners verify senders by their mails, by the listener's name."""
    store_url: str
    """With an absolute path."""
    digest: str
    """Equal for processes that run the same state of the files."""

    @property
    def store_shown(self) -> str:
        """The URL without its password."""
        return PASSWORD_IN_URL.sub(r"\1:***@", self.store_url)

    @property
    def data_dir(self) -> Path:
        """Absolute."""
        return (self.path.parent / self.settings.server.data_dir).resolve()

    @property
    def console_url(self) -> str:
        """Where people find the console, without a slash at the end; empty: there is none."""
        console = self.settings.console
        if console is None:
            return ""
        if console.url is not None:
            return console.url.rstrip("/")
        return f"{'https' if console.tls else 'http'}://{console.bind}"

    def callback_url(self, provider: str) -> str:
        """Where this provider reports to us; empty: nowhere."""
        callbacks, token = self.settings.callbacks, self.settings.providers[provider].callback_token
        if callbacks is None or token is None:
            return ""
        return f"{callbacks.url.rstrip('/')}/{quote(provider, safe='')}/{token.get_secret_value()}"

    @property
    def guessing(self) -> GuessingTerms:
        """How many wrong credentials are too many."""
        return GuessingTerms(**self.settings.defence.model_dump())

    @property
    def conversations(self) -> ReplyDialect | None:
        """How answers to incoming SMS are addressed; None: there are none."""
        return reply_dialect(self.settings.dialects)

    @property
    def home_domain(self) -> str:
        """Of recipients without a domain; empty where our addresses are in several."""
        given = self.settings.dialects
        domains = list(given.address.domains) if given.address else []
        services = [dialect.addresses for dialect in (given.template, given.smsc) if dialect is not None]
        if not domains:
            domains = [address.rpartition("@")[2] for addresses in services for address in addresses]
        only = {domain.lower() for domain in domains}
        return only.pop() if len(only) == 1 else ""

    @property
    def domains(self) -> frozenset[str]:
        """Of all addresses that are ours."""
        services = {one.rpartition("@")[2] for dialect in self.dialects for one in getattr(dialect, "addresses", ())}
        return frozenset(services.union(*(getattr(dialect, "domains", ()) for dialect in self.dialects)))

    @property
    def warnings(self) -> tuple[str, ...]:
        """What is right and yet dangerous, in words."""
        old = tuple(
            f"listener {listener.name}: tls.min_version {listener.tls.min_version}: anybody on the way can read and "
            "change what old TLS protects; only in a network of its own, and no longer than the device lives"
            for listener in self.settings.listeners
            if listener.tls is not None and listener.tls.is_old
        )
        return (*old, *console_warnings(self.settings.console))

    @property
    def pid_file(self) -> Path:
        """Of the process that takes TERM and HUP."""
        return self.data_dir / "email2sms.pid"

    @property
    def metrics_dir(self) -> Path:
        """Where several processes count together, absolute."""
        return self.data_dir / "metrics"

    @property
    def epoch_file(self) -> Path:
        """Absolute."""
        given = self.settings.server.epoch_file
        return (self.path.parent / given).resolve() if given else self.data_dir / "epoch"

    @property
    def store_is_embedded(self) -> bool:
        """SQLite: one daemon has the file for itself."""
        return self.store_url.startswith("sqlite")

    @property
    def processes(self) -> int:
        """How many share the work."""
        return self.settings.server.workers or len(os.sched_getaffinity(0))


def load(path: Path, stored: Callable[[GatewaySettings, str], Collection[str]] = lambda *_: ()) -> Configuration:
    """Read ``gateway.yaml`` and the files that it names. Raises ``ConfigError`` with one line for each fault.

    ``stored(settings, store_url)`` knows the logins of accounts in the store; it is asked where a section names an
    account that is not in the file.
    """
    path = path.resolve()
    document = read(path)
    settings = validated(GatewaySettings, document)
    accounts_path = path.parent / settings.accounts_file
    if not accounts_path.exists():
        raise ConfigError(
            f"{document.at(('accounts_file',))}: {accounts_path} does not exist; make it or mend the path"
        )
    accounts_document = read(accounts_path)
    accounts = validated(AccountsFile, accounts_document).accounts
    store_url = _store_url(settings, path.parent)
    logins = {account.login for account in accounts}
    if not named_logins(settings) <= logins:
        logins.update(stored(settings, store_url))
    faults = [
        *(document.at(key) + ": " + what for key, what in gateway_faults(settings, accounts, logins)),
        *(accounts_document.at(key) + ": " + what for key, what in account_faults(accounts, settings)),
    ]
    if faults:
        raise ConfigError("\n".join(faults))
    open_to = open_to_all(settings, accounts)
    default_language = usual_language(settings)
    return Configuration(
        path=path,
        settings=settings,
        directory=Directory.of(
            account_for(account, default_language, settings.limits, open_to) for account in accounts
        ),
        accounts=accounts,
        dialects=tuple(dialects(settings.dialects)),
        house=House(
            router(settings),
            settings.relay.validity,
            settings.relay.schedule_ahead,
            national(settings),
            open_to,
            house_caps(settings.limits),
        ),
        retry=retry(settings.relay),
        heartbeats=tuple(heartbeat(name, beat) for name, beat in settings.heartbeat.items()),
        tls={
            listener.name: server_context(listener.tls, path.parent, document.at(("listeners", index, "tls")))
            for index, listener in enumerate(settings.listeners)
            if listener.tls is not None
        },
        console_tls=console_context(settings.console, path.parent, document.at(("console", "tls"))),
        senders={found.name: checks for found in settings.listeners if (checks := sender_checks(found))},
        store_url=store_url,
        digest=hashlib.sha256(path.read_bytes() + accounts_path.read_bytes()).hexdigest()[:16],
    )


def _store_url(settings: GatewaySettings, folder: Path) -> str:
    url = settings.store.url
    if url is not None and not url.startswith("sqlite"):
        return url
    path = settings.server.data_dir / "gateway.db" if url is None else Path(url.removeprefix("sqlite:///"))
    return f"sqlite:///{(folder / path).resolve()}"
