from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Connection, Engine, event

from gateway.spool.store import Store


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/gateway.db"


@pytest.fixture
def store(url: str) -> Iterator[Store]:
    opened = Store.open(url, exclusive=True)
    yield opened
    opened.close()


@pytest.fixture
def other(store: Store, url: str) -> Iterator[Store]:
    """The same file as another process has it open."""
    opened = Store.open(url, exclusive=False)
    yield opened
    opened.close()


@pytest.fixture
def commits(store: Store) -> Iterator[list[Connection]]:
    """Every commit from now on."""
    seen: list[Connection] = []
    event.listen(Engine, "commit", seen.append)
    yield seen
    event.remove(Engine, "commit", seen.append)
