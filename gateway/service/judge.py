"""A mail, judged: the steps of the admission in SPEC's order. Stores nothing, sends nothing.

The doors' intake and ``email2sms parse`` share it, so what is explained is what happens.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from gateway.dialects import REPAIRED, Dialect, split_address
from gateway.mail.read import OpenedMail, open_mail, read
from gateway.model import (
    Accepted,
    ApiKey,
    Credential,
    Door,
    Envelope,
    Evidence,
    NoSecret,
    Note,
    Password,
    ReceivedEmail,
    Speaker,
    Submission,
    Vouch,
)
from gateway.policy import checks
from gateway.policy.accounts import Account, Directory
from gateway.policy.decide import decide
from gateway.policy.guessing import Attempt
from gateway.senders.examine import Examiner
from gateway.service.bans import Bans
from gateway.service.credentials import Credentials
from gateway.service.phonebook import Phonebook
from gateway.settings.load import Configuration
from gateway.sms import numbers
from gateway.verdicts import RELAY_DENIED, SENDER_NOT_ALLOWED, SENDER_NOT_VERIFIED, Refusal, Refused

_LARGE = 10_000
"""Bytes from which a mail is taken apart in a thread: the worst of this size holds the loop for a twentieth of a
second, and the way to a thread costs less than a tenth of a millisecond."""
_LONG = 500
"""Numbers of a list from which jobs are made in a thread: each takes a tenth of a millisecond."""


@dataclass(slots=True)
class Case:
    """What is known of a mail so far; filled step by step, complete when there is a decision or a refusal."""

    envelope: Envelope
    opened: OpenedMail | None = None
    dialect: Dialect | None = None
    mail: ReceivedEmail | None = None
    submission: Submission | None = None
    account: Account | None = None
    verified: str = ""
    evidence: Evidence | None = None
    """Of the mail itself; looked for only where the client is not verified already."""
    attempt: Attempt | None = None
    """To guess a secret, perhaps."""
    accepted: Accepted | None = None
    refusal: Refusal | None = None
    refused_notes: tuple[Note, ...] = ()
    """What the dialect had understood before it refused."""
    early_notes: list[Note] = field(default_factory=list)

    @property
    def notes(self) -> tuple[Note, ...]:
        """The story so far, in order."""
        parts: list[Sequence[Note]] = [self.early_notes]
        if self.mail is not None:
            parts.append(self.mail.notes)
        elif self.opened is not None:
            parts.append(self.opened.notes)
        parts += [found.notes for found in (self.submission, self.evidence, self.accepted) if found is not None]
        parts.append(self.refused_notes)
        if self.refusal is not None:
            reason = self.refusal.reason.key
            parts.append([Note("policy", f"refused: {self.refusal.code}", {"why": reason, **self.refusal.values})])
        return tuple(note for part in parts for note in part)

    @property
    def answerable(self) -> str:
        """What shows that a reply to MAIL FROM reaches the sender; empty: nothing. For that SPF is enough."""
        if self.evidence is None:
            return self.verified
        return (self.verified or "SPF") if self.evidence.answerable else ""

    @property
    def language(self) -> str | None:
        """Of the account that the mail names."""
        return self.account.language if self.account is not None else None


def dialect_of(recipient: str, dialects: Sequence[Dialect]) -> Dialect | None:
    """The dialect that a mail to this recipient is written in; service addresses come before whole domains."""
    return next((dialect for dialect in dialects if dialect.claims(recipient)), None)


def recipient_refusal(recipient: str, configuration: Configuration, *, early: bool) -> Refusal | None:
    """Step 3, at RCPT: whether the address is ours at all.

    ``early``: the client wants refusals in the dialogue, so a local part of digits that is no number
    is refused here, where the other recipients can still be taken.
    """
    dialect = dialect_of(recipient, configuration.dialects)
    if dialect is None:
        return Refusal(RELAY_DENIED)
    local = split_address(recipient)[0]
    if early and dialect.name == "address" and local.isdigit() and not configuration.directory.knows(local):
        try:
            numbers.parse(local)
        except Refused as refused:
            return refused.refusal
    return None


async def judge(
    envelope: Envelope,
    raw: bytes,
    configuration: Configuration,
    credentials: Credentials,
    examiner: Examiner,
    bans: Bans | None = None,
    phonebook: Phonebook | None = None,
) -> Case:
    """Steps 2 to 10. A refusal ends in ``Case.refusal``; anything else that is raised is a fault of ours.

    ``bans``: who guesses is not heard. ``phonebook``: the lists that are in the store.
    """
    case = Case(envelope)
    case.early_notes.append(_arrival(envelope, len(raw)))
    if envelope.quirks:
        case.early_notes.append(Note("smtp", "accommodated the client", {"quirks": "; ".join(envelope.quirks)}))
    try:
        await _steps(case, raw, configuration, credentials, examiner, bans, phonebook)
    except Refused as refused:
        case.refusal = refused.refusal
        case.refused_notes = refused.notes
        repaired = [note.what.removeprefix(REPAIRED) for note in case.notes if note.what.startswith(REPAIRED)]
        if repaired:
            values = {**refused.refusal.values, "repaired": "; ".join(repaired)}
            case.refusal = replace(refused.refusal, values=values)
        case.verified = case.verified or _verified(case, configuration)
        if envelope.answer_by_mail and refused.refusal.reason is not SENDER_NOT_ALLOWED:
            await _examine(case, raw, configuration, examiner)  # whether the refusal may be sent by mail
    return case


async def _steps(
    case: Case,
    raw: bytes,
    configuration: Configuration,
    credentials: Credentials,
    examiner: Examiner,
    bans: Bans | None,
    phonebook: Phonebook | None,
) -> None:
    envelope, directory = case.envelope, configuration.directory
    if len(raw) < _LARGE:
        mail, submission = _understood(case, raw, configuration)
    else:
        mail, submission = await asyncio.to_thread(_understood, case, raw, configuration)
    case.account = directory.claimed(submission.credential)
    case.verified = checks.verified_by(envelope, case.account)
    await _examine(case, raw, configuration, examiner)
    checks.sender_is_verified(envelope, submission, case.verified, case.evidence)
    checks.password_fits(submission)
    case.attempt = attempt = _attempt(envelope, submission.credential, directory, case.verified)
    if bans is not None and attempt is not None:
        bans.let_try(attempt)
    source = attempt.peer if attempt is not None and not attempt.at_home else ""
    proven = await credentials.prove(case.account, submission.credential, source)
    account = checks.account_is_proven(case.account, proven)
    checks.sender_is_the_accounts(envelope, mail.from_addresses, account)
    checks.verification_is_enough(account, case.verified, case.evidence)
    if phonebook is not None:
        account = await phonebook.consult(account, submission)
    case.accepted = await decided(envelope, submission, account, case.verified, configuration)


def _understood(case: Case, raw: bytes, configuration: Configuration) -> tuple[ReceivedEmail, Submission]:
    """What the mail says and asks for: all that takes longer for a longer mail."""
    envelope, directory = case.envelope, configuration.directory
    case.opened = open_mail(raw)
    checks.sender_is_somebodys(envelope, case.opened.from_addresses, directory)
    case.dialect = _common_dialect(envelope.recipients, configuration.dialects)
    case.mail = read(case.opened, case.dialect.charset)
    parsed = case.dialect.parse(case.mail, envelope.recipients, directory.knows)
    case.submission = _spoken(parsed, envelope)
    return case.mail, case.submission


async def decided(
    envelope: Envelope, submission: Submission, account: Account, verified: str, configuration: Configuration
) -> Accepted:
    """``decide``, and the loop goes on meanwhile where a long list is sent to."""
    count = len(account.lists.get(submission.list_id or "", ()))
    if count < _LONG:
        return decide(envelope, submission, account, verified, configuration.house)
    return await asyncio.to_thread(decide, envelope, submission, account, verified, configuration.house)


async def _examine(case: Case, raw: bytes, configuration: Configuration, examiner: Examiner) -> None:
    """Once a mail, and only where nothing else verifies its sender."""
    checks_of_door = configuration.senders.get(case.envelope.listener)
    if case.verified or case.evidence is not None or case.opened is None or checks_of_door is None:
        return
    case.evidence = await examiner.examine(case.envelope, case.opened, raw, checks_of_door)
    if case.evidence is not None and case.evidence.vouched is not None:
        case.verified = case.evidence.vouched


def _spoken(submission: Submission, envelope: Envelope) -> Submission:
    """A mail without a credential is the speaker's. Raises ``Refused`` where nobody is known to speak."""
    if not isinstance(submission.credential, Speaker):
        return submission
    login = envelope.identity or submission.credential.login
    if not login:
        raise Refused(SENDER_NOT_VERIFIED)
    return replace(submission, credential=NoSecret(login))


def _common_dialect(recipients: Sequence[str], dialects: Sequence[Dialect]) -> Dialect:
    found = {id(dialect): dialect for dialect in (dialect_of(recipient, dialects) for recipient in recipients)}
    dialect = next(iter(found.values()), None)
    if dialect is None or len(found) > 1:  # the SMTP door lets no such mail in; a pipe might
        raise Refused(RELAY_DENIED)
    return dialect


def _attempt(envelope: Envelope, credential: Credential, directory: Directory, verified: str) -> Attempt | None:
    """A secret in a mail is a login. The door counts it when it is wrong."""
    if not isinstance(credential, Password | ApiKey):
        return None
    at_home = envelope.trusted or envelope.door in (Door.PIPE, Door.CLI) or directory.is_home(envelope.peer)
    return Attempt(credential.login or "", envelope.peer, at_home, envelope.reverse_path if verified else "")


def _verified(case: Case, configuration: Configuration) -> str:
    """Who may be answered by mail although no account was reached: the network or the login vouches."""
    envelope = case.envelope
    login = configuration.directory.accounts.get(envelope.identity or "")
    verified = checks.verified_by(envelope, login)
    if verified == Vouch.AUTH and (login is None or not login.allows_sender((envelope.reverse_path,))):
        return ""
    return verified


def _arrival(envelope: Envelope, size: int) -> Note:
    values: dict[str, str | int] = {
        "listener": envelope.listener,
        "bytes": size,
        "recipients": len(envelope.recipients),
    }
    if envelope.peer:
        values["peer"] = envelope.peer
    if envelope.identity:
        values["login"] = envelope.identity
    if envelope.tls:
        values["tls"] = "yes"
    return Note("door", f"came in by {envelope.door.value}", values)
