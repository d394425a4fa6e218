"""Which numbers are open, and how much may be sent: of the house, and of an account."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from gateway.settings.values import CountryOrAll, HoursOfDay, Money, Name, OneOrMore, Seconds
from gateway.strict import Strict, TimeZone


class DestinationSettings(Strict):
    """Which numbers are open at all; all others are FORBIDDEN. Why, and what is open by default: `deploy/limits.md`."""

    countries: OneOrMore[CountryOrAll] | None = Field(
        None,
        description='ISO 3166, one or a list; `["*"]`: all. Default, without `prefixes`: what the routes and the '
        "numbers in the accounts file name, for a route without prefix and country also RU, UA, KZ and BY; all, if "
        "every provider is a sandbox.",
    )
    prefixes: OneOrMore[Annotated[str, Field(pattern=r"^\d{1,15}$")]] | None = Field(
        None, description="First digits of further numbers, one or a list."
    )
    types: OneOrMore[Literal["mobile", "fixed_line", "voip", "personal", "pager", "company", "toll_free"]] | None = (
        Field(
            None,
            description="Of numbers, one or a list. Default: mobile. Premium and shared-cost numbers never are open.",
        )
    )


class QuietSettings(Strict):
    """Hours in which no SMS goes out: it waits until they end, as long as it is valid."""

    hours: HoursOfDay = Field(description="`22:00-08:00`.")
    timezone: TimeZone = Field("UTC", description="Of the hours: `Europe/Moscow`.")
    urgent: OneOrMore[Name] = Field(
        (), description="Words, letter case aside; a text with one of them goes out all the same."
    )


class NumberLimitSettings(Strict):
    """How many SMS one number may get, from all accounts together."""

    per_number_hour: int | None = Field(None, ge=1, description="In a clock hour (UTC); empty: no limit.")
    per_number_day: int | None = Field(None, ge=1, description="In a day (UTC); empty: no limit.")
    per_range_hour: int | None = Field(
        None, ge=1, description="All numbers that differ in the last four digits only, in an hour; empty: no limit."
    )


class UnverifiedLimitSettings(NumberLimitSettings):
    """The same for SMS of senders that nothing verifies (`accept_unverified`)."""

    per_number_hour: int | None = Field(10, ge=1, description="In a clock hour (UTC).")
    per_number_day: int | None = Field(30, ge=1, description="In a day (UTC).")
    per_range_hour: int | None = Field(
        50, ge=1, description="All numbers that differ in the last four digits only, in an hour."
    )


class HouseLimitSettings(NumberLimitSettings):
    """What all accounts together may send, and what one number may get."""

    per_hour: int | None = Field(None, ge=1, description="SMS jobs in a clock hour (UTC); empty: no limit.")
    per_day: int | None = Field(None, ge=1, description="SMS jobs in a day (UTC); empty: no limit.")
    segments_per_day: int | None = Field(None, ge=1, description="Parts of SMS in a day (UTC); empty: no limit.")
    spend_per_day: Money | None = Field(
        None, description="In a day (UTC), by the providers' `prices`, at the dearest provider of the route."
    )
    hold_above: int | None = Field(
        None, ge=1, description="For accounts that say nothing else: more SMS within `hold_window`, and it is held."
    )
    hold_window: Seconds = Field(600, ge=60, le=86400, description="On the clock, as hours and days are.")
    unverified: UnverifiedLimitSettings = UnverifiedLimitSettings.model_construct()
    quiet: QuietSettings | None = Field(None, description="For accounts that have none of their own.")


class LimitSettings(Strict):
    """What one account may send, besides what `limits` of the gateway let all of them."""

    per_hour: int | None = Field(None, ge=1, description="SMS jobs in a clock hour (UTC); empty: no limit.")
    per_day: int | None = Field(None, ge=1, description="SMS jobs in a day (UTC); empty: no limit.")
    segments_per_day: int | None = Field(
        None, ge=1, description="Parts of SMS in a day (UTC), which is what providers bill: a cap on spending."
    )
    max_segments: int = Field(10, ge=1, le=255, description="Parts of one long SMS.")
    spend_per_day: Money | None = Field(
        None, description="In a day (UTC), by the providers' `prices`, at the dearest provider of the route."
    )
    hold_above: int | None = Field(
        None,
        ge=1,
        description="More SMS than that within `hold_window`: this and what follows is kept back, nothing is lost, "
        "until `email2sms resume --account`. Default: that of the gateway's `limits`.",
    )
    hold_window: Seconds | None = Field(None, description="Default: that of the gateway's `limits`.")
    quiet: QuietSettings | None = Field(None, description="Default: that of the gateway's `limits`.")
