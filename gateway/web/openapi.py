"""The description of the API: OpenAPI 3.1, made from the routes' types."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI

from gateway.web.problems import ProblemBody


def described(app: FastAPI) -> dict[str, Any]:
    """``/api/v1/openapi.json``."""
    if app.openapi_schema is None:
        schema = FastAPI.openapi(app)
        schema["components"]["schemas"]["Problem"] = ProblemBody.model_json_schema()
        for unused in ("HTTPValidationError", "ValidationError"):  # FastAPI's own; ours are problems
            schema["components"]["schemas"].pop(unused, None)
        app.openapi_schema = schema
    return app.openapi_schema
