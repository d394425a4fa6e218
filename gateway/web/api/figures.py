"""``/figures`` and ``/reports``."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Annotated

from fastapi import APIRouter, Query
from fastapi.responses import Response
from pydantic import BaseModel

from gateway.policy import tally
from gateway.policy.permissions import Scope, Visitor
from gateway.service import reports
from gateway.service.figures import Period, Report, Tally
from gateway.service.reports import By
from gateway.service.wording import verdict_of
from gateway.web.console import Console
from gateway.web.needs import Services, needs
from gateway.web.problems import Problem, problems

router = APIRouter(tags=["figures"])

DAYS_AT_MOST = 92
"""A page shows longer periods by month."""


class Latency(BaseModel):
    """Seconds; null where nothing was counted."""

    p50: float | None
    p95: float | None
    p99: float | None


class Reason(BaseModel):
    """Why so many came to nothing."""

    reason: str
    verdict: str
    words: str
    count: int


class Counts(BaseModel):
    """Of the mails and SMS that came in a time, and what became of them up to now."""

    mails: int
    mails_refused: int
    dropped: int
    sms: int
    segments: int
    segments_by_alphabet: dict[str, int]
    submitted: int
    delivered: int
    failed: int
    uncertain: int
    waiting: int
    delivery_rate: float | None
    accepted_to_submitted: Latency
    submitted_to_delivered: Latency
    errors: list[Reason]
    refusals: list[Reason]
    cost: dict[str, Decimal]


class Span(BaseModel):
    """One hour, or five minutes."""

    at: datetime
    counts: Counts


class Depth(BaseModel):
    """What waits."""

    state: str
    provider: str
    count: int
    oldest_at: datetime


class FiguresBody(BaseModel):
    """How it goes."""

    at: datetime
    hour: Counts
    day: Counts
    five_minutes: list[Span]
    hours: list[Span]
    queue: list[Depth]


class Row(BaseModel):
    """One row of a report."""

    name: str
    mails: int
    mails_refused: int
    dropped: int
    sms: int
    segments: int
    segments_ucs2: int
    submitted: int
    delivered: int
    failed: int
    uncertain: int
    waiting: int
    delivery_rate: float | None
    cost: dict[str, Decimal]


class ReportBody(BaseModel):
    """Whole days, UTC."""

    first: date
    last: date
    by: By
    total: Counts
    items: list[Row]
    """By account, provider or day; empty for ``error`` and ``client``, whose rows are ``counts``."""
    counts: list[Reason]


@router.get("/figures", responses=problems())
async def figures(console: Services, visitor: Annotated[Visitor, needs(Scope.READ)]) -> FiguresBody:
    """The last hour and the last 24, live."""
    found = await console.figures.overview(visitor.accounts)
    return FiguresBody(
        at=moment(found.at),
        hour=counts(found.hour),
        day=counts(found.day),
        five_minutes=[_span(period) for period in found.slots],
        hours=[_span(period) for period in found.hours],
        queue=[
            Depth(state=one.state.value, provider=one.provider, count=one.count, oldest_at=moment(one.oldest_at))
            for one in found.waiting
        ],
    )


First = Annotated[date | None, Query(alias="from", description="First day, UTC; default: of this month.")]
Last = Annotated[date | None, Query(alias="to", description="Last day, UTC; default: today.")]


@router.get("/reports", responses=problems(422))
async def report(
    console: Services,
    visitor: Annotated[Visitor, needs(Scope.READ)],
    first: First = None,
    last: Last = None,
    by: Annotated[By, Query()] = By.ACCOUNT,
) -> ReportBody:
    """Cost and delivery, by account, provider or day; or by what went wrong, or by client."""
    found = await reported(console, visitor, first, last, by)
    rows = reports.lines(found, by) if by not in (By.ERROR, By.CLIENT) else []
    listed = reports.errors(found.whole, "en") if by is By.ERROR else []
    listed = reports.clients(found.whole) if by is By.CLIENT else listed
    return ReportBody(
        first=found.first,
        last=found.last,
        by=by,
        total=counts(found.whole),
        items=[row_of(row) for row in rows],
        counts=_reasons(listed),
    )


@router.get(
    "/reports.csv",
    responses={200: {"content": {"text/csv": {"schema": {"type": "string"}}}, "description": "CSV"}, **problems(422)},
    response_class=Response,
)
async def report_csv(
    console: Services,
    visitor: Annotated[Visitor, needs(Scope.READ)],
    first: First = None,
    last: Last = None,
    by: Annotated[By, Query()] = By.ACCOUNT,
    excel: Annotated[bool, Query(description="With a byte order mark.")] = False,
    language: Annotated[str, Query(pattern="^(en|ru|uk)$", description="ru, uk: semicolons, for Excel.")] = "en",
) -> Response:
    """The same for spreadsheets."""
    found = await reported(console, visitor, first, last, by)
    written = reports.as_csv(*reports.table(found, by, language), excel=excel, language=language)
    name = f"email2sms-{by.value}-{found.first}-{found.last}.csv"
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return Response(written.encode(), media_type="text/csv; charset=utf-8", headers=headers)


async def reported(
    console: Console, visitor: Visitor, first: date | None, last: date | None, by: By | None = None
) -> Report:
    """What this visitor may see of it; by months where days are not asked for and would be many. Raises ``Problem``."""
    try:
        begins, ends = reports.period(first, last, reports.today(console.intake.now()))
    except ValueError as error:
        raise Problem(422, str(error)) from None
    currencies = await console.providers.balances.currencies()
    by_month = by is not By.DAY and (by is not None or (ends - begins).days > DAYS_AT_MOST)
    return await console.figures.report(begins, ends, visitor.accounts, currencies, by_month=by_month)


def counts(found: Tally) -> Counts:
    """As JSON says it."""
    line = reports.line("", found)
    return Counts(
        mails=line.mails,
        mails_refused=line.mails_refused,
        dropped=line.dropped,
        sms=line.sms,
        segments=line.segments,
        segments_by_alphabet={name or "unknown": n for name, n in found.names(tally.SEGMENTS).items()},
        submitted=line.submitted,
        delivered=line.delivered,
        failed=line.failed,
        uncertain=line.uncertain,
        waiting=line.waiting,
        delivery_rate=line.delivery_rate,
        accepted_to_submitted=_latency(found, tally.TO_SUBMIT),
        submitted_to_delivered=_latency(found, tally.TO_DELIVER),
        errors=_reasons(reports.errors(found, "en", 10)),
        refusals=_reasons(reports.refusals(found, "en", 10)),
        cost=dict(line.cost),
    )


def _reasons(found: Iterable[reports.Count]) -> list[Reason]:
    return [Reason(reason=r.name, verdict=verdict_of(r.name), words=r.words, count=r.count) for r in found]


def _latency(found: Tally, kind: str) -> Latency:
    p50, p95, p99 = (found.percentile(kind, share) for share in (0.5, 0.95, 0.99))
    return Latency(p50=p50, p95=p95, p99=p99)


def _span(period: Period) -> Span:
    return Span(at=moment(period.at), counts=counts(period.tally))


def row_of(line: reports.Line) -> Row:
    """As JSON says it."""
    values = {name: getattr(line, name) for name in reports.COLUMNS}
    return Row(name=line.name, delivery_rate=line.delivery_rate, cost=dict(line.cost), **values)


def moment(at: float) -> datetime:
    """RFC 3339, UTC."""
    return datetime.fromtimestamp(at, UTC)
