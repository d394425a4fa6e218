"""The base of every configuration section: unknown keys are errors, secrets may come from files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationInfo, model_validator


def zone(name: str) -> ZoneInfo:
    """Of the IANA's database. Raises ``ValueError``."""
    try:
        return ZoneInfo(name)
    except (ValueError, OSError, ZoneInfoNotFoundError):
        raise ValueError("no time zone; give one such as Europe/Moscow or UTC") from None


def _timezone(value: str) -> str:
    zone(value)
    return value


TimeZone = Annotated[str, AfterValidator(_timezone)]


class Strict(BaseModel):
    """Frozen, and strict about keys. For each field ``x`` that has a sibling ``x_file``, the file's first line
    may stand in for the value (systemd credentials, Docker secrets). Relative paths are relative to the
    configuration file (``folder`` in the validation context)."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    @model_validator(mode="before")
    @classmethod
    def _secrets_from_files(cls, data: Any, info: ValidationInfo) -> Any:
        if not isinstance(data, dict):
            return data
        folder = Path((info.context or {}).get("folder", "."))
        data = dict(data)
        for name in cls.model_fields:
            source = f"{name}_file"
            if source not in cls.model_fields or not data.get(source):
                continue
            if name in data:
                raise ValueError(f"give {name} or {source}, not both")
            try:
                data[name] = (folder / str(data[source])).read_text("utf-8-sig").splitlines()[0].strip()
            except (OSError, IndexError, UnicodeDecodeError) as error:
                reason = getattr(error, "strerror", None) or "the file is empty or not text"
                raise ValueError(f"{source}: {folder / str(data[source])}: {reason}") from None
        return data
