"""Who may do what in the console and by the API."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


class Scope(StrEnum):
    """One thing that somebody may do; API tokens carry them by these names."""

    READ = "read"
    """See messages, providers and figures. Numbers are masked, words hidden."""
    NUMBERS = "numbers"
    """See phone numbers in full."""
    TEXTS = "texts"
    """See what people wrote. Each look is recorded."""
    SEND = "send"
    """Send SMS."""
    OPERATE = "operate"
    """Retry, cancel, hold, release; test providers."""
    ACCOUNTS = "accounts"
    """Change accounts, keys and lists."""
    ADMIN = "admin"
    """Users, tokens and the audit."""


class Role(StrEnum):
    """What most users are. The right to read texts is given besides."""

    VIEWER = "viewer"
    OPERATOR = "operator"
    ADMIN = "admin"


_VIEWER = frozenset({Scope.READ})
_OPERATOR = _VIEWER | {Scope.NUMBERS, Scope.SEND, Scope.OPERATE}
SCOPES: Mapping[Role, frozenset[Scope]] = {
    Role.VIEWER: _VIEWER,
    Role.OPERATOR: _OPERATOR,
    Role.ADMIN: _OPERATOR | {Scope.ACCOUNTS, Scope.ADMIN},
}


@dataclass(frozen=True, slots=True)
class Visitor:
    """Somebody, or a program, at the console's door."""

    login: str
    """As the audit names it."""
    scopes: frozenset[Scope]
    accounts: frozenset[str] | None = None
    """Sees only these. None: all."""
    language: str | None = None

    def may(self, scope: Scope) -> bool:
        """Whether it may do this at all."""
        return scope in self.scopes

    def sees(self, account: str | None) -> bool:
        """Whether what belongs to this account is for its eyes. None: it belongs to nobody."""
        return self.accounts is None or account in self.accounts
