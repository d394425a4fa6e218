from __future__ import annotations

from pathlib import Path

import pytest

STORES = ["sqlite"]


def url_of(store: str, folder: Path) -> str:
    """A store of its own."""
    assert store == "sqlite"
    return f"sqlite:///{folder}/store/gateway.db"


@pytest.fixture(params=STORES)
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return url_of(request.param, tmp_path)
