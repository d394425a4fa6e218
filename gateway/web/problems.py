"""Mistakes, told to programs: RFC 9457."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from fastapi import Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict

from gateway.verdicts import Refusal


class ProblemBody(BaseModel):
    """What ``application/problem+json`` holds."""

    model_config = ConfigDict(extra="allow")

    type: str = "about:blank"
    title: str
    status: int
    detail: str = ""
    verdict: str | None = None


class Problem(Exception):
    """A request that ends here. The pages show it as a page, the API as JSON."""

    def __init__(
        self, status: int, detail: str = "", *, verdict: str | None = None, words: str = "", **more: Any
    ) -> None:
        """``detail`` is for programs; ``words``, a key of the console's, says it to people."""
        super().__init__(detail)
        self.status, self.detail, self.verdict, self.words, self.more = status, detail, verdict, words, more

    @classmethod
    def of(cls, refusal: Refusal, sentence: str) -> Problem:
        """What the gateway refuses."""
        return cls(422, sentence, verdict=refusal.code, reason=refusal.reason.key)

    @property
    def title(self) -> str:
        """The status in words."""
        return HTTPStatus(self.status).phrase


class SignIn(Exception):
    """A page that only somebody who has signed in may see."""


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """For ``responses=`` of a route: which mistakes it tells, besides 400, 401, 403 and 422."""
    return {
        status: {
            "description": HTTPStatus(status).phrase,
            "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
        }
        for status in sorted({400, 401, 403, 422, *statuses})
    }


def answer(_request: Request, problem: Problem) -> JSONResponse:
    """As JSON."""
    body = ProblemBody(
        title=problem.title, status=problem.status, detail=problem.detail, verdict=problem.verdict, **problem.more
    )
    headers = {"WWW-Authenticate": "Bearer"} if problem.status == HTTPStatus.UNAUTHORIZED else None
    return JSONResponse(
        body.model_dump(exclude_none=True), problem.status, headers, media_type="application/problem+json"
    )
