"""How a request that went wrong is told: to people as a page in their language, to programs as JSON."""

from __future__ import annotations

from fastapi import Request
from fastapi.responses import Response

from gateway.web.needs import is_api
from gateway.web.problems import Problem, answer
from gateway.web.rendering import page


def tell(request: Request, problem: Problem) -> Response:
    """Asks the store nothing: it may be what is wrong."""
    if is_api(request):
        return answer(request, problem)
    return page(request, "problem.html", problem.status, problem=problem)
