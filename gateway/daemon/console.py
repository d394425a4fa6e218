"""The console of one process: everything that people and programs may do, behind its doors."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from gateway.providers.sandbox import SandboxSettings
from gateway.service.accounts import Accounts
from gateway.service.audit import Audit
from gateway.service.desk import Desk
from gateway.service.hooks import Hooks
from gateway.service.lists import Lists
from gateway.service.messages import Messages
from gateway.service.people import People
from gateway.service.phones import Phones
from gateway.service.rejections import Rejections
from gateway.service.sessions import Sessions
from gateway.service.tokens import Tokens
from gateway.service.workbench import Workbench
from gateway.web.app import site
from gateway.web.console import Console
from gateway.web.gate import Gate
from gateway.web.server import Server

if TYPE_CHECKING:
    from gateway.daemon import Daemon


async def open_console(daemon: Daemon, bind: str) -> Server:
    """At ``console.bind``. Raises ``ConfigError``."""
    console = console_of(daemon)
    server = Server(site(console), daemon._configuration.console_tls)
    daemon.closing.append(server.stop)
    await daemon.bind("console.bind", bind, server.start(bind, shared=not daemon.is_alone))
    if daemon.is_alone:  # with several processes their supervisor does it once
        await greet(console.people)
    return server


def console_of(daemon: Daemon) -> Console:
    """What the pages and the API of this process may ask and do."""
    has_sandbox = any(isinstance(p, SandboxSettings) for p in daemon._configuration.settings.providers.values())
    terms = (daemon.store, lambda: daemon._configuration, daemon._credentials)
    sessions, tokens = Sessions(*terms, daemon.intake.bans), Tokens(daemon.store)
    return Console(
        configuration=lambda: daemon._configuration,
        gate=Gate(sessions, tokens, lambda: daemon._configuration),
        people=People(*terms),
        sessions=sessions,
        tokens=tokens,
        audit=Audit(daemon.store),
        health=daemon.health,
        accounts=Accounts(daemon.store, lambda: daemon._configuration),
        desk=Desk(daemon.store),
        feed=daemon._feed,
        rejections=Rejections(daemon.store),
        intake=daemon.intake,
        messages=Messages(daemon.store),
        lists=Lists(daemon.store, lambda: daemon._configuration),
        switch=daemon._switch,
        figures=daemon.figures,
        providers=daemon.providers,
        workbench=Workbench(
            lambda: daemon._configuration, daemon.store, daemon._credentials, daemon._upstreams, daemon._wake
        ),
        webhooks=Hooks(daemon.store, lambda: daemon._configuration),
        phones=Phones(daemon.platform, lambda: daemon._configuration, daemon._receipts.take, daemon.store)
        if has_sandbox
        else None,
    )


async def greet(people: People) -> None:
    """The link for the first admin, into the log and before the eyes of who has started the gateway."""
    if (link := await people.greet()) and sys.stderr.isatty():
        sys.stderr.write(f"Nobody may come into the console yet. Who opens this link first is its admin:\n  {link}\n")
