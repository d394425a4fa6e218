"""A mail, explained: what would happen with it, and why. Stores nothing, sends nothing, asks no provider.

``email2sms parse``, the API and the console share it, and it shares ``judge`` with the doors: what is explained is what
happens.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from email.parser import BytesHeaderParser
from email.utils import getaddresses

from gateway.mail.outline import Part, outline
from gateway.model import Door, Envelope, Note
from gateway.policy.accounts import Directory, in_networks
from gateway.senders.examine import Examiner
from gateway.service.credentials import Credentials
from gateway.service.ids import queue_id
from gateway.service.judge import Case, judge
from gateway.service.phonebook import Phonebook
from gateway.service.wording import what_and_fix
from gateway.settings.load import Configuration
from gateway.sms import segments
from gateway.sms.numbers import mask

__all__ = ["Arrival", "Dropped", "Explained", "NoListener", "NoRecipient", "Part", "explain", "pipe_envelope"]


class NoRecipient(ValueError):
    """The mail has no To field, and none was named."""


class NoListener(ValueError):
    """There is no listener of that name."""


@dataclass(frozen=True, slots=True)
class Arrival:
    """How the mail is to have come in."""

    recipients: tuple[str, ...] = ()
    """RCPT TO; empty: the To field."""
    sender: str | None = None
    """MAIL FROM; None: the From field."""
    listener: str = ""
    """Empty: by the pipe, or, with a ``peer``, to the first listener."""
    peer: str = ""
    """The client's IP address."""
    trusted: bool = True
    """Of the pipe: a listener knows itself whom it trusts."""


@dataclass(frozen=True, slots=True)
class Dropped:
    """A destination that would not be sent to."""

    number: str
    """As typed, masked."""
    verdict: str
    why: str
    fix: str


@dataclass(frozen=True, slots=True)
class Explained:
    """What would happen with a mail. Holds no secret; numbers are masked unless asked for."""

    verdict: str
    """``OK``, or why the whole is refused."""
    reason: str
    """Key of the refusal's reason; empty: none."""
    why: str
    fix: str
    smtp: str
    """Code and enhanced status with which it would be refused; empty: 250."""
    sysexit: int
    recipients: tuple[str, ...]
    sender: str
    """MAIL FROM."""
    dialect: str
    form: str
    account: str
    verified_by: str
    originator: str
    asked: str | None
    """The text as it was understood. None for what is refused: it may be in another dialect, its password in it."""
    text: str | None
    """As it would go out."""
    alphabet: str
    parts: tuple[str, ...]
    destinations: tuple[str, ...]
    route: tuple[str, ...]
    """Of the first of them."""
    dropped: tuple[Dropped, ...]
    tree: tuple[Part, ...]
    notes: tuple[Note, ...]
    """The trail: each decision, in order."""


async def explain(  # noqa: PLR0913  (what, how, by which rules, for whom)
    raw: bytes,
    arrival: Arrival,
    configuration: Configuration,
    credentials: Credentials,
    examiner: Examiner,
    now: float,
    *,
    phonebook: Phonebook | None = None,
    accounts: frozenset[str] | None = None,
    numbers: bool = False,
    language: str = "en",
) -> Explained:
    """What would happen. ``accounts``: only these exist, as far as who asks may know. ``numbers``: in full.

    Raises ``NoRecipient``, ``NoListener``.
    """
    seen = configuration if accounts is None else _only(configuration, accounts)
    envelope = _envelope(raw, arrival, seen, now)
    return _explained(
        await judge(envelope, raw, seen, credentials, examiner, phonebook=phonebook), numbers=numbers, language=language
    )


def pipe_envelope(
    sender: str, recipients: tuple[str, ...], now: float, *, trusted: bool = True, answer_by_mail: bool = False
) -> Envelope:
    """Of a mail that comes by ``email2sms inject``."""
    return Envelope(
        queue_id=queue_id(now),
        door=Door.PIPE,
        listener="pipe",
        peer="",
        trusted=trusted,
        identity=None,
        reverse_path="" if sender in ("<>", "MAILER-DAEMON") else sender,
        recipients=recipients,
        received_at=now,
        answer_by_mail=answer_by_mail,
    )


def _only(configuration: Configuration, accounts: frozenset[str]) -> Configuration:
    known = configuration.directory
    mine = {login: account for login, account in known.accounts.items() if login in accounts}
    keys = {key: login for key, login in known.keys.items() if login in mine}
    return replace(configuration, directory=Directory(mine, keys))


def _envelope(raw: bytes, arrival: Arrival, configuration: Configuration, now: float) -> Envelope:
    header = BytesHeaderParser().parsebytes(raw)
    recipients = arrival.recipients or _addresses(header.get_all("To", []))
    if not recipients:
        raise NoRecipient
    sender = next(iter(_addresses(header.get_all("From", []))), "") if arrival.sender is None else arrival.sender
    envelope = pipe_envelope(sender, recipients, now, trusted=arrival.trusted)
    return _through(configuration, envelope, arrival) if arrival.listener or arrival.peer else envelope


def _addresses(fields: Sequence[object]) -> tuple[str, ...]:
    return tuple(address for _, address in getaddresses([str(field) for field in fields]) if address)


def _through(configuration: Configuration, envelope: Envelope, arrival: Arrival) -> Envelope:
    """As the listener would have made it."""
    listeners = configuration.settings.listeners
    door = next((door for door in listeners if arrival.listener in ("", door.name)), None)
    if door is None:
        names = ", ".join(door.name for door in listeners)
        raise NoListener(f"{arrival.listener} is no listener; one of {names}")
    return replace(
        envelope,
        door=Door.LMTP if door.protocol == "lmtp" else Door.SMTP,
        listener=door.name,
        peer=arrival.peer,
        trusted=door.bind.startswith("unix:") or in_networks(arrival.peer, door.trust),
        answer_by_mail=door.answers_by_mail,
        accept_unverified=door.accept_unverified,
    )


def _explained(case: Case, *, numbers: bool, language: str) -> Explained:
    submission, accepted, refusal = case.submission, case.accepted, case.refusal
    job = accepted.jobs[0] if accepted and accepted.jobs else None
    counted = segments.segment(job.text) if job is not None else None
    why, fix = what_and_fix(refusal, language) if refusal is not None else ("", "")
    return Explained(
        verdict=refusal.code if refusal is not None else "OK",
        reason=refusal.reason.key if refusal is not None else "",
        why=why,
        fix=fix,
        smtp=refusal.verdict.smtp if refusal is not None else "",
        sysexit=refusal.verdict.sysexit if refusal is not None else 0,
        recipients=case.envelope.recipients,
        sender=case.envelope.reverse_path,
        dialect=case.dialect.name if case.dialect else "",
        form=submission.form if submission else "",
        account=case.account.login if case.account else "",  # what is no login of ours may be a password
        verified_by=case.verified,
        originator=submission.originator if submission and accepted else "",
        asked=submission.text if submission and accepted else None,
        text=job.text if job is not None else None,
        alphabet=counted.alphabet.value if counted is not None else "",
        parts=counted.segments if counted is not None else (),
        destinations=tuple(j.destination if numbers else mask(j.destination) for j in accepted.jobs)
        if accepted
        else (),
        route=job.route if job is not None else (),
        dropped=tuple(
            Dropped(mask(drop.asked.typed), drop.refusal.code, *what_and_fix(drop.refusal, language))
            for drop in (accepted.dropped if accepted else ())
        ),
        tree=outline(case.opened.message) if case.opened is not None else (),
        notes=case.notes,
    )
