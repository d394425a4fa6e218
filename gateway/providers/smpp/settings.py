"""What ``driver: smpp`` may say."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, ClassVar, Literal, Self

from pydantic import AfterValidator, Field, SecretStr, ValidationInfo, field_validator, model_validator

from gateway.model import Channel
from gateway.providers import ProviderSettings
from gateway.smpp.text import Alphabet, Long
from gateway.sms.segments import NATIONAL

Octet = Annotated[int, Field(ge=0, le=255)]


def _with_ucs2(codings: dict[Alphabet, int]) -> dict[Alphabet, int]:
    if Alphabet.UCS2 not in codings:
        raise ValueError("ucs2 is missing: no other alphabet has every letter")
    return codings


def _national(name: str) -> str:
    if name not in NATIONAL:
        raise ValueError(f"no national table; one of {', '.join(NATIONAL)}")
    return name


class SmppSettings(ProviderSettings):
    """``driver: smpp``. One connection for each process of the gateway."""

    driver: Literal["smpp"]
    host: str = Field(min_length=1, description="Of the SMSC.")
    port: int = Field(ge=1, le=65535, description="Often 2775; SMSC.ru: 3700, with TLS 3443.")
    tls: bool = Field(False, description="TLS from the first byte; the certificate must be valid for `host`.")
    ca_file: Path | None = Field(None, description="PEM file of the authorities to trust; empty: the system's.")
    system_id: str = Field(min_length=1, max_length=64, pattern=r"^[\x21-\x7e]+$", description="Login.")
    password: SecretStr = Field(
        SecretStr(""),
        max_length=64,
        description="Its password. SMPP has room for eight characters; longer ones go as they are.",
    )
    password_file: str | None = Field(None, description="A file whose first line is the password.")
    system_type: str = Field(
        "", max_length=12, pattern=r"^[\x21-\x7e]*$", description="If the provider wants one. SMSC.ru: `ISO` or empty."
    )
    bind: Literal["transceiver", "transmitter"] = Field(
        "transceiver", description="`transmitter` gets neither receipts nor incoming SMS."
    )
    enquire_link: float = Field(30, ge=10, le=3600, description="Seconds of silence before the link is tested.")
    registered_delivery: int = Field(1, ge=0, le=2, description="Receipts: 0 none, 1 all, 2 of failures only.")
    source_ton: Octet | None = Field(
        None, description="Of the originator; empty: 5 for a name, 1 for a number, 3 for a short code."
    )
    source_npi: Octet | None = Field(None, description="Of the originator; empty: 0 for a name or short code, else 1.")
    dest_ton: Octet = Field(1, description="Of the destination.")
    dest_npi: Octet = Field(1, description="Of the destination.")
    long_texts: Long = Field(
        Long.UDH,
        description="`udh`: in parts with a header; `sar`: in parts with the parameters `sar_…`; `payload`: whole, in "
        "`message_payload`, for the provider to cut (SMSC.ru).",
    )
    national_tables: tuple[Annotated[str, AfterValidator(_national)], ...] = Field(
        (),
        description="National tables of the 7-bit alphabet that the operators and handsets behind this SMSC know, such "
        "as `turkish`; used where that saves parts. Needs `long_texts: udh`.",
    )
    data_coding: Annotated[dict[Alphabet, Octet], AfterValidator(_with_ucs2)] = Field(
        {Alphabet.GSM7: 0, Alphabet.UCS2: 8},
        description="The number of each alphabet that may be sent: `gsm7`, `latin1`, `ucs2`. SMSC.ru: "
        "`{gsm7: 0, latin1: 4, ucs2: 8}`; with `system_type: ISO`: `{latin1: 0, ucs2: 8}`.",
    )
    id_format: Literal["as_is", "hex", "dec"] = Field(
        "as_is",
        description="How receipts write the ids: `hex` where answers have them decimal, `dec` where answers have them "
        "hexadecimal.",
    )
    send_validity: bool = Field(True, description="Tell how long an SMS is worth delivering.")
    query: bool = Field(False, description="Ask what became of an SMS (query_sm) when no receipt has come.")
    duplicate_window: float | None = Field(
        None, gt=0, le=3600, description="Seconds for which the provider refuses an identical SMS. SMSC.ru: 70."
    )
    smsc_channels: bool = Field(
        False,
        description="This is SMSC.ru or a clone: comments, and channels besides SMS by prefixes such as `__CALL__:`. "
        "Texts that only look so are changed.",
    )

    channels: ClassVar[frozenset[Channel]] = frozenset(Channel)

    @field_validator("ca_file")
    @classmethod
    def _beside_the_configuration(cls, path: Path | None, info: ValidationInfo) -> Path | None:
        return path and Path((info.context or {}).get("folder", ".")) / path

    @model_validator(mode="after")
    def _ca_needs_tls(self) -> Self:
        if self.ca_file is not None and not self.tls:
            raise ValueError("ca_file: without tls it is not used")
        if self.national_tables and (self.long_texts is not Long.UDH or Alphabet.GSM7 not in self.data_coding):
            raise ValueError("national_tables: need long_texts: udh, and gsm7 in data_coding")
        return self

    def national(self) -> frozenset[str]:
        """As the setting says."""
        return frozenset(self.national_tables)

    def carries(self) -> frozenset[Channel]:
        """SMS and flash; all of them at SMSC.ru."""
        return self.channels if self.smsc_channels else frozenset({Channel.SMS, Channel.FLASH})
