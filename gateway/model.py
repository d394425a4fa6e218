"""The immutable types that pass from room to room, in the order of a mail's way.

bytes → Envelope, ReceivedEmail → Submission → Accepted, Job → Attempt → Outcome → Notice → Reply.
Times are seconds since the Unix epoch (UTC); numbers are E.164 digits without a plus.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from gateway.lifecycle import State
from gateway.verdicts import Refusal

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
    answer_by_mail: bool = False
    """Refuse by a reply mail where that is allowed; otherwise in the dialogue."""
    accept_unverified: bool = False
    helo: str = ""
    tls: bool = False


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
class Operator:
    """Somebody with access to the machine acts for the account (``email2sms send``)."""

    login: str


Credential = Password | ApiKey | NoSecret | Operator


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


@dataclass(frozen=True, slots=True)
class Dropped:
    """A destination that is not sent to, and why."""

    asked: Asked
    refusal: Refusal


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


@dataclass(frozen=True, slots=True)
class Reply:
    """The finished mail, ready for the smarthost."""

    to: str
    message: bytes
