"""Settings of TLS → contexts."""

from __future__ import annotations

import ssl
import warnings
from pathlib import Path

from gateway.settings.faults import ConfigError
from gateway.settings.listeners import TlsSettings
from gateway.settings.sites import ConsoleSettings

_TLS_VERSIONS = {
    "TLSv1": ssl.TLSVersion.TLSv1,
    "TLSv1.1": ssl.TLSVersion.TLSv1_1,
    "TLSv1.2": ssl.TLSVersion.TLSv1_2,
    "TLSv1.3": ssl.TLSVersion.TLSv1_3,
}


def server_context(tls: TlsSettings, folder: Path, where: str) -> ssl.SSLContext:
    """For a listener. Relative paths are below ``folder``; ``where`` is for the error. Raises ``ConfigError``."""
    certificate, key = folder / tls.certificate, folder / tls.key
    for file in (certificate, key):
        if not file.is_file():
            raise ConfigError(f"{where}: {file} does not exist; make it or mend the path")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    if tls.is_old:
        context.set_ciphers("DEFAULT:@SECLEVEL=0")  # OpenSSL 3 signs no older handshake otherwise
    with warnings.catch_warnings():  # who reads `check-config` or the log is warned there
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = _TLS_VERSIONS[tls.min_version]
    try:
        context.load_cert_chain(certificate, key)
    except (ssl.SSLError, OSError) as error:
        raise ConfigError(f"{where}: {certificate} and {key} cannot be used: {error}") from None
    return context


def console_context(console: ConsoleSettings | None, folder: Path, where: str) -> ssl.SSLContext | None:
    """For the console; None: it has no TLS of its own."""
    if console is None or console.tls is None:
        return None
    return server_context(TlsSettings(certificate=console.tls.certificate, key=console.tls.key), folder, where)
