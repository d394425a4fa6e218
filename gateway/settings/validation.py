"""A document against its model: each fault with its place, in words."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from gateway.settings.document import Document, Key
from gateway.settings.faults import ConfigError

Model = TypeVar("Model", bound=BaseModel)


_SECRETS = ("password", "key", "secret", "token", "api_keys")


PASSWORD_IN_URL = re.compile(r"(://[^:@/]*):.*@")


def validated(model: type[Model], document: Document) -> Model:
    """The document as this model. Raises ``ConfigError`` with one line for each fault."""
    if not isinstance(document.content, dict):
        raise ConfigError(f"{document.path}:1: not a mapping; write keys such as {', '.join(model.model_fields)}")
    try:
        return model.model_validate(without_empty(document.content), context={"folder": document.path.parent})
    except ValidationError as error:
        found = faults_of(document, model, error)
        raise ConfigError("\n".join(f"{document.at(key)}: {what}" for key, what in found)) from None


def faults_of(document: Document, model: type[BaseModel], error: ValidationError) -> Iterator[tuple[Key, str]]:
    """What pydantic says, in our words, each with its key."""
    # Unknown keys first: a key that is misspelt is also missing, and the cause should stand before the effect.
    found = error.errors()
    broken_lists = {tuple(item["loc"][:length]) for item in found for length in range(len(item["loc"]))}
    faults = [item for item in found if item["type"] != "too_short" or tuple(item["loc"]) not in broken_lists]
    faults.sort(key=lambda item: item["type"] != "extra_forbidden")
    return (_fault(document, model, item) for item in faults)


def without_empty(content: Any) -> Any:
    """A key without a value means the default, as in most YAML configurations."""
    if isinstance(content, dict):
        return {key: without_empty(value) for key, value in content.items() if value is not None}
    if isinstance(content, list):
        return [without_empty(item) for item in content]
    return content


def keys_of(content: Any, key: Key = ()) -> Iterator[Key]:
    """The way to everything that is in it."""
    yield key
    parts = content.items() if isinstance(content, Mapping) else enumerate(content) if isinstance(content, list) else ()
    for name, value in parts:
        yield from keys_of(value, (*key, name))


def _fault(document: Document, model: type[BaseModel], item: Any) -> tuple[Key, str]:
    key = _existing(document, tuple(item["loc"]), item["type"] == "missing")
    name, value = str(key[-1]) if key else "", _value(document.content, key)
    match item["type"]:
        case "extra_forbidden":
            what = f"unknown key{_suggestion(document, model, key)}"
        case "missing":
            what = "missing; add it"
        case "union_tag_invalid":
            what = f"{_shown('driver', item['ctx']['tag'])} is no driver; one of {item['ctx']['expected_tags']}"
        case "union_tag_not_found":
            what = "missing the key driver; add e.g. driver: targetsms"
        case "value_error":
            reason = str(item["ctx"]["error"])
            what = reason if isinstance(value, dict | list) else f"{_shown(name, value)}: {reason}"
        case "model_type" | "model_attributes_type":  # the value may be a secret that belongs one level deeper
            what = "expected a section: keys and values"
        case "too_short":
            what = "give at least one"
        case "literal_error":
            what = f"{_shown(name, value)}: one of {item['ctx']['expected']}"
        case "string_pattern_mismatch":
            what = f"{_shown(name, value)}: does not look right; expected the pattern {item['ctx']['pattern']}"
        case _:
            reason = item["msg"].removeprefix("Input should be ")
            what = f"{_shown(name, value)}: expected {reason}"
    return key, what


def _existing(document: Document, loc: tuple[str | int, ...], missing: bool) -> Key:
    """pydantic's location without the union tags and validator names that it mixes in."""
    key: Key = ()
    for part in loc:
        if (*key, part) in document.lines:
            key = (*key, part)
    return (*key, loc[-1]) if missing else key


def _value(content: Any, key: Key) -> Any:
    for part in key:
        try:
            content = content[part]
        except (KeyError, IndexError, TypeError):
            return None
    return content


def _shown(name: str, value: Any) -> str:
    if any(secret in name for secret in _SECRETS):
        return "(hidden)"
    if isinstance(value, dict | list):
        return "a mapping" if isinstance(value, dict) else "a list"
    return '"' + PASSWORD_IN_URL.sub(r"\1:***@", str(value))[:60] + '"'


def _suggestion(document: Document, model: type[BaseModel], key: Key) -> str:
    known = sorted(_keys_near(model, document.content, key[:-1]))
    close = difflib.get_close_matches(str(key[-1]), known, 1)
    return f"; did you mean {close[0]!r}?" if close else f"; known here: {', '.join(known)}"


def _keys_near(model: type[BaseModel], content: Any, key: Key) -> Iterator[str]:
    """The keys of the section at ``key``, found through the JSON Schema: it knows unions and containers."""
    schema = model.model_json_schema()
    definitions, node = schema.get("$defs", {}), schema
    for part in key:
        content = _value(content, (part,))
        if isinstance(part, int):
            node = node.get("items", {})
        else:
            node = node.get("properties", {}).get(part) or node.get("additionalProperties") or {}
        for choice in (node, *node.get("anyOf", ())):
            if "items" in choice:
                node = choice
        mapping = node.get("discriminator", {}).get("mapping", {})
        reference = (
            mapping.get(_value(content, ("driver",)))
            or node.get("$ref")
            or next((c["$ref"] for c in node.get("anyOf", ()) if "$ref" in c), None)
        )
        if reference:
            node = definitions[reference.rsplit("/", 1)[1]]
    yield from node.get("properties", ())
