"""``/api``: what programs may ask, for people."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from gateway.policy.permissions import Scope, Visitor
from gateway.web.needs import needs
from gateway.web.rendering import page

router = APIRouter()


@router.get("/api")
async def api(request: Request, visitor: Annotated[Visitor, needs(Scope.READ)]) -> HTMLResponse:
    """From the same description that programs read."""
    del visitor
    groups: dict[str, list[dict[str, Any]]] = {}
    for path, methods in request.app.openapi()["paths"].items():
        for method, operation in methods.items():
            groups.setdefault(operation.get("tags", ["more"])[0], []).append(_shown(method, path, operation))
    return page(request, "api.html", groups=groups, address=str(request.base_url).rstrip("/"))


def _shown(method: str, path: str, operation: dict[str, Any]) -> dict[str, Any]:
    body = operation.get("requestBody", {}).get("content", {})
    return {
        "id": operation["operationId"],
        "method": method.upper(),
        "path": path,
        "description": operation.get("description", ""),
        "scopes": [scope for asked in operation.get("security", ()) for scopes in asked.values() for scope in scopes],
        "parameters": operation.get("parameters", ()),
        "takes": ", ".join(body),
        "answers": operation["responses"],
    }
