"""``/explain``: what becomes of a mail, and why, without sending it."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, File, Form, Query, Request, UploadFile
from fastapi.responses import HTMLResponse, Response

from gateway.policy.permissions import Scope, Visitor
from gateway.service.examples import LOGIN, PASSWORD, examples
from gateway.service.explain import Arrival, Explained
from gateway.service.story import phase_of
from gateway.sms.numbers import split
from gateway.web.api.explain import MAX_MAIL, explained_to
from gateway.web.needs import LOOKS, Services, needs
from gateway.web.problems import Problem
from gateway.web.rendering import language, page

router = APIRouter()

_Short = Annotated[str, Form(max_length=1000)]
SHOWN = 6000
"""Characters of an example that are shown."""
ICONS = {
    "door": "connect",
    "smtp": "connect",
    "mime": "lists",
    "charset": "explain",
    "dialect": "explain",
    "sender": "key",
    "policy": "audit",
    "text": "compose",
}
"""Of the rooms of the trail."""


@router.get("/explain")
async def explain(
    request: Request,
    console: Services,
    visitor: Annotated[Visitor, needs(Scope.READ)],
    example: Annotated[str, Query(max_length=50)] = "",
) -> HTMLResponse:
    """The form, or one of the examples."""
    if not example:
        return _page(request, console.configuration().settings.listeners)
    try:
        raw, found = await console.workbench.explain_example(
            example, numbers=visitor.may(Scope.NUMBERS), language=language(request)
        )
    except KeyError:
        raise Problem(404) from None
    return _page(request, console.configuration().settings.listeners, found, example=example, raw=_readable(raw))


def _readable(raw: bytes) -> str:
    """The example as a person would see it."""
    try:
        return raw.decode("utf-8")[:SHOWN]
    except UnicodeDecodeError:
        return raw.decode("cp1251", "replace")[:SHOWN]


@router.get("/explain/examples/{name}.eml")
async def download(name: str, visitor: Annotated[Visitor, needs(Scope.READ)]) -> Response:
    """To change it and drop it again."""
    del visitor
    if name not in examples():
        raise Problem(404)
    headers = {"Content-Disposition": f'attachment; filename="{name}.eml"'}
    return Response(examples()[name], media_type="message/rfc822", headers=headers)


@router.post("/explain", dependencies=[LOOKS])
async def explained(  # noqa: PLR0913, PLR0917  (the fields of the form)
    request: Request,
    console: Services,
    visitor: Annotated[Visitor, needs(Scope.READ)],
    mail: Annotated[str, Form(max_length=MAX_MAIL)] = "",
    file: Annotated[UploadFile | None, File()] = None,
    to: _Short = "",
    sender: _Short = "",
    listener: _Short = "",
    peer: _Short = "",
) -> HTMLResponse:
    """Of a file, or of what was pasted. It is shown once, and kept nowhere."""
    raw = await file.read(MAX_MAIL + 1) if file is not None else b""
    if len(raw) > MAX_MAIL:
        raise Problem(413, f"more than {MAX_MAIL} bytes")
    raw = raw or mail.encode("utf-8", "surrogatepass")
    given = {"mail": mail if not (file and file.filename) else "", "to": to, "sender": sender}
    given |= {"listener": listener, "peer": peer, "file": (file.filename or "") if file else ""}
    listeners = console.configuration().settings.listeners
    if not raw.strip():
        return _page(request, listeners, given=given)
    arrival = Arrival(split(to), sender.strip() or None, listener if peer or listener else "", peer.strip())
    try:
        found = await explained_to(console, visitor, raw, arrival, language(request))
    except Problem as problem:
        return _page(request, listeners, given=given, fault=problem.detail, status=problem.status)
    return _page(request, listeners, found, given=given)


def _page(
    request: Request,
    listeners: Any,
    found: Explained | None = None,
    *,
    given: dict[str, str] | None = None,
    example: str = "",
    raw: str = "",
    fault: str = "",
    status: int = 200,
) -> HTMLResponse:
    empty = {"mail": "", "to": "", "sender": "", "listener": "", "peer": "", "file": ""}
    return page(
        request,
        "explain.html",
        status,
        found=found,
        given=given or empty,
        listeners=[listener.name for listener in listeners],
        examples=list(examples()),
        example=example,
        raw=raw,
        fault=fault,
        icons=ICONS,
        phase=phase_of,
        credentials=(LOGIN, PASSWORD),
    )
