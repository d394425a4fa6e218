"""One client's conversation: aiosmtpd's protocol with its holes closed and its slow parts replaced.

From aiosmtpd come the stream protocol, AUTH's mechanisms and STARTTLS' place in them. Own are the command loop,
the address syntax and the reading of DATA; each keeps the protection that it replaces (reliability §3).
"""

from __future__ import annotations

import asyncio
import math
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import structlog
from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword
from aiosmtpd.smtp import Session as AiosmtpdSession

from gateway.model import Door, Envelope
from gateway.policy.accounts import in_networks
from gateway.service.intake import Answer, Intake
from gateway.service.wording import auth_line
from gateway.settings.schema import ListenerSettings
from gateway.smtp import address
from gateway.smtp.data import TooLarge, has_bare_line_ends, normalised, read_data, unstuffed
from gateway.smtp.limits import ABORT_AFTER_S, Connections
from gateway.verdicts import CREDENTIALS_WRONG, Refusal, Refused

log = structlog.get_logger()

LINE_LIMIT = 2048
AUTH_LINE_LIMIT = 12288
"""RFC 4954 §4."""
MAX_AUTH_FAILURES = 3
_NOT_SMTP = (b"GET ", b"POST ", b"HEAD ", b"PUT ", b"CONNECT ", b"OPTIONS ", b"\x16\x03")
_MAIL_PARAMETERS = frozenset({"SIZE", "BODY", "SMTPUTF8", "AUTH", "RET", "ENVID"})
_RCPT_PARAMETERS = frozenset({"NOTIFY", "ORCPT"})


@dataclass(frozen=True, slots=True)
class Terms:
    """What all sessions of a listener share."""

    settings: ListenerSettings
    intake: Intake
    hostname: str
    tls: ssl.SSLContext | None
    connections: Connections


class Goodbye(Exception):
    """The session ends after the replies written so far."""


class No(Exception):
    """A command is refused: the message is the reply. Too many of them end the session."""


class Session(SMTP):
    """One connection."""

    AuthLoginUsernameChallenge = "Username:"
    AuthLoginPasswordChallenge = "Password:"

    def __init__(self, terms: Terms, loop: asyncio.AbstractEventLoop) -> None:
        # Not SMTP.__init__: it looks through all members by reflection, for every connection.
        asyncio.StreamReaderProtocol.__init__(
            self,
            asyncio.StreamReader(limit=AUTH_LINE_LIMIT, loop=loop),
            client_connected_cb=self._cb_client_connected,
            loop=loop,
        )
        self.loop = loop
        self._terms = terms
        self._settings = terms.settings
        self._is_lmtp = terms.settings.protocol == "lmtp"
        self.session = AiosmtpdSession(loop)  # aiosmtpd's AUTH methods look at it
        self.envelope = None
        self.task: asyncio.Task[None] | None = None
        self.deadline = math.inf
        self._peer = ""
        self._trusted = False
        self._tls = False
        self._said_goodbye = False
        self._draining = False
        self._idle = True
        self._helo = ""
        self._identity: str | None = None
        self._errors = 0
        self._auth_failures = 0
        self._lf_only = True
        """Every line of the client has ended in a bare LF so far."""
        self._out = bytearray()
        self._reset()

    def _reset(self) -> None:
        self._reverse_path: str | None = None
        self._recipients: list[str] = []
        self._utf8 = False

    # ── the connection ───────────────────────────────────────────────────────────────────────

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client is here."""
        asyncio.StreamReaderProtocol.connection_made(self, transport)
        self.transport = transport
        peer = transport.get_extra_info("peername")
        self._peer = peer[0] if isinstance(peer, tuple) else ""
        self._trusted = not self._peer or in_networks(self._peer, self._settings.trust)
        self._tls = transport.get_extra_info("ssl_object") is not None
        self.task = self._handler_coroutine = self.loop.create_task(self._handle_client())

    def connection_lost(self, error: Exception | None) -> None:
        """The client is gone. What is being committed is committed."""
        self._terms.connections.leave(self, self._peer)
        asyncio.StreamReaderProtocol.connection_lost(self, error)
        self.transport = None

    def eof_received(self) -> bool | None:
        """The client sends no more; it may still listen for the answer to what it has sent."""
        return asyncio.StreamReaderProtocol.eof_received(self)

    def overdue(self, now: float) -> None:
        """Goodbye; the second time without words, for clients that do not read."""
        if self.transport is None:
            return
        if self._said_goodbye:
            self.transport.abort()  # type: ignore[attr-defined]
            return
        self._say_goodbye("421 4.4.2 timeout")
        self.deadline = now + ABORT_AFTER_S

    def drain(self) -> None:
        """The gateway stops: an idle client is told now, a busy one after its mail."""
        self._draining = True
        if self._idle:
            self._say_goodbye("421 4.3.2 the gateway is stopping")

    def abort(self) -> None:
        """Cut it off."""
        if self.transport is not None:
            self.transport.abort()  # type: ignore[attr-defined]

    def _say_goodbye(self, line: str) -> None:
        self._said_goodbye = True
        if self.transport is not None:
            self._writer.write(bytes(self._out) + line.encode("ascii") + b"\r\n")
            self._out.clear()
            self._writer.close()

    async def _handle_client(self) -> None:
        try:
            await self._converse()
        except (Goodbye, ConnectionError, asyncio.IncompleteReadError, ssl.SSLError):
            pass
        except Exception:
            log.exception("smtp.fault", listener=self._settings.name, peer=self._peer)
        finally:
            if self.transport is not None and not self._said_goodbye:
                self._writer.write(bytes(self._out))
                self._writer.close()
                self.deadline = self.loop.time() + ABORT_AFTER_S
                self._said_goodbye = True

    async def _converse(self) -> None:
        if not self._terms.connections.admit(self, self._peer):
            log.warning("smtp.too_many_connections", listener=self._settings.name, peer=self._peer)
            self._say_goodbye("421 4.7.0 too many connections")
            return
        log.debug("smtp.connected", listener=self._settings.name, peer=self._peer)
        self._reply(f"220 {self._terms.hostname} {'LMTP' if self._is_lmtp else 'ESMTP'} email2sms")
        while True:
            try:
                await self._command(await self._read_line())
            except No as no:
                self._errors += 1
                self._reply(str(no))
            if self._errors >= self._settings.max_errors:
                self._reply("421 4.7.0 too many errors")
                raise Goodbye
            if self._draining:
                self._reply("421 4.3.2 the gateway is stopping")
                raise Goodbye

    # ── lines ────────────────────────────────────────────────────────────────────────────────

    async def _read_line(self) -> str:
        """The next command without its line end."""
        if b"\n" not in self._reader._buffer:  # type: ignore[attr-defined]
            await self._flush()
        self.deadline = self.loop.time() + self._settings.command_timeout
        self._idle = True
        try:
            raw = await self._reader.readuntil(b"\n")
        except asyncio.LimitOverrunError:
            await self._skip_line()
            raise No("500 5.5.2 line too long") from None
        finally:
            self._idle = False
        if raw.startswith(_NOT_SMTP):
            log.warning("smtp.not_smtp", listener=self._settings.name, peer=self._peer)
            raise Goodbye
        self._lf_only = self._lf_only and not raw.endswith(b"\r\n")
        line = raw.rstrip(b"\r\n")
        if len(line) > LINE_LIMIT and line[:5].upper() != b"AUTH ":
            raise No("500 5.5.2 line too long")
        if b"\r" in line or b"\0" in line:
            raise No("500 5.5.2 control character in a command")
        try:
            return line.decode("utf-8")
        except UnicodeDecodeError:
            raise No("500 5.5.2 not UTF-8") from None

    async def _skip_line(self) -> None:
        over = True
        while over:
            try:
                await self._reader.readuntil(b"\n")
                over = False
            except asyncio.LimitOverrunError as error:
                await self._reader.readexactly(error.consumed)

    def _reply(self, line: str) -> None:
        """One line, held back until the client waits for it: pipelined commands get their answers at once."""
        self._out += line.encode("ascii", "replace") + b"\r\n"

    async def _flush(self) -> None:
        if self._out:
            self._writer.write(bytes(self._out))
            self._out.clear()
            await self._writer.drain()

    async def push(self, status: Any) -> None:
        """aiosmtpd's way to reply; its AUTH methods wait for an answer directly after."""
        self._reply(status.decode("ascii") if isinstance(status, bytes) else status)
        await self._flush()

    # ── commands ─────────────────────────────────────────────────────────────────────────────

    async def _command(self, line: str) -> None:
        verb, _, argument = line.partition(" ")
        method = self._methods.get(verb.upper())
        if method is not None:
            await method(self, argument.strip())
            return
        raise No("500 5.5.1 command not recognized")

    async def _ehlo(self, argument: str) -> None:
        if self._is_lmtp:
            raise No("500 5.5.1 this is LMTP: say LHLO")
        await self._greet(argument, extended=True)

    async def _lhlo(self, argument: str) -> None:
        if not self._is_lmtp:
            raise No("500 5.5.1 this is SMTP: say EHLO")
        await self._greet(argument, extended=True)

    async def _helo_command(self, argument: str) -> None:
        if self._is_lmtp:
            raise No("500 5.5.1 this is LMTP: say LHLO")
        await self._greet(argument, extended=False)

    async def _greet(self, argument: str, *, extended: bool) -> None:
        name = "".join(char for char in argument if char.isprintable())[:255]
        if not name and not self._trusted:
            raise No("501 5.5.4 name missing")
        self._reset()
        self._helo = name or "?"
        if not extended:
            self._reply(f"250 {self._terms.hostname}")
            return
        lines = [self._terms.hostname, "PIPELINING", f"SIZE {self._settings.max_message_bytes}", "8BITMIME", "SMTPUTF8"]
        if self._can_starttls:
            lines.append("STARTTLS")
        if self._may_auth:
            lines.append("AUTH PLAIN LOGIN")
        lines.append("ENHANCEDSTATUSCODES")
        for line in lines[:-1]:
            self._reply(f"250-{line}")
        self._reply(f"250 {lines[-1]}")

    @property
    def _can_starttls(self) -> bool:
        tls = self._settings.tls
        return self._terms.tls is not None and tls is not None and tls.mode == "starttls" and not self._tls

    @property
    def _may_auth(self) -> bool:
        """A password in clear crosses trusted networks only."""
        return self._tls or self._trusted

    @property
    def _must_starttls(self) -> bool:
        return self._can_starttls and not self._trusted

    async def _starttls(self, argument: str) -> None:
        if self._tls or not self._can_starttls:
            raise No("503 5.5.1 TLS is on already" if self._tls else "502 5.5.1 no TLS here")
        if argument:
            raise No("501 5.5.4 no argument, please")
        if self._reader._buffer:  # type: ignore[attr-defined]
            # Whoever sits in between has added commands that would run as the client's (CVE-2024-34083).
            log.warning("smtp.injection", listener=self._settings.name, peer=self._peer)
            self._reply("503 5.5.1 nothing may follow STARTTLS in clear")
            raise Goodbye
        self._reply("220 2.0.0 go ahead")
        await self._flush()
        assert self._terms.tls is not None
        transport = await self.loop.start_tls(self.transport, self, self._terms.tls, server_side=True)  # type: ignore[arg-type]
        if transport is None:
            raise Goodbye
        # Protocol, reader and writer go on over the new transport; asyncio offers no public way to say so.
        self.transport = self._transport = transport
        self._reader._transport = self._writer._transport = transport  # type: ignore[attr-defined]
        self._over_ssl = self._tls = True
        self._helo, self._identity = "", None
        self._reset()

    async def _mail(self, argument: str) -> None:
        if self._must_starttls:
            raise No("530 5.7.0 Must issue a STARTTLS command first")
        if not self._helo and not self._trusted:
            raise No("503 5.5.1 say EHLO first")
        if self._reverse_path is not None:
            raise No("503 5.5.1 one MAIL at a time")
        path = self._path(argument, "FROM", _MAIL_PARAMETERS)
        size = path.parameters.get("SIZE", "")
        if size.isdigit() and int(size[:20]) > self._settings.max_message_bytes:
            raise No(f"552 5.3.4 LIMIT more than {self._settings.max_message_bytes} bytes")
        self._utf8 = "SMTPUTF8" in path.parameters
        if not path.address.isascii() and not self._utf8:
            raise No("553 5.6.7 say SMTPUTF8 for such an address")
        self._reverse_path = path.address
        self._reply("250 2.1.0 OK")

    async def _rcpt(self, argument: str) -> None:
        if self._reverse_path is None:
            raise No("503 5.5.1 say MAIL first")
        path = self._path(argument, "TO", _RCPT_PARAMETERS)
        if not path.address or not (path.address.isascii() or self._utf8):
            raise No("553 5.1.3 that is no address")
        if len(self._recipients) >= self._settings.max_recipients:
            raise No("452 4.5.3 too many recipients")
        intake, early = self._terms.intake, not (self._settings.answers_by_mail and self._trusted)
        if refusal := intake.refusal_at_rcpt(path.address, early=early):
            raise No(refusal)
        if self._recipients and intake.dialect_name(path.address) != intake.dialect_name(self._recipients[0]):
            self._reply("452 4.5.3 not together with the recipients before; send it separately")
            return
        self._recipients.append(path.address)
        self._reply("250 2.1.5 OK")

    def _path(self, argument: str, keyword: str, known: frozenset[str]) -> address.Path:
        try:
            path = address.parse(argument, keyword, lenient=self._trusted)
        except address.BadPath as error:
            raise No(f"501 {error}") from None
        unknown = [key for key in path.parameters if key not in known and not key.startswith("X")]
        if unknown and not self._trusted:
            raise No("555 5.5.4 parameter not supported")
        return path

    async def _data(self, argument: str) -> None:
        if argument or not self._recipients or self._reverse_path is None:
            raise No("501 5.5.4 no argument, please" if argument else "503 5.5.1 say RCPT first")
        self._reply("354 end with <CRLF>.<CRLF>")
        await self._flush()
        self.deadline = self.loop.time() + self._settings.data_timeout
        try:
            raw = await read_data(
                self._reader, self._settings.max_message_bytes, lf_ends=self._lf_only and self._trusted
            )
        except TooLarge as error:
            self._answer_all(f"552 5.3.4 LIMIT more than {self._settings.max_message_bytes} bytes")
            if not error.ended:
                raise Goodbye from None
            self._reset()
            return
        if has_bare_line_ends(raw):
            if not self._trusted:
                log.warning("smtp.bare_line_end", listener=self._settings.name, peer=self._peer)
                self._reply("550 5.6.0 FORMAT a bare CR or LF in the mail")
                raise Goodbye
            raw = unstuffed(normalised(raw)) if self._lf_only else normalised(unstuffed(raw))
        else:
            raw = unstuffed(raw)
        await self._hand_over(raw)
        self._reset()

    async def _hand_over(self, content: bytes) -> None:
        """Until the store has it, or has not. A client that leaves meanwhile stops nothing."""
        self.deadline = math.inf
        envelope = self._envelope()
        try:
            answer = await asyncio.shield(self._terms.intake.accept(envelope, content))
        except Exception:
            log.exception("mail.fault", queue_id=envelope.queue_id, alert=True)
            self._answer_all(f"451 4.3.0 BUSY temporary fault, queue id {envelope.queue_id}")
            return
        self._answer(answer)

    def _answer(self, answer: Answer) -> None:
        lines = [answer.line_for(recipient) for recipient in self._recipients] if self._is_lmtp else [answer.line]
        for line in lines:
            self._reply(line)

    def _answer_all(self, line: str) -> None:
        for _ in self._recipients if self._is_lmtp else "1":
            self._reply(line)

    def _envelope(self) -> Envelope:
        intake = self._terms.intake
        return Envelope(
            queue_id=intake.new_queue_id(),
            door=Door.LMTP if self._is_lmtp else Door.SMTP,
            listener=self._settings.name,
            peer=self._peer,
            trusted=self._trusted,
            identity=self._identity,
            reverse_path=self._reverse_path or "",
            recipients=tuple(self._recipients),
            received_at=intake.now(),
            answer_by_mail=self._settings.answers_by_mail,
            accept_unverified=self._settings.accept_unverified,
            helo=self._helo,
            tls=self._tls,
        )

    async def _rset(self, _argument: str) -> None:
        self._reset()
        self._reply("250 2.0.0 OK")

    async def _noop(self, _argument: str) -> None:
        self._reply("250 2.0.0 OK")

    async def _vrfy(self, _argument: str) -> None:
        self._reply("252 2.1.5 send some mail and see")

    async def _help(self, _argument: str) -> None:
        self._reply("214 2.0.0 email2sms: mail in, SMS out")

    async def _quit(self, _argument: str) -> None:
        self._reply("221 2.0.0 bye")
        raise Goodbye

    # ── AUTH ─────────────────────────────────────────────────────────────────────────────────

    async def _auth(self, argument: str) -> None:
        if refusal := self._auth_refusal():
            raise No(refusal)
        mechanism, *initial = argument.split() or [""]
        method = {"PLAIN": self.auth_PLAIN, "LOGIN": self.auth_LOGIN}.get(mechanism.upper())
        if method is None or len(initial) > 1:
            raise No("504 5.5.4 PLAIN or LOGIN, please")
        result = await method(None, [mechanism.upper(), *initial])
        if not isinstance(result.auth_data, LoginPassword):  # aiosmtpd has told the client what was wrong
            self._errors += 1
            return
        await self._log_in(result.auth_data)

    def _auth_refusal(self) -> str:
        if self._must_starttls:
            return "530 5.7.0 Must issue a STARTTLS command first"
        if not self._may_auth:
            return "538 5.7.11 encryption required"
        if not self._helo:
            return "503 5.5.1 say EHLO first"
        if self._identity is not None or self._reverse_path is not None:
            return "503 5.5.1 not now"
        return ""

    def _authenticate(self, mechanism: str, auth_data: Any) -> AuthResult:
        """aiosmtpd's hook runs on the loop and would hold it up; ``_log_in`` asks the service instead."""
        return AuthResult(success=False, handled=False, auth_data=auth_data)

    async def _log_in(self, given: LoginPassword) -> None:
        try:
            login, password = given.login.decode("utf-8"), given.password.decode("utf-8")
            proven = await self._terms.intake.login(login, password)
        except UnicodeDecodeError:
            proven, login = False, "?"
        except Refused as refused:
            raise No(auth_line(refused.refusal)) from None
        if proven:
            self._identity = login
            self._reply("235 2.7.0 welcome")
            return
        self._auth_failures += 1
        log.warning("smtp.login_failed", listener=self._settings.name, peer=self._peer)
        self._reply(auth_line(Refusal(CREDENTIALS_WRONG)))
        if self._auth_failures >= MAX_AUTH_FAILURES:
            self._reply("421 4.7.0 too many errors")
            raise Goodbye

    _methods: ClassVar[dict[str, Callable[[Session, str], Awaitable[None]]]] = {
        "EHLO": _ehlo,
        "HELO": _helo_command,
        "LHLO": _lhlo,
        "MAIL": _mail,
        "RCPT": _rcpt,
        "DATA": _data,
        "RSET": _rset,
        "NOOP": _noop,
        "VRFY": _vrfy,
        "HELP": _help,
        "QUIT": _quit,
        "AUTH": _auth,
        "STARTTLS": _starttls,
    }
