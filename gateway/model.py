"""The immutable types that pass from room to room, in the order of a mail's way.

bytes → Envelope, ReceivedEmail → Submission → Accepted, Job → Attempt → Outcome → Notice → Reply.
Times are seconds since the Unix epoch (UTC); numbers are E.164 digits without a plus.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from gateway.lifecycle import State
from gateway.verdicts import Reason, Refusal

# ── a mail comes in ──────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Note:
    """One decision, in the order taken: what the trail of a mail is made of.

    ``room`` says who decided, ``what`` is a word for programs and people, ``values`` hold what it
    was decided on. Never a secret; phone numbers only masked.
    """

    room: str
    what: str
    values: Mapping[str, str | int] = field(default_factory=dict)


class Door(StrEnum):
    """How a mail came in."""

    SMTP = "smtp"
    LMTP = "lmtp"
    PIPE = "pipe"
    CLI = "cli"
    WEB = "web"
    """The console and the API."""


@dataclass(frozen=True, slots=True)
class Dsn:
    """What a client wants to hear of the delivery (RFC 3461), as it wrote it, checked."""

    envid: str = ""
    """An xtext of the client's own, for the report."""
    notify: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """NEVER, or some of SUCCESS, FAILURE, DELAY: by envelope recipient. Others have not been asked about."""
    orcpt: Mapping[str, str] = field(default_factory=dict)
    """The recipient as it first was, ``rfc822;…``, by envelope recipient."""


@dataclass(frozen=True, slots=True)
class Envelope:
    """What a door knows of a mail without having opened it (RFC 5321 §2.3.1)."""

    queue_id: str
    door: Door
    listener: str
    peer: str
    """The client's IP address; empty behind a Unix socket or a pipe."""
    trusted: bool
    """The listener trusts the client's network: that is a verification."""
    identity: str | None
    """The login that SMTP AUTH proved."""
    reverse_path: str
    """MAIL FROM; empty is the null reverse-path."""
    recipients: tuple[str, ...]
    received_at: float
    dsn: Dsn | None = None
    """Asked for by the client (RFC 3461); None: nothing was."""
    answer_by_mail: bool = False
    """Refuse by a reply mail where that is allowed; otherwise in the dialogue."""
    accept_unverified: bool = False
    helo: str = ""
    tls: bool = False
    quirks: tuple[str, ...] = ()
    """What of its dialogue was no SMTP and was forgiven, in words."""


class Vouch(StrEnum):
    """What verifies a sender, the strongest first."""

    OPERATOR = "operator"
    AUTH = "SMTP AUTH"
    TRUSTED = "trusted network"
    ACCOUNT_NETWORK = "account network"
    DMARC = "DMARC"
    DKIM = "DKIM"


@dataclass(frozen=True, slots=True)
class Check:
    """One look at who sent a mail, in the words of RFC 8601: ``dkim``, ``dmarc`` or ``spf``, and what came of it."""

    method: str
    result: str
    """pass, fail, none, temperror, …; ``policy``: it passes, but we do not take it."""
    domain: str = ""
    """Whose word it is: the signer, the From domain, the domain of MAIL FROM."""
    why: str = ""
    key: str = ""
    """Names the signature, and so the mail, however often it is sent."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """What mail authentication found out about a mail, by a border MTA's word or by ours."""

    checks: tuple[Check, ...] = ()
    by: str = ""
    """The border MTA that checked; empty: we did."""
    vouched: Vouch | None = None
    """What verifies the author."""
    answerable: bool = False
    """MAIL FROM is no forgery either: a reply hits nobody else."""
    denied: bool = False
    """The domain's owner says that it is not from there, or could not be asked: no listener takes that."""
    key: str = ""
    """Equal for the same signed mail sent again; empty where nothing was signed."""
    refusal: Refusal | None = None
    """Why it verifies nobody."""

    @property
    def notes(self) -> tuple[Note, ...]:
        """For the trail."""
        by = {"by": self.by} if self.by else {}
        return tuple(
            Note("sender", f"{check.method} {check.result}", {**_given(domain=check.domain, why=check.why), **by})
            for check in self.checks
        )


def _given(**values: str) -> dict[str, str]:
    return {key: value for key, value in values.items() if value}


@dataclass(frozen=True, slots=True)
class ReceivedEmail:
    """A decoded mail: text as people wrote it, and how that was found out."""

    subject: str
    text: str
    from_addresses: tuple[str, ...]
    message_id: str
    automatic: str
    """Why no reply mail may be sent (RFC 3834): the header that says so, or empty."""
    safe_headers: tuple[tuple[str, str], ...]
    """Headers that can hold no credential, for the stored copy."""
    notes: tuple[Note, ...]
    subject_fault: Refusal | None = None
    """Why the subject, then empty, could not be decoded. Matters only where the dialect reads it."""


# ── what it asks for ─────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Password:
    """Login and password, as typed in the mail."""

    login: str
    password: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class ApiKey:
    """An API key; ``login`` where the form names the account too."""

    key: str = field(repr=False)
    login: str | None = None


@dataclass(frozen=True, slots=True)
class NoSecret:
    """A form without a secret (address form b): stands only with a verified sender."""

    login: str


@dataclass(frozen=True, slots=True)
class Speaker:
    """No credential in the mail: it stands for the login that SMTP AUTH proved, else for ``login``, and only with a
    verified sender. The service puts a ``NoSecret`` in its place."""

    login: str


@dataclass(frozen=True, slots=True)
class Operator:
    """Somebody with access to the machine acts for the account (``email2sms send``)."""

    login: str


@dataclass(frozen=True, slots=True)
class Conversation:
    """An answer to an SMS that came in to this number of ours, by an address that the gateway has signed. Stands for
    the account that has the number, and only with a verified sender."""

    number: str
    login: str | None = None


Credential = Password | ApiKey | NoSecret | Speaker | Operator | Conversation


class Channel(StrEnum):
    """By which way a message reaches the subscriber. All but SMS need a provider that knows them (seed 003)."""

    SMS = "sms"
    FLASH = "flash"
    """An SMS that is shown and not kept (class 0)."""
    EMAIL = "email"
    CALL = "call"
    VIBER = "viber"
    SOC = "soc"
    TELEGRAM = "telegram"
    """A code of 4 to 8 digits."""
    BOT = "bot"
    HLR = "hlr"
    """No message: a question about the subscriber. The result comes as a receipt."""
    PING = "ping"
    """An SMS that no handset shows; its receipt tells whether the phone is on."""


TEXTLESS = frozenset({Channel.HLR, Channel.PING})
"""Questions about a subscriber: they need no text."""


@dataclass(frozen=True, slots=True)
class At:
    """Send at this time, seconds since the epoch."""

    time: float


@dataclass(frozen=True, slots=True)
class After:
    """Send so many seconds after the mail has come."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Between:
    """Send between these hours of the day, of a clock that is ahead of UTC by so much."""

    first_hour: int
    last_hour: int
    utc_offset_s: int


When = At | After | Between


@dataclass(frozen=True, slots=True)
class Wishes:
    """What a submission may ask for besides text, originator and destinations. The default: a plain SMS, now."""

    channel: Channel = Channel.SMS
    detail: str = ""
    """What the channel needs besides the text: the subject of an email, a call's voice, a bot's name."""
    comment: str = ""
    """For the sender's own history at the provider; never sent to the subscriber."""
    when: When | None = None
    transliterate: bool | None = None
    """None: as the account says."""


NOTHING_SPECIAL = Wishes()


@dataclass(frozen=True, slots=True)
class Asked:
    """One destination as typed, and the envelope recipient that it answers for."""

    typed: str
    recipient: str


@dataclass(frozen=True, slots=True)
class Submission:
    """What a mail asks for: understood, not trusted."""

    dialect: str
    form: str
    credential: Credential = field(repr=False)
    originator: str
    destinations: tuple[Asked, ...]
    text: str
    recipient: str
    """The envelope recipient that answers for the submission as a whole."""
    list_id: str | None = None
    own_number: bool = False
    max_destinations: int = 20
    max_text_length: int | None = None
    password_max_length: int | None = None
    wishes: Wishes = NOTHING_SPECIAL
    notes: tuple[Note, ...] = ()

    @property
    def secrets(self) -> tuple[str, ...]:
        """The strings that no copy, log or reply may show."""
        match self.credential:
            case Password(password=secret) | ApiKey(key=secret):
                return (secret,) if secret else ()
            case _:
                return ()


# ── what was allowed ─────────────────────────────────────────────────────────────────────────


class Tell(StrEnum):
    """Who hears of more than failures."""

    SENT = "sent"
    """The sender, by mail, when the provider has taken it."""
    RECEIPT = "receipt"
    """The sender, by mail, when the provider says what became of it."""
    HOOK = "hook"
    """A program of the account's owner, of both."""


@dataclass(frozen=True, slots=True)
class Job:
    """One accepted text to one destination (an MT). Made by ``policy`` only; holds no credential."""

    id: str
    mail_id: str
    account: str
    originator: str
    destination: str
    text: str
    segments: int
    route: tuple[str, ...]
    """Names of the providers to try, in order."""
    created_at: float
    expires_at: float
    recipient: str = ""
    resend: bool = False
    """A lost answer that cannot be found out: send it again, better twice than never."""
    channel: Channel = Channel.SMS
    detail: str = ""
    """See ``Wishes.detail``."""
    comment: str = ""
    tell: frozenset[Tell] = frozenset()
    due_at: float | None = None
    """When to hand it to the provider; None: at once."""
    send_at: float | None = None
    """When the provider is to send it; None: as soon as it has it."""
    generation: int = 0
    """How many times an operator has had it sent anew after it had failed."""
    quiet: str = ""
    """Hours in which it does not go out, as ``routing.Hours`` writes them; empty: none."""
    storm: bytes | None = None
    """Equal for SMS that are counted together against an alarm storm; None: never gathered."""

    @property
    def key(self) -> str:
        """By this a provider knows the SMS: the same for each try that must not become a second one."""
        return f"{self.id}.{self.generation}" if self.generation else self.id


@dataclass(frozen=True, slots=True)
class Dropped:
    """A destination that is not sent to, and why."""

    asked: Asked
    refusal: Refusal


@dataclass(frozen=True, slots=True)
class Cap:
    """What a mail would use up of something that has an end."""

    key: tuple[str, str]
    """Whose (a login; empty: all accounts together) and of which period."""
    wanted: int
    limit: int | None
    """None: it is only counted."""
    reason: Reason
    """For refusing it when the cap would be passed."""
    unit: int = 1
    """So many are one for people: money is counted in millionths."""


@dataclass(frozen=True, slots=True)
class NumberCaps:
    """How many SMS one number may get, from all accounts together. None: any number."""

    per_hour: int | None = None
    per_day: int | None = None
    range_per_hour: int | None = None
    """All numbers that differ in the last four digits only: who is paid for SMS owns a whole range."""


@dataclass(frozen=True, slots=True)
class Burst:
    """More jobs than ``above`` under this key, and the account is held until somebody has looked."""

    key: tuple[str, str]
    above: int
    minutes: int


@dataclass(frozen=True, slots=True)
class StormRule:
    """More than ``over`` alike SMS within ``within_s`` are gathered, and one is sent each ``every_s``."""

    over: int
    within_s: float
    every_s: float


@dataclass(frozen=True, slots=True)
class Accepted:
    """The decision about one submission. Without a job, every destination was dropped."""

    account: str
    verified_by: str
    """What verified the sender; empty: unverified, and so never answered by mail."""
    jobs: tuple[Job, ...]
    dropped: tuple[Dropped, ...]
    per_hour: int | None
    per_day: int | None
    language: str
    notes: tuple[Note, ...]
    segments_per_day: int | None = None
    caps: tuple[Cap, ...] = ()
    """Further ones."""
    number_caps: NumberCaps | None = None
    burst: Burst | None = None
    storm: StormRule | None = None


# ── the provider ─────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Attempt:
    """One call for one job, committed as ``submitting`` before the first byte leaves."""

    job: Job
    provider: str
    number: int
    fence: int
    tries: int = 0
    """Failures in a row at this provider before this call."""
    repeats: bool = False
    """The identical request goes out again inside the provider's duplicate window, to learn
    what became of a lost answer."""
    send_before: float = float("inf")
    """On the boot clock: a repeat that leaves later is no longer safe."""


@dataclass(frozen=True, slots=True)
class Request:
    """An HTTP request as data. ``secrets`` are masked wherever it is shown."""

    method: str
    url: str = field(repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: bytes = field(default=b"", repr=False)
    secrets: tuple[str, ...] = field(default=(), repr=False)


@dataclass(frozen=True, slots=True)
class Response:
    """An HTTP response, fully read."""

    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def text(self) -> str:
        """The body as UTF-8, undecodable bytes replaced, no BOM, no NUL, no surrounding space."""
        return self.body.decode("utf-8", "replace").lstrip("\ufeff").replace("\0", "").strip()


class Scope(StrEnum):
    """How far a temporary failure reaches."""

    JOB = "job"
    """Only this job must wait."""
    ROUTE = "route"
    """This provider cannot take it now; another may."""
    PROVIDER = "provider"
    """The whole provider account is stopped until somebody acts."""


@dataclass(frozen=True, slots=True)
class Submitted:
    """The provider took it. Without an id no receipt can be matched."""

    provider_id: str | None
    remark: str = ""
    """What the sender should know; empty: nothing."""
    parts: tuple[str, ...] = ()
    """The ids of the further parts, where each part of a long SMS has an id and a receipt of its own."""
    cost: str = ""
    """As the provider wrote it."""


@dataclass(frozen=True, slots=True)
class Rejected:
    """The provider refused, for good."""

    refusal: Refusal
    alert: bool = False
    """An answer that nobody knows: somebody must look."""
    other_route: bool = False
    """Another provider of the route may still take it."""


@dataclass(frozen=True, slots=True)
class Deferred:
    """Certainly not taken; try again."""

    scope: Scope
    why: str
    after_s: float | None = None
    """Wait this long; None leaves it to the backoff."""


@dataclass(frozen=True, slots=True)
class Uncertain:
    """Bytes left us and no answer can be trusted: it may have been sent."""

    why: str


Outcome = Submitted | Rejected | Deferred | Uncertain


@dataclass(frozen=True, slots=True)
class Receipt:
    """The provider's later word on a job (DLR)."""

    provider_id: str
    state: State
    raw: str
    changed_at: str = ""
    segments: int | None = None
    price: str | None = None
    details: Mapping[str, str] = field(default_factory=dict)
    """What else it says: the handset's error code, the result of an HLR request."""


@dataclass(frozen=True, slots=True)
class Incoming:
    """An SMS from a subscriber to one of our numbers (MO)."""

    provider_id: str
    sender: str
    """E.164 digits, or a name."""
    destination: str
    """Our number, E.164 digits or a short code."""
    text: str


@dataclass(frozen=True, slots=True)
class Callback:
    """An HTTP request that a provider makes to us."""

    method: str
    url: str = field(repr=False)
    """As the provider called it: signatures are made over it."""
    query: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Names in lower case."""
    body: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, slots=True)
class Pushed:
    """What a callback says, and what the provider wants to hear once that is on the disk."""

    receipts: tuple[Receipt, ...] = ()
    incoming: tuple[Incoming, ...] = ()
    answer: Response = Response(200, b"")


@dataclass(frozen=True, slots=True)
class Balance:
    """What is left on the provider account; ``amount`` is a decimal number as the provider wrote it."""

    amount: str
    currency: str
    packages: Mapping[str, str] = field(default_factory=dict)


# ── the answer ───────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Told:
    """What the reply says of one destination."""

    destination: str
    """As typed or as sent; masked by the renderer."""
    state: State
    refusal: Refusal | None
    remark: str = ""
    recipient: str = ""
    """The envelope recipient that it answers for."""
    details: Mapping[str, str] = field(default_factory=dict)
    """What the receipt said besides: the result of an HLR request."""

    @property
    def is_failure(self) -> bool:
        """Neither taken without a remark nor delivered."""
        return self.state is not State.DELIVERED and not (self.state is State.SUBMITTED and not self.remark)


@dataclass(frozen=True, slots=True)
class Notice:
    """The decision to tell the sender: everything that a reply is rendered from."""

    mail_id: str
    to: str
    language: str
    message_id: str
    refusal: Refusal | None
    """The whole mail was refused; None: ``told`` says what happened to single destinations."""
    told: tuple[Told, ...]
    dialect: str
    account: str
    originator: str
    received_at: float
    dsn: Dsn | None = None

    @property
    def is_failure(self) -> bool:
        """Something went wrong; otherwise it was asked for."""
        return self.refusal is not None or any(told.is_failure for told in self.told)


@dataclass(frozen=True, slots=True)
class Reply:
    """The finished mail, ready for the smarthost."""

    to: str
    message: bytes
