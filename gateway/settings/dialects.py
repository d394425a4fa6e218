"""The section ``dialects``."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, SecretStr

from gateway.dialects.families import Role
from gateway.strict import Strict


class TemplateSettings(Strict):
    """`SmsUser=`, `Password=`, `SourceAddress=`, `PhoneNumber=` and the text in the body."""

    addresses: tuple[str, ...] = Field(min_length=1, description="Service addresses.")
    charset: str = Field("windows-1251", description="Of mails that declare none.")
    max_destinations: int = Field(20, ge=1, le=1000, description="Numbers in one mail.")
    password_max_length: int = Field(8, ge=0, description="Longer ones are refused; 0: no limit.")


class AddressSettings(Strict):
    """`phone@domain`, with `originator;login;password;` as the subject."""

    domains: tuple[str, ...] = Field(min_length=1, description="Every address in them is ours.")
    charset: str = Field("utf-8", description="Of mails that declare none.")
    max_text_length: int = Field(500, ge=1, description="Characters.")
    max_destinations: int = Field(20, ge=1, le=1000, description="Recipients of one mail.")


class SmscDialectSettings(Strict):
    """`login:psw:id:time:translit,format,sender:phones:mes` in the body, as SMSC.ru takes it."""

    addresses: tuple[str, ...] = Field(min_length=1, description="Service addresses.")
    charset: str = Field("koi8-r", description="Of mails that declare none.")
    max_destinations: int = Field(100, ge=1, le=1000, description="Numbers in one mail.")


class ReplySettings(Strict):
    """Answers to mails in which incoming SMS were forwarded: they go back as SMS."""

    domain: str = Field(min_length=1, description="A domain whose mail comes to the gateway.")
    key: SecretStr = Field(min_length=16, description="A random secret: who has it can make addresses of answers.")
    key_file: str | None = Field(None, description="A file whose first line is the key.")


class FamilySettings(Strict):
    """A relative of our dialects; `config/dialects` has examples. A credential is `login` and `password`, or `key`."""

    name: str = Field(pattern=r"^[a-z][a-z0-9-]{0,30}$", description="In log, metrics and replies.")
    style: Literal["fields", "subject", "plain"] = Field(
        description="`fields`: a key and its value a line, in the body. `subject`: `number@domain` and fields in the "
        "subject. `plain`: `number@domain` and no credential: the sender logs in by SMTP AUTH, or is in a trusted "
        "network."
    )
    addresses: tuple[str, ...] = Field((), description="`fields`: service addresses.")
    domains: tuple[str, ...] = Field((), description="`subject` and `plain`: every address in them is ours.")
    keys: dict[str, Role] = Field(default_factory=dict, description="`fields`: what each key means.")
    fields: tuple[Role, ...] = Field((), description="`subject`: what the fields mean, in order.")
    optional: tuple[Role, ...] = Field((), description="`subject`: fields that may follow.")
    separator: str | None = Field(
        None,
        pattern=r"^[:=;,|]$",
        description="Between key and value, default `:`; between a subject's fields, default `;`.",
    )
    text: Literal["subject", "body", "both"] = Field("body", description="`plain`: what is sent.")
    account: str | None = Field(None, description="`plain`: whose mails are that come without SMTP AUTH.")
    originator: str | None = Field(None, description="`plain`: default: the account's only one.")
    charset: str = Field("utf-8", description="Of mails that declare none.")
    max_destinations: int = Field(20, ge=1, le=1000, description="Numbers in one mail.")


class DialectsSettings(Strict):
    """How mails are written. At least one; a recipient that no dialect claims is refused."""

    template: TemplateSettings | None = None
    address: AddressSettings | None = None
    smsc: SmscDialectSettings | None = None
    reply: ReplySettings | None = None
    families: tuple[FamilySettings, ...] = ()
