"""Accounts as they are written, checked: those of a file, or one that is in none."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from gateway.settings.accounts import AccountSettings, AccountsFile
from gateway.settings.contradictions import NO_PRICES, number_fault
from gateway.settings.document import Document, Key, dotted, read
from gateway.settings.faults import ConfigError
from gateway.settings.schema import GatewaySettings
from gateway.settings.validation import faults_of, keys_of, validated, without_empty
from gateway.sms import originator


class AccountFaults(Exception):
    """What is wrong with an account, key by key: the key, and the value with its fix."""

    def __init__(self, faults: tuple[tuple[Key, str], ...]) -> None:
        super().__init__("\n".join(f"{dotted(key)}: {what}" for key, what in faults))
        self.faults = faults


def accounts_in(path: Path, settings: GatewaySettings) -> tuple[tuple[AccountSettings, dict[str, Any]], ...]:
    """The accounts of a file like ``accounts.yaml``, each checked and as it is written. Raises ``ConfigError``."""
    document = read(path.resolve())
    accounts = validated(AccountsFile, document).accounts
    if faults := [document.at(key) + ": " + what for key, what in account_faults(accounts, settings)]:
        raise ConfigError("\n".join(faults))
    return tuple(zip(accounts, without_empty(document.content).get("accounts", ()), strict=True))


def checked_account(content: Mapping[str, Any], settings: GatewaySettings) -> AccountSettings:
    """One account that is in no file, as its section would stand in one. Raises ``AccountFaults``."""
    name = Path("account")
    document = Document(name, without_empty(dict(content)), dict.fromkeys(keys_of(content), 1))
    try:
        account = AccountSettings.model_validate(document.content)
    except ValidationError as error:
        raise AccountFaults(tuple(faults_of(document, AccountSettings, error))) from None
    if faults := tuple((key[2:], what) for key, what in account_faults((account,), settings)):
        raise AccountFaults(faults)
    return account


def account_faults(accounts: tuple[AccountSettings, ...], settings: GatewaySettings) -> Iterator[tuple[Key, str]]:
    """What of these accounts, each right by itself, cannot be: the key below ``accounts``, and the fix."""
    logins: set[str] = set()
    keys: set[str] = set()
    incoming: set[str] = set()
    for index, account in enumerate(accounts):
        key = ("accounts", index)
        if account.login in logins:
            yield (*key, "login"), f'"{account.login}" is the login of another account; logins are unique'
        logins.add(account.login)
        if account.password and account.password_hash:
            yield (*key, "password_hash"), "give password or password_hash, not both"
        for api_key in account.api_keys:
            if len(api_key) < 6 or api_key in keys:
                yield (*key, "api_keys"), "a key is shorter than 6 characters or another account's; make a new one"
            keys.add(api_key)
        for name in account.originators:
            if name != "*" and not originator.is_wellformed(name):
                yield (*key, "originators"), f'"{name}": at most 11 letters and digits, or at most 15 digits'
        for number in account.incoming.numbers if account.incoming else ():
            if number in incoming:
                yield (*key, "incoming", "numbers"), f'"{number[:20]}" is another account\'s; SMS to it are of one'
            incoming.add(number)
        yield from _number_faults(key, account)
    yield from _spending_faults(settings, accounts)


def _spending_faults(settings: GatewaySettings, accounts: tuple[AccountSettings, ...]) -> Iterator[tuple[Key, str]]:
    if any(provider.prices for provider in settings.providers.values()):
        return
    for index, account in enumerate(accounts):
        if account.limits.spend_per_day is not None:
            yield ("accounts", index, "limits", "spend_per_day"), NO_PRICES


def _number_faults(key: Key, account: AccountSettings) -> Iterator[tuple[Key, str]]:
    fields: list[tuple[Key, tuple[str, ...]]] = [(("stop_list",), account.stop_list)]
    fields += [(("lists", name), values) for name, values in account.lists.items()]
    if account.phone is not None:
        fields.append((("phone",), (account.phone,)))
    for name, values in fields:
        for value in values:
            if fault := number_fault(value):
                yield (*key, *name), fault
