"""``/``: how it stands, at a glance."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse

from gateway.policy import tally
from gateway.policy.permissions import Scope, Visitor
from gateway.policy.tally import Tally
from gateway.service import reports
from gateway.service.balances import Account
from gateway.service.wording import verdict_of
from gateway.web.charts import bar, spark
from gateway.web.console import Console
from gateway.web.drawings import balance, brief, drawn
from gateway.web.needs import Services, needs
from gateway.web.rendering import is_fragment, page, words_of
from gateway.web.wording import Words

router = APIRouter()

SOON_S = 3 * 86400.0
"""A balance that lasts no longer is low, whatever it is."""


@dataclass(frozen=True, slots=True)
class Step:
    """Of the funnel: how many got here, and why others did not."""

    name: str
    count: int
    lost: int = 0
    why: tuple[reports.Count, ...] = ()


@router.get("/")
async def overview(
    request: Request,
    console: Services,
    visitor: Annotated[Visitor, needs(Scope.READ)],
    tables: Annotated[bool, Query(description="Numbers instead of drawings.")] = False,
) -> HTMLResponse:
    """Tiles, charts, providers. htmx asks for the same without the frame."""
    ours = visitor.accounts is None
    accounts = await console.providers.balances.accounts() if ours else {}
    currencies = {name: one.currency for name, one in accounts.items()}
    shown = await console.figures.overview(visitor.accounts, currencies)
    t = words_of(request)
    day = shown.day
    is_empty = not (day.asked or day.total(tally.MAILS) or shown.waiting) and not await console.figures.ever()
    values: dict[str, Any] = {
        "tables": tables,
        "shown": shown,
        "day": day,
        "hour": shown.hour,
        "is_empty": is_empty,
        "charts": {} if is_empty else drawn(t, shown),
        "funnel": funnel(t, day),
        "errors": reports.errors(day, t.language, 10),
        "providers": await console.providers.listed() if ours else [],
        "balances": [balance(t, shown.at, one, console.providers.balances.low(name)) for name, one in accounts.items()],
        "holds": await console.switch.holds() if ours else [],
        "cost": reports.cost(day),
        "spark": spark,
        "bar": bar,
        "verdict_of": verdict_of,
        "brief": lambda seconds: brief(t, seconds),
        "ends_soon": lambda account: _ends_soon(account, shown.at),
        "first_mail": _first_mail(console) if is_empty else "",
    }
    return page(request, "_overview.html" if is_fragment(request) else "overview.html", **values)


def funnel(t: Words, day: Tally) -> list[Step]:
    """From the mails to the handsets."""
    mails, refused = day.total(tally.MAILS), day.names(tally.MAILS).get("refused", 0)
    reasons = day.names(tally.REASONS)
    late = {name: n for name, n in reasons.items() if name.startswith("undelivered|")}
    early = {name: n for name, n in reasons.items() if name not in late}

    def why(names: Mapping[str, int]) -> tuple[reports.Count, ...]:
        return tuple(reports.worded(names, t.language, 3))

    return [
        Step("mails", mails),
        Step("accepted", mails - refused, refused, why(day.names(tally.REFUSED))),
        Step("sms", day.accepted, day.state(tally.DROPPED), why(day.names(tally.DROPPED_FOR))),
        Step("segments", day.total(tally.SEGMENTS)),
        Step("submitted", day.submitted, day.state("failed", "expired", "cancelled"), why(early)),
        Step("delivered", day.delivered, day.state("undelivered"), why(late)),
    ]


def _ends_soon(account: Account, now: float) -> bool:
    """Whether somebody should pay, as the rule ``Email2smsBalanceLow`` says it."""
    zero_at = account.burndown.zero_at if account.burndown is not None else None
    return zero_at is not None and zero_at - now < SOON_S


def _first_mail(console: Console) -> str:
    """A command that sends one, as this gateway would take it."""
    settings = console.configuration().settings
    door = next((one for one in settings.listeners if one.protocol == "smtp" and one.trust), settings.listeners[0])
    where = door.bind.replace("0.0.0.0", settings.server.hostname)  # noqa: S104
    template = settings.dialects.template
    if template is None:
        return 'email2sms send --account LOGIN --from NAME --to 79101234567 "hello"'
    body = "SmsUser=LOGIN\\nPassword=PASSWORD\\nSourceAddress=NAME\\nPhoneNumber=79101234567\\nhello"
    return f'swaks --server {where} --from you@example.com --to {template.addresses[0]} \\\n  --body "{body}"'
