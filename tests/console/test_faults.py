"""What went wrong is told as a page in the visitor's language, and never with more than it should say."""

from __future__ import annotations

from collections.abc import Callable
from html import unescape
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy.exc import OperationalError
from structlog.testing import capture_logs

from gateway.policy.people import User
from gateway.web.wording import LANGUAGES, catalog
from tests.browser import CONSOLE, base, link
from tests.running import running

SECRET = "79031112233"


def broken(error: Exception) -> Callable[..., Any]:
    async def fail(*_given: Any, **_more: Any) -> Any:
        raise error

    return fail


def away() -> OperationalError:
    return OperationalError(f"SELECT '{SECRET}'", None, RuntimeError("disk I/O error"))


async def test_every_fault_is_a_page(tmp_path: Path) -> None:
    async with running(tmp_path, CONSOLE) as daemon, httpx.AsyncClient(base_url=base(daemon)) as client:
        await client.get(link(daemon, User("vera")))
        for language in LANGUAGES:
            with pytest.MonkeyPatch.context() as patch:
                await told(client, language, patch)


async def told(client: httpx.AsyncClient, language: str, patch: pytest.MonkeyPatch) -> None:
    words, people = catalog(language)["base"], catalog(language)["people"]
    client.cookies.set("language", language)

    async def shown(status: int, path: str, method: str = "GET", **more: Any) -> str:
        answer = await client.request(method, path, **more)
        assert (answer.status_code, answer.headers["content-type"]) == (status, "text/html; charset=utf-8"), path
        assert f'lang="{language}"' in answer.text
        assert words[f"problem_{status}"] in answer.text
        assert not [word for word in ("Traceback", "sqlalchemy", SECRET, "RuntimeError") if word in answer.text]
        assert answer.headers["content-security-policy"]
        return unescape(answer.text)

    await shown(404, "/nothing")
    assert people["scope_admin"] in await shown(403, "/people")
    assert words["not_ours"] in await shown(403, "/logout", "POST")
    await shown(405, "/messages", "PUT")
    await shown(422, "/messages?after=nowhere")
    assert words["problem_413_help"] in await shown(413, "/explain", "POST", content=b"x" * (2**24 + 1))
    with capture_logs() as events:
        patch.setattr("gateway.service.messages.Messages.page", broken(ValueError(SECRET)))
        assert words["problem_500_help"] in await shown(500, "/messages")
        patch.setattr("gateway.service.messages.Messages.page", broken(away()))
        assert words["problem_503_help"] in await shown(503, "/messages")
        api = await client.get("/api/v1/messages")
        patch.setattr("gateway.service.sessions.Sessions.find", broken(away()))
        await shown(503, "/")  # who it is cannot be found out either
    assert (api.status_code, api.headers["content-type"]) == (503, "application/problem+json")
    assert [event["event"] for event in events] == [
        "web.fault",
        "web.store_away",
        "web.store_away",
        "web.store_away",
    ]
    assert SECRET not in repr([event for event in events if event["event"] == "web.store_away"])
