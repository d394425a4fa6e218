"""A driver in a package that knows nothing of this repository: found by its entry point, tested by the shipped kit."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from aiohttp import web

from tests.process import Program
from tests.running import template, write_config

DRIVER = '''
from typing import Literal
from urllib.parse import quote

from pydantic import Field, SecretStr

from gateway.model import Rejected, Request, Response, Submitted, Uncertain
from gateway.providers import PLAIN, ProviderSettings
from gateway.providers.registry import http
from gateway.verdicts import PROVIDER_UNKNOWN_ANSWER, Refusal


class PigeonSettings(ProviderSettings):
    """Sends by carrier pigeon."""

    driver: Literal["pigeon"]
    url: str
    key: SecretStr


class Pigeon:
    traits = PLAIN

    def __init__(self, settings, callback_url=""):
        self._url, self._key = settings.url, settings.key.get_secret_value()

    def submit(self, attempts):
        job = attempts[0].job
        query = f"to={job.destination}&say={quote(job.text, safe='')}&key={quote(self._key, safe='')}"
        return Request("GET", f"{self._url}?{query}", secrets=(self._key, quote(self._key, safe="")))

    def read_submit(self, attempts, response):
        if response.status == 200 and response.text.startswith("flies ") and response.text[6:].isdigit():
            return [Submitted(response.text[6:])]
        if response.status >= 500 or not response.text:
            return [Uncertain(f"HTTP {response.status}")]
        return [Rejected(Refusal(PROVIDER_UNKNOWN_ANSWER, {"code": 0, "text": ""}), alert=True)]


KIND = http(PigeonSettings, Pigeon)
'''
TESTS = """
from pydantic import SecretStr

from gateway.model import Response
from gateway.testing import DriverContract
from pigeon_post import Pigeon, PigeonSettings


class TestPigeon(DriverContract):
    words = ("flies ",)

    def make(self):
        return Pigeon(PigeonSettings(driver="pigeon", url="https://pigeons.example/", key=SecretStr(self.secret)))

    def sent(self, attempts):
        return Response(200, b"flies 17")
"""


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Installed as pip would: the module, and the metadata that name its entry point."""
    site = tmp_path / "site"
    metadata = site / "pigeon_post-1.0.dist-info"
    metadata.mkdir(parents=True)
    (site / "pigeon_post.py").write_text(DRIVER)
    (site / "test_pigeon.py").write_text(TESTS)
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: pigeon-post\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text("[email2sms.providers]\npigeon = pigeon_post:KIND\n")
    path = os.pathsep.join(filter(None, [str(site), str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH", "")]))
    monkeypatch.setenv("PYTHONPATH", path)
    return site


async def test_it_sends(package: Path, tmp_path: Path) -> None:
    heard: list[dict[str, str]] = []

    async def fly(request: web.Request) -> web.Response:
        heard.append(dict(request.query))
        return web.Response(text=f"flies {len(heard)}")

    app = web.Application()
    app.router.add_get("/", fly)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}/"
    providers = {"main": {"driver": "pigeon", "url": url, "key": "coo"}}
    config = write_config(tmp_path, {"providers": providers, "log": {"format": "json"}})
    gateway = await Program.start(config, "env", f"PYTHONPATH={os.environ['PYTHONPATH']}")
    try:
        await gateway.mail(template("Привет"), "emailtosms@sms.example.com")
        sent = await gateway.event("sms.submitted")
    finally:
        await gateway.stop()
        await runner.cleanup()
    assert heard == [{"to": "79101234567", "say": "Привет", "key": "coo"}]
    assert (sent["provider"], sent["provider_id"]) == ("main", "1")


def test_it_passes_the_kit(package: Path) -> None:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", "test_pigeon.py"]
    done = subprocess.run(command, cwd=package, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stdout
    assert "passed" in done.stdout


def test_a_driver_that_loses_answers_does_not(package: Path) -> None:
    """The kit can fail: this one takes whatever is said for sent."""
    bad = DRIVER.replace('response.status == 200 and response.text.startswith("flies ")', "True").replace(
        "and response.text[6:].isdigit()", ""
    )
    (package / "pigeon_post.py").write_text(bad)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", "test_pigeon.py"]
    done = subprocess.run(command, cwd=package, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 1
    assert "test_words_that_nobody_knows_never_mean_sent" in done.stdout


def test_its_settings_are_checked_as_ours(package: Path, tmp_path: Path) -> None:
    config = write_config(tmp_path, {"providers": {"main": {"driver": "pigeon", "url": "x", "kee": "coo"}}})
    command = [sys.executable, "-m", "gateway", "check-config", "--config", str(config), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 78
    assert "did you mean 'key'" in done.stderr
    good = write_config(tmp_path, {"providers": {"main": {"driver": "pigeon", "url": "x", "key": "coo"}}})
    done = subprocess.run([*command[:5], str(good), "--json"], capture_output=True, text=True, check=False, timeout=60)
    assert json.loads(done.stdout)["providers"] == {"main": "pigeon"}
