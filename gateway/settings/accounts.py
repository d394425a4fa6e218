"""``accounts.yaml``."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, SecretStr

from gateway.model import Channel
from gateway.policy.composing import Transliterate
from gateway.policy.cutting import line_pattern
from gateway.settings.limits import DestinationSettings, LimitSettings
from gateway.settings.values import Language, Network, Seconds
from gateway.strict import Strict


def _line_pattern(value: str) -> str:
    line_pattern(value)
    return value


class TextSettings(Strict):
    """What is done with an account's texts before they go out, in this order: `end_markers`, `cut_from`, `clean`,
    `max_lines`, `transliterate`, `on_too_long`. The default changes nothing (a signature below `-- ` is always cut).
    What would leave no text at all is left undone. `email2sms parse FILE.eml` shows what each has done."""

    end_markers: tuple[Annotated[str, Field(min_length=3, max_length=100)], ...] = Field(
        (),
        max_length=20,
        description="The text ends before the first of these, in any letter case: `[[END]]`, `==|| КОНЕЦ ТЕКСТА ||==`.",
    )
    cut_from: tuple[Annotated[str, AfterValidator(_line_pattern)], ...] = Field(
        (),
        max_length=50,
        description="Signatures and disclaimers: the first line in which one of these regular expressions is found "
        "and all below it are cut: `^с уважением`, `confidential`. Letter case does not matter; the syntax is RE2's "
        "(no look-around, no back-references), so that no mail can make them slow.",
    )
    clean: tuple[Literal["quotes", "monitoring", "links", "blank_lines", "typography", "emoji"], ...] = Field(
        (),
        description="`quotes`: the mail that is answered is left out, in English, Russian and Ukrainian; `monitoring`: "
        "of mails as Zabbix, Grafana, Alertmanager, Nagios and Icinga write them, state and name, host and severity, "
        "value, time are kept; `links`: links in angle brackets that were broken over lines are joined, and stand once "
        "if their words say the same; `blank_lines`: two and more become one, none at the ends, no spaces at the ends "
        "of lines; `typography`: quotes, dashes and spaces of office programs become plain where that makes the SMS "
        "shorter; `emoji`: left out.",
    )
    max_lines: int | None = Field(None, ge=1, description="The rest is cut. Blank lines do not count.")
    transliterate: Transliterate = Field(
        Transliterate.NEVER, description="Write Cyrillic and other letters as Latin ones: 160 characters instead of 70."
    )
    scheme: Literal["wikipedia", "icao", "gost", "mvd", "telegram"] = Field(
        "wikipedia", description="How Russian is written; Ukrainian is written by its own official table."
    )
    on_too_long: Literal["refuse", "cut"] = Field(
        "refuse", description="A text that takes more parts than `limits.max_segments`."
    )


class StormSettings(Strict):
    """Alike SMS beyond a rate become one, "×37". Letters matter, figures do not: never for an account that sends
    one-time codes. Described in `deploy/alerts.md`."""

    over: int = Field(5, ge=1, description="So many alike SMS to one number go out as they are.")
    within: Seconds = Field(600, gt=0, description="Counted from the first of them.")
    every: Seconds = Field(
        600,
        gt=0,
        le=6 * 3600,
        description="Of the further ones, one SMS at the end of each such time, until none come.",
    )


class WebhookSettings(Strict):
    """A program of yours that hears what becomes of each SMS. Described in `deploy/README.md`."""

    url: str = Field(pattern=r"^https?://", description="Where events are posted to, as JSON.")
    secret: SecretStr = Field(min_length=16, description="Key of the signature in `X-Email2sms-Signature`.")
    secret_file: str | None = Field(None, description="A file whose first line is the secret.")


class IncomingSettings(Strict):
    """SMS that come in to numbers of yours at a provider."""

    numbers: tuple[str, ...] = Field(min_length=1, description="Your numbers or short codes, digits only.")
    mail: str | None = Field(
        None,
        pattern=r"^[\x21-\x7e]+@[\x21-\x7e]+$",
        description="Where they are forwarded to; empty: to the webhook only.",
    )


class AccountSettings(Strict):
    """Who may send, and what. Give a password in one of its three forms, or API keys, or neither (form b only)."""

    login: str = Field(min_length=1, max_length=255)
    password: SecretStr | None = Field(None, description="In clear. Better one of the next two.")
    password_file: str | None = Field(None, description="A file whose first line is the password.")
    password_hash: str | None = Field(
        None, pattern=r"^\$argon2id?\$.+", description="argon2, as `email2sms account hash` prints it."
    )
    api_keys: tuple[str, ...] = Field((), description="Keys for the address dialect (forms d and e).")
    phone: str | None = Field(None, description="Own number, for form b.")
    enabled: bool = Field(True, description="The switch; false: FORBIDDEN.")
    senders: tuple[str, ...] = Field((), description="Allowed addresses; `*` matches any characters.")
    networks: tuple[Network, ...] = Field((), description="Networks that verify this account's senders.")
    verify: Literal["any", "dmarc", "network", "auth"] = Field(
        "any",
        description="The least that verifies a sender of this account: `dmarc`: no signature without a DMARC record; "
        "`network`: SMTP AUTH or a network, whatever the mail says of itself; `auth`: SMTP AUTH.",
    )
    originators: tuple[str, ...] = Field((), description='Registered sender names; ["*"]: any.')
    channels: tuple[Channel, ...] = Field(
        (Channel.SMS, Channel.FLASH), min_length=1, description="What it may send; all but sms and flash cost extra."
    )
    lists: dict[str, tuple[str, ...]] = Field(default_factory=dict, description="Stored lists of numbers.")
    stop_list: tuple[str, ...] = Field((), description="Numbers that never get an SMS of this account: BANNED.")
    limits: LimitSettings = LimitSettings.model_construct()
    destinations: DestinationSettings | None = Field(
        None, description="Instead of the gateway's; a key that is left out is taken from there."
    )
    confirm: tuple[Literal["sent", "receipt"], ...] = Field(
        (),
        description="Answer by mail not only what failed: `sent`, when the provider has taken it; `receipt`, when it "
        "says that it was delivered.",
    )
    text: TextSettings = TextSettings.model_construct()
    storm: StormSettings | None = None
    webhook: WebhookSettings | None = None
    incoming: IncomingSettings | None = None
    on_uncertain: Literal["keep", "resend"] = Field(
        "keep",
        description="When a provider's answer is lost and cannot be found out: `keep` leaves the SMS `uncertain` and "
        "tells the sender; `resend` sends it again: better twice than never.",
    )
    language: Language | None = Field(None, description="Of the replies.")


class AccountsFile(Strict):
    """``accounts.yaml``."""

    accounts: tuple[AccountSettings, ...] = ()
