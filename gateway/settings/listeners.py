"""Sections of ``gateway.yaml``: the doors for mail, and who is asked about its senders."""

from __future__ import annotations

from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from gateway.settings.values import Bind, Network, Seconds
from gateway.strict import Strict


class TlsSettings(Strict):
    """Encryption of a listener. Clients from untrusted networks must use it before MAIL and AUTH."""

    certificate: Path = Field(description="PEM file: the certificate and its chain.")
    key: Path = Field(description="PEM file: the private key.")
    mode: Literal["starttls", "implicit"] = Field(
        "starttls", description="`implicit` is TLS from the first byte (465)."
    )
    min_version: Literal["TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3"] = Field(
        "TLSv1.2",
        description="`TLSv1` and `TLSv1.1` are broken: for old devices in trusted networks only, on a listener "
        "that is `lenient`.",
    )

    @property
    def is_old(self) -> bool:
        """Versions are taken that RFC 8996 forbids."""
        return self.min_version in ("TLSv1", "TLSv1.1")


class AuthenticationResultsSettings(Strict):
    """The MTA in front that checks senders and writes what it found into `Authentication-Results` (RFC 8601). It must
    delete such fields of others that bear its name: `deploy/senders.md`."""

    authserv_id: str = Field(
        pattern=r"^[A-Za-z0-9._-]+$", description="The name that its fields begin with, e.g. `mx.example.com`."
    )
    peers: tuple[Network, ...] = Field(
        min_length=1, description="Its addresses: from others these fields prove nothing."
    )
    own_received: int = Field(
        0, ge=0, le=5, description="Its `Received` fields that stand above the results: 1 for Postfix with OpenDKIM."
    )


class ListenerSettings(Strict):
    """A door for mail."""

    name: str = Field(min_length=1, max_length=64, description="As in the log and the metrics.")
    bind: Bind = Field(description="`host:port`, or `unix:/path` for a socket (trusted, like the pipe).")
    protocol: Literal["smtp", "lmtp"] = Field("smtp", description="LMTP answers for each recipient (RFC 2033).")
    trust: tuple[Network, ...] = Field(
        (),
        description="Networks whose clients are verified by where they are; they may log in without TLS, too.",
    )
    lenient: bool = Field(
        False,
        description="Forgive old devices in the networks of `trust` what is no SMTP, and note it: "
        "`email2sms quirks`, `deploy/devices.md`.",
    )
    on_refusal: Literal["reply", "reject"] | None = Field(
        None,
        description="`reply`: accept and answer by mail, where that is allowed; `reject`: in the dialogue. "
        "Default: `reply`, for LMTP `reject`.",
    )
    accept_unverified: bool = Field(
        False,
        description="Take mails of unverified senders if address and credential are right. Addresses are forged.",
    )
    authentication_results: AuthenticationResultsSettings | None = Field(
        None, description="Senders are verified by what the MTA in front found out."
    )
    verify: tuple[Literal["dkim", "dmarc", "spf"], ...] = Field(
        (),
        description="Our own checks, for mails that come straight from the internet (needs `email2sms[mailauth]`): "
        "`dkim` and `dmarc` verify a sender, `spf` lets one be answered by mail.",
    )
    tls: TlsSettings | None = Field(
        None, description="STARTTLS or implicit TLS; needed for AUTH from untrusted networks."
    )
    max_connections: int = Field(1000, ge=1, description="At one time, all clients together.")
    max_connections_per_client: int = Field(100, ge=1, description="At one time, one IP address.")
    max_message_bytes: int = Field(10_485_760, ge=1024, le=104_857_600, description="SIZE.")
    max_recipients: int = Field(100, ge=1, le=10_000, description="RCPTs of one mail.")
    max_errors: int = Field(10, ge=1, description="Refused commands before the connection is closed.")
    command_timeout: Seconds = Field(300, description="For one command, and between two.")
    data_timeout: Seconds = Field(600, description="For the whole of one mail's DATA.")
    session_timeout: Seconds = Field(3600, description="For all that an untrusted client does in one connection.")
    greet_pause: Seconds = Field(
        0,
        description="How long an untrusted client waits for the greeting; who speaks before it is turned away. Without "
        "a pause only who has spoken already when it is accepted.",
    )
    proxies: tuple[Network, ...] = Field(
        (), description="Load balancers and MTAs in front that may say who the client is. Nobody else may."
    )
    proxy_protocol: bool = Field(
        False,
        description="Each connection comes from `proxies` and begins with a PROXY header (version 1 or 2), before TLS.",
    )
    xclient: bool = Field(False, description="Postfix's XCLIENT, from `proxies`.")
    xclient_login: bool = Field(
        False, description="An account that XCLIENT names as LOGIN counts as proven by SMTP AUTH."
    )
    socket_mode: str = Field("660", pattern=r"^[0-7]{3}$", description="Permissions of a Unix socket.")

    @property
    def answers_by_mail(self) -> bool:
        """``on_refusal`` with its default."""
        return (self.on_refusal or ("reject" if self.protocol == "lmtp" else "reply")) == "reply"


def _nameserver(value: str) -> str:
    try:
        _host_port(value)
    except ValueError:
        raise ValueError(
            "give an IP address, with a port where that is not 53: 192.0.2.53, [2001:db8::53]:5353"
        ) from None
    return value


def _host_port(value: str) -> tuple[str, int]:
    host, _, port = value.rpartition(":")
    if value.count(":") == 1 or (value.startswith("[") and not value.endswith("]")):
        return str(ip_address(host.strip("[]"))), int(port)
    return str(ip_address(value.strip("[]"))), 53


class DnsSettings(Strict):
    """What is asked for the keys and policies of senders' domains (`listeners.verify`)."""

    nameservers: tuple[Annotated[str, AfterValidator(_nameserver)], ...] = Field(
        (), description="IP addresses, `:port` where that is not 53. Default: the system's."
    )
    timeout: Seconds = Field(5, gt=0, le=15, description="For all questions about one mail; then it is put off (451).")

    @property
    def asked(self) -> tuple[tuple[tuple[str, int], ...], float]:
        """Addresses with ports, and the time."""
        return tuple(map(_host_port, self.nameservers)), self.timeout
