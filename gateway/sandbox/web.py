"""The platform on HTTP: the wire format, the shelf of handsets as a page and as JSON, and the switches."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import asdict
from importlib.resources import files

from aiohttp import web
from pydantic import TypeAdapter

from gateway.sandbox import alphasms, smsc, targetsms, targetsms_json, targetsms_xml
from gateway.sandbox.platform import Answer, Fault, Platform
from gateway.sandbox.push import Pusher, Target

PLATFORM = web.AppKey("platform", Platform)
_PUSHER = web.AppKey("pusher", Pusher)
_FAULT = TypeAdapter(Fault)
_TARGET = TypeAdapter(Target)


def application(platform: Platform) -> web.Application:
    """``/sendsms.php`` and ``/get/`` for programs that send; the rest for people and tests."""
    app = web.Application()
    app[PLATFORM] = platform
    app[_PUSHER] = Pusher(platform)
    app.cleanup_ctx.append(_pushing)
    app.add_routes(
        [
            web.get("/sendsms.php", _targetsms_get),
            web.get("/get/", _targetsms_get),
            web.post("/sendsmsjson.php", _targetsms_json),
            web.post("/xml/{path:.*}", _targetsms_xml),
            web.route("*", "/sys/{script:send|status|balance}.php", _smsc),
            web.post("/api/xml.php", _alphasms_xml),
            web.route("*", "/api/http.php", _alphasms_http),
            web.get("/", _page),
            web.get("/phones", _page),
            web.get("/phones.json", _phones),
            web.delete("/phones.json", _clear),
            web.get("/requests.json", _requests),
            web.post("/faults", _fault),
            web.post("/push", _push),
            web.post("/incoming", _incoming),
            web.post("/phones/{id}/state", _set_state),
        ]
    )
    return app


async def _targetsms_get(request: web.Request) -> web.StreamResponse:
    return await _played(request, targetsms.get(request.app[PLATFORM], request.query.items()))


async def _targetsms_json(request: web.Request) -> web.StreamResponse:
    token = request.headers.get("Authorization", "").removeprefix("Bearer ")
    answer = targetsms_json.post(request.app[PLATFORM], await request.read(), token)
    return await _played(request, answer, "application/json")


async def _targetsms_xml(request: web.Request) -> web.StreamResponse:
    answer = targetsms_xml.post(request.app[PLATFORM], request.match_info["path"], await request.read())
    return await _played(request, answer, "text/xml")


async def _alphasms_xml(request: web.Request) -> web.StreamResponse:
    return await _played(request, alphasms.xml(request.app[PLATFORM], await request.read()), "text/xml")


async def _alphasms_http(request: web.Request) -> web.StreamResponse:
    return await _played(request, alphasms.http(request.app[PLATFORM], await _parameters(request)))


async def _smsc(request: web.Request) -> web.StreamResponse:
    answer = {"send": smsc.send, "status": smsc.status, "balance": smsc.balance}[request.match_info["script"]]
    return await _played(request, answer(request.app[PLATFORM], await _parameters(request)))


async def _parameters(request: web.Request) -> dict[str, str]:
    """Of the query and of a form."""
    form = await request.post()
    return {**request.query, **{key: value for key, value in form.items() if isinstance(value, str)}}


async def _played(request: web.Request, answer: Answer, content_type: str = "text/plain") -> web.StreamResponse:
    """The answer on the wire, faults included."""
    if answer.delay_s:
        await asyncio.sleep(answer.delay_s)
    if answer.cut:
        if request.transport is not None:
            request.transport.abort()
        raise asyncio.CancelledError
    return web.Response(text=answer.body, status=answer.status, content_type=content_type, charset="utf-8")


async def _page(_request: web.Request) -> web.Response:
    page = files("gateway.sandbox").joinpath("phones.html").read_text("utf-8")
    return web.Response(
        text=page,
        content_type="text/html",
        headers={
            "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; "
            "connect-src 'self'; frame-ancestors 'none'",
            "X-Content-Type-Options": "nosniff",
        },
    )


async def _phones(request: web.Request) -> web.Response:
    platform = request.app[PLATFORM]
    wanted = request.query.get("to")
    for sms in platform.messages:
        platform.settle(sms)
    return web.json_response([asdict(sms) for sms in platform.messages if wanted in (None, sms.destination)])


async def _clear(request: web.Request) -> web.Response:
    request.app[PLATFORM].messages.clear()
    request.app[PLATFORM].journal.clear()
    return web.Response(status=204)


async def _requests(request: web.Request) -> web.Response:
    return web.json_response(list(request.app[PLATFORM].journal))


async def _fault(request: web.Request) -> web.Response:
    """``{"answer": "…", "status": 200, "delay_s": 0, "cut": "before"|"after", "times": 1, "destination": "79"}``."""
    try:
        fault = _FAULT.validate_python(await request.json())
    except ValueError as error:
        raise web.HTTPBadRequest(text=f"not a fault: {error}") from None
    request.app[PLATFORM].faults.append(fault)
    return web.Response(status=204)


async def _pushing(app: web.Application) -> AsyncIterator[None]:
    task = asyncio.create_task(app[_PUSHER].run())
    yield
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def _push(request: web.Request) -> web.Response:
    """``{"url": "http://…", "format": "targetsms-xml"}``: from now on receipts are pushed there."""
    try:
        request.app[_PUSHER].target = _TARGET.validate_python(await request.json())
    except ValueError as error:
        raise web.HTTPBadRequest(text=f"no target: {error}") from None
    return web.Response(status=204)


async def _incoming(request: web.Request) -> web.Response:
    """``{"from": "79107654321", "to": "79990001122", "text": "…"}``: somebody writes to us. Goes where receipts go."""
    pusher = request.app[_PUSHER]
    if pusher.target is None:
        raise web.HTTPConflict(text="POST /push first: there is nobody to tell")
    return web.Response(text=await pusher.incoming(pusher.target.url, await request.json()))


async def _set_state(request: web.Request) -> web.Response:
    """``{"state": "not_deliver"}``: what the handset or the network did with the message."""
    platform = request.app[PLATFORM]
    try:
        state = (await request.json())["state"]
    except (ValueError, TypeError, KeyError):
        raise web.HTTPBadRequest(text='not a state: {"state": "deliver"} is one') from None
    for sms in platform.messages:
        if sms.id == request.match_info["id"] and state in ("deliver", "not_deliver", "expired", "partly_deliver"):
            platform.decide(sms, state)
            return web.Response(status=204)
    raise web.HTTPNotFound(text="no such message, or no such state")
