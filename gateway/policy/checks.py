"""The rules of admission, one small function each, in the order in which ``decide`` and the service ask them.

A rule returns nothing or raises ``Refused``; none sends anything. To add one, write it here, call it in its
place, and give its reason a row in ``verdicts`` and a sentence in each of ``replies/texts``.
"""

from __future__ import annotations

from gateway.model import Conversation, Door, Envelope, Evidence, NoSecret, Operator, Submission, Vouch
from gateway.policy.accounts import Account, Directory, in_networks
from gateway.sms import originator as originators
from gateway.verdicts import (
    CHANNEL_NOT_ALLOWED,
    CREDENTIALS_WRONG,
    NOT_ACTIVATED,
    ORIGINATOR_NOT_ALLOWED,
    ORIGINATOR_SHAPE,
    PASSWORD_TOO_LONG,
    SENDER_DNS,
    SENDER_NOT_ALLOWED,
    SENDER_NOT_ENOUGH,
    SENDER_NOT_VERIFIED,
    TOO_MANY_DESTINATIONS,
    Refused,
)


def sender_is_somebodys(envelope: Envelope, from_addresses: tuple[str, ...], directory: Directory) -> None:
    """Step 2, before anything is decoded: some account allows this sender. Says nothing about which."""
    if not directory.allows_sender((envelope.reverse_path, *from_addresses)):
        raise Refused(SENDER_NOT_ALLOWED)


def verified_by(envelope: Envelope, account: Account | None) -> str:
    """What verifies the client for this account, before the mail itself is examined; empty when nothing does.

    An address alone proves nothing.
    """
    if envelope.door is Door.CLI:
        return Vouch.OPERATOR
    if account is not None and envelope.identity == account.login:
        return Vouch.AUTH
    if envelope.trusted:
        return Vouch.TRUSTED
    if account is not None and in_networks(envelope.peer, account.networks):
        return Vouch.ACCOUNT_NETWORK
    return ""


def sender_is_verified(
    envelope: Envelope, submission: Submission, verified: str, evidence: Evidence | None = None
) -> None:
    """Step 2: unverified senders only where the listener says so, and never without a secret (form b).

    ``evidence`` tells why the mail itself verifies nobody, where that was looked at.
    """
    if verified:
        return
    has_secret = not isinstance(submission.credential, NoSecret | Conversation)
    denied = evidence is not None and evidence.denied
    if not (envelope.accept_unverified and has_secret) or denied:
        refusal = evidence.refusal if evidence is not None else None
        raise Refused(refusal.reason, **refusal.values) if refusal else Refused(SENDER_NOT_VERIFIED)


_ENOUGH = {
    "dmarc": frozenset({Vouch.OPERATOR, Vouch.AUTH, Vouch.TRUSTED, Vouch.ACCOUNT_NETWORK, Vouch.DMARC}),
    "network": frozenset({Vouch.OPERATOR, Vouch.AUTH, Vouch.TRUSTED, Vouch.ACCOUNT_NETWORK}),
    "auth": frozenset({Vouch.OPERATOR, Vouch.AUTH}),
}


def verification_is_enough(account: Account, verified: str, evidence: Evidence | None) -> None:
    """Step 2 for a strict account; asked after the credential, so that nobody learns which accounts are."""
    if account.verify == "any" or verified in _ENOUGH[account.verify]:
        return
    unanswered = evidence is not None and any(check.result == "temperror" for check in evidence.checks)
    if account.verify == "dmarc" and unanswered:
        raise Refused(SENDER_DNS)
    raise Refused(SENDER_NOT_ENOUGH, needed=_NAMED[account.verify])


_NAMED = {"dmarc": "DMARC, SMTP AUTH or a network", "network": "SMTP AUTH or a network", "auth": "SMTP AUTH"}


def password_fits(submission: Submission) -> None:
    """Step 6: the template's rule of at most eight characters (seed 000), named in the refusal."""
    limit = submission.password_max_length
    if limit is not None and any(len(secret) > limit for secret in submission.secrets):
        raise Refused(PASSWORD_TOO_LONG, limit=limit)


def account_is_proven(account: Account | None, proven: bool) -> Account:
    """Step 6: one answer for an unknown login and for a wrong secret."""
    if account is None or not proven:
        raise Refused(CREDENTIALS_WRONG)
    return account


def sender_is_the_accounts(envelope: Envelope, from_addresses: tuple[str, ...], account: Account) -> None:
    """Step 2 again, for this account."""
    if not account.allows_sender((envelope.reverse_path, *from_addresses)):
        raise Refused(SENDER_NOT_ALLOWED)


def account_is_active(account: Account) -> None:
    """Step 7: the switch "Активировать Email2SMS"."""
    if not account.enabled:
        raise Refused(NOT_ACTIVATED)


def originator_is_allowed(submission: Submission, account: Account) -> None:
    """Step 8: registered for the account (or any), and of a shape that handsets can show."""
    name = submission.originator
    if not originators.is_wellformed(name):
        raise Refused(ORIGINATOR_SHAPE, originator=_printable(name), length=len(name))
    if not account.allows_originator(name) and not isinstance(submission.credential, Operator):
        raise Refused(ORIGINATOR_NOT_ALLOWED, originator=_printable(name))


def destinations_are_few(submission: Submission) -> None:
    """Step 9: at most as many typed destinations as the dialect allows; stored lists may be longer."""
    asked = len(submission.destinations)
    if asked > submission.max_destinations:
        raise Refused(TOO_MANY_DESTINATIONS, destinations=asked, limit=submission.max_destinations)


def channel_is_allowed(submission: Submission, account: Account) -> None:
    """Step 8: each channel but SMS is a permission."""
    channel = submission.wishes.channel
    if channel not in account.channels:
        raise Refused(CHANNEL_NOT_ALLOWED, channel=channel.value)


def _printable(name: str) -> str:
    return "".join(char if char.isprintable() else "?" for char in name)[:30]
