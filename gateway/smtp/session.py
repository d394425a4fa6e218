"""One client's conversation: SMTP's and LMTP's commands (RFC 5321, RFC 2033)."""

from __future__ import annotations

import asyncio
import math
import re
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import ClassVar

import structlog

from gateway.model import Door as Way
from gateway.model import Dsn, Envelope
from gateway.service.intake import Answer
from gateway.service.quirks import WORDS, Quirk
from gateway.service.rejections import At, Door
from gateway.smtp import address, first_bytes, xclient
from gateway.smtp.auth import AuthConnection
from gateway.smtp.connection import Goodbye, No, Terms
from gateway.smtp.data import Crowded, TooLarge, has_bare_line_ends, normalised, read_data, unstuffed
from gateway.smtp.limits import data_deadline

log = structlog.get_logger()

_MAIL_PARAMETERS = frozenset({"SIZE", "BODY", "SMTPUTF8", "AUTH", "RET", "ENVID"})
_RCPT_PARAMETERS = frozenset({"NOTIFY", "ORCPT"})
_NAME = re.compile(r"[A-Za-z0-9_.:\[\]-]+")
_LASTING = frozenset(
    {Quirk.HELO_EMPTY, Quirk.HELO_JUNK, Quirk.HELO_MISSING, Quirk.LF_COMMANDS, Quirk.AUTH_EARLY, Quirk.AUTH_BASE64}
    | {Quirk.AUTH_NEWLINE, Quirk.CRAM_MD5, Quirk.TLS_OLD}
)
"""What concerns each mail of the session; the rest concerns one."""


class Session(AuthConnection):
    """From the greeting to QUIT."""

    def __init__(self, terms: Terms, loop: asyncio.AbstractEventLoop, client: str | None = None) -> None:
        super().__init__(terms, loop, client)
        self._helo = ""
        self._extended = False
        self._reset()

    def _reset(self) -> None:
        self._reverse_path: str | None = None
        self._recipients: list[str] = []
        self._envid = ""
        self._notify: dict[str, tuple[str, ...]] = {}
        self._orcpt: dict[str, str] = {}
        self._utf8 = False
        if self._quirks:
            self._quirks = [quirk for quirk in self._quirks if quirk in _LASTING]

    def _at(self, recipient: str | None, account: str | None) -> At:
        return At(
            listener=self._settings.name,
            peer=self._peer,
            trusted=self._trusted,
            helo=self._helo,
            tls=self._tls,
            sender=self._reverse_path or "",
            recipients=(recipient,) if recipient is not None else tuple(self._recipients),
            account=account or self._identity,
        )

    async def _command(self, line: str) -> None:
        verb, _, argument = line.partition(" ")
        method = self._methods.get(verb.upper())
        if method is not None:
            await method(self, argument.strip())
            return
        if verb in first_bytes.HTTP_METHODS:  # a page that a browser was made to send: none of its body
            self._not_smtp("HTTP", Quirk.HTTP_ON_SMTP)
            self._reply(first_bytes.SAY_HTTP)
            self._turned_away(Door.HTTP, first_bytes.SAY_HTTP)
            raise Goodbye
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
        printable = argument if argument.isprintable() else "".join(char for char in argument if char.isprintable())
        name = printable[:255]
        if not name and not self._lenient:
            raise No("501 5.5.4 name missing")
        self._forgive_old_tls()
        self._reset()
        self._helo, self._extended = name or "?", extended
        if _NAME.fullmatch(name) is None:
            self._quirk(Quirk.HELO_JUNK if name else Quirk.HELO_EMPTY)
        if not extended:
            self._reply(f"250 {self._terms.hostname}")
            return
        lines = [self._terms.hostname, "PIPELINING", f"SIZE {self._settings.max_message_bytes}", "8BITMIME", "SMTPUTF8"]
        if self._can_starttls:
            lines.append("STARTTLS")
        if self._may_auth:
            lines.append("AUTH PLAIN LOGIN" + (" CRAM-MD5" if self._offers_cram_md5 else ""))
        if self._terms.intake.answers_by_mail:
            lines.append("DSN")
        if self._is_proxy:
            lines.append(f"{xclient.OFFER} LOGIN" if self._settings.xclient_login else xclient.OFFER)
        lines.append("ENHANCEDSTATUSCODES")
        self._out += "".join([f"250-{line}\r\n" for line in lines[:-1]]).encode("ascii", "replace")
        self._reply(f"250 {lines[-1]}")

    async def _xclient(self, argument: str) -> None:
        if not self._is_proxy:
            raise No("550 5.7.0 not from your address")
        if self._reverse_path is not None:
            raise No("503 5.5.1 not in the middle of a mail")
        try:
            told = xclient.parse(argument)
        except xclient.BadXclient as error:
            raise No(f"501 5.5.4 {error}") from None
        self._reset()
        self._helo, self._identity, self._auth_failures = told.helo or "", None, 0
        if told.login and self._settings.xclient_login and self._terms.intake.knows(told.login):
            self._identity = told.login
        if told.addr is not None:
            self._leave()
            self._peer = told.addr
            if refusal := self._admit():
                self._reply(refusal)
                raise Goodbye
        log.debug("smtp.xclient", listener=self._settings.name, peer=self._peer, login=self._identity)
        self._greeting()

    @property
    def _can_starttls(self) -> bool:
        tls = self._settings.tls
        return self._terms.tls is not None and tls is not None and tls.mode == "starttls" and not self._tls

    @property
    def _must_starttls(self) -> bool:
        return self._can_starttls and not self._trusted

    async def _starttls(self, argument: str) -> None:
        if self._tls or not self._can_starttls:
            raise No("503 5.5.1 TLS is on already" if self._tls else "502 5.5.1 no TLS here")
        if argument:
            raise No("501 5.5.4 no argument, please")
        if self.has_bytes:
            # Whoever sits in between has added commands that would run as the client's (CVE-2024-34083).
            log.warning("smtp.injection", listener=self._settings.name, peer=self._peer)
            self._reply(reply := "503 5.5.1 nothing may follow STARTTLS in clear")
            self._turned_away(Door.INJECTION, reply)
            raise Goodbye
        assert self._terms.tls is not None
        self._reply("220 2.0.0 go ahead")
        self.write_out()  # and no wait: what comes in meanwhile would be taken for mail
        await self._encrypt(self._terms.tls)
        self._helo, self._extended, self._identity = "", False, None
        self._reset()

    async def _mail(self, argument: str) -> None:
        if self._must_starttls:
            raise No("530 5.7.0 Must issue a STARTTLS command first", door=Door.STARTTLS_NEEDED)
        if not self._helo:
            self._unannounced(Quirk.HELO_MISSING)
        if self._reverse_path is not None:
            raise No("503 5.5.1 one MAIL at a time")
        path = self._path(argument, "FROM", _MAIL_PARAMETERS)
        size = path.parameters.get("SIZE", "")
        if size.isdigit() and int(size[:20]) > self._settings.max_message_bytes:
            raise No(f"552 5.3.4 LIMIT more than {self._settings.max_message_bytes} bytes", door=Door.TOO_LARGE)
        if full := self._terms.intake.refusal_for_want_of_room(self._settings.max_message_bytes):
            raise No(full, counts=False)
        self._utf8 = "SMTPUTF8" in path.parameters
        if not path.address.isascii() and not self._utf8:
            if not self._lenient:
                raise No("553 5.6.7 say SMTPUTF8 for such an address")
            self._quirk(Quirk.EIGHT_BIT)
        if path.parameters and not self._extended:
            self._quirk(Quirk.HELO_PARAMETERS)
        self._reverse_path = path.address
        self._envid = path.parameters.get("ENVID", "")
        self._reply("250 2.1.0 OK")

    def _unannounced(self, quirk: Quirk) -> None:
        if not self._lenient:
            raise No("503 5.5.1 say EHLO first")
        self._forgive_old_tls()
        self._quirk(quirk)

    async def _rcpt(self, argument: str) -> None:
        if self._reverse_path is None:
            raise No("503 5.5.1 say MAIL first")
        given = address.listed(argument) if self._lenient and not self._is_lmtp else [argument]
        if len(given) > 1:
            self._quirk(Quirk.RECIPIENTS_LISTED)
        paths: list[address.Path] = []
        for one in given:  # one answer for all of them: they are taken together, or not at all
            paths.append(self._recipient(one, len(paths), paths[0] if paths else None))
        for path in paths:
            self._recipients.append(path.address)
            if wishes := self._wishes(path):
                self._notify[path.address] = wishes
                self._orcpt[path.address] = path.parameters.get("ORCPT", "")
        self._reply("250 2.1.5 OK")

    def _recipient(self, argument: str, before: int, first: address.Path | None) -> address.Path:
        """One that is taken. Raises ``No``."""
        path = self._path(argument, "TO", _RCPT_PARAMETERS)
        if self._lenient and path.address:
            path = self._completed(path)
        if not path.address or not (path.address.isascii() or self._utf8):
            raise No("553 5.1.3 that is no address")
        if len(self._recipients) + before >= self._settings.max_recipients:
            raise No("452 4.5.3 too many recipients", counts=False, door=None)
        intake, early = self._terms.intake, not (self._settings.answers_by_mail and self._trusted)
        if refusal := intake.refusal_at_rcpt(path.address, early=early):
            raise No(refusal, counts=not self._trusted, recipient=path.address)
        others = self._recipients[:1] or ([first.address] if first is not None else [])
        if others and intake.dialect_name(path.address) != intake.dialect_name(others[0]):
            raise No("452 4.5.3 not together with the recipients before; send it separately", counts=False, door=None)
        return path

    def _completed(self, path: address.Path) -> address.Path:
        whole, lacked_domain, had_scheme = address.completed(path.address, self._terms.intake.home_domain)
        if lacked_domain:
            self._quirk(Quirk.DOMAIN_MISSING)
        if had_scheme:
            self._quirk(Quirk.NUMBER_SCHEME)
        return replace(path, address=whole)

    def _wishes(self, path: address.Path) -> tuple[str, ...]:
        """RFC 3461 §4.1; empty: not asked for."""
        words = tuple(path.parameters.get("NOTIFY", "").upper().split(",")) if "NOTIFY" in path.parameters else ()
        if set(words) <= {"SUCCESS", "FAILURE", "DELAY"} or words == ("NEVER",):
            return words
        if self._trusted:
            self._quirk(Quirk.PARAMETER_UNKNOWN)
            return ()
        raise No("501 5.5.4 NOTIFY is NEVER, or some of SUCCESS,FAILURE,DELAY")

    def _path(self, argument: str, keyword: str, known: frozenset[str]) -> address.Path:
        try:
            path = address.parse(argument, keyword, lenient=self._lenient)
        except address.BadPath as error:
            raise No(f"501 {error}") from None
        unknown = [key for key in path.parameters if key not in known and not key.startswith("X")]
        if unknown:
            if not self._trusted:
                raise No("555 5.5.4 parameter not supported")
            self._quirk(Quirk.PARAMETER_UNKNOWN)
        if "<" not in argument:
            self._quirk(Quirk.BRACKETS_MISSING)
        return path

    async def _data(self, argument: str) -> None:
        if argument or not self._recipients or self._reverse_path is None:
            raise No("501 5.5.4 no argument, please" if argument else "503 5.5.1 say RCPT first")
        if self._lf_only and not self._lenient:  # it would wait for ever for an end that we must not see
            raise No("550 5.5.2 FORMAT end your lines in CRLF", door=Door.LF_ONLY)
        self._reply("354 end with <CRLF>.<CRLF>")
        await self.flush()
        began, timeout_s = self.loop.time(), self._settings.data_timeout
        self.deadline = began + timeout_s if self._trusted else data_deadline(began, 0, timeout_s)
        with self._terms.budget.share() as fits:

            def goes_on(size: int) -> bool:
                if not self._trusted:
                    self.deadline = data_deadline(began, size, timeout_s)
                return fits(size)

            raw = await self._receive(goes_on)
            if raw is not None:
                await self._hand_over(raw)
        self._reset()

    async def _receive(self, fits: Callable[[int], bool]) -> bytes | None:
        """The mail as it was meant; None when it was refused. Raises ``Goodbye``."""
        try:
            raw = await read_data(
                self,
                self._settings.max_message_bytes,
                lf_ends=self._lf_only and self._lenient,
                fits=fits,
            )
        except TooLarge as error:
            self._answer_all(reply := f"552 5.3.4 LIMIT more than {self._settings.max_message_bytes} bytes")
            self._turned_away(Door.TOO_LARGE, reply)
            if not error.ended:
                raise Goodbye from None
            return None
        except Crowded:
            log.warning("smtp.crowded", listener=self._settings.name, peer=self._peer)
            self._reply(reply := "421 4.3.1 BUSY too much mail at one time, try again later")
            self._turned_away(Door.BUSY, reply)
            raise Goodbye from None
        if self._lf_only:
            self._quirk(Quirk.LF_END)
        if has_bare_line_ends(raw):
            if not self._trusted and self._identity is None:  # nothing between them and us that could be deceived
                log.warning("smtp.bare_line_end", listener=self._settings.name, peer=self._peer)
                self._reply(reply := "550 5.6.0 FORMAT a bare CR or LF in the mail")
                self._turned_away(Door.BARE_LINE_END, reply)
                raise Goodbye
            if self._lf_only:
                return unstuffed(normalised(raw))
            self._quirk(Quirk.LF_TEXT)
            return normalised(unstuffed(raw))
        return unstuffed(raw)

    async def _hand_over(self, content: bytes) -> None:
        """Until the store has it, or has not. A client that leaves meanwhile stops nothing: nobody cancels this task
        but for a handshake."""
        self.deadline = math.inf
        self._spoken.note(f"C: ({len(content)} bytes of mail)")
        envelope = self._envelope()
        try:
            answer = await self._terms.intake.accept(envelope, content)
        except Exception:
            log.exception("mail.fault", queue_id=envelope.queue_id, alert=True)
            self._answer_all(f"451 4.3.0 BUSY temporary fault, queue id {envelope.queue_id}")
            return
        self._answer(answer)
        self._unconfirmed = answer.queue_id if answer.to_confirm else ""

    def _answer(self, answer: Answer) -> None:
        lines = [answer.line_for(recipient) for recipient in self._recipients] if self._is_lmtp else [answer.line]
        for line in lines:
            self._reply(line)
        if answer.refusal is not None:
            self._turned_away(answer.refusal, answer.line, account=answer.account)

    def _answer_all(self, line: str) -> None:
        for _ in self._recipients if self._is_lmtp else "1":
            self._reply(line)

    def _envelope(self) -> Envelope:
        intake = self._terms.intake
        return Envelope(
            queue_id=intake.new_queue_id(),
            door=Way.LMTP if self._is_lmtp else Way.SMTP,
            listener=self._settings.name,
            peer=self._peer,
            trusted=self._trusted,
            identity=self._identity,
            reverse_path=self._reverse_path or "",
            recipients=tuple(self._recipients),
            received_at=intake.now(),
            dsn=Dsn(self._envid, self._notify, self._orcpt) if self._notify else None,
            answer_by_mail=self._settings.answers_by_mail,
            accept_unverified=self._settings.accept_unverified,
            helo=self._helo,
            tls=self._tls,
            quirks=tuple(WORDS[quirk] for quirk in self._quirks),
        )

    async def _rset(self, _argument: str) -> None:
        self._reset()
        self._reply("250 2.0.0 OK")

    async def _noop(self, _argument: str) -> None:
        self._reply("250 2.0.0 OK")

    async def _expn(self, _argument: str) -> None:
        raise No("502 5.5.1 not supported")

    async def _vrfy(self, _argument: str) -> None:
        self._reply("252 2.1.5 send some mail and see")

    async def _help(self, _argument: str) -> None:
        self._reply("214 2.0.0 email2sms: mail in, SMS out")

    async def _quit(self, _argument: str) -> None:
        self._reply("221 2.0.0 bye")
        raise Goodbye

    async def _auth(self, argument: str) -> None:
        if self._must_starttls:
            raise No("530 5.7.0 Must issue a STARTTLS command first", door=Door.STARTTLS_NEEDED)
        if not self._may_auth:
            raise No("538 5.7.11 encryption required", door=Door.AUTH_IN_CLEAR)
        if not self._extended:
            self._unannounced(Quirk.AUTH_EARLY)
        if self._identity is not None or self._reverse_path is not None:
            raise No("503 5.5.1 not now")
        await self._log_in(argument)

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
        "EXPN": _expn,
        "HELP": _help,
        "QUIT": _quit,
        "AUTH": _auth,
        "STARTTLS": _starttls,
        "XCLIENT": _xclient,
    }
