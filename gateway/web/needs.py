"""What a route asks of its caller."""

from __future__ import annotations

import hmac
from typing import Annotated, Any

from fastapi import Depends, Request, Security
from fastapi.security import HTTPBearer, SecurityScopes

from gateway.policy.permissions import Scope, Visitor
from gateway.web import cookies
from gateway.web.console import Console
from gateway.web.gate import Visit
from gateway.web.problems import Problem, SignIn

_SAFE = {"GET", "HEAD", "OPTIONS"}


def console_of(request: Request) -> Console:
    """The services."""
    console: Console = request.app.state.console
    return console


Services = Annotated[Console, Depends(console_of)]
"""``console: Services`` in a route's signature."""


def is_api(request: Request) -> bool:
    """Whether the caller is a program."""
    return request.url.path.startswith("/api/")


async def visit_of(request: Request) -> Visit | None:
    """Who calls; asked once a request."""
    if not hasattr(request.state, "visit"):
        console = console_of(request)
        request.state.visit = await console.gate.visit(request, cookies.name(request, console))
    found: Visit | None = request.state.visit
    return found


def needs(*scopes: Scope) -> Any:
    """``visitor: Annotated[Visitor, needs(Scope.READ)]``: 401 or the login page for strangers, 403 for who may not all
    of it, or whose unsafe request is not from our own pages."""
    return Security(_admitted, scopes=[scope.value for scope in scopes])


_bearer = HTTPBearer(auto_error=False, bearerFormat="e2s_…", description="A token of `email2sms token create`.")


async def _admitted(request: Request, wanted: SecurityScopes, _described: Annotated[Any, Depends(_bearer)]) -> Visitor:
    visit = await visit_of(request)
    if visit is None:
        if is_api(request):
            raise Problem(401, "Send a token: Authorization: Bearer e2s_…")
        raise SignIn
    if request.method not in _SAFE and visit.csrf:
        await _check_origin(request, visit.csrf)
    missing = [scope for scope in wanted.scopes if not visit.visitor.may(Scope(scope))]
    if missing:
        raise Problem(403, f"{visit.visitor.login} may not: {', '.join(missing)}", missing=missing)
    return visit.visitor


async def _check_origin(request: Request, csrf: str) -> None:
    """A browser sends cookies with other sites' requests too; ours bring the token."""
    from_our_page(request)
    given = request.headers.get("X-CSRF-Token")
    if given is None and request.headers.get("Content-Type", "").startswith(_FORMS):
        given = str((await request.form()).get("csrf", ""))
    if not hmac.compare_digest((given or "").encode(), csrf.encode()):
        raise Problem(403, _NOT_OURS, words="base.not_ours")


def from_our_page(request: Request) -> None:
    """For forms before somebody has come in: another site's raises ``Problem``. Programs say nothing of it."""
    site = request.headers.get("Sec-Fetch-Site", "same-origin")
    origin = request.headers.get("Origin")
    public = console_of(request).configuration().console_url
    ours = origin is None or origin == public or origin.partition("://")[2] == request.headers.get("Host")
    if site not in ("same-origin", "none") or not ours:
        raise Problem(403, _NOT_OURS, words="base.not_ours")


def looked_only(request: Request) -> None:
    """What is unsafe by its method changes nothing: it is not for the audit."""
    request.state.looked_only = True


LOOKS = Depends(looked_only)
"""``dependencies=[LOOKS]`` of a route that only looks."""


def in_person(request: Request) -> Visit:
    """Whose own affairs these are. Raises ``Problem`` for a program."""
    visit: Visit = request.state.visit
    if visit.user is None:
        raise Problem(403, "This is for people, not for tokens.")
    return visit


_NOT_OURS = "This request does not come from a page of the console. Load the page again."


_FORMS = ("application/x-www-form-urlencoded", "multipart/form-data")
