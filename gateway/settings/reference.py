"""The schema of the configuration as JSON Schema and as the page ``config/README.md``. ``make config`` writes both."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

from gateway.settings.accounts import AccountsFile
from gateway.settings.schema import GatewaySettings

Schema = Mapping[str, Any]

_HEAD = """# Configuration reference

Made from `gateway/settings/schema.py` by `make config`; do not edit. `gateway.yaml` beside this page is commented and
runs as it is: `email2sms serve --config config/gateway.yaml`. `email2sms check-config` tells what is wrong with a file,
`gateway.schema.json` lets editors complete it.

- Relative paths are relative to the file that names them.
- Values stay what they look like: `+7…`, `0123` and `no` are strings where strings are expected.
- A key that is unknown or stands twice is an error. A key without a value means the default.
- `${NAME}` is replaced by the environment variable. Every secret also takes `…_file`: the file's first line.
- Times are seconds, or carry a unit: `30s`, `10m`, `24h`, `7d`.
- HUP (`systemctl reload`) applies accounts, dialects, routes, destinations, limits and heartbeats, all or nothing; the
  rest needs a restart.
"""


def json_schema() -> dict[str, Any]:
    """JSON Schema of ``gateway.yaml``, for editors."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **GatewaySettings.model_json_schema()}


def markdown() -> str:
    """The reference page."""
    lines = [_HEAD, files("gateway.settings").joinpath("drivers.md").read_text("utf-8"), "# gateway.yaml\n"]
    lines += _section(_with_choices(GatewaySettings.model_json_schema()), "", "")
    lines += ["# accounts.yaml\n", *_section(_with_choices(AccountsFile.model_json_schema()), "", "")]
    return "\n".join(lines).rstrip() + "\n"


def _with_choices(schema: Schema) -> Schema:
    """The schema with the choices of its enumerations where they are referred to: they are no sections."""
    choices = {f"#/$defs/{name}": inner for name, inner in schema.get("$defs", {}).items() if "enum" in inner}

    def inlined(node: Any) -> Any:
        if isinstance(node, dict):
            return choices.get(node.get("$ref", ""), {key: inlined(value) for key, value in node.items()})
        return [inlined(item) for item in node] if isinstance(node, list) else node

    shown: Schema = inlined(schema)
    return shown


def _section(root: Schema, path: str, reference: str) -> Iterator[str]:
    """One table for a section, then its own sections."""
    schema = root["$defs"][reference] if reference else root
    if path:
        yield f"## `{path}`\n"
    if schema.get("description") and path:
        yield f"{_one_line(schema['description'])}\n"
    yield "| key | value | default | |\n|---|---|---|---|"
    required = schema.get("required", ())
    inner: list[tuple[str, str]] = []
    for name, field in schema["properties"].items():
        default = "required" if name in required else _default(field)
        yield f"| `{name}` | {_kind(field)} | {default} | {_one_line(field.get('description', ''))} |"
        inner += [(f"{path}.{name}".strip(".") + suffix, target) for target, suffix in _references(field)]
    yield ""
    for inner_path, target in inner:
        yield from _section(root, inner_path, target)


def _references(field: Schema) -> Iterator[tuple[str, str]]:
    """The sections below a field, each with what its path gets appended."""
    inside = (("items", "[]"), ("additionalProperties", ".NAME"))
    choices: list[tuple[Schema, str]] = [(field, ""), *((choice, "") for choice in field.get("anyOf", ()))]
    choices += [(field[key], suffix) for key, suffix in inside if isinstance(field.get(key), dict)]
    for choice, suffix in choices:
        if "$ref" in choice:
            yield choice["$ref"].rsplit("/", 1)[1], suffix
        for driver, target in choice.get("discriminator", {}).get("mapping", {}).items():
            yield target.rsplit("/", 1)[1], f"{suffix} (driver: {driver})"


def _kind(field: Schema) -> str:
    choices = [choice for choice in field.get("anyOf", ()) if choice.get("type") != "null"]
    match field:
        case {**nothing} if not nothing:
            kind = "anything"
        case {"enum": values}:
            kind = " or ".join(f"`{value}`" for value in values)
        case {"const": value}:
            kind = f"`{value}`"
        case _ if choices:
            kind = " or ".join(dict.fromkeys(_kind(choice) for choice in choices))
        case {"$ref": _} | {"oneOf": _}:
            kind = "section"
        case {"type": "array"}:
            kind = f"list of {_kind(field.get('items', {}))}"
        case {"type": "object"}:
            kind = f"mapping of {_kind(field.get('additionalProperties', {}))}"
        case {"type": list()}:
            kind = "time"
        case _:
            kind = _WORDS[field.get("format") or field["type"]]
    return kind


_WORDS = {
    "integer": "number",
    "number": "number",
    "boolean": "`true` or `false`",
    "string": "text",
    "network": "network",
    "path": "path",
    "password": "secret",
}


def _default(field: Schema) -> str:
    default = field.get("default")
    if default in (None, [], {}, "") or isinstance(default, dict):
        return ""
    if isinstance(default, list):
        return f"`[{', '.join(map(str, default))}]`"
    return f"`{default}`" if isinstance(default, str) else f"`{json.dumps(default)}`"


def _one_line(text: str) -> str:
    return " ".join(text.split()).replace("``", "`").replace("|", "\\|")


def main() -> None:
    """Write ``README.md`` and ``gateway.schema.json`` into the folder that is the only argument."""
    folder = Path(sys.argv[1])
    (folder / "README.md").write_text(markdown(), "utf-8")
    (folder / "gateway.schema.json").write_text(json.dumps(json_schema(), indent=2, ensure_ascii=False) + "\n", "utf-8")


if __name__ == "__main__":
    main()
