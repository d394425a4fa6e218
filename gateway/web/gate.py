"""Who comes in: a cookie becomes a visitor."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from dataclasses import dataclass
from typing import Protocol

from fastapi import Request

from gateway.policy.permissions import SCOPES, Role, Scope, Visitor

COOKIE = "email2sms"


@dataclass(frozen=True, slots=True)
class Visit:
    """A visitor, and how it proved itself in this request."""

    visitor: Visitor
    csrf: str = ""
    """What an unsafe request of a browser must bring; empty for programs, which send their token by themselves."""


class Gate(Protocol):
    """What the routes ask."""

    link: str
    """Opens the first session."""

    async def visit(self, request: Request) -> Visit | None:
        """Whose request this is; None: nobody's that we know."""
        ...


class LinkGate:
    """One link, printed at the start, opens a session that lasts as long as the process."""

    def __init__(self) -> None:
        self.link = secrets.token_urlsafe(24)
        self._sessions: set[str] = set()

    def enter(self, token: str) -> str | None:
        """The link is used up; what to put into the cookie."""
        if not hmac.compare_digest(token, self.link):
            return None
        self.link = secrets.token_urlsafe(24)
        session = secrets.token_urlsafe(24)
        self._sessions.add(session)
        return session

    async def visit(self, request: Request) -> Visit | None:
        """By the cookie."""
        session = request.cookies.get(COOKIE, "")
        if session not in self._sessions:
            return None
        csrf = hashlib.sha256(b"csrf" + session.encode()).hexdigest()
        return Visit(Visitor("admin", SCOPES[Role.ADMIN] | {Scope.TEXTS}), csrf)
