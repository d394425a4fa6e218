"""Sections of ``gateway.yaml``: what is open by HTTP."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, SecretStr

from gateway.settings.notation import METRICS_BIND, tcp_address
from gateway.settings.values import Network, Seconds
from gateway.strict import Strict


class ConsoleTlsSettings(Strict):
    """HTTPS without a proxy in front."""

    certificate: Path = Field(description="PEM file: the certificate and its chain.")
    key: Path = Field(description="PEM file: the private key.")


class ProxyLoginSettings(Strict):
    """A proxy in front that has checked who comes, and writes his login into a header. It must delete such a header of
    others; from anywhere else it is ignored, and that is logged once."""

    header: str = Field("X-Remote-User", pattern=r"^[A-Za-z][A-Za-z0-9-]*$", description="Its name.")
    networks: tuple[Network, ...] = Field(min_length=1, description="The proxy's addresses.")
    new_users: Literal["viewer", "operator", "admin"] | None = Field(
        None, description="What somebody becomes whom nobody has added. Default: only known users come in."
    )
    accounts: tuple[str, ...] = Field(
        (), description='Which accounts such a one sees; `["*"]`: all. Default: none, until somebody says so on People.'
    )


class OidcSettings(Strict):
    """Sign in with an OpenID provider: authorization code and PKCE. `deploy/console.md` has examples. Its redirect URI
    is `console.url` and `/login/oidc/back`."""

    issuer: str = Field(pattern=r"^https?://[^?#\s]+$", description="Where `/.well-known/openid-configuration` is.")
    name: str = Field("OpenID", min_length=1, max_length=40, description="On the button of the login page.")
    client_id: str = Field(min_length=1, description="Ours, as the provider has it.")
    client_secret: SecretStr | None = Field(None, description="Its secret; a public client has none.")
    client_secret_file: str | None = Field(None, description="A file whose first line is the secret.")
    scopes: tuple[str, ...] = Field(("openid", "profile", "email"), description="What is asked for.")
    login_claim: str = Field("preferred_username", description="What becomes the login.")
    roles_claim: str = Field("groups", description="Where the provider says what somebody is: a name or a list.")
    roles: dict[str, Literal["viewer", "operator", "admin"]] = Field(
        min_length=1,
        description="What these names mean here; the highest counts, at each login. Who has none is refused.",
    )
    texts: tuple[str, ...] = Field((), description="Names whose owners may also read what people wrote.")
    new_users: bool = Field(True, description="Users are made at their first login; `false`: only those who are known.")
    accounts: dict[str, tuple[str, ...]] = Field(
        default_factory=dict,
        description='Which accounts the owners of these names see, set at each login; `{"staff": ["*"]}`: all. Who has '
        "none of the names sees none. Without it, People decides, and new users see none.",
    )


class ConsoleSettings(Strict):
    """The web console and the HTTP API. Described in `deploy/console.md`."""

    bind: Annotated[str, AfterValidator(tcp_address)] = Field("127.0.0.1:8025", description="`host:port`.")
    url: str | None = Field(
        None,
        pattern=r"^https?://[^/?#\s]+/?$",
        description="The same as people see it, through your proxy: `https://sms.example.com`. For links. "
        "Default: that of `bind`.",
    )
    tls: ConsoleTlsSettings | None = Field(None, description="HTTPS without a proxy in front.")
    proxies: tuple[Network, ...] = Field(
        (), description="Proxies whose `X-Forwarded-For` and `X-Forwarded-Proto` are believed; nobody else's are."
    )
    session_idle: Seconds = Field(12 * 3600.0, ge=60, description="A session ends when it is not used for so long.")
    session_longest: Seconds = Field(7 * 86400.0, ge=60, description="And after that time in any case.")
    proxy: ProxyLoginSettings | None = Field(None, description="Who a proxy in front says it is.")
    oidc: OidcSettings | None = Field(None, description="Sign in with an OpenID provider.")


class CallbacksSettings(Strict):
    """Where providers report to: receipts and incoming SMS. The address of a provider with a `callback_token` is
    `url/NAME/TOKEN`; `email2sms provider callbacks` prints it."""

    bind: Annotated[str, AfterValidator(tcp_address)] = Field("127.0.0.1:8026", description="`host:port`.")
    url: str = Field(
        pattern=r"^https?://[^?#\s]+$",
        description="The same as the providers see it, through your proxy, e.g. `https://sms.example.com/callbacks`.",
    )


class MetricsSettings(Strict):
    """Figures for Prometheus on `/metrics`, and `/livez` and `/readyz` for who restarts and balances: described in
    `deploy/monitoring.md`. It has no password: bind it where only your monitoring comes."""

    bind: Annotated[str, AfterValidator(tcp_address)] = Field(METRICS_BIND, description="`host:port`.")
    accounts: tuple[str, ...] = Field(
        (),
        max_length=200,
        description="Logins whose parts of SMS are counted one by one, `email2sms_account_parts_total`. Nobody else's.",
    )
