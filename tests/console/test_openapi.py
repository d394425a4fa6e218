"""The API is what its description says: schemathesis calls every route with what fits and what does not."""

from __future__ import annotations

import asyncio
import os
import re
import sys
from pathlib import Path

from gateway.policy.permissions import Scope
from gateway.service.tokens import Tokens
from tests.browser import CONSOLE, base
from tests.process import ENVIRONMENT
from tests.running import running
from tests.traffic import ACCOUNTS, send_all

CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"
PHASES, EXAMPLES = ("coverage,fuzzing", "50") if os.environ.get("EMAIL2SMS_SOAK") else ("fuzzing", "3")
EXCEPT = ("--exclude-path", "/api/v1/events", "--exclude-path", "/api/v1/explain")
"""A stream has no end, and it cannot make a mail."""


async def test_the_api_is_as_described(tmp_path: Path) -> None:
    async with running(tmp_path, CONSOLE, ACCOUNTS) as daemon:
        await send_all(daemon)
        _, token = await Tokens(daemon.store).create("schemathesis", frozenset(Scope), "test")
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "schemathesis.cli", "run", f"{base(daemon)}/api/v1/openapi.json"),
            *("--header", f"Authorization: Bearer {token}", "--checks", CHECKS, "--phases", PHASES),
            *("--max-examples", EXAMPLES, *EXCEPT, "--no-color", "--warnings", "off"),
            *("--suppress-health-check", "all", "--seed", "1", "--continue-on-failure"),
            cwd=tmp_path,
            env=ENVIRONMENT,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        out, _ = await process.communicate()
    assert process.returncode == 0, re.sub(r"(%[0-9A-F]{2}){20,}", "%…", out.decode())[-6000:]
