"""What clients do that is no SMTP, and what was made of it: forgiven, or seen for what it is.

Counted in memory and written now and then: a device with a habit must not cost a transaction for each mail.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from enum import StrEnum

import structlog

from gateway import metrics
from gateway.spool import quirks
from gateway.spool.quirks import QuirkRow
from gateway.spool.store import Store

__all__ = ["STRANGERS", "WORDS", "Quirk", "QuirkBook", "QuirkRow", "known_quirks", "words"]

log = structlog.get_logger()

STRANGERS = "*"
"""Stands for all clients from networks that are not trusted: the Internet's scanners would fill any table."""
LOG_AGAIN_S = 86400.0
MAX_HELD = 2000
"""Different ones between two writes; what is beyond is not counted."""
MAX_LOGGED = 20_000


class Quirk(StrEnum):
    """A row of the table in ``deploy/devices.md``."""

    HELO_EMPTY = "helo-empty"
    HELO_JUNK = "helo-junk"
    HELO_MISSING = "helo-missing"
    HELO_PARAMETERS = "helo-parameters"
    PARAMETER_UNKNOWN = "parameter-unknown"
    BRACKETS_MISSING = "brackets-missing"
    DOMAIN_MISSING = "domain-missing"
    NUMBER_SCHEME = "number-scheme"
    RECIPIENTS_LISTED = "recipients-listed"
    EIGHT_BIT = "eight-bit-command"
    STRAY_BYTES = "stray-bytes"
    LF_COMMANDS = "lf-commands"
    LF_TEXT = "lf-text"
    LF_END = "lf-end"
    AUTH_EARLY = "auth-without-ehlo"
    AUTH_BASE64 = "auth-base64"
    AUTH_NEWLINE = "auth-newline"
    CRAM_MD5 = "cram-md5"
    TLS_OLD = "tls-old"
    TLS_ON_SMTP = "tls-on-smtp-port"
    HTTP_ON_SMTP = "http-on-smtp-port"
    SMTP_ON_TLS = "smtp-on-tls-port"


WORDS: Mapping[Quirk, str] = {
    Quirk.HELO_EMPTY: "HELO without a name",
    Quirk.HELO_JUNK: "a name after HELO that is none",
    Quirk.HELO_MISSING: "no HELO",
    Quirk.HELO_PARAMETERS: "parameters after HELO, which allows none",
    Quirk.PARAMETER_UNKNOWN: "unknown parameters of MAIL or RCPT, ignored",
    Quirk.BRACKETS_MISSING: "an address without <>",
    Quirk.DOMAIN_MISSING: "a recipient without a domain",
    Quirk.NUMBER_SCHEME: "sms: or tel: before the number",
    Quirk.RECIPIENTS_LISTED: "several recipients in one RCPT",
    Quirk.EIGHT_BIT: "8-bit letters in commands",
    Quirk.STRAY_BYTES: "stray bytes (NUL, BOM, newline) around commands",
    Quirk.LF_COMMANDS: "commands that end in LF",
    Quirk.LF_TEXT: "text with bare CR or LF",
    Quirk.LF_END: "text that ends in LF . LF",
    Quirk.AUTH_EARLY: "AUTH without EHLO",
    Quirk.AUTH_BASE64: "spaces in base64",
    Quirk.AUTH_NEWLINE: "login or password with a newline behind it",
    Quirk.CRAM_MD5: "AUTH CRAM-MD5",
    Quirk.TLS_OLD: "TLS 1.0 or 1.1",
    Quirk.TLS_ON_SMTP: "TLS on a port that begins in clear: refused",
    Quirk.HTTP_ON_SMTP: "HTTP on the SMTP port: refused",
    Quirk.SMTP_ON_TLS: "no TLS on the TLS port: refused",
}


class QuirkBook:
    """Of one process."""

    def __init__(self, store: Store, clock: Callable[[], float] = time.time) -> None:
        self._store = store
        self._clock = clock
        self._held: dict[tuple[str, str, Quirk], QuirkRow] = {}
        self._logged: dict[tuple[str, str, Quirk], float] = {}

    def note(self, quirk: Quirk, *, client: str | None, listener: str) -> None:
        """Count it, and tell the log once a day. ``client`` is an address; None: one that is not trusted."""
        metrics.smtp_quirks[quirk.value].inc()
        now, key = self._clock(), (STRANGERS if client is None else client, listener, quirk)
        if (held := self._held.get(key)) is not None:
            self._held[key] = replace(held, last_at=now, count=held.count + 1)
        elif len(self._held) < MAX_HELD:
            self._held[key] = QuirkRow(key[0], listener, quirk.value, first_at=now, last_at=now, count=1)
        if now - self._logged.get(key, float("-inf")) >= LOG_AGAIN_S:
            if len(self._logged) >= MAX_LOGGED:
                self._logged.clear()
            self._logged[key] = now
            log.info("smtp.quirk", listener=listener, peer=key[0], quirk=quirk.value, what=WORDS[quirk])

    async def write(self) -> None:
        """Into the store what was counted since the last time; kept, when that fails, for the next."""
        if not self._held:
            return
        held, self._held = self._held, {}
        try:
            await self._store.write(lambda connection: quirks.add(connection, list(held.values())))
        except Exception:
            for key, row in held.items():
                newer = self._held.get(key)
                self._held[key] = replace(newer, first_at=row.first_at, count=newer.count + row.count) if newer else row
            raise


def words(quirk: str) -> str:
    """What a client does. A newer version may have written a name that this one does not know."""
    return next((said for known, said in WORDS.items() if known == quirk), quirk)


async def known_quirks(store: Store) -> list[QuirkRow]:
    """What is in the store, by client."""
    return await store.read(quirks.listed)
