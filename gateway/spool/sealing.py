"""Encryption of what people wrote, in the store: AES-256-GCM, where a key is configured.

Numbers, states and names stay readable: the store looks for them.
"""

from __future__ import annotations

import base64
import json
import secrets
from typing import Any

from sqlalchemy import JSON, Connection, Dialect, LargeBinary, Text, select
from sqlalchemy.types import TypeDecorator

MARK = "\ufdd0"
"""Begins what is sealed. A noncharacter (Unicode §23.7): a text that holds it all the same is stored without."""
_BYTES_MARK = b"\0sealed:"
_NONCE = 12
_WORD = "email2sms"


class WrongKey(Exception):
    """The store is sealed with another key, or with one that is not configured."""


class Sealing:
    """``key`` is 32 random bytes. Raises ``ImportError`` without the extra ``encryption``."""

    def __init__(self, key: bytes) -> None:
        from cryptography.exceptions import InvalidTag  # noqa: PLC0415  (only stores that are sealed need it)
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # noqa: PLC0415

        self._cipher = AESGCM(key)
        self._is_foreign = InvalidTag

    def seal(self, plain: bytes) -> bytes:
        """Different each time, of the same text too."""
        nonce = secrets.token_bytes(_NONCE)
        return nonce + self._cipher.encrypt(nonce, plain, None)

    def open(self, sealed: bytes) -> bytes:
        """Raises ``WrongKey``."""
        try:
            return self._cipher.decrypt(sealed[:_NONCE], sealed[_NONCE:], None)
        except self._is_foreign:
            raise WrongKey from None

    def seal_text(self, plain: str) -> str:
        """The same for columns of text."""
        return MARK + base64.b64encode(self.seal(plain.encode("utf-8", "surrogatepass"))).decode()

    def open_text(self, sealed: str) -> str:
        """Raises ``WrongKey``."""
        return self.open(base64.b64decode(sealed[len(MARK) :])).decode("utf-8", "surrogatepass")


def _of(dialect: Dialect) -> Sealing | None:
    return getattr(dialect, "sealing", None)


def _opened(dialect: Dialect) -> Sealing:
    if (sealing := _of(dialect)) is None:
        raise WrongKey
    return sealing


class SealedText(TypeDecorator[str]):
    """Text that nobody can read without the key."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        """On its way in."""
        if value is None:
            return None
        sealing = _of(dialect)
        return sealing.seal_text(value) if sealing else value.replace(MARK, "\ufffd")

    def process_result_value(self, value: str | None, dialect: Dialect) -> str | None:
        """On its way out; what was stored before there was a key is as it is."""
        return _opened(dialect).open_text(value) if value is not None and value.startswith(MARK) else value


class SealedJSON(TypeDecorator[Any]):
    """JSON; sealed, it is one string."""

    impl = JSON(none_as_null=True)
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> Any:
        """On its way in."""
        sealing = _of(dialect)
        return sealing.seal_text(json.dumps(value)) if sealing and value is not None else value

    def process_result_value(self, value: Any, dialect: Dialect) -> Any:
        """On its way out."""
        is_sealed = isinstance(value, str) and value.startswith(MARK)
        return json.loads(_opened(dialect).open_text(value)) if is_sealed else value


class SealedBytes(TypeDecorator[bytes]):
    """A whole mail."""

    impl = LargeBinary
    cache_ok = True

    def process_bind_param(self, value: bytes | None, dialect: Dialect) -> bytes | None:
        """On its way in."""
        sealing = _of(dialect)
        return _BYTES_MARK + sealing.seal(value) if sealing and value is not None else value

    def process_result_value(self, value: bytes | None, dialect: Dialect) -> bytes | None:
        """On its way out. No mail begins with a NUL."""
        is_sealed = value is not None and value.startswith(_BYTES_MARK)
        return _opened(dialect).open(value[len(_BYTES_MARK) :]) if value is not None and is_sealed else value


def check(connection: Connection) -> None:
    """Write down that the store is sealed, and see that it is by this key. Raises ``WrongKey``."""
    from gateway.spool.engine import insert_missing  # noqa: PLC0415  (the schema stands on this file)
    from gateway.spool.schema import sealing as table  # noqa: PLC0415

    row = connection.execute(select(table)).one_or_none()
    if row is None and _of(connection.dialect) is not None:
        connection.execute(insert_missing(connection, table), {"id": 1, "word": _WORD})
        connection.execute(select(table)).one()  # of two processes that come at once, one finds the other's
