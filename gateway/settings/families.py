"""What is wrong with families of dialects that single values cannot show."""

from __future__ import annotations

import codecs
from collections import Counter
from collections.abc import Iterator, Set

from gateway.dialects.families import Role
from gateway.settings.dialects import DialectsSettings, FamilySettings
from gateway.settings.document import Key
from gateway.sms import originator

_KEYS = {
    "fields": ("addresses", "keys", "separator"),
    "subject": ("domains", "fields", "optional", "separator"),
    "plain": ("domains", "text", "account", "originator"),
}
_NEEDED = {"fields": ("addresses", "keys"), "subject": ("domains", "fields"), "plain": ("domains",)}
_COMMON = {"name", "style", "charset", "max_destinations"}
_REPEATABLE = {Role.IGNORED}


def family_faults(dialects: DialectsSettings, logins: Set[str]) -> Iterator[tuple[Key, str]]:
    """Each with the key that it is about."""
    names = {"template", "address", "smsc", "reply"}
    addresses = {a.lower() for given in (dialects.template, dialects.smsc) if given for a in given.addresses}
    domains = {domain.lower() for domain in dialects.address.domains} if dialects.address else set()
    for index, family in enumerate(dialects.families):
        key: Key = ("dialects", "families", index)
        if family.name in names:
            yield (*key, "name"), f'"{family.name}" is the name of another dialect; choose one of its own'
        names.add(family.name)
        yield from _taken(key, "addresses", family.addresses, addresses)
        yield from _taken(key, "domains", family.domains, domains)
        for name in sorted(family.model_fields_set - _COMMON - {*_KEYS[family.style]}):
            yield (*key, name), f"means nothing for style {family.style}; take it out"
        for name in _NEEDED[family.style]:
            if not getattr(family, name):
                yield key, f"style {family.style} needs {name}; add it"
        yield from _role_faults(key, family)
        if family.account is not None and family.account not in logins:
            yield (*key, "account"), f'"{family.account}" is no account; add it to accounts.yaml, or name one of them'
        if family.originator is not None and not originator.is_wellformed(family.originator):
            yield (*key, "originator"), f'"{family.originator}": at most 11 letters and digits, or at most 15 digits'
        try:
            codecs.lookup(family.charset)
        except LookupError:
            yield (*key, "charset"), f'"{family.charset}" is no charset; e.g. windows-1251, utf-8, koi8-r'


def _taken(key: Key, name: str, given: tuple[str, ...], taken: set[str]) -> Iterator[tuple[Key, str]]:
    for value in given:
        if value.lower() in taken:
            yield (*key, name), f'"{value}" is claimed by another dialect, too; choose another'
        taken.add(value.lower())


def _role_faults(key: Key, family: FamilySettings) -> Iterator[tuple[Key, str]]:
    if family.style == "plain":
        return
    name = "keys" if family.style == "fields" else "fields"
    roles = [*family.keys.values()] if family.style == "fields" else [*family.fields, *family.optional]
    if not roles:
        return
    if Role.KEY not in roles and not {Role.LOGIN, Role.PASSWORD} <= {*roles}:
        yield (*key, name), "hold no credential; give login and password, or key (without any: style plain)"
    if family.style == "fields":
        if not {Role.DESTINATION, Role.LIST} & {*roles}:
            yield (*key, name), "name no destination; add one, e.g. to: destination"
        if Role.TEXT not in roles:
            yield (*key, name), "name no text; add one, e.g. text: text"
        for written in family.keys:
            if not written.strip() or (family.separator or ":") in written or "\n" in written:
                yield (*key, name), f'"{written}" can stand in no line; leave the separator out of it'
        doubled = [written for written, n in Counter(w.strip().lower() for w in family.keys).items() if n > 1]
        for written in doubled:
            yield (*key, name), f'"{written}" is there twice in different letter case; leave one'
        return
    for role, count in Counter(roles).items():
        if count > 1 and role not in _REPEATABLE:
            yield (*key, name), f'"{role}" is there {count} times; leave one'
        if role in (Role.DESTINATION, Role.TEXT):
            yield (*key, name), f'"{role}": the address is the destination and the body the text; take it out'
