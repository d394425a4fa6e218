"""Destinations: E.164 numbers as people type them, checked with libphonenumber's tables."""

from __future__ import annotations

import re
from enum import StrEnum
from functools import lru_cache

import phonenumbers
from phonenumbers import PhoneNumberType, ValidationResult

from gateway.verdicts import (
    EMERGENCY_NUMBER,
    NUMBER_NOT_A_NUMBER,
    NUMBER_TOO_LONG,
    NUMBER_TOO_SHORT,
    NUMBER_UNKNOWN_RANGE,
    Refused,
)

_TYPED = re.compile(r"\+?[0-9][0-9 ().\-]*")
_PUNCTUATION = re.compile(r"[ ().\-]")
_DIRECTION_MARKS = dict.fromkeys((0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A)))
"""Invisible; Windows and Skype put them around a number that is copied from a contact."""
_SEPARATORS = re.compile(r"[,;\s]+")


class Kind(StrEnum):
    """What answers at a number (libphonenumber's types). Where a country does not tell, it is a mobile one."""

    MOBILE = "mobile"
    FIXED_LINE = "fixed_line"
    VOIP = "voip"
    PERSONAL = "personal"
    PAGER = "pager"
    COMPANY = "company"
    TOLL_FREE = "toll_free"
    PREMIUM = "premium"
    SHARED_COST = "shared_cost"
    OTHER = "other"


_KINDS = {
    PhoneNumberType.MOBILE: Kind.MOBILE,
    PhoneNumberType.FIXED_LINE_OR_MOBILE: Kind.MOBILE,
    PhoneNumberType.FIXED_LINE: Kind.FIXED_LINE,
    PhoneNumberType.VOIP: Kind.VOIP,
    PhoneNumberType.PERSONAL_NUMBER: Kind.PERSONAL,
    PhoneNumberType.PAGER: Kind.PAGER,
    PhoneNumberType.UAN: Kind.COMPANY,
    PhoneNumberType.TOLL_FREE: Kind.TOLL_FREE,
    PhoneNumberType.PREMIUM_RATE: Kind.PREMIUM,
    PhoneNumberType.SHARED_COST: Kind.SHARED_COST,
}
_EMERGENCY = frozenset(("000", "101", "102", "103", "104", "110", "112", "118", "119", "911", "999"))
"""Dialled as they are, somewhere. No SMS goes to three digits anyway; these get a reason of their own."""


def parse(typed: str) -> str:
    """The E.164 digits (no plus) of an international number.

    Spaces, brackets, dots, dashes and a leading plus are read over. Raises ``Refused`` (NUMBER)
    with the masked number and the rule that it breaks; also for one of the police or the like.
    """
    typed = typed.strip()
    if not _TYPED.fullmatch(typed):
        raise Refused(NUMBER_NOT_A_NUMBER, number=mask(typed))
    return _checked(_PUNCTUATION.sub("", typed).removeprefix("+"))[0]


def parse_in(typed: str, country: str) -> str:
    """The same, and where that fails, as people write it inside this country (ISO 3166; empty: nowhere):
    ``8 910 123-45-67``. For lists that are brought in, never for mails: there it would be a guess."""
    try:
        return parse(typed)
    except Refused as refused:
        digits = _PUNCTUATION.sub("", typed)
        if not country or not digits.isascii() or not digits.isdigit():
            raise
        try:
            number = phonenumbers.parse(digits, country)
        except phonenumbers.NumberParseException:
            raise refused from None
        if not phonenumbers.is_valid_number_for_region(number, country):
            raise
    return parse(phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164))


@lru_cache(maxsize=65536)
def _checked(digits: str) -> tuple[str, Kind]:
    """The number in its one spelling, and its kind: whether it is valid and what kind it is is one question."""
    if len(digits) > 15:
        raise Refused(NUMBER_TOO_LONG, number=mask(digits), over=len(digits) - 15)
    if len(digits) < _SHORTEST and _is_emergency(digits):
        raise Refused(EMERGENCY_NUMBER)
    try:
        number = phonenumbers.parse("+" + digits)
    except phonenumbers.NumberParseException:
        raise Refused(NUMBER_NOT_A_NUMBER, number=mask(digits)) from None
    lengths, digits_now = _possible_lengths(number), len(phonenumbers.national_significant_number(number))
    match phonenumbers.is_possible_number_with_reason(number):
        case ValidationResult.TOO_SHORT:
            missing = min((n for n in lengths if n > digits_now), default=digits_now + 1) - digits_now
            raise Refused(NUMBER_TOO_SHORT, number=mask(digits), digits=len(digits), missing=missing)
        case ValidationResult.TOO_LONG | ValidationResult.INVALID_LENGTH:
            over = digits_now - max((n for n in lengths if n < digits_now), default=digits_now - 1)
            raise Refused(NUMBER_TOO_LONG, number=mask(digits), over=over)
    kind = phonenumbers.number_type(number)
    if kind == PhoneNumberType.UNKNOWN:
        raise Refused(NUMBER_UNKNOWN_RANGE, number=mask(digits))
    # Not ``digits``: in +44 (0)7911 … and +7 8 910 … the digit that is dialled inside the country must go, and a
    # number has one spelling in the stop-lists.
    spelled = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164).removeprefix("+")
    return spelled, _KINDS.get(kind, Kind.OTHER)


_SHORTEST = 8
"""Digits from which there is nothing of the kind of +7 112."""


def _is_emergency(digits: str) -> bool:
    """Whether somebody who dials it in that country, with or without its code, gets the police or the like."""
    if digits in _EMERGENCY:
        return True
    for length in (1, 2, 3):
        regions = phonenumbers.region_codes_for_country_code(int(digits[:length]))
        if any(phonenumbers.is_emergency_number(digits[length:], region) for region in regions):
            return True
    return False


def _possible_lengths(number: phonenumbers.PhoneNumber) -> tuple[int, ...]:
    """How many digits a national number of that country may have."""
    region = phonenumbers.region_code_for_country_code(number.country_code or 0)
    metadata = phonenumbers.PhoneMetadata.metadata_for_region(region)
    if metadata is None or metadata.general_desc is None:
        return ()
    return tuple(n for n in metadata.general_desc.possible_length if n > 0)


def is_number(typed: str) -> bool:
    """Whether ``parse`` would take it."""
    try:
        parse(typed)
    except Refused:
        return False
    return True


def split(typed: str) -> tuple[str, ...]:
    """The numbers of a field that separates them by comma, semicolon or space.

    A number that is itself written with spaces or brackets (``+7 910 123-45-67``) stays whole when
    commas or semicolons separate the numbers, or when it is the only one.
    """
    typed = typed if typed.isascii() else typed.translate(_DIRECTION_MARKS)
    by_comma = tuple(part.strip() for part in re.split(r"[,;\n]", typed) if part.strip())
    parts: list[str] = []
    for part in by_comma:
        if is_number(part):
            parts.append(part)
        else:
            parts.extend(piece for piece in _SEPARATORS.split(part) if piece)
    return tuple(parts)


def mask(number: str) -> str:
    """``79101234567`` → ``7910***4567``; anything shorter than eight characters → ``***``."""
    digits = _PUNCTUATION.sub("", number).removeprefix("+")
    if len(digits) < 8:
        return "***"
    return f"{digits[:4]}***{digits[-4:]}" if digits.isdigit() and len(digits) > 9 else f"{digits[:2]}***"


_IN_WORDS = re.compile(r"\+?\d[\d().\-]{5,}\d")


def masked(words: str) -> str:
    """With every number in it masked, and whatever looks like one."""
    return _IN_WORDS.sub(lambda found: mask(found[0]), words)


@lru_cache(maxsize=65536)
def country(digits: str) -> str:
    """The ISO 3166 code of a number that ``parse`` has returned: +7 is RU or KZ. Empty: of no country (+800 …)."""
    region = phonenumbers.region_code_for_number(phonenumbers.parse("+" + digits))
    return "" if region in (None, phonenumbers.REGION_CODE_FOR_NON_GEO_ENTITY) else str(region)


def kind(digits: str) -> Kind:
    """Of a number that ``parse`` has returned."""
    return _checked(digits)[1]


def calling_code(country: str) -> str:
    """``UA`` → ``380``. Raises ``KeyError`` for what is no country with telephones."""
    if country not in phonenumbers.SUPPORTED_REGIONS:
        raise KeyError(country)
    return str(phonenumbers.country_code_for_region(country))


def operator(digits: str) -> str:
    """Whom the range was given to, in English; the number may have moved since. Empty: not known."""
    from phonenumbers import carrier  # noqa: PLC0415  (large tables, for people only)

    return str(carrier.name_for_number(phonenumbers.parse("+" + digits), "en"))


def country_name(digits: str) -> str:
    """Of the number, in English; empty: not known."""
    from phonenumbers import geocoder  # noqa: PLC0415  (large tables, for people only)

    return str(geocoder.country_name_for_number(phonenumbers.parse("+" + digits), "en"))
