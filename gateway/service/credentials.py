"""Proving a credential without stopping the loop: argon2 in a thread, good secrets remembered by a keyed hash."""

from __future__ import annotations

import asyncio
import base64
import hmac
import secrets
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from gateway.model import Credential, Password
from gateway.policy.accounts import Account, proves
from gateway.policy.guessing import network
from gateway.verdicts import TEMPORARY_FAULT, Refused

_MAX_WAITING = 64
"""Derivations in the queue. Beyond, clients come again later: a flood of wrong passwords must not pile up."""
_MAX_OF_STRANGERS = 48
_MAX_OF_A_STRANGER = 8
"""Who guesses fills neither the queue of the others nor, with the help of many, that of trusted networks."""
_MAX_REMEMBERED = 10_000


class Credentials:
    """One for each process. Remembers only what was right, and only as an HMAC under a key of this process."""

    def __init__(self) -> None:
        self._key = secrets.token_bytes(32)
        self._good: set[bytes] = set()
        self._hasher = PasswordHasher()
        self._decoy = _decoy(self._hasher)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="argon2")
        self._waiting: Counter[str] = Counter()
        """By source; one derivation that several wait for counts once."""
        self._under_way: dict[bytes, asyncio.Future[bool]] = {}

    async def prove(self, account: Account | None, credential: Credential, source: str = "") -> bool:
        """Whether the credential is the account's. An unknown login takes as long as a wrong password.

        ``source`` is the address of an untrusted client. Raises ``Refused`` (a temporary fault) when too many
        derivations wait.
        """
        if not isinstance(credential, Password):
            return account is not None and proves(account, credential, self._never)
        if account is not None and account.password_hash is None:
            return proves(account, credential, self._never)
        return await self.verify(account.password_hash if account is not None else None, credential.password, source)

    async def verify(self, known: str | None, password: str, source: str = "") -> bool:
        """Whether the password is that of the argon2 hash. Without one it takes as long as a wrong password.

        Raises ``Refused`` as ``prove`` does.
        """
        remembered = hmac.digest(self._key, f"{known}\0{password}".encode(), "sha256")
        if known is not None and remembered in self._good:
            return True
        right = await self._derive(known or self._decoy, password, remembered, network(source))
        if right and known is not None:
            if len(self._good) >= _MAX_REMEMBERED:
                self._good.clear()
            self._good.add(remembered)
            return True
        return False

    async def hash(self, password: str) -> str:
        """A new argon2 hash."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._hasher.hash, password)

    def prove_digest(self, account: Account | None, challenge: bytes, digest: str) -> bool:
        """CRAM-MD5. An unknown login, and one whose password is hashed, take as long as a wrong digest."""
        password = account.password if account is not None else None
        right = hmac.new((password or self._decoy).encode(), challenge, "md5").hexdigest()
        return hmac.compare_digest(right.encode(), digest.lower().encode()) and password is not None

    async def _derive(self, password_hash: str, password: str, mark: bytes, source: str) -> bool:
        """A burst of equal ones, as after a start, takes one derivation."""
        if (under_way := self._under_way.get(mark)) is None:
            if self._is_crowded(source):
                raise Refused(TEMPORARY_FAULT)
            loop = asyncio.get_running_loop()
            under_way = loop.run_in_executor(self._thread, self._verify, password_hash, password)
            self._waiting[source] += 1
            self._under_way[mark] = under_way
            under_way.add_done_callback(lambda _: self._done(mark, source))
        return await asyncio.shield(under_way)

    def _is_crowded(self, source: str) -> bool:
        total = self._waiting.total()
        return total >= _MAX_WAITING or bool(
            source and (self._waiting[source] >= _MAX_OF_A_STRANGER or total >= _MAX_OF_STRANGERS)
        )

    def _done(self, mark: bytes, source: str) -> None:
        del self._under_way[mark]
        self._waiting[source] -= 1
        if not self._waiting[source]:
            del self._waiting[source]

    def _verify(self, password_hash: str, password: str) -> bool:
        try:
            return self._hasher.verify(password_hash, password)
        except (VerificationError, InvalidHashError):
            return False

    @staticmethod
    def _never(_password_hash: str, _password: str) -> bool:
        raise AssertionError("a hash is verified in the thread only")

    def close(self) -> None:
        """End the thread."""
        self._thread.shutdown(wait=False, cancel_futures=True)


def _decoy(hasher: PasswordHasher) -> str:
    """A hash that no password has: it takes as long to verify, and nothing to make."""
    salt, digest = (
        base64.b64encode(secrets.token_bytes(length)).rstrip(b"=").decode()
        for length in (hasher.salt_len, hasher.hash_len)
    )
    return f"$argon2id$v=19$m={hasher.memory_cost},t={hasher.time_cost},p={hasher.parallelism}${salt}${digest}"
