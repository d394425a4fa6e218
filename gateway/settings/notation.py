"""How a configuration writes times, addresses, hours and days."""

from __future__ import annotations

import re
from ipaddress import ip_address

METRICS_BIND = "127.0.0.1:9125"
"""Where `/metrics` and `/readyz` are, unless the section says where."""

_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def seconds(value: object) -> float:
    """As a configuration may write a time. Raises ``ValueError``."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([smhd]?)", str(value))
    if match is None:
        raise ValueError("give a time such as 30, 30s, 10m, 24h or 7d")
    return float(match[1]) * _UNITS[match[2] or "s"]


def address(value: str) -> str:
    """A checked ``host:port`` or ``unix:/path``. Raises ``ValueError``."""
    if value.startswith("unix:"):
        return value
    host, _, port = value.rpartition(":")
    if not host or not port.isdigit() or not 0 <= int(port) < 65536:
        raise ValueError("give host:port, e.g. 127.0.0.1:2525 or [::1]:2525, or unix:/path/of/socket")
    return value


def tcp_address(value: str) -> str:
    """A checked ``host:port``. Raises ``ValueError``."""
    if value.startswith("unix:"):
        raise ValueError("give host:port, e.g. 127.0.0.1:8025")
    return address(value)


def host_and_port(bind: str) -> tuple[str, int]:
    """The two halves of a checked ``host:port``."""
    host, _, port = bind.rpartition(":")
    return host.strip("[]"), int(port)


def is_loopback(host: str) -> bool:
    """Whether only this machine gets there."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


_HOURS = re.compile(r"([01]?\d|2[0-3]):([0-5]\d)\s*-\s*(?:([01]?\d|2[0-3]):([0-5]\d)|24:00)", re.ASCII)


def minutes(hours: str) -> tuple[int, int]:
    """Both ends of ``22:00-08:00`` in minutes since midnight. Raises ``ValueError``."""
    match = _HOURS.fullmatch(hours)
    if match is None:
        raise ValueError("give hours such as 08:00-22:00, or 22:00-08:00 for the night")
    start, end = int(match[1]) * 60 + int(match[2]), int(match[3] or 24) * 60 + int(match[4] or 0)
    if start == end:
        raise ValueError("begins when it ends; leave it out for the whole day")
    return start, end


_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


def weekdays(value: str) -> frozenset[int]:
    """``mon`` or ``mon-fri`` as numbers, 0 is Monday. Raises ``ValueError``."""
    first, _, last = value.lower().partition("-")
    if first not in _DAYS or (last or first) not in _DAYS:
        raise ValueError(f"no days; give one of {', '.join(_DAYS)}, or several such as mon-fri")
    start, end = _DAYS.index(first), _DAYS.index(last or first)
    return frozenset((start + step) % 7 for step in range((end - start) % 7 + 1))
