from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Connection, Engine, ExceptionContext, event

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

    def see(connection: Connection) -> None:
        seen.append(connection)

    event.listen(Engine, "commit", see)
    yield seen
    event.remove(Engine, "commit", see)


@pytest.fixture
def faults(store: Store) -> Iterator[list[ExceptionContext]]:
    """Every error of the database from now on."""
    seen: list[ExceptionContext] = []

    def see(fault: ExceptionContext) -> None:
        seen.append(fault)

    event.listen(Engine, "handle_error", see)
    yield seen
    event.remove(Engine, "handle_error", see)
