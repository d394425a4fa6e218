"""Why the gateway cannot start."""

from __future__ import annotations


class ConfigError(Exception):
    """The configuration cannot be used. The message is one line for each fault: file, key, value, fix."""


class Unavailable(Exception):
    """The configuration may be right, but what it needs is not there now: starting again later may help."""
