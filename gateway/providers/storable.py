"""What providers say is written down: in PostgreSQL, which stores no NUL, and in UTF-8, which has no half characters.
JSON, forms and SMPP can say both."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import fields, is_dataclass, replace
from typing import Any, TypeVar, cast

_UNFIT = re.compile("[\0\ud800-\udfff]")
Told = TypeVar("Told")


def storable(told: Told) -> Told:
    """The same outcome, receipts or SMS, with a question mark for each character that cannot be stored."""
    return cast("Told", _fit(told))


def _fit(told: Any) -> Any:
    if isinstance(told, str):
        return _UNFIT.sub("?", told) if _UNFIT.search(told) else told
    if isinstance(told, tuple):
        return tuple(map(_fit, told))
    if isinstance(told, Mapping):
        return {_fit(key): _fit(value) for key, value in told.items()}
    if is_dataclass(told) and not isinstance(told, type):
        given = {field.name: getattr(told, field.name) for field in fields(told)}
        changed = {name: fitted for name, value in given.items() if (fitted := _fit(value)) != value}
        return replace(told, **changed) if changed else told
    return told
