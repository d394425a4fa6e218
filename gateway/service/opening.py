"""The store of a configuration: opened, or in words why it cannot be."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from pathlib import Path
from typing import IO

from sqlalchemy.exc import OperationalError

from gateway.settings.faults import ConfigError, Unavailable
from gateway.settings.load import Configuration
from gateway.settings.schema import GatewaySettings
from gateway.spool import accounts
from gateway.spool.engine import StoreInUse, cause, is_away, is_misconfigured
from gateway.spool.migrations import SchemaTooNew
from gateway.spool.sealing import Sealing, WrongKey
from gateway.spool.sqlite import lock
from gateway.spool.store import Store


async def open_store(configuration: Configuration, *, exclusive: bool) -> Store:
    """The store of this configuration. Raises ``ConfigError`` when it cannot be used, ``Unavailable`` when it cannot
    be used now."""
    try:
        store = configuration.settings.store
        key = Sealing(store.key_bytes) if store.key_bytes is not None else None
        return await Store.open(configuration.store_url, exclusive=exclusive, min_free=store.min_free, key=key)
    except Exception as error:
        raise unusable(configuration, error) from None


def stored_logins(settings: GatewaySettings, url: str) -> Collection[str]:
    """Of the accounts in the store; for who has no loop yet. Raises ``ConfigError`` and ``Unavailable``."""
    if url.startswith("sqlite") and not Path(url.removeprefix("sqlite:///")).exists():
        return ()

    async def asked() -> list[str]:
        key = Sealing(settings.store.key_bytes) if settings.store.key_bytes is not None else None
        store = await Store.open(url, exclusive=False, key=key)
        try:
            return await store.read(accounts.logins)
        finally:
            await store.close()

    try:
        return asyncio.run(asked())
    except Exception as error:
        fault = f"store.url: {cause(error)}; which accounts it has cannot be seen"
        raise (Unavailable if is_away(error) else ConfigError)(fault) from None


def lock_store(configuration: Configuration) -> IO[str] | None:
    """Claim an embedded store for this process and all that it forks, until the result is closed. Raises
    ``ConfigError``."""
    if not configuration.store_is_embedded:
        return None
    try:
        return lock(Path(configuration.store_url.removeprefix("sqlite:///")))
    except (StoreInUse, OSError) as error:
        raise unusable(configuration, error) from None


def unusable(configuration: Configuration, error: Exception) -> Exception:
    """What to raise instead: ``ConfigError`` or ``Unavailable`` where it can be said in words."""
    where = f"{configuration.path}: store.url"
    match error:
        case StoreInUse():
            return ConfigError(f"{where}: {error}: another gateway serves from it; stop that one first")
        case SchemaTooNew():
            return ConfigError(f"{where}: written by a newer version (schema {error}); install that version")
        case WrongKey():
            key = configuration.settings.store.key
            what = "is sealed with another key" if key else "is sealed, and no key is given"
            return ConfigError(
                f"{configuration.path}: store.key: the store {what}; give the one that it was sealed with"
            )
        case ImportError(name=str(name)) if name.partition(".")[0] == "cryptography":
            return ConfigError(
                f"{configuration.path}: store.key: needs a package that is missing: pip install 'email2sms[encryption]'"
            )
        case OSError(filename=str(path)):
            return ConfigError(f"{where}: {path}: {error.strerror}; mend the folder's permissions")
    is_file = configuration.store_is_embedded and isinstance(error, OperationalError)
    if is_misconfigured(error) or (is_file and "locked" not in str(error)):
        return ConfigError(f"{where}: {cause(error)}; make it, or mend the path, its permissions or the URL")
    if is_away(error):
        return Unavailable(f"{where}: {cause(error)}; start the database, or mend the URL")
    return error
