"""An OpenID provider on the loopback, that can lie."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from aiohttp import BasicAuth, web
from joserfc import jwt
from joserfc.jwk import RSAKey

CLIENT, SECRET = "email2sms", "the client's own secret"


ZOYA = {"sub": "1", "preferred_username": "Zoya", "groups": ["ops"]}


@dataclass
class Provider:
    """``person`` is who signs in next; ``lies`` replace claims of the id_token, None takes one away."""

    issuer: str = ""
    person: dict[str, Any] = field(default_factory=lambda: dict(ZOYA))
    lies: dict[str, Any] = field(default_factory=dict)
    algorithm: str = "RS256"
    key: Any = None
    announces: tuple[str, ...] = ("none", "HS256", "RS256")
    """A provider that would do anything."""
    asked: list[dict[str, str]] = field(default_factory=list)
    given: dict[str, dict[str, str]] = field(default_factory=dict)
    """What was asked for, by the code that was given."""

    def __post_init__(self) -> None:
        self.published = RSAKey.generate_key(2048, {"kid": "1", "use": "sig", "alg": "RS256"})
        self.key = self.published

    def _metadata(self) -> dict[str, Any]:
        return {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}/authorize",
            "token_endpoint": f"{self.issuer}/token",
            "jwks_uri": f"{self.issuer}/jwks",
            "response_types_supported": ["code"],
            "id_token_signing_alg_values_supported": self.announces,
            "code_challenge_methods_supported": ["S256"],
        }

    async def authorize(self, request: web.Request) -> web.Response:
        """Signs in without a word."""
        asked = dict(request.query)
        self.asked.append(asked)
        code = secrets.token_urlsafe(16)
        self.given[code] = asked
        back = urlencode({"code": code, "state": asked["state"]})
        raise web.HTTPFound(f"{asked['redirect_uri']}?{back}")

    async def token(self, request: web.Request) -> web.Response:
        """For a code that was given, to who can prove that he asked for it; once."""
        form = await request.post()
        asked = self.given.pop(str(form.get("code")), None)
        client = BasicAuth.decode(request.headers.get("Authorization", ""))
        challenge = hashlib.sha256(str(form.get("code_verifier")).encode()).digest()
        is_right = (
            asked is not None
            and (client.login, client.password) == (CLIENT, SECRET)
            and asked["redirect_uri"] == form.get("redirect_uri")
            and asked["code_challenge_method"] == "S256"
            and asked["code_challenge"] == _encoded(challenge)
        )
        if asked is None or not is_right:
            return web.json_response({"error": "invalid_grant"}, status=400)
        now = int(time.time())
        claims = {"iss": self.issuer, "aud": CLIENT, "iat": now, "exp": now + 300, "nonce": asked["nonce"]}
        claims = {name: value for name, value in {**claims, **self.person, **self.lies}.items() if value is not None}
        header = {"alg": self.algorithm, "kid": "1"}
        if self.algorithm == "RS256":
            signed = jwt.encode(header, claims, self.key)
        else:  # a library would refuse to
            signed = ".".join(_encoded(json.dumps(part).encode()) for part in (header, claims))
            pem = self.published.as_pem(private=False)
            secret = hmac.digest(pem, signed.encode(), "sha256") if self.algorithm == "HS256" else b""
            signed += "." + _encoded(secret)
        return web.json_response(
            {"access_token": secrets.token_urlsafe(8), "token_type": "Bearer", "expires_in": 300, "id_token": signed}
        )

    def application(self) -> web.Application:
        """Its site."""

        async def metadata(_request: web.Request) -> web.Response:
            return web.json_response(self._metadata())

        async def keys(_request: web.Request) -> web.Response:
            return web.json_response({"keys": [self.published.as_dict(private=False)]})

        app = web.Application()
        app.router.add_get("/.well-known/openid-configuration", metadata)
        app.router.add_get("/jwks", keys)
        app.router.add_get("/authorize", self.authorize)
        app.router.add_post("/token", self.token)
        return app

    def sign_with_another_key(self) -> None:
        """Of the same name."""
        self.key = RSAKey.generate_key(2048, {"kid": "1"})

    def sign_by(self, algorithm: str) -> None:
        """``HS256``: the public key as a secret, as in CVE-2015-9235; ``none``: not at all."""
        self.algorithm = algorithm

    def be_honest(self) -> None:
        """No lies any more."""
        self.lies, self.algorithm, self.key = {}, "RS256", self.published


def _encoded(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


@asynccontextmanager
async def provider() -> AsyncIterator[Provider]:
    """Listen."""
    found = Provider()
    runner = web.AppRunner(found.application(), access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    found.issuer = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield found
    finally:
        await runner.cleanup()
