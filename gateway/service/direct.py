"""A message without a mail: an operator sends for an account. The same rules, the same store."""

from __future__ import annotations

from gateway.model import Accepted, Asked, Door, Envelope, Operator, Submission
from gateway.policy.decide import decide
from gateway.service.ids import queue_id
from gateway.service.phonebook import Phonebook
from gateway.settings.load import Configuration
from gateway.spool.put import StoredMail
from gateway.spool.store import Store
from gateway.verdicts import CREDENTIALS_WRONG, TEXT_EMPTY, Refused


async def send(
    configuration: Configuration,
    store: Store,
    login: str,
    originator: str,
    numbers: tuple[str, ...],
    text: str,
    now: float,
) -> Accepted:
    """Queue it. Raises ``Refused`` for what a mail would be refused for, quotas included."""
    account = configuration.directory.accounts.get(login)
    if account is None:
        raise Refused(CREDENTIALS_WRONG)
    if not text.strip():
        raise Refused(TEXT_EMPTY)
    envelope = Envelope(
        queue_id=queue_id(now),
        door=Door.CLI,
        listener="cli",
        peer="",
        trusted=True,
        identity=login,
        reverse_path="",
        recipients=(),
        received_at=now,
    )
    submission = Submission(
        dialect="cli",
        form="send",
        credential=Operator(login),
        originator=originator,
        destinations=tuple(Asked(number, number) for number in numbers),
        text=text,
        recipient="",
        max_destinations=10_000,
    )
    account = await Phonebook(store).consult(account, submission)
    accepted = decide(envelope, submission, account, "operator", configuration.house)
    put = await store.put(
        StoredMail(
            envelope=envelope,
            dialect="cli",
            account=login,
            originator=originator,
            message_id="",
            language=account.language,
            reply_to=None,
            accepted=accepted,
            refusal=None,
            dedup_key=None,
            copy=text,
            notes=accepted.notes,
        )
    )
    if put.refusal is not None:
        raise Refused(put.refusal.reason, **put.refusal.values)
    return accepted
