"""Mails as people send them, right ones and broken ones, to see what becomes of them. Each is a file here."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from importlib.resources import files

from gateway.dialects.address import AddressDialect
from gateway.dialects.template import TemplateDialect
from gateway.policy.accounts import ANY, Account, Directory, address_pattern, key_digest
from gateway.policy.composing import TextRules
from gateway.policy.cutting import Cuts
from gateway.policy.decide import House
from gateway.policy.routing import Route, Router
from gateway.settings.load import Configuration

LOGIN, PASSWORD, KEY = "test_user", "qwerty12", "0a1b2c"
"""Of the account that the examples name. It exists nowhere else."""
_DOMAIN = "sms.example.com"


@cache
def examples() -> dict[str, bytes]:
    """The mails, by name; the right one first."""
    found = sorted((item for item in files(__name__).iterdir() if item.name.endswith(".eml")), key=lambda i: i.name)
    return {item.name.removesuffix(".eml").partition("-")[2]: item.read_bytes() for item in found}


def example_world(configuration: Configuration) -> Configuration:
    """This gateway, in which only the examples' account exists, and only its addresses, and every number is open."""
    account = Account(
        LOGIN,
        password=PASSWORD,
        api_keys=frozenset({key_digest(KEY)}),
        senders=(address_pattern(ANY),),
        originators=frozenset({ANY}),
        texts=TextRules(cuts=Cuts(quotes=True, monitoring=True, links=True, blank_lines=True), plain_typography=True),
    )
    return replace(
        configuration,
        directory=Directory.of([account]),
        dialects=(TemplateDialect(frozenset({f"emailtosms@{_DOMAIN}"})), AddressDialect(frozenset({_DOMAIN}))),
        house=House(Router((Route(tuple(configuration.settings.providers)[:1]),)), validity_s=86400.0),
    )
