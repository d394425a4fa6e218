"""The rules of admission, one small function each, in the order in which ``decide`` and the service ask them.

A rule returns nothing or raises ``Refused``; none sends anything. To add one, write it here, call it in its
place, and give its reason a row in ``verdicts`` and a sentence in each of ``replies/texts``.
"""

from __future__ import annotations

from gateway.model import Conversation, Door, Envelope, NoSecret, Operator, Submission
from gateway.policy.accounts import Account, Directory, in_networks
from gateway.sms import originator as originators
from gateway.verdicts import (
    CHANNEL_NOT_ALLOWED,
    CREDENTIALS_WRONG,
    NOT_ACTIVATED,
    ORIGINATOR_NOT_ALLOWED,
    ORIGINATOR_SHAPE,
    PASSWORD_TOO_LONG,
    SENDER_NOT_ALLOWED,
    SENDER_NOT_VERIFIED,
    TOO_MANY_DESTINATIONS,
    Refused,
)


def sender_is_somebodys(envelope: Envelope, from_addresses: tuple[str, ...], directory: Directory) -> None:
    """Step 2, before anything is decoded: some account allows this sender. Says nothing about which."""
    if not directory.allows_sender((envelope.reverse_path, *from_addresses)):
        raise Refused(SENDER_NOT_ALLOWED)


def verified_by(envelope: Envelope, account: Account | None) -> str:
    """What verifies the sender for this account; empty when nothing does. An address alone proves nothing.

    The seam for mail authentication: DKIM and ``Authentication-Results`` will be asked here.
    """
    if envelope.door is Door.CLI:
        return "operator"
    if account is not None and envelope.identity == account.login:
        return "SMTP AUTH"
    if envelope.trusted:
        return "trusted network"
    if account is not None and in_networks(envelope.peer, account.networks):
        return "account network"
    return ""


def sender_is_verified(envelope: Envelope, submission: Submission, verified: str) -> None:
    """Step 2: unverified senders only where the listener says so, and never without a secret (form b)."""
    has_secret = not isinstance(submission.credential, NoSecret | Conversation)
    if not verified and not (envelope.accept_unverified and has_secret):
        raise Refused(SENDER_NOT_VERIFIED)


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
