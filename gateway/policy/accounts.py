"""Accounts: who may submit. An immutable snapshot, replaced as a whole when the configuration changes."""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

from gateway.model import ApiKey, Channel, Conversation, Credential, NoSecret, Operator, Password, StormRule, Tell
from gateway.policy.caps import AccountCaps
from gateway.policy.composing import TextRules
from gateway.policy.destinations import Destinations

Network = IPv4Network | IPv6Network
ANY = "*"
_WILD = ".*"
_ANY_AT = ".*@"


@lru_cache(maxsize=65536)
def address_pattern(pattern: str) -> re.Pattern[str]:
    """An allowlist entry: ``*`` stands for any characters, letter case does not matter."""
    return re.compile(re.escape(pattern.lower()).replace(r"\*", _WILD))


def _literal(pattern: str) -> str:
    """What ``re.escape`` has made the pattern of."""
    return re.sub(r"\\(.)", r"\1", pattern, flags=re.DOTALL)


def key_digest(key: str) -> bytes:
    """How API keys are kept: keys are random, so a plain hash hides them (unlike passwords)."""
    return hashlib.sha256(key.encode()).digest()


def in_networks(peer: str, networks: Iterable[Network]) -> bool:
    """Whether the address lies in one of the networks; IPv4-mapped IPv6 counts as IPv4."""
    address = _address(peer)
    return address is not None and any(address in network for network in networks)


@lru_cache(maxsize=4096)
def _address(peer: str) -> IPv4Address | IPv6Address | None:
    try:
        address = ip_address(peer)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


@dataclass(frozen=True, slots=True)
class Webhook:
    """A program that hears what becomes of an account's SMS."""

    url: str
    secret: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Account:
    """One account; ``config/README.md`` describes the fields."""

    login: str
    password: str | None = field(default=None, repr=False)
    password_hash: str | None = field(default=None, repr=False)
    api_keys: frozenset[bytes] = field(default=frozenset(), repr=False)
    phone: str | None = None
    enabled: bool = True
    senders: tuple[re.Pattern[str], ...] = ()
    networks: tuple[Network, ...] = ()
    verify: str = "any"
    """The least that verifies a sender: ``any``, ``dmarc``, ``network`` or ``auth``."""
    originators: frozenset[str] = frozenset()
    channels: frozenset[Channel] = frozenset({Channel.SMS, Channel.FLASH})
    lists: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    stop_list: frozenset[str] = frozenset()
    stored_lists: Mapping[str, int] = field(default_factory=dict)
    """Further lists, whose numbers are in the store, by name: what they are called there."""
    stop_lists: tuple[int, ...] = ()
    """Stop-lists in the store that hold for it, too."""
    per_hour: int | None = None
    per_day: int | None = None
    segments_per_day: int | None = None
    caps: AccountCaps = AccountCaps()  # noqa: RUF009  (frozen)
    destinations: Destinations | None = None
    """None: what is open for all."""
    texts: TextRules = TextRules()  # noqa: RUF009  (frozen)
    storm: StormRule | None = None
    tell: frozenset[Tell] = frozenset()
    webhook: Webhook | None = None
    incoming_numbers: frozenset[str] = frozenset()
    """Our numbers whose incoming SMS are this account's."""
    incoming_mail: str | None = None
    """Where they are forwarded to."""
    resends_uncertain: bool = False
    """Better twice than never."""
    language: str = "en"
    provisioned: bool = True
    """By the file; else it is in the store."""

    def allows_sender(self, addresses: Iterable[str]) -> bool:
        """Every address of the sender (MAIL FROM and From) matches the allowlist; no address needs ``*``."""
        given = [address.lower() for address in addresses if address] or [""]
        return all(any(pattern.fullmatch(address) for pattern in self.senders) for address in given)

    @property
    def only_originator(self) -> str:
        """For mails that name none: the registered one, if there is just one. Empty: there is no such."""
        names = self.originators - {ANY}
        return next(iter(names)) if len(names) == 1 else ""

    def allows_originator(self, originator: str) -> bool:
        """Registered exactly so, or a number of its own, or the account may use any."""
        return ANY in self.originators or originator in self.originators or originator in self.incoming_numbers


@dataclass(frozen=True, slots=True)
class Directory:
    """All accounts, found by login and by API key."""

    accounts: Mapping[str, Account]
    keys: Mapping[bytes, str]
    has_clear_passwords: bool = field(init=False)
    """An account that is enabled has one, and not its hash."""
    _names: frozenset[str] = field(init=False, repr=False)
    """All allowlist entries without a ``*``: one look instead of thousands of matches for each mail."""
    _domains: frozenset[str] = field(init=False, repr=False)
    """The rest of those that are ``*@`` and the name of a domain."""
    _wildcards: re.Pattern[str] = field(init=False, repr=False)
    """All the others, as one pattern."""
    _networks: frozenset[Network] = field(init=False, repr=False)
    """Of all accounts."""

    def __post_init__(self) -> None:
        patterns = dict.fromkeys(p.pattern for account in self.accounts.values() for p in account.senders)
        wild = {pattern for pattern in patterns if _WILD in pattern}
        domains = {pattern for pattern in wild if pattern.startswith(_ANY_AT) and not set(pattern[3:]) & {"*", "@"}}
        others = sorted(wild - domains)
        clear = any(account.enabled and account.password for account in self.accounts.values())
        object.__setattr__(self, "has_clear_passwords", clear)
        networks = frozenset(network for account in self.accounts.values() for network in account.networks)
        object.__setattr__(self, "_networks", networks)
        object.__setattr__(self, "_names", frozenset(map(_literal, patterns.keys() - wild)))
        object.__setattr__(self, "_domains", frozenset(_literal(pattern[len(_ANY_AT) :]) for pattern in domains))
        object.__setattr__(self, "_wildcards", re.compile("|".join(others) if others else r"(?!)"))

    @classmethod
    def of(cls, accounts: Iterable[Account]) -> Directory:
        """Index the accounts. Logins and keys are unique: the configuration has checked that."""
        by_login = {account.login: account for account in accounts}
        return cls(by_login, {key: a.login for a in by_login.values() for key in a.api_keys})

    def owner_of(self, number: str) -> Account | None:
        """The account to which SMS to this number of ours belong."""
        return next((account for account in self.accounts.values() if number in account.incoming_numbers), None)

    def is_home(self, peer: str) -> bool:
        """Whether the address lies in a network that some account trusts."""
        return bool(self._networks) and in_networks(peer, self._networks)

    def knows(self, login: str) -> bool:
        """Whether there is an account of that login."""
        return login in self.accounts

    def claimed(self, credential: Credential) -> Account | None:
        """The account that a credential names; whether it may is for ``proves`` to say."""
        match credential:
            case Conversation(number=number):
                return self.owner_of(number)
            case ApiKey(key=key, login=None):
                return self.accounts.get(self.keys.get(key_digest(key), ""))
            case ApiKey(login=str(login)) | Password(login=login) | NoSecret(login=login) | Operator(login=login):
                return self.accounts.get(login)
        return None

    def allows_sender(self, addresses: Iterable[str]) -> bool:
        """Whether each address is somebody's: the cheap question of step 2, before the account is known.

        The addresses may be of different accounts; ``Account.allows_sender`` asks again for the one that sends.
        """
        given = [address.lower() for address in addresses if address] or [""]
        return all(
            address in self._names
            or ("@" in address and address.rpartition("@")[2] in self._domains)
            or self._wildcards.fullmatch(address)
            for address in given
        )


def proves(account: Account, credential: Credential, verify_hash: Callable[[str, str], bool]) -> bool:
    """Whether the credential is the account's. Compares in constant time.

    ``verify_hash(password_hash, password)`` is argon2: slow on purpose, so the caller picks the thread.
    """
    match credential:
        case Password(password=given):
            if account.password_hash is not None:
                return verify_hash(account.password_hash, given)
            expected = account.password
            return bool(expected) and hmac.compare_digest(key_digest(given), key_digest(expected or ""))
        case ApiKey(key=key):
            return key_digest(key) in account.api_keys
    return True
