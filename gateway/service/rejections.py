"""Who was turned away at the doors, and why: kept for the operator, who must mend it.

Counted in memory and written now and then: a flood must cost no transaction for each try. Shown masked, never with a
password: of a dialogue only commands are kept, of AUTH only the mechanism, of what is no command only its length.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from enum import StrEnum

from sqlalchemy import Connection

from gateway.policy.guessing import network
from gateway.sms.numbers import mask
from gateway.spool import rejections
from gateway.spool.rejections import RefusedMail, Row, Which
from gateway.spool.store import Store
from gateway.verdicts import REASONS, Refusal, Values

__all__ = ["MANY", "At", "Door", "Page", "Rejection", "RejectionBook", "Rejections", "Spoken", "Which"]

MANY = "*"
"""Stands for all clients, when there are more different ones between two writes than are told apart."""
MAX_HELD = 1000
TOLD_AGAIN_S = 60.0
TOLD_AT_ONCE = 10
MAX_LINES = 40
MAX_LINE = 200
_WITH_WORDS = frozenset({"HELO", "EHLO", "LHLO", "MAIL", "RCPT"})
_VERBS = _WITH_WORDS | {"DATA", "RSET", "NOOP", "VRFY", "EXPN", "HELP", "QUIT", "AUTH", "STARTTLS", "XCLIENT"}
_NUMBER = re.compile(r"\+?\d[\d().-]{5,}\d")
_LONG_NUMBER = re.compile(r"(?<![\w.])\+?\d{10,15}(?![\w.])")
_MECHANISMS = frozenset({"PLAIN", "LOGIN", "CRAM-MD5", "DIGEST-MD5", "NTLM", "XOAUTH2", "OAUTHBEARER", "GSSAPI"})
_ADDRESS = re.compile(r"([^\s<>:@]+)@([^\s<>@]+)")


class Door(StrEnum):
    """Why a client was turned away where the verdicts have no word for it: before there was a mail to judge."""

    TLS_FIRST = "door_tls_first"
    HTTP = "door_http"
    NO_TLS = "door_no_tls"
    NO_HANDSHAKE = "door_no_handshake"
    TLS_OLD = "door_tls_old"
    STARTTLS_NEEDED = "door_starttls_needed"
    AUTH_IN_CLEAR = "door_auth_in_clear"
    EARLY = "door_early"
    SHUT_OUT = "door_shut_out"
    CROWDED = "door_crowded"
    BUSY = "door_busy"
    INJECTION = "door_injection"
    BARE_LINE_END = "door_bare_line_end"
    LF_ONLY = "door_lf_only"
    TOO_LARGE = "door_too_large"
    NOT_SMTP = "door_not_smtp"
    NO_PROXY = "door_no_proxy"


@dataclass(frozen=True, slots=True)
class At:
    """Whom it was, and how far it had come."""

    listener: str
    peer: str
    trusted: bool = False
    helo: str = ""
    tls: bool = False
    sender: str = ""
    recipients: tuple[str, ...] = ()
    account: str | None = None
    """That the gateway has: what is no login of ours may be a password."""


class Spoken:
    """The last lines of a dialogue, without secrets from the first moment on."""

    def __init__(self) -> None:
        self._lines: list[str] = []
        self._before_mails: int | None = None

    def client(self, line: str) -> None:
        """A command. A mail's beginning makes those before it forgotten."""
        verb, _, words = line.partition(" ")
        verb = verb.upper()
        if verb == "MAIL":
            if self._before_mails is None:
                self._before_mails = len(self._lines)
            del self._lines[self._before_mails :]
        if verb not in _VERBS:
            self.note(f"C: ({len(line)} characters that are no command)")
        elif verb == "AUTH":
            mechanism = words.partition(" ")[0].upper()
            self.note(f"C: AUTH {mechanism} ***" if mechanism in _MECHANISMS else "C: AUTH ***")
        else:
            self.note(f"C: {verb} {words}" if verb in _WITH_WORDS else f"C: {verb}")

    def server(self, line: str) -> None:
        """A reply; of those with several lines, the last."""
        if line[3:4] != "-":
            self.note(f"S: {line}")

    def note(self, line: str) -> None:
        """What was said besides."""
        self._lines.append(line)
        if len(self._lines) > 2 * MAX_LINES:
            del self._lines[:-MAX_LINES]
            self._before_mails = 0

    def masked(self, is_ours: Callable[[str], bool]) -> tuple[str, ...]:
        """To be kept."""
        return tuple(_masked_line(line, is_ours) for line in self._lines[-MAX_LINES:])


class RejectionBook:
    """Of one process. ``is_ours``: whether mails to an address are for this gateway; others' are masked."""

    def __init__(
        self,
        store: Store,
        is_ours: Callable[[str], bool] = lambda address: False,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._store = store
        self._is_ours = is_ours
        self._clock = clock
        self._held: dict[bytes, Row] = {}
        self._told: dict[bytes, float] = {}

    def refused(self, refusal: Refusal, at: At, reply: str = "", spoken: Spoken | None = None) -> None:
        """For a reason of the verdicts."""
        self.note(refusal.reason.key, at, reply, spoken, refusal.values)

    def note(
        self, reason: str, at: At, reply: str = "", spoken: Spoken | None = None, values: Values | None = None
    ) -> None:
        """Count it."""
        now = self._clock()
        row = Row(
            first_at=now,
            last_at=now,
            count=1,
            listener=at.listener,
            peer=at.peer if at.trusted else network(at.peer).removesuffix("/32") or at.peer,
            trusted=at.trusted,
            helo=_printable(at.helo),
            tls=at.tls,
            reason=reason,
            values={name: _printable(str(value)) for name, value in (values or {}).items()},
            reply=_masked_line(reply, self._is_ours),
            sender=_masked_number(at.sender),
            recipients=(),
            account=at.account,
            dialogue=(),
        )
        held = self._held.get(row.key)
        if held is None and len(self._held) >= MAX_HELD:
            row = replace(row, peer=MANY, trusted=False, helo="", sender="", account=None, values={}, reply="")
            held = self._held.get(row.key)
        if held is not None:
            self._held[row.key] = replace(held, last_at=now, count=held.count + 1)
            return
        recipients = tuple(masked_recipient(one, self._is_ours) for one in at.recipients[:20])
        dialogue = spoken.masked(self._is_ours) if spoken is not None else ()
        kept = row.peer != MANY
        self._held[row.key] = replace(row, recipients=recipients, dialogue=dialogue) if kept else row

    async def write(self) -> None:
        """Into the store what was counted since the last time; kept, when that fails, for the next."""
        if not self._held:
            return
        held, self._held = self._held, {}
        told = self._news(held)
        try:
            await self._store.write(lambda connection: rejections.add(connection, list(held.values()), told))
        except Exception:
            for key, row in held.items():
                newer = self._held.get(key)
                self._held[key] = replace(row, last_at=newer.last_at, count=row.count + newer.count) if newer else row
            raise

    def _news(self, held: Mapping[bytes, Row]) -> list[Row]:
        """What those who follow the events hear: alike ones once a minute, in a flood not all."""
        now = self._clock()
        fresh = [key for key in held if now - self._told.get(key, float("-inf")) >= TOLD_AGAIN_S][:TOLD_AT_ONCE]
        if len(self._told) > MAX_HELD:
            self._told.clear()
        self._told.update(dict.fromkeys(fresh, now))
        return [held[key] for key in fresh]


def masked_recipient(address: str, is_ours: Callable[[str], bool] = lambda address: False) -> str:
    """Numbers as everywhere; of an address elsewhere the first letter and the domain."""
    local, at, domain = address.rpartition("@")
    if _NUMBER.search(local or domain) or not at:
        return _masked_number(address)
    return _printable(address) if is_ours(address) else f"{_printable(local)[:1]}***@{_printable(domain)}"


def _masked_number(text: str) -> str:
    return _NUMBER.sub(lambda found: mask(found[0]), _printable(text))


def _masked_line(line: str, is_ours: Callable[[str], bool]) -> str:
    line = _printable(line)
    if line.startswith("C: RCPT"):
        line = _ADDRESS.sub(lambda found: masked_recipient(found[0], is_ours), line)
    if line.startswith(("C: RCPT", "C: MAIL")):
        head, bracket, rest = line.partition(">")
        return _masked_number(head) + bracket + rest
    return _LONG_NUMBER.sub(lambda found: mask(found[0]), line)


def _printable(text: str) -> str:
    return "".join(char if char.isprintable() else "?" for char in text[:MAX_LINE])


# ── what operators see ───────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Rejection(Row):
    """One entry: a row of what was turned away, or a mail that was answered with a refusal."""

    mail: str | None = None
    """Its queue id; there is no other ``id`` then."""

    @property
    def name(self) -> str:
        """A number, or the queue id of the mail."""
        return self.mail or str(self.id)

    @property
    def refusal(self) -> Refusal | None:
        """As the verdicts know it."""
        known = REASONS.get(self.reason)
        return Refusal(known, self.values) if known else None


@dataclass(frozen=True, slots=True)
class Page:
    """Some entries, the newest first, and where the rest begins."""

    items: list[Rejection]
    next: str | None


class Rejections:
    """What operators ask."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def listed(self, which: Which = Which(), *, before: str | None = None, limit: int = 50) -> Page:  # noqa: B008
        """Both kinds together, by the time of the last try. Raises ``ValueError`` for a ``before`` that is none of
        ours."""
        cursor = _cursor(before)

        def read(connection: Connection) -> tuple[Sequence[Row], Sequence[RefusedMail]]:
            rows = rejections.listed(connection, which, cursor and (cursor[0], cursor[1]), limit + 1)
            mails = rejections.mails_refused(connection, which, cursor and (cursor[0], cursor[2]), limit + 1)
            return rows, mails

        rows, mails = await self._store.read(read)
        found = sorted(
            [*(Rejection(**asdict(row)) for row in rows), *map(_of_mail, mails)],
            key=lambda one: one.last_at,
            reverse=True,
        )
        if len(found) <= limit:
            return Page(found, None)
        return Page(found[:limit], _cursor_behind(found[:limit], cursor))

    async def find(self, number: int) -> Rejection | None:
        """One of those at the doors, by its number."""
        row = await self._store.read(lambda connection: rejections.one(connection, number))
        return None if row is None else Rejection(**asdict(row))


def _cursor(before: str | None) -> tuple[float, int, str] | None:
    """``TIME,NUMBER,QUEUE-ID``: of equal times, those rows and mails that have been shown."""
    if before is None:
        return None
    at, number, mail_id = before.split(",")
    return float(at), int(number), mail_id


def _cursor_behind(found: Sequence[Rejection], cursor: tuple[float, int, str] | None) -> str:
    at = found[-1].last_at
    same = [one for one in found if one.last_at == at]
    before = cursor if cursor is not None and cursor[0] == at else None
    numbers = [one.id for one in same if one.id is not None] or [before[1] if before else 2**62]
    mails = [one.mail for one in same if one.mail] or [before[2] if before else "zzzz"]
    return f"{at!r},{min(numbers)},{min(mails)}"


def _of_mail(mail: RefusedMail) -> Rejection:
    return Rejection(
        mail=mail.id,
        first_at=mail.at,
        last_at=mail.at,
        count=1,
        listener=mail.listener,
        peer=mail.peer,
        trusted=False,
        helo=mail.helo,
        tls=mail.tls,
        reason=mail.reason,
        values=mail.values,
        reply="",
        sender=_masked_number(mail.sender),
        recipients=tuple(masked_recipient(one, lambda address: True) for one in mail.recipients[:20]),
        account=mail.account,
        dialogue=(),
    )
