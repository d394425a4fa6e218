"""Sign in with an OpenID provider. Authlib speaks the protocol: discovery, code and PKCE, state, nonce, signatures."""

from __future__ import annotations

import base64
import json
import warnings
from typing import Any

import structlog
from fastapi import Request
from fastapi.responses import Response

from gateway.policy.permissions import Role
from gateway.service.sessions import Named
from gateway.settings.sites import OidcSettings
from gateway.web import cookies
from gateway.web.console import Console

log = structlog.get_logger()

COOKIE = "email2sms-oidc"
"""What the provider's answer must fit: for this browser, for ten minutes."""
WAIT_S = 600
TIMEOUT_S = 10
_SIGNED_BY = {"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "Ed25519"}
_RANK = (Role.VIEWER, Role.OPERATOR, Role.ADMIN)


class NotProven(Exception):
    """The provider's answer proves nothing. The log says why."""


class Provider:
    """One for each process; what is discovered is kept."""

    def __init__(self, settings: OidcSettings, back: str) -> None:
        self._settings = settings
        self._back = back
        secret = settings.client_secret.get_secret_value() if settings.client_secret is not None else None
        self._client: Any = _registry().register(
            "oidc",
            client_id=settings.client_id,
            client_secret=secret,
            server_metadata_url=f"{settings.issuer.rstrip('/')}/.well-known/openid-configuration",
            client_kwargs={
                "scope": " ".join(settings.scopes),
                "code_challenge_method": "S256",
                "timeout": TIMEOUT_S,
                "trust_env": False,
                **({} if secret else {"token_endpoint_auth_method": "none"}),
            },
        )

    async def start(self, request: Request, console: Console, target: str) -> Response:
        """To the provider's page. Raises ``NotProven`` when it cannot be reached."""
        kept: dict[str, Any] = {"target": target}
        request.scope["session"] = kept
        try:
            await self._discover()
            answer: Response = await self._client.authorize_redirect(request, self._back)
        except Exception as error:
            log.warning("oidc.away", why=type(error).__name__)
            raise NotProven from None
        cookies.give(request, console, answer, _packed(kept), WAIT_S, of=COOKIE)
        return answer

    async def finish(self, request: Request, console: Console) -> Named:
        """Back from there. Raises ``NotProven``."""
        kept = _unpacked(request.cookies.get(cookies.name(request, console, COOKIE), ""))
        request.scope["session"] = kept
        settings = self._settings
        try:
            await self._discover()
            answer = await self._client.authorize_access_token(
                request,
                claims_options={
                    "iss": {"essential": True, "values": [await self._issuer()]},
                    "aud": {"essential": True, "values": [settings.client_id]},
                },
            )
            claims = answer["userinfo"]  # of the signed id_token
            subject, login = f"{claims['iss']} {claims['sub']}", str(claims[settings.login_claim])
        except Exception as error:  # whatever Authlib finds wrong in it, and what is not there
            log.warning("oidc.not_proven", why=f"{type(error).__name__}: {error}"[:200])
            raise NotProven from None
        found = _names(claims.get(settings.roles_claim))
        roles = {Role(settings.roles[name]) for name in found if name in settings.roles}
        return Named(
            subject=subject,
            login=login,
            role=max(roles, key=_RANK.index) if roles else None,
            texts=any(name in settings.texts for name in found) if settings.texts else None,
            accounts=frozenset(one for name in found for one in settings.accounts.get(name, ()))
            if settings.accounts
            else None,
            target=cookies.inside(str(kept.get("target", "/"))),
        )

    async def _discover(self) -> None:
        """Keys of ours, or none at all, sign nothing here, whatever the provider offers."""
        known = await self._client.load_server_metadata()
        offered = known.get("id_token_signing_alg_values_supported") or ["RS256"]
        known["id_token_signing_alg_values_supported"] = [name for name in offered if name in _SIGNED_BY] or ["RS256"]

    async def _issuer(self) -> str:
        """The one that was asked for: no other one's metadata in its place."""
        said = str((await self._client.load_server_metadata()).get("issuer", ""))
        return said if said.rstrip("/") == self._settings.issuer.rstrip("/") else self._settings.issuer


def _registry() -> Any:
    with warnings.catch_warnings(record=True):  # it would rather have httpx2; ours is httpx
        from authlib.integrations.starlette_client import OAuth  # noqa: PLC0415  (for those only who use it)
    return OAuth()


def _names(value: object) -> set[str]:
    if isinstance(value, list | tuple):
        return {str(one) for one in value}
    return {str(value)} if value is not None else set()


def _packed(kept: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(kept).encode()).decode("ascii")


def _unpacked(cookie: str) -> dict[str, Any]:
    try:
        kept = json.loads(base64.urlsafe_b64decode(cookie))
    except ValueError:
        return {}
    return kept if isinstance(kept, dict) else {}
