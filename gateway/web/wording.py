"""The console's words, in three languages: ``texts/LANGUAGE/PAGE.yaml``, asked for as ``page.key``."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta, tzinfo
from functools import cache
from importlib.resources import files
from typing import Any

import yaml
from babel import Locale, dates, numbers

LANGUAGES = ("en", "ru", "uk")


@cache
def catalog(language: str) -> Mapping[str, Any]:
    """All pages' words."""
    folder = files("gateway.web").joinpath("texts", language)
    pages = {}
    for page in folder.iterdir():
        if page.name.endswith(".yaml"):
            pages[page.name.removesuffix(".yaml")] = yaml.load(page.read_text("utf-8"), yaml.CBaseLoader)  # noqa: S506
    return pages


_HOLE = re.compile(r"\{(\w+)\}")
_WORDS = ("what", "why")
"""Holes in which more of such words stand; what is in others is somebody's own."""
_LONGEST = 500
"""Characters; nothing that we say is longer."""


@cache
def _patterns(language: str, page: str) -> Sequence[tuple[re.Pattern[str], str]]:
    """The keys of a page that have holes, and what they say: those first that take other words in, then those with the
    most words of their own."""

    def pattern(key: str) -> re.Pattern[str]:
        parts = _HOLE.split(key)  # words and names of holes, by turns
        return re.compile("".join(f"(?P<{part}>.+?)" if n % 2 else re.escape(part) for n, part in enumerate(parts)))

    def rank(key: str) -> tuple[bool, int]:
        return not set(_WORDS).isdisjoint(_HOLE.findall(key)), len(_HOLE.sub("", key))

    found = sorted((key for key in catalog(language).get(page, {}) if _HOLE.search(key)), key=rank, reverse=True)
    return [(pattern(key), catalog(language)[page][key]) for key in found]


@cache
def _locale(language: str) -> Locale:
    return Locale.parse(language)


class Words:
    """One language: ``words("messages.found", n=3)``. Plural forms are a mapping by CLDR category, chosen by ``n``.
    Times are those of ``zone``; None: of the machine."""

    def __init__(self, language: str, zone: tzinfo | None = None) -> None:
        self.zone = zone
        self.language = language if language in LANGUAGES else "en"
        self._locale = _locale(self.language)
        self._pages = catalog(self.language)

    def __call__(self, key: str, **values: Any) -> str:
        """The words. Raises ``KeyError`` where there are none."""
        page, _, name = key.partition(".")
        found = self._pages[page][name]
        if not isinstance(found, str):
            found = found.get(self._locale.plural_form(values["n"])) or found["other"]
        shown = {
            name: self.number(value) if isinstance(value, int | float) else value for name, value in values.items()
        }
        return str(found).format_map(shown) if shown else str(found)

    def has(self, key: str) -> bool:
        """Whether there are words for it."""
        page, _, name = key.partition(".")
        return name in self._pages.get(page, {})

    def said(self, page: str, english: str) -> str:
        """What a room below says, which is in English everywhere else: its words are the keys of the page. A part
        ``{name}`` of a key stands for anything. What has no text stays as it is."""
        found = self._said(page, english)
        return english if found is None else found

    def knows(self, page: str, english: str) -> bool:
        """Whether ``said`` has a text for it."""
        return self._said(page, english) is not None

    def _said(self, page: str, english: str) -> str | None:
        texts = self._pages[page]
        if (text := texts.get(english)) is not None:
            return str(text)
        for pattern, text in _patterns(self.language, page) if len(english) <= _LONGEST else ():
            if (found := pattern.fullmatch(english)) is not None:
                given = {
                    name: self.said(page, value) if name in _WORDS else value
                    for name, value in found.groupdict().items()
                }
                return text.format_map(given)
        return None

    def number(self, value: float) -> str:
        """With the language's separators."""
        return str(numbers.format_decimal(value, locale=self._locale))

    def local(self, at: float) -> datetime:
        """On the reader's clock, from seconds since the epoch."""
        return datetime.fromtimestamp(at, UTC).astimezone(self.zone)

    def zone_name(self, at: float) -> str:
        """``Europe/Moscow, UTC+03:00``, as it is at that time."""
        offset = f"UTC{self.local(at).isoformat()[-6:]}"
        return offset if self.zone is None else f"{self.zone}, {offset}"

    def clock(self, at: float) -> str:
        """``14:05``."""
        return self.local(at).strftime("%H:%M")

    def time(self, at: Any, form: str = "medium") -> str:
        """Date and time of an aware ``datetime``."""
        return str(dates.format_datetime(at, form, locale=self._locale, tzinfo=at.tzinfo))

    def date(self, day: Any) -> str:
        """A whole date."""
        return str(dates.format_date(day, "medium", locale=self._locale))

    def month(self, day: Any) -> str:
        """Month and year, short."""
        return str(dates.format_skeleton("yMMM", day, locale=self._locale))

    def day(self, at: Any) -> str:
        """Day and month, short."""
        return str(dates.format_skeleton("MMMd", at, locale=self._locale))

    def money(self, amount: Any, currency: str) -> str:
        """Two places, or as many as there are up to four, and the currency as the provider writes it."""
        return f"{numbers.format_decimal(amount, '#,##0.00##', locale=self._locale)} {currency}".strip()

    def percent(self, share: float) -> str:
        """``98.7 %``."""
        return str(numbers.format_percent(share, "#,##0.#%", locale=self._locale))

    def ago(self, seconds: float) -> str:
        """``3 minutes ago``; in the future for negative ones."""
        return str(
            dates.format_timedelta(timedelta(seconds=-seconds), add_direction=True, locale=self._locale, threshold=1)
        )

    def lasting(self, seconds: float) -> str:
        """``3 minutes``."""
        return str(dates.format_timedelta(timedelta(seconds=seconds), locale=self._locale, threshold=1))


def wanted(cookie: str | None, own: str | None, accepted: str) -> str:
    """The language of a request: chosen in the browser, the user's own, what the browser asks for."""
    for given in (cookie, own):
        if given in LANGUAGES:
            return given
    for item in accepted.split(","):
        code = item.split(";")[0].strip().lower().partition("-")[0]
        if code in LANGUAGES:
            return code
    return "en"
