"""``/reports``: cost and delivery of whole days, to look at, to print, to take along."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse

from gateway.policy.permissions import Scope, Visitor
from gateway.service import reports
from gateway.service.figures import Report
from gateway.service.reports import By, Line
from gateway.service.wording import verdict_of
from gateway.web.api.figures import reported
from gateway.web.charts import Chart, Series, bar, columns
from gateway.web.needs import Services, needs
from gateway.web.problems import Problem
from gateway.web.rendering import page, words_of
from gateway.web.wording import Words

router = APIRouter()


def _day(value: str) -> date | None:
    """An empty field is none. Raises ``Problem``."""
    try:
        return date.fromisoformat(value) if value else None
    except ValueError:
        raise Problem(422, f"{value[:20]}: give a day such as 2026-11-26") from None


@router.get("/reports")
async def report(
    request: Request,
    console: Services,
    visitor: Annotated[Visitor, needs(Scope.READ)],
    first: Annotated[str, Query(alias="from")] = "",
    last: Annotated[str, Query(alias="to")] = "",
) -> HTMLResponse:
    """Of a period; without one, of this month."""
    found = await reported(console, visitor, _day(first), _day(last))
    t = words_of(request)
    today = reports.today(console.intake.now())
    accounts, days = reports.lines(found, By.ACCOUNT), reports.lines(found, By.DAY)
    providers = [line for line in reports.lines(found, By.PROVIDER) if line.name] if visitor.accounts is None else []
    by = {By.ACCOUNT: accounts, By.PROVIDER: providers}
    currencies = sorted({currency for line in accounts for currency in line.cost})
    values: dict[str, Any] = {
        "report": found,
        "whole": reports.line("", found.whole),
        "by": {one.value: lines for one, lines in by.items()},
        "days": [day for day in days if day.mails or day.sms or day.dropped],
        "by_day": _drawn(t, days),
        "bar": bar,
        "costs": [_cost(t, days, currency) for currency in currencies],
        "currencies": currencies,
        "errors": reports.errors(found.whole, t.language, 20),
        "clients": reports.clients(found.whole, 20) if visitor.accounts is None or visitor.accounts else [],
        "verdict_of": verdict_of,
        "by_month": any(len(day.name) == len("2026-11") for day in days),
        "presets": _presets(today),
        "downloads": [(one.value, _download(one, found, t.language)) for one in By],
        "made_at": console.intake.now(),
        "host": console.configuration().settings.server.hostname,
    }
    return page(request, "reports.html", **values)


def _drawn(t: Words, days: list[Line]) -> Chart:
    series = [
        Series(t("states.delivered"), "good", [float(day.delivered) for day in days]),
        Series(
            t("reports.other"),
            "s1",
            [float(max(0, day.sms - day.delivered - day.failed - day.uncertain)) for day in days],
        ),
        Series(t("states.uncertain"), "warn", [float(day.uncertain) for day in days]),
        Series(t("overview.failed"), "bad", [float(day.failed) for day in days]),
    ]
    return columns("by-day", t("reports.by_day_title"), [_label(t, day.name) for day in days], series, t.number)


def _cost(t: Words, days: list[Line], currency: str) -> Chart:
    series = [Series(currency or t("reports.cost"), "s2", [float(day.cost.get(currency, 0)) for day in days])]
    title = t("reports.cost_by_day_title", currency=currency)
    return columns(f"cost-{currency or 'any'}", title, [_label(t, day.name) for day in days], series, t.number)


def _label(t: Words, day: str) -> str:
    """Of a day, or of a month."""
    if len(day) == len("2026-11"):
        return t.month(date.fromisoformat(f"{day}-01"))
    return t.day(date.fromisoformat(day))


def _presets(today: date) -> list[tuple[str, str]]:
    """Names and addresses of usual periods."""
    this, last = today.replace(day=1), reports.months_ago(today, 1)
    periods = {
        "today": (today, today),
        "week": (today - timedelta(days=6), today),
        "this_month": (this, today),
        "last_month": (last, this - timedelta(days=1)),
        "year": (reports.months_ago(today, 11), today),
    }
    return [(name, f"/reports?{urlencode({'from': start, 'to': end})}") for name, (start, end) in periods.items()]


def _download(by: By, found: Report, language: str) -> str:
    query = {"from": found.first, "to": found.last, "by": by.value, "excel": "true", "language": language}
    return f"/api/v1/reports.csv?{urlencode(query)}"
