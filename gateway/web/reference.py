"""The page ``deploy/api.md``: every route of the API, made from the routes themselves by ``make config``."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fastapi import FastAPI

from gateway.web.app import API

HEAD = """\
# The API

Made from the routes by `make config`; do not edit. What each takes and answers: the page *API* of the console, and
`/api/v1/openapi.json` (OpenAPI 3.1).

- All of it is below `/api/v1`; who calls shows [a token](console.md#api-tokens): `Authorization: Bearer e2s_…`. The
  scopes that a route needs stand beside it; a token of single accounts sees and changes only what is theirs.
- Mistakes are `application/problem+json` (RFC 9457): `status`, `title`, `detail`, and `verdict` where a mail would get
  one. 405 says in `Allow` what there is; HEAD is answered wherever GET is.
- Lists are `{"items": […], "next": …}`; as what `next` is given stands in the description. Times are RFC 3339, in UTC.
- `Idempotency-Key` on `POST /messages`: [console.md](console.md#sending-by-the-api). Times in a query `q` are on the
  clock of the gateway's machine, or of `zone=Europe/Moscow`.
"""


def markdown() -> str:
    """The page."""
    return HEAD + "".join(_tables())


def _tables() -> Iterator[str]:
    app = FastAPI()
    for router in API:
        app.include_router(router)
    by_tag: dict[str, list[str]] = {}
    for path, methods in app.openapi()["paths"].items():
        for method, operation in methods.items():
            by_tag.setdefault(operation["tags"][0], []).append(_row(method.upper(), path, operation))
    for tag in sorted(by_tag):
        yield f"\n## {tag.capitalize()}\n\n| | scopes | |\n|---|---|---|\n" + "".join(by_tag[tag])


def _row(method: str, path: str, operation: dict[str, Any]) -> str:
    scopes = [scope for asked in operation.get("security", ()) for given in asked.values() for scope in given]
    shown = ", ".join(f"`{scope}`" for scope in scopes)
    return f"| `{method} {path}` | {shown} | {' '.join(operation.get('description', '').split())} |\n"


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(markdown(), "utf-8")
