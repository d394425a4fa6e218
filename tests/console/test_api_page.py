"""``deploy/api.md`` names every route of the API, and no other."""

from __future__ import annotations

from pathlib import Path

from gateway.web import reference


def test_the_page_is_up_to_date() -> None:
    page = Path(__file__).parents[2] / "deploy" / "api.md"
    assert page.read_text("utf-8") == reference.markdown(), "run: make config"
