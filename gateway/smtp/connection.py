"""One client's connection: its socket, its deadlines, lines in and replies out.

aiosmtpd's protocol, of which AUTH's mechanisms are kept. Its set-up by reflection, its stream, its command loop and its
timer are replaced; each keeps the protection that it replaces (reliability §3).
"""

from __future__ import annotations

import asyncio
import math
import ssl
from dataclasses import dataclass
from typing import Any

import structlog
from aiosmtpd.smtp import SMTP

from gateway import metrics
from gateway.policy.accounts import in_networks
from gateway.service.intake import Intake
from gateway.service.quirks import Quirk
from gateway.service.rejections import At, Door, Spoken
from gateway.service.wording import smtp_line
from gateway.settings.listeners import ListenerSettings
from gateway.smtp import first_bytes
from gateway.smtp.early import first_words
from gateway.smtp.limits import ABORT_AFTER_S, Budget, Connections
from gateway.smtp.stream import Stream
from gateway.verdicts import Refusal

log = structlog.get_logger()

LINE_LIMIT = 2048
SKIP_LIMIT = 1_000_000
"""Bytes of one line that are read and thrown away before its client is cut off."""
STOPPING = "421 4.3.2 the gateway is stopping"
_OLD_TLS = frozenset({"TLSv1", "TLSv1.1"})
_BOM = b"\xef\xbb\xbf"
_STRAY = (b"\0", _BOM)


@dataclass(frozen=True, slots=True)
class Terms:
    """What all sessions of a listener share."""

    settings: ListenerSettings
    intake: Intake
    hostname: str
    tls: ssl.SSLContext | None
    connections: Connections
    budget: Budget

    @property
    def is_local(self) -> bool:
        """A Unix socket: whoever may open it is trusted, like the pipe."""
        return self.settings.bind.startswith("unix:")


class Goodbye(Exception):
    """The session ends after the replies written so far."""


class No(Exception):
    """A command is refused: the message is the reply. Too many of them end the session.

    ``counts``: an MTA does nothing wrong when it offers more than is taken at a time; closing on it would make
    it try the same for days.
    """

    def __init__(
        self,
        reply: str | Refusal,
        *,
        counts: bool = True,
        recipient: str | None = None,
        door: Door | None = Door.NOT_SMTP,
    ) -> None:
        """``door``: as what it is kept for the operator; None: it is nobody's fault."""
        super().__init__(reply if isinstance(reply, str) else smtp_line(reply))
        self.counts = counts
        self.recipient = recipient
        self.refusal = None if isinstance(reply, str) else reply
        self.door = door


class Connection(Stream, SMTP):  # type: ignore[misc]  # SMTP's transport is any
    """What a session does apart from SMTP's commands."""

    task: asyncio.Task[None] | None = None
    deadline = math.inf
    _peer = ""
    _trusted = False
    _lenient = False
    """An old device, or whatever else is forgiven much."""
    _is_proxy = False
    """It may say who its client is."""
    _fresh = True
    """Nothing has been received yet."""
    _in_handshake = False
    _said_goodbye = False
    _draining = False
    _idle = True
    _errors = 0
    _lf_before = False
    """The line before ended in a bare LF."""
    _lf_only = True
    """Every line of the client has ended in a bare LF so far."""
    _unconfirmed = ""
    """Queue id of a mail of whose 250 the client has not shown yet that it came through."""

    def __init__(self, terms: Terms, loop: asyncio.AbstractEventLoop, client: str | None = None) -> None:
        Stream.__init__(self, loop)  # not SMTP's: it looks through all members by reflection, for every connection
        self._terms = terms
        self._settings = terms.settings
        self._is_lmtp = terms.settings.protocol == "lmtp"
        self._client = client
        """Address of the client behind a proxy."""
        self._quirks: list[Quirk] = []
        """What was forgiven in this session, in order; those of former mails were taken out."""
        self._spoken = Spoken()

    def _quirk(self, quirk: Quirk) -> None:
        """A client of ours did that, and got through with it."""
        if self._trusted and quirk not in self._quirks:
            self._quirks.append(quirk)
            self._count(quirk)

    def _at(self, recipient: str | None, account: str | None) -> At:
        """How far the client has come. ``recipient``: the one that is refused."""
        return At(self._settings.name, self._peer, self._trusted, tls=self._tls, account=account)

    def _turned_away(
        self,
        why: Door | Refusal,
        reply: str = "",
        *,
        recipient: str | None = None,
        account: str | None = None,
        detail: str = "",
    ) -> None:
        """For the operator, who may have to mend it."""
        book, at = self._terms.intake.rejections, self._at(recipient, account)
        if isinstance(why, Refusal):
            book.refused(why, at, reply, self._spoken)
        else:
            book.note(why.value, at, reply, self._spoken, {"why": detail} if detail else None)

    def _count(self, quirk: Quirk) -> None:
        client = self._peer if self._trusted else None
        self._terms.intake.quirks.note(quirk, client=client, listener=self._settings.name)

    async def _command(self, line: str) -> None:
        """Do what the client says. Raises ``No`` and ``Goodbye``."""
        raise NotImplementedError

    # ── the socket ───────────────────────────────────────────────────────────────────────────

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client is here."""
        Stream.connection_made(self, transport)
        address = transport.get_extra_info("peername")
        if not self._terms.is_local:
            if not address:  # uvloop knows no address of a client that has gone: nobody to trust, or to answer
                self.abort()
                return
            self._peer = self._client or address[0]
        self._tls = transport.get_extra_info("ssl_object") is not None
        self._is_proxy = self._settings.xclient and in_networks(self._peer, self._settings.proxies)
        if refusal := self._admit():
            self._say_goodbye(refusal)
            return
        log.debug("smtp.connected", listener=self._settings.name, peer=self._peer)
        self.task = self.loop.create_task(self._handle_client())

    def _admit(self) -> str:
        """Count the client in, by its address; or the words of the goodbye."""
        self._trusted = self._terms.is_local or in_networks(self._peer, self._settings.trust)
        self._lenient = self._settings.lenient and self._trusted
        if not self._trusted and self._terms.intake.bans.bars(self._peer):
            refusal = "421 4.7.0 too many wrong passwords from your network, try again later"
            reason, door = "banned", Door.SHUT_OUT
        else:
            refusal, door = self._terms.connections.admit(self, self._peer), Door.CROWDED
            reason = "stopping" if self._terms.connections.closed else "too many connections"
        name = self._settings.name
        if refusal:
            metrics.smtp_sessions_rejected[name, reason].inc()
            if reason != "stopping":
                self._turned_away(door, refusal)
            log.warning("smtp.not_admitted", listener=name, peer=self._peer, reply=refusal)
        else:
            metrics.smtp_connections[name].inc()
            metrics.smtp_connections_active[name].inc()
        return refusal

    def data_received(self, data: bytes) -> None:
        """Bytes; the first ones may show that the client takes this for another port."""
        if self._fresh:
            self._fresh = False
            if first_bytes.is_tls(data):
                self._not_smtp("TLS", Quirk.TLS_ON_SMTP)
                has_starttls = self._terms.tls is not None and not self._tls
                reply = first_bytes.SAY_STARTTLS if has_starttls else first_bytes.SAY_TLS
                self._turned_away(Door.TLS_FIRST, reply)
                self._say_goodbye(reply)
                return
        Stream.data_received(self, data)

    def connection_lost(self, error: Exception | None) -> None:
        """The client is gone. What is being committed is committed."""
        if error is None:
            self._confirm()
        self._leave()
        Stream.connection_lost(self, error)

    def _confirm(self) -> None:
        if self._unconfirmed:
            self._terms.intake.confirm(self._unconfirmed)
            self._unconfirmed = ""

    def _leave(self) -> None:
        if self._terms.connections.leave(self, self._peer):
            metrics.smtp_connections_active[self._settings.name].dec()
            log.debug("smtp.closed", listener=self._settings.name, peer=self._peer)

    def _not_smtp(self, what: str, quirk: Quirk) -> None:
        metrics.smtp_sessions_rejected[self._settings.name, "not smtp"].inc()
        log.info("smtp.not_smtp", listener=self._settings.name, peer=self._peer, looks_like=what)
        self._count(quirk)

    def _forgive_old_tls(self) -> None:
        """TLS 1.0 and 1.1 are for devices in trusted networks, whatever the listener takes. Raises ``Goodbye``."""
        ssl_object = self.transport.get_extra_info("ssl_object") if self._tls and self.transport else None
        if ssl_object is None or ssl_object.version() not in _OLD_TLS:
            return
        if not self._lenient:
            self._reply(reply := "421 4.7.0 this TLS is too old, use 1.2 or newer")
            self._turned_away(Door.TLS_OLD, reply)
            raise Goodbye
        self._quirk(Quirk.TLS_OLD)

    async def _encrypt(self, context: ssl.SSLContext) -> None:
        """The handshake. There must be no pause between the check for pipelined commands and this."""
        self._in_handshake = True
        transport = None
        try:
            transport = await self.loop.start_tls(self.transport, self, context, server_side=True)  # type: ignore[arg-type]
        except OSError as error:
            why = first_bytes.why_no_handshake(error)[1]
            log.info("smtp.no_handshake", listener=self._settings.name, peer=self._peer, why=why)
            self._turned_away(Door.NO_HANDSHAKE, detail=why)
            raise
        finally:
            self._in_handshake = False
            if transport is None:  # asyncio tells the protocol of no end that comes in the middle of a handshake
                self.abort()
                self._leave()
        if transport is None:
            raise Goodbye
        self.transport, self._tls = transport, True

    # ── its end ──────────────────────────────────────────────────────────────────────────────

    def overdue(self, now: float) -> None:
        """Goodbye; the second time without words, for clients that do not read."""
        if self._said_goodbye or self._in_handshake:
            self.abort()
            return
        self._say_goodbye("421 4.4.2 timeout")
        self.deadline = now + ABORT_AFTER_S

    def drain(self) -> None:
        """The gateway stops: an idle client is told now, a busy one after its mail."""
        self._draining = True
        if self._idle:
            self._say_goodbye(STOPPING)

    def abort(self) -> None:
        """Cut it off."""
        self._unconfirmed = ""
        if self._in_handshake and self.task is not None:
            self.task.cancel()  # uvloop's handshake does not notice an abort
        if self.transport is not None:
            self.transport.abort()

    def _say_goodbye(self, line: str) -> None:
        self._said_goodbye = True
        if self.transport is not None:
            self._reply(line)
            self.write_out()
            self.transport.close()

    # ── the conversation ─────────────────────────────────────────────────────────────────────

    async def _handle_client(self) -> None:
        try:
            await self._converse()
        except (Goodbye, OSError, asyncio.IncompleteReadError):  # OSError: the network's, and TLS'
            pass
        except Exception:
            log.exception("smtp.fault", listener=self._settings.name, peer=self._peer, alert=True)
            self._reply("421 4.3.0 temporary fault")
        finally:
            # Closing: the handshake has failed, and uvloop takes no word for a client that is gone.
            if self.transport is not None and not self._said_goodbye and not self.transport.is_closing():
                self._said_goodbye = True
                self.write_out()
                self.transport.close()
                self.deadline = self.loop.time() + ABORT_AFTER_S

    async def _converse(self) -> None:
        if not self._trusted and self.transport is not None:
            early = await first_words(self, self._settings.greet_pause)
            if early:
                self._too_early(early)
        self._greeting()
        ends_at = self.loop.time() + self._settings.session_timeout
        while True:
            try:
                await self._command(await self._read_line())
            except No as no:
                self._refused(no)
            if self._errors >= self._settings.max_errors:
                self._reply("421 4.7.0 too many errors")
                raise Goodbye
            if self._draining:
                self._reply(STOPPING)
                raise Goodbye
            if self.loop.time() >= ends_at and not self._trusted:
                self._reply("421 4.4.2 that was a long session, connect again")
                raise Goodbye

    def _greeting(self) -> None:
        self._reply(f"220 {self._terms.hostname} {'LMTP' if self._is_lmtp else 'ESMTP'} email2sms")

    def _too_early(self, words: bytes) -> None:
        if words.split(b" ")[0].decode("latin-1") in first_bytes.HTTP_METHODS:
            self._not_smtp("HTTP", Quirk.HTTP_ON_SMTP)
            self._reply(first_bytes.SAY_HTTP)
            self._turned_away(Door.HTTP, first_bytes.SAY_HTTP)
            raise Goodbye
        metrics.smtp_sessions_rejected[self._settings.name, "early talk"].inc()
        log.warning("smtp.early_talk", listener=self._settings.name, peer=self._peer)
        self._reply(reply := "554 5.5.0 wait for the greeting")
        self._turned_away(Door.EARLY, reply)
        raise Goodbye

    def _refused(self, no: No) -> None:
        self._errors += no.counts
        self._reply(str(no))
        if why := no.refusal or no.door:
            self._turned_away(why, str(no), recipient=no.recipient)
        log.info("smtp.refused", listener=self._settings.name, peer=self._peer, reply=str(no), recipient=no.recipient)

    async def _read_line(self) -> str:
        """The next command without its line end."""
        self.deadline = self.loop.time() + self._settings.command_timeout
        if not self.has_line:
            await self.flush()
        self._idle = True
        try:
            raw = await self._next_line()
        except asyncio.LimitOverrunError:
            await self._skip_line()
            raise No("500 5.5.2 line too long") from None
        finally:
            self._idle = False
        self._confirm()
        self._lf_only = self._lf_only and not raw.endswith(b"\r\n")
        if self._lf_before:
            self._quirk(Quirk.LF_COMMANDS)
        line = raw.rstrip(b"\r\n") if self._trusted else raw.removesuffix(b"\n").removesuffix(b"\r")
        if self._lenient and (line.startswith(_STRAY) or line.endswith(b"\0")):
            self._quirk(Quirk.STRAY_BYTES)
            line = line.strip(b"\0").removeprefix(_BOM)
        if len(line) > LINE_LIMIT and line[:5].upper() != b"AUTH ":
            raise No("500 5.5.2 line too long")
        if b"\r" in line or b"\0" in line:
            raise No("500 5.5.2 control character in a command")
        try:
            text = line.decode("utf-8")
        except UnicodeDecodeError:
            if not self._lenient:
                raise No("500 5.5.2 not UTF-8") from None
            self._quirk(Quirk.EIGHT_BIT)
            text = line.decode("cp1251", "replace")
        self._spoken.client(text)
        return text

    async def _next_line(self) -> bytes:
        """With its end. A base64 library's LF, before the CRLF that ends the line, makes no second one."""
        raw = await self.line()
        while self._lf_before and raw == b"\r\n" and self._lenient:
            self._quirk(Quirk.STRAY_BYTES)
            if not self.has_line:
                await self.flush()
            raw = await self.line()
        self._lf_before = not raw.endswith(b"\r\n")
        return raw

    async def _skip_line(self) -> None:
        if not await self.skip_line(SKIP_LIMIT):
            self._reply("500 5.5.2 line too long")
            raise Goodbye

    def _reply(self, line: str) -> None:
        """One line, held back until the client waits for it: pipelined commands get their answers at once."""
        self._out += line.encode("ascii", "replace") + b"\r\n"
        self._spoken.server(line)

    async def push(self, status: Any) -> None:
        """aiosmtpd's way to reply; its AUTH methods wait for an answer directly after."""
        self._reply(status.decode("ascii") if isinstance(status, bytes) else status)
        await self.flush()
