"""What a browser is, for people who look through their sessions."""

from __future__ import annotations

_PROGRAMS = {
    "Edg": "Edge",
    "OPR": "Opera",
    "YaBrowser": "Yandex",
    "Firefox": "Firefox",
    "Chrome": "Chrome",
    "Safari": "Safari",
    "curl": "curl",
}
"""The first that is named counts: many call themselves Chrome and Safari, too."""
_SYSTEMS = {
    "Android": "Android",
    "iPhone": "iPhone",
    "iPad": "iPad",
    "Windows": "Windows",
    "Mac OS": "macOS",
    "Linux": "Linux",
}


def browser(agent: str) -> str:
    """``Firefox, Linux``; empty: nothing that we know."""
    found = (next((name for sign, name in known.items() if sign in agent), "") for known in (_PROGRAMS, _SYSTEMS))
    return ", ".join(filter(None, found))
