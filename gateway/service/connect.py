"""What a recipe must know of this gateway, and whether the first mail has come."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from gateway.recipes import Facts, Recipe, filled, heading, names
from gateway.service.events import Event, Feed, Kind
from gateway.settings.listeners import ListenerSettings
from gateway.settings.load import Configuration
from gateway.settings.notation import host_and_port

__all__ = ["Facts", "Light", "NoListener", "Recipe", "facts", "filled", "heading", "light", "listeners", "names"]

_ANYWHERE = ("0.0.0.0", "::", "")  # noqa: S104  (compared, not bound)
_DOMAIN = "sms.example.com"
LOOKED_AT = 500
"""Events of which a mail may be one."""


class NoListener(ValueError):
    """There is none of that name."""


def listeners(configuration: Configuration) -> list[str]:
    """The names of the doors."""
    return [listener.name for listener in configuration.settings.listeners]


def facts(
    configuration: Configuration, *, listener: str = "", account: str = "", host: str = "", console: str = ""
) -> Facts:
    """Of a listener (empty: the first) and an account (empty: an example's). ``host`` is where clients find this
    machine, for a listener that listens everywhere. Raises ``NoListener``."""
    settings = configuration.settings
    door = next((door for door in settings.listeners if listener in ("", door.name)), None)
    if door is None:
        raise NoListener(f"{listener} is no listener; one of {', '.join(listeners(configuration))}")
    known = configuration.directory.accounts.get(account)
    where, port = _where(door, host or settings.server.hostname)
    dialects = settings.dialects
    services = dialects.template.addresses if dialects.template is not None else ()
    originators = sorted(known.originators - {"*"}) if known is not None else []
    return Facts(
        host=where,
        port=port,
        domain=dialects.address.domains[0] if dialects.address is not None else configuration.home_domain or _DOMAIN,
        service=services[0] if services else f"emailtosms@{configuration.home_domain or _DOMAIN}",
        account=account or "test_user",
        originator=originators[0] if originators else "My Bank",
        lmtp=door.protocol == "lmtp",
        tls=door.tls.mode if door.tls is not None else "",
        trusted=bool(door.trust) or door.bind.startswith("unix:"),
        socket=door.bind.removeprefix("unix:") if door.bind.startswith("unix:") else "",
        console=console or configuration.console_url or "http://127.0.0.1:8025",
    )


def _where(door: ListenerSettings, host: str) -> tuple[str, int]:
    if door.bind.startswith("unix:"):
        return host, 25
    bound, port = host_and_port(door.bind)
    return (host if bound in _ANYWHERE else bound), port


@dataclass(frozen=True, slots=True)
class Light:
    """Green when a mail has come."""

    event: Event | None
    """The first one of this account, or through this listener."""

    @property
    def is_green(self) -> bool:
        """It was taken."""
        return self.event is not None and self.event.kind is not Kind.REFUSED


async def light(
    feed: Feed, accounts: Collection[str] | None, *, after: int, account: str = "", listener: str = ""
) -> Light:
    """The first mail since the event ``after``: of the account where one is given, else through the listener."""
    recent = await feed.recent(accounts, after, LOOKED_AT)
    mails = [event for event in recent.events if event.kind in (Kind.ACCEPTED, Kind.REFUSED, Kind.DUPLICATE)]
    mine = [event for event in mails if (event.account == account if account else event.listener == listener)]
    taken = next((event for event in mine if event.kind is not Kind.REFUSED), None)
    return Light(taken or next(iter(mine), None))
