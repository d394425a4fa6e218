"""The section of a provider that a description speaks for, and the description itself: inline, or a file."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import Field, SecretStr, ValidationError, ValidationInfo, field_validator, model_validator

from gateway.providers import ProviderSettings
from gateway.providers.declarative.description import Description


class HttpSettings(ProviderSettings):
    """``driver: http``: a provider that is described in YAML (``config/providers/README.md``)."""

    driver: Literal["http"]
    preset: str | None = Field(
        None, description="A ready description, such as `twilio`, or a file of your own: `./mine.yaml`."
    )
    describe: Description | None = Field(None, description="Or the description itself.")
    url: str = Field("", pattern=r"^(https?://[^\s\"'<>#]+)?$", description="Where the provider lives.")
    user: str = Field("", description="Login, account or key name.")
    password: SecretStr | None = Field(None, description="Password, key or token.")
    password_file: str | None = Field(None, description="A file whose first line is the password.")
    signing_secret: SecretStr | None = Field(None, description="What callbacks are signed with; empty: the password.")
    signing_secret_file: str | None = Field(None, description="A file whose first line is that secret.")
    values: dict[str, str] = Field({}, description="What else the description asks for.")

    @model_validator(mode="before")
    @classmethod
    def _preset(cls, data: Any, info: ValidationInfo) -> Any:
        if not isinstance(data, dict) or not data.get("preset"):
            return data
        if data.get("describe"):
            raise ValueError("give preset or describe, not both")
        folder = Path((info.context or {}).get("folder", "."))
        return {**data, "describe": load(str(data["preset"]), folder)}

    @field_validator("user", "password", "values")
    @classmethod
    def _printable(cls, value: Any) -> Any:
        given = value.get_secret_value() if isinstance(value, SecretStr) else value
        for text in given.values() if isinstance(given, dict) else (given or "",):
            if not text.isprintable():
                raise ValueError("holds a line end or another control character")
        return value

    @model_validator(mode="after")
    def _complete(self) -> HttpSettings:
        described = self.description
        if not (self.url or described.url):
            raise ValueError("url is missing: where the provider lives")
        unknown = sorted(set(self.values) - set(described.values))
        if unknown:
            choice = ", ".join(described.values) or "none"
            raise ValueError(f"values.{unknown[0]}: the description has no such value; it has: {choice}")
        given = {"user": self.user, "password": self.password}
        missing = sorted(name for name in described.needs() if not given[name])
        if missing:
            raise ValueError(f"{missing[0]} is missing: the description needs it")
        return self

    @property
    def description(self) -> Description:
        """The one that was given. Raises ``ValueError`` if none was."""
        if self.describe is None:
            raise ValueError(f"give preset (one of {', '.join(presets())}, or a file) or describe")
        return self.describe


def presets() -> list[str]:
    """The names of the ready descriptions."""
    return sorted(path.name.removesuffix(".yaml") for path in _shelf().iterdir() if path.name.endswith(".yaml"))


def load(preset: str, folder: Path) -> Description:
    """A description by its name, or by a path relative to the folder. Raises ``ValueError``: file, key, fix."""
    if preset in presets():
        return _shipped(preset)
    if "/" not in preset and not preset.endswith((".yaml", ".yml")):
        raise ValueError(f'preset: "{preset}" is none of {", ".join(presets())}; a file of your own: ./{preset}.yaml')
    path = folder / preset
    try:
        text = path.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"preset: {path}: {getattr(error, 'strerror', None) or 'is not UTF-8'}") from None
    return _read(text, str(path))


@cache
def _shipped(name: str) -> Description:
    return _read((_shelf() / f"{name}.yaml").read_text("utf-8"), f"{name}.yaml")


@cache
def _shelf() -> Path:
    """Beside the code in a wheel, beside the package in the sources."""
    packaged = Path(str(files("gateway"))) / "config" / "providers"
    return packaged if packaged.is_dir() else Path(__file__).parents[3] / "config" / "providers"


class _OnceLoader(yaml.CBaseLoader):
    """Strings, lists and mappings; a key that stands twice is an error."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key, _ in node.value:
            if key.value in seen:
                raise yaml.MarkedYAMLError(problem=f'"{key.value}" stands twice', problem_mark=key.start_mark)
            seen.add(key.value)
        return super().construct_mapping(node, deep)


def _read(text: str, name: str) -> Description:
    try:
        content = yaml.load(text, Loader=_OnceLoader)  # noqa: S506 - it makes nothing but strings
        return Description.model_validate(content)
    except yaml.YAMLError as error:
        mark, problem = getattr(error, "problem_mark", None), getattr(error, "problem", None)
        raise ValueError(f"{name}:{mark.line + 1 if mark else 1}: {problem or 'is no YAML'}") from None
    except ValidationError as error:
        raise ValueError("; ".join(_faults(error, name))) from None


def _faults(error: ValidationError, name: str) -> Iterator[str]:
    for fault in error.errors(include_url=False, include_input=False):
        key = ".".join(map(str, fault["loc"]))
        says = fault["msg"].removeprefix("Value error, ")
        yield f"{name}: {key}: {says}" if key else f"{name}: {says}"
