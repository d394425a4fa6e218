"""Reports as rows: for the page, the API, the command line and spreadsheets."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from enum import StrEnum

from gateway.policy import tally
from gateway.policy.tally import MICRO, Tally, top, total
from gateway.service.figures import Report
from gateway.service.wording import cause
from gateway.sms.segments import Alphabet

DAYS_AT_MOST = 3 * 366
LISTED = 50
"""Of reasons and clients, those that are most."""


class By(StrEnum):
    """What a row is about."""

    ACCOUNT = "account"
    PROVIDER = "provider"
    DAY = "day"
    MONTH = "month"
    ERROR = "error"
    CLIENT = "client"


@dataclass(frozen=True, slots=True)
class Line:
    """One row: SMS by the days on which their mails came."""

    name: str
    """Empty: the mails and numbers that belong to no account, or to no provider."""
    mails: int
    mails_refused: int
    dropped: int
    """Destinations that were refused before sending."""
    sms: int
    segments: int
    segments_ucs2: int
    submitted: int
    delivered: int
    failed: int
    uncertain: int
    waiting: int
    cost: Mapping[str, Decimal]
    """By currency; empty where the provider does not say what an SMS costs."""

    @property
    def delivery_rate(self) -> float | None:
        """Of those whose fate is known."""
        known = self.delivered + self.failed
        return self.delivered / known if known else None


@dataclass(frozen=True, slots=True)
class Count:
    """So many of something."""

    name: str
    words: str
    count: int


def line(name: str, counted: Tally) -> Line:
    """A tally as a row."""
    mails = counted.names(tally.MAILS)
    return Line(
        name=name,
        mails=sum(mails.values()),
        mails_refused=mails.get("refused", 0),
        dropped=counted.state(tally.DROPPED),
        sms=counted.accepted,
        segments=counted.total(tally.SEGMENTS),
        segments_ucs2=counted.names(tally.SEGMENTS).get(Alphabet.UCS2.value, 0),
        submitted=counted.submitted,
        delivered=counted.delivered,
        failed=counted.failed,
        uncertain=counted.uncertain,
        waiting=counted.waiting,
        cost=cost(counted),
    )


def cost(counted: Tally) -> dict[str, Decimal]:
    """Money by currency."""
    return {name: Decimal(micro) / MICRO for name, micro in sorted(counted.names(tally.COST).items())}


def lines(report: Report, by: By) -> list[Line]:
    """By account, provider or day; the largest first, days in their order."""
    match by:
        case By.ACCOUNT:
            tallies = report.accounts
        case By.PROVIDER:
            tallies = report.providers
        case _:
            return [line(day, found) for day, found in report.days.items()]
    found = [line(name, counted) for name, counted in tallies.items()]
    return sorted(found, key=lambda row: (-row.sms, -row.mails, row.name))


def errors(counted: Tally, language: str, limit: int = LISTED) -> list[Count]:
    """Why SMS came to nothing, and why numbers were refused before, in words."""
    both = total([Tally({"": counted.names(kind)}) for kind in (tally.REASONS, tally.DROPPED_FOR)])
    return worded(both.names(""), language, limit)


def refusals(counted: Tally, language: str, limit: int = LISTED) -> list[Count]:
    """Why mails were refused as a whole, in words."""
    return worded(counted.names(tally.REFUSED), language, limit)


def worded(reasons: Mapping[str, int], language: str, limit: int) -> list[Count]:
    """Those that are most."""
    return [Count(name, cause(name, language), n) for name, n in top(reasons, limit)]


def clients(counted: Tally, limit: int = LISTED) -> list[Count]:
    """From which addresses most mails came."""
    return [Count(name, name, n) for name, n in top(counted.names(tally.CLIENTS), limit)]


def period(first: date | None, last: date | None, today: date) -> tuple[date, date]:
    """What is meant where something is left out: this month up to today. Raises ``ValueError`` in plain words."""
    last = last or today
    first = first or min(last, today).replace(day=1)
    if first > last:
        raise ValueError(f"it begins ({first}) after its end ({last})")
    if (last - first).days >= DAYS_AT_MOST:
        raise ValueError(f"more than {DAYS_AT_MOST} days")
    return first, last


def today(now: float) -> date:
    """The day (UTC) in which this moment lies."""
    return datetime.fromtimestamp(now, UTC).date()


def months_ago(day: date, months: int) -> date:
    """The first of that month."""
    first = day.replace(day=1)
    for _ in range(months):
        first = (first - timedelta(days=1)).replace(day=1)
    return first


COLUMNS = (
    *("mails", "mails_refused", "dropped", "sms", "segments", "segments_ucs2"),
    *("submitted", "delivered", "failed", "uncertain", "waiting"),
)


def table(report: Report, by: By, language: str = "en") -> tuple[list[str], list[list[str]]]:
    """Headings, and rows of plain cells: what programs and spreadsheets read."""
    if by in (By.ERROR, By.CLIENT):
        found = errors(report.whole, language) if by is By.ERROR else clients(report.whole)
        heads = [by.value, "words", "count"] if by is By.ERROR else [by.value, "count"]
        return heads, [[one.name, *([one.words] if by is By.ERROR else []), str(one.count)] for one in found]
    rows = lines(report, by)
    currencies = sorted({currency for row in rows for currency in row.cost})
    costs = [f"cost {currency}".strip() for currency in currencies]
    cells = [
        [row.name, *(str(getattr(row, column)) for column in COLUMNS)]
        + [f"{row.cost[currency]:f}" if currency in row.cost else "" for currency in currencies]
        for row in rows
    ]
    return [by.value, *COLUMNS, *costs], cells


def as_csv(heads: Sequence[str], cells: Sequence[Sequence[str]], *, excel: bool = False, language: str = "en") -> str:
    """RFC 4180. For ``excel``: with a byte order mark, or it takes it for another charset; and, where it expects that,
    with semicolons and decimal commas. What a spreadsheet would take for a formula is made text."""
    foreign = excel and language in ("ru", "uk")
    written = io.StringIO()
    writer = csv.writer(written, delimiter=";" if foreign else ",")
    writer.writerow(heads)
    for row in cells:
        writer.writerow([_cell(cell, comma=foreign) for cell in row])
    return ("\ufeff" if excel else "") + written.getvalue()


def _cell(cell: str, *, comma: bool) -> str:
    if _is_number(cell):
        return cell.replace(".", ",") if comma else cell
    return f"'{cell}" if cell[:1] in ("=", "+", "-", "@", "\t", "\r") else cell


def _is_number(cell: str) -> bool:
    whole, _, fraction = cell.partition(".")
    return whole.isdigit() and (not fraction or fraction.isdigit())
