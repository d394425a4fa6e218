"""Values that several sections have."""

from __future__ import annotations

from decimal import Decimal
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Annotated, Literal, TypeVar

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema

from gateway.settings.notation import address, minutes, seconds
from gateway.sms.numbers import calling_code

Language = Literal["en", "ru", "uk"]


def _network(value: object) -> IPv4Network | IPv6Network:
    try:
        return ip_network(str(value))
    except ValueError:
        raise ValueError("no network; e.g. 10.0.0.0/8, fd00::/8, or one address") from None


Network = Annotated[
    IPv4Network | IPv6Network, BeforeValidator(_network), WithJsonSchema({"type": "string", "format": "network"})
]

Seconds = Annotated[
    float, BeforeValidator(seconds), WithJsonSchema({"type": ["string", "number"], "examples": ["30s", "10m", "24h"]})
]

Bind = Annotated[str, AfterValidator(address)]

T = TypeVar("T")


def _several(value: object) -> object:
    return (value,) if isinstance(value, str) else value


OneOrMore = Annotated[
    tuple[T, ...],
    BeforeValidator(_several),
    WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}),
]

Name = Annotated[str, Field(min_length=1)]

Money = Annotated[Decimal, Field(gt=0, le=1_000_000_000), WithJsonSchema({"type": "number", "exclusiveMinimum": 0})]


def _country(value: str) -> str:
    try:
        calling_code(value.upper())
    except KeyError:
        raise ValueError("no country; give its two letters (ISO 3166), such as RU, KZ or UA") from None
    return value.upper()


Country = Annotated[str, AfterValidator(_country)]


def _country_or_all(value: str) -> str:
    return value if value == "*" else _country(value)


CountryOrAll = Annotated[str, AfterValidator(_country_or_all)]


def _hours(value: str) -> str:
    minutes(value)
    return value


HoursOfDay = Annotated[str, AfterValidator(_hours)]
