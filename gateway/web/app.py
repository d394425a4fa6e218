"""The site: pages for people, ``/api/v1`` for programs."""

from __future__ import annotations

from functools import partial
from importlib.resources import files
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import RedirectResponse, Response
from fastapi.staticfiles import StaticFiles
from starlette.exceptions import HTTPException

from gateway import __version__
from gateway.web import probes
from gateway.web.api import (
    about,
    changes,
    events,
    explain,
    figures,
    message,
    messages,
    providers,
    rejections,
    route,
    segments,
    send,
)
from gateway.web.api import accounts as accounts_api
from gateway.web.api import audit as audit_api
from gateway.web.api import lists as lists_api
from gateway.web.api import people as people_api
from gateway.web.api import phones as phones_api
from gateway.web.api import snippets as snippets_api
from gateway.web.api import tokens as tokens_api
from gateway.web.api import webhooks as webhooks_api
from gateway.web.console import Console
from gateway.web.doorstep import Doorstep, Recorder
from gateway.web.faults import tell
from gateway.web.methods import Head, allowed
from gateway.web.needs import is_api, visit_of
from gateway.web.openapi import described
from gateway.web.pages import accounts, audit, lists, live, login, me, people, queue, rejected, settings, welcome
from gateway.web.pages import api as api_page
from gateway.web.pages import compose as compose_page
from gateway.web.pages import connect as connect_page
from gateway.web.pages import explain as explain_page
from gateway.web.pages import message as message_page
from gateway.web.pages import messages as messages_page
from gateway.web.pages import overview as overview_page
from gateway.web.pages import phones as phones_page
from gateway.web.pages import providers as providers_page
from gateway.web.pages import reports as reports_page
from gateway.web.problems import Problem, SignIn
from gateway.web.rendering import page
from gateway.web.shield import Shield

API = (
    about.router,
    audit_api.router,
    events.router,
    explain.router,
    figures.router,
    messages.router,
    send.router,
    changes.router,
    message.router,
    providers.router,
    people_api.router,
    rejections.router,
    phones_api.router,
    route.router,
    segments.router,
    snippets_api.router,
    tokens_api.router,
    accounts_api.router,
    lists_api.router,
    webhooks_api.router,
)
PAGES = (
    accounts.router,
    api_page.router,
    audit.router,
    compose_page.router,
    connect_page.router,
    explain_page.router,
    lists.router,
    overview_page.router,
    providers_page.router,
    reports_page.router,
    live.router,
    login.router,
    me.router,
    messages_page.router,
    message_page.router,
    people.router,
    rejected.router,
    phones_page.router,
    queue.router,
    settings.router,
    welcome.router,
)
ROUTERS = (("/api/v1", API), ("", (*PAGES, probes.router)))
"""Where they are."""


def site(console: Console) -> FastAPI:
    """Everything that ``console.bind`` answers."""
    app = FastAPI(
        title="email2sms",
        version=__version__,
        docs_url=None,  # it would load scripts from elsewhere; /api is our own
        redoc_url=None,
        openapi_url="/api/v1/openapi.json",
        separate_input_output_schemas=False,
    )
    app.state.console = console
    app.openapi = partial(described, app)  # type: ignore[method-assign]
    app.add_middleware(Head)
    app.add_middleware(Recorder, console=console)
    app.add_middleware(Shield)
    settings_of_console = console.configuration().settings.console
    app.add_middleware(Doorstep, proxies=settings_of_console.proxies if settings_of_console is not None else ())
    app.mount("/static", StaticFiles(directory=str(files("gateway.web").joinpath("static"))))
    for prefix, routers in ROUTERS:
        for router in routers:
            app.include_router(router, prefix=prefix, include_in_schema=routers is API)
    app.state.paths = frozenset(str(getattr(route, "path", "")) for router in PAGES for route in router.routes)
    app.add_exception_handler(Problem, _problem)
    app.add_exception_handler(HTTPException, _http_exception)
    app.add_exception_handler(RequestValidationError, _not_valid)
    app.add_exception_handler(SignIn, _sign_in)
    return app


async def _problem(request: Request, error: Any) -> Response:
    if not is_api(request):
        await visit_of(request)
    return tell(request, error)


async def _http_exception(request: Request, error: Any) -> Response:
    answer = await _problem(
        request, Problem(error.status_code, "" if error.status_code in (404, 405) else str(error.detail))
    )
    if error.status_code == 405:
        answer.headers["Allow"] = allowed(request.url.path, ROUTERS) or "GET, HEAD"  # files
    return answer


async def _not_valid(request: Request, error: Any) -> Response:
    """Where and what, without the value: it may be a secret."""
    faults = "; ".join(f"{'.'.join(str(part) for part in item['loc'])}: {item['msg']}" for item in error.errors())
    return await _problem(request, Problem(422, faults))


async def _sign_in(request: Request, _error: Any) -> Response:
    if request.method != "GET" or "/login" not in request.app.state.paths:
        await visit_of(request)
        return page(request, "problem.html", 401, problem=Problem(401))
    target = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    return RedirectResponse(str(request.url_for("login").include_query_params(next=target)), 303)
