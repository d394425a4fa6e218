"""SMTP AUTH (RFC 4954): aiosmtpd's mechanisms, our questions, the service's decision."""

from __future__ import annotations

import asyncio
import base64
import binascii
from typing import Any

import structlog
from aiosmtpd.smtp import AuthResult, LoginPassword

from gateway import metrics
from gateway.service.quirks import Quirk
from gateway.service.wording import auth_line
from gateway.smtp import crammd5
from gateway.smtp.connection import Connection, Goodbye, No
from gateway.verdicts import CREDENTIALS_WRONG, Refusal, Refused

log = structlog.get_logger()

MAX_AUTH_FAILURES = 3


class AuthConnection(Connection):
    """A connection whose client may prove who it is."""

    # Devices compare these letter by letter.
    AuthLoginUsernameChallenge = "Username:"
    AuthLoginPasswordChallenge = "Password:"

    _identity: str | None = None
    """The login that was proven."""
    _auth_failures = 0

    @property
    def _may_auth(self) -> bool:
        """A password in clear crosses trusted networks only."""
        return self._tls or self._trusted

    async def _log_in(self, argument: str) -> None:
        """``PLAIN``, ``PLAIN AGEAYg==``, ``login``, …"""
        mechanism, *initial = argument.split() or [""]
        if self._lenient and len(initial) > 1:
            self._quirk(Quirk.AUTH_BASE64)
            initial = ["".join(initial)]
        if mechanism.upper() == "CRAM-MD5" and self._offers_cram_md5 and not initial:
            await self._cram_md5()
            return
        method = {"PLAIN": self.auth_PLAIN, "LOGIN": self.auth_LOGIN}.get(mechanism.upper())
        if method is None or len(initial) > 1:
            raise No("504 5.5.4 PLAIN or LOGIN, please")
        result = await method(None, [mechanism.upper(), *("" if given == "=" else given for given in initial)])
        if not isinstance(result.auth_data, LoginPassword):  # aiosmtpd has told the client what was wrong
            self._errors += 1
            return
        await self._prove(result.auth_data, mechanism.upper())

    @property
    def _offers_cram_md5(self) -> bool:
        """To devices only: clients that prefer it could not log in to an account whose password is hashed."""
        return self._lenient and self._terms.intake.offers_cram_md5

    async def _cram_md5(self) -> None:
        intake = self._terms.intake
        asked = crammd5.challenge(self._terms.hostname, intake.now())
        answer = await self.challenge_auth(asked)
        self._quirk(Quirk.CRAM_MD5)
        try:
            login, digest = crammd5.response(answer)
        except ValueError:
            raise No("501 5.5.2 that is no login and digest") from None
        try:
            proven = await intake.login_by_digest(login, asked, digest, self._peer, trusted=self._trusted)
        except Refused as refused:
            self._turned_away(refused.refusal, auth_line(refused.refusal), account=self._known(login))
            raise No(auth_line(refused.refusal), door=None) from None
        self._conclude(login, proven, "CRAM-MD5")

    async def challenge_auth(
        self, challenge: str | bytes, encode_to_b64: bool = True, log_client_response: bool = False
    ) -> bytes:
        """What the client answers. aiosmtpd's takes no end of a connection and no long line for what it is."""
        asked = challenge.encode() if isinstance(challenge, str) else challenge
        await self.push(b"334 " + (base64.b64encode(asked) if encode_to_b64 else asked))
        try:
            line = (await self._next_line()).strip()
        except asyncio.LimitOverrunError:
            await self._skip_line()
            raise No("500 5.5.6 line too long") from None
        if line == b"*":
            raise No("501 5.7.0 cancelled", door=None)
        if self._lenient and b" " in line:
            self._quirk(Quirk.AUTH_BASE64)
            line = line.replace(b" ", b"")
        try:
            return base64.b64decode(b"" if line == b"=" else line, validate=True)
        except binascii.Error:
            raise No("501 5.5.2 that is no base64") from None

    def _authenticate(self, mechanism: str, auth_data: Any) -> AuthResult:
        """aiosmtpd's hook runs on the loop and would hold it up; ``_prove`` asks the service instead."""
        return AuthResult(success=False, handled=False, auth_data=auth_data)

    async def _prove(self, given: LoginPassword, mechanism: str) -> None:
        try:
            login, password = given.login.decode("utf-8"), given.password.decode("utf-8")
            if self._lenient and (login.endswith("\n") or password.endswith("\n")):
                self._quirk(Quirk.AUTH_NEWLINE)  # echo login | base64
                login, password = login.rstrip("\r\n"), password.rstrip("\r\n")
            proven = await self._terms.intake.login(login, password, self._peer, trusted=self._trusted)
        except UnicodeDecodeError:
            proven, login = False, "?"
        except Refused as refused:
            self._turned_away(refused.refusal, auth_line(refused.refusal), account=self._known(login))
            raise No(auth_line(refused.refusal), door=None) from None
        self._conclude(login, proven, mechanism)

    def _known(self, login: str) -> str | None:
        """What is no login of ours may be a password."""
        return login if self._terms.intake.knows(login) else None

    def _conclude(self, login: str, proven: bool, mechanism: str) -> None:
        if proven:
            self._identity = login
            self._reply("235 2.7.0 welcome")
            return
        self._auth_failures += 1
        metrics.smtp_auth_failures[mechanism].inc()
        log.warning("smtp.login_failed", listener=self._settings.name, peer=self._peer)
        self._reply(reply := auth_line(Refusal(CREDENTIALS_WRONG)))
        self._turned_away(Refusal(CREDENTIALS_WRONG), reply, account=self._known(login))
        if self._auth_failures >= MAX_AUTH_FAILURES:
            self._reply("421 4.7.0 too many errors")
            raise Goodbye
