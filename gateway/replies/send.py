"""To the smarthost, with the null reverse-path: a bounce of our answer goes to nobody."""

from __future__ import annotations

import ssl
from ipaddress import ip_address
from urllib.parse import urlsplit

import aiosmtplib

from gateway.model import Reply

TIMEOUT_S = 30.0


class Postponed(Exception):
    """Not now: no connection, a time-out, a 4xx."""


class Undeliverable(Exception):
    """Never: a 5xx."""


class Smarthost:
    """Where our mail goes. ``smtp://host:port`` uses STARTTLS when it is offered, ``smtps://`` is TLS throughout.

    With a login the connection is encrypted and the certificate is checked, unless the host is the loopback;
    without one, STARTTLS protects from listeners only, as between mail servers.
    """

    def __init__(self, url: str, *, user: str | None, password: str | None, hostname: str) -> None:
        parts = urlsplit(url)
        self._host = parts.hostname or ""
        self._implicit_tls = parts.scheme == "smtps"
        self._port = parts.port or (465 if self._implicit_tls else 25)
        self._user, self._password = user, password
        self._hostname = hostname

    async def send(self, reply: Reply) -> None:
        """Hand it over. Raises ``Postponed`` or ``Undeliverable``, without any secret in them."""
        must_be_safe = self._user is not None and not _is_loopback(self._host)
        client = aiosmtplib.SMTP(
            hostname=self._host,
            port=self._port,
            local_hostname=self._hostname,
            timeout=TIMEOUT_S,
            use_tls=self._implicit_tls,
            start_tls=None if not must_be_safe or self._implicit_tls else True,
            tls_context=_context(checked=must_be_safe or self._implicit_tls),
        )
        try:
            async with client:
                if self._user is not None:
                    await client.login(self._user, self._password or "")
                await client.sendmail("", [reply.to], reply.message)
        except aiosmtplib.SMTPRecipientsRefused as error:
            raise _failure(error.recipients[0]) from None
        except aiosmtplib.SMTPAuthenticationError as error:
            raise Postponed(f"the smarthost refused the login: {error.code}") from None
        except aiosmtplib.SMTPResponseException as error:
            raise _failure(error) from None
        except (aiosmtplib.SMTPException, OSError, TimeoutError) as error:
            raise Postponed(f"no smarthost: {type(error).__name__}") from None


def _failure(error: aiosmtplib.SMTPResponseException) -> Postponed | Undeliverable:
    words = f"{error.code} {' '.join(str(error.message).split())[:200]}"
    return Undeliverable(words) if error.code >= 500 else Postponed(words)


def _context(*, checked: bool) -> ssl.SSLContext:
    context = ssl.create_default_context()
    if not checked:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
