"""What the pages and the API stand on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from gateway.service.accounts import Accounts
from gateway.service.audit import Audit
from gateway.service.desk import Desk
from gateway.service.events import Feed
from gateway.service.figures import Figures
from gateway.service.health import Health
from gateway.service.hooks import Hooks
from gateway.service.intake import Intake
from gateway.service.lists import Lists
from gateway.service.messages import Messages
from gateway.service.people import People
from gateway.service.phones import Phones
from gateway.service.providers import Providers
from gateway.service.rejections import Rejections
from gateway.service.sessions import Sessions
from gateway.service.switch import Switch
from gateway.service.tokens import Tokens
from gateway.service.workbench import Workbench
from gateway.settings.load import Configuration
from gateway.web.gate import Gate


@dataclass(frozen=True, slots=True)
class Console:
    """The services behind the routes; a page adds what it needs, ``daemon.py`` fills it in."""

    configuration: Callable[[], Configuration]
    accounts: Accounts
    gate: Gate
    people: People
    sessions: Sessions
    tokens: Tokens
    audit: Audit
    health: Health
    desk: Desk
    feed: Feed
    rejections: Rejections
    intake: Intake
    messages: Messages
    lists: Lists
    switch: Switch
    figures: Figures
    providers: Providers
    workbench: Workbench
    webhooks: Hooks
    phones: Phones | None
    """The sandbox's handsets, where a provider is the sandbox."""
