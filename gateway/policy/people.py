"""The console's people: who they are, what they may, and what their programs may."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass, field

from gateway.policy.permissions import SCOPES, Role, Scope, Visitor

ALL = "*"
MIN_PASSWORD = 10
MAX_PASSWORD = 256
_LOGIN = re.compile(r"[\w.@+\\-]{1,80}")


@dataclass(frozen=True, slots=True)
class User:
    """A person who may come in."""

    login: str
    role: Role = Role.VIEWER
    texts: bool = False
    """May read what people wrote, besides what the role may."""
    accounts: frozenset[str] | None = None
    """A tenant's person: sees only these. None: all."""
    language: str | None = None
    disabled: bool = False
    password_hash: str | None = field(default=None, repr=False)
    """None: invited, or comes in by another door only."""
    subject: str | None = None
    """Who this is at the OpenID provider: issuer and ``sub``."""
    created_at: float = 0.0
    seen_at: float | None = None
    """When he last signed in."""

    @property
    def is_admin(self) -> bool:
        """Whether he may manage the others."""
        return not self.disabled and Scope.ADMIN in scopes(self)


@dataclass(frozen=True, slots=True)
class Token:
    """What a program shows instead of a password. The secret itself is nowhere."""

    id: str
    name: str
    login: str | None
    """Whose it is; it may never more than he. None: nobody's, made by an operator of the machine."""
    scopes: frozenset[Scope]
    accounts: frozenset[str] | None
    created_at: float
    expires_at: float | None = None
    used_at: float | None = None
    """To the minute."""


def seen_accounts(given: Iterable[str]) -> frozenset[str] | None:
    """Of a list in the settings: ``*`` is all of them."""
    accounts = frozenset(given)
    return None if ALL in accounts else accounts


def login_of(given: str) -> str:
    """As it is stored and compared: letter case and forms of letters do not matter. Raises ``ValueError``."""
    login = unicodedata.normalize("NFKC", given).strip().casefold()
    if not _LOGIN.fullmatch(login):
        raise ValueError("a login has up to 80 letters, digits and . @ + - _ \\")
    return login


def password_fault(password: str, login: str) -> str | None:
    """Why it is no good, as a key of the console's words; None: it will do."""
    if len(password) < MIN_PASSWORD:
        return "short"
    if len(password) > MAX_PASSWORD:
        return "long"
    return "like_login" if login in password.casefold() and len(password) < len(login) + MIN_PASSWORD else None


def scopes(user: User) -> frozenset[Scope]:
    """What he may."""
    return _of_tenant(SCOPES[user.role] | ({Scope.TEXTS} if user.texts else frozenset()), user.accounts)


def visitor(user: User) -> Visitor:
    """In person."""
    return Visitor(user.login, scopes(user), user.accounts, user.language)


def program(token: Token, owner: User | None) -> Visitor:
    """By a token: no more than its owner, where it has one."""
    if owner is None:
        return Visitor(f"token {token.name}", _of_tenant(token.scopes, token.accounts), token.accounts)
    accounts = owner.accounts
    if token.accounts is not None:
        accounts = token.accounts if accounts is None else accounts & token.accounts
    allowed = _of_tenant(token.scopes & scopes(owner), accounts)
    return Visitor(f"{owner.login}, token {token.name}", allowed, accounts, owner.language)


def _of_tenant(given: frozenset[Scope], accounts: frozenset[str] | None) -> frozenset[Scope]:
    """Who sees only some accounts manages nobody: who may see what is the house's affair."""
    return given if accounts is None else given - {Scope.ADMIN}
