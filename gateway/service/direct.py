"""A message without a mail: an operator sends for an account. The same rules, the same store."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from gateway.model import (
    Accepted,
    Asked,
    At,
    Attempt,
    Door,
    Envelope,
    Job,
    NoSecret,
    Note,
    Operator,
    Submission,
    Wishes,
)
from gateway.policy.accounts import Account
from gateway.providers import Previewing, Upstream
from gateway.service.audit import entry
from gateway.service.ids import queue_id
from gateway.service.judge import decided
from gateway.service.phonebook import Phonebook
from gateway.settings.load import Configuration
from gateway.sms.numbers import mask
from gateway.spool import audit, desk
from gateway.spool.desk import JobRow
from gateway.spool.put import Put, StoredMail
from gateway.spool.store import Store
from gateway.verdicts import CREDENTIALS_WRONG, TEXT_EMPTY, Refused

MAX_DESTINATIONS = 10_000
REPEAT_S = 86400.0
"""So long a key means the same message."""


@dataclass(frozen=True, slots=True)
class Draft:
    """What is to be sent."""

    login: str
    """The account's."""
    originator: str
    """Empty: the account's only one."""
    numbers: tuple[str, ...]
    """As people write them."""
    text: str
    at: float | None = None
    """When, seconds since the epoch; None, or a time that is over: at once."""
    transliterate: bool | None = None
    """None: as the account says."""


@dataclass(frozen=True, slots=True)
class By:
    """Who sends, and through which door."""

    door: Door = Door.CLI
    who: str = ""
    """For the trail; empty: whoever may run the command."""


@dataclass(frozen=True, slots=True)
class Sent:
    """What has become of it."""

    mail_id: str
    jobs: tuple[JobRow, ...]
    """Those that were refused before sending have a verdict and no provider."""
    again: bool
    """It was asked for before: nothing more was sent."""


class OtherContent(Exception):
    """The key was used for another message."""


async def check(
    configuration: Configuration,
    draft: Draft,
    now: float,
    by: By = By(),
    store: Store | None = None,
) -> Accepted:
    """What would be sent; the ``store`` has lists and stop-lists. Raises ``Refused`` as a mail would be, quotas aside:
    those are reserved only by what is sent."""
    return (await _decided(configuration, store, draft, now, by))[2]


async def send(
    configuration: Configuration,
    store: Store,
    draft: Draft,
    now: float,
    by: By = By(),
    wake: Callable[[Iterable[str]], None] = lambda providers: None,
) -> Accepted:
    """Queue it, and ``wake`` its providers. Raises ``Refused`` for what a mail would be refused for, quotas too."""
    put, accepted = await _put(configuration, store, draft, now, by)
    if put.refusal is not None:
        raise Refused(put.refusal.reason, **put.refusal.values)
    await _noted(store, by, now, put.queue_id)
    wake({job.route[0] for job in accepted.jobs})
    return accepted


async def send_once(
    configuration: Configuration,
    store: Store,
    draft: Draft,
    now: float,
    by: By,
    key: str,
    wake: Callable[[Iterable[str]], None] = lambda providers: None,
) -> Sent:
    """The same for a program that may ask again because it has not heard the answer: what ``by.who`` asks for under
    the same ``key`` within a day is sent once and answered alike, whichever process is asked and whatever has crashed.
    An empty key: each time anew.

    Raises ``Refused``, and ``OtherContent``."""
    dedup_key = _digest("key", by.who, draft.login, key) if key else None
    put, accepted = await _put(configuration, store, draft, now, by, dedup_key)
    if put.refusal is not None:
        raise Refused(put.refusal.reason, **put.refusal.values)
    story = await store.read(lambda connection: desk.story(connection, put.queue_id))
    assert story is not None
    if put.duplicate and story.mail["message_id"] != _named(draft):
        raise OtherContent
    if not put.duplicate:
        await _noted(store, by, now, put.queue_id)
    wake({job.route[0] for job in accepted.jobs})
    return Sent(put.queue_id, story.jobs, put.duplicate)


async def _noted(store: Store, by: By, now: float, mail_id: str) -> None:
    """Into the audit, where somebody has done it."""
    if not by.who:
        return
    look = entry(now, by.who, "send", mail_id)
    await store.write(lambda connection: audit.note(connection, look))


def _digest(*parts: str) -> bytes:
    return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogatepass")).digest()


def _named(draft: Draft) -> str:
    """Equal for equal messages, as the Message-ID of a mail is."""
    options = (repr(draft.at), repr(draft.transliterate), str(len(draft.numbers)))
    content = _digest(draft.login, draft.originator, *options, *draft.numbers, draft.text)
    return f"<{content.hex()[:32]}@api>"


async def _put(
    configuration: Configuration, store: Store, draft: Draft, now: float, by: By, key: bytes | None = None
) -> tuple[Put, Accepted]:
    envelope, account, accepted = await _decided(configuration, store, draft, now, by)
    asked = (Note("door", "sent by hand", {"by": by.who}),) if by.who else ()
    put = await store.put(
        StoredMail(
            envelope=envelope,
            dialect=by.door.value,
            account=account.login,
            originator=draft.originator or account.only_originator,
            message_id=_named(draft) if key else "",
            language=account.language,
            reply_to=None,
            accepted=accepted,
            refusal=None,
            dedup_key=key,
            repeat_window_s=REPEAT_S,
            copy=draft.text,
            notes=(*asked, *accepted.notes),
        )
    )
    return put, accepted


def request(job: Job, upstreams: Mapping[str, Upstream], *, numbers: bool = False) -> str:
    """What its first provider would be asked, without secrets; empty where that cannot be shown. Raises ``Refused``
    where it cannot be expressed."""
    upstream = upstreams.get(job.route[0])
    if not isinstance(upstream, Previewing):
        return ""
    shown = upstream.preview([Attempt(job, job.route[0], number=1, fence=0)])
    return shown if numbers else shown.replace(job.destination, mask(job.destination))


async def _decided(
    configuration: Configuration, store: Store | None, draft: Draft, now: float, by: By
) -> tuple[Envelope, Account, Accepted]:
    account = configuration.directory.accounts.get(draft.login)
    if account is None:
        raise Refused(CREDENTIALS_WRONG)
    if not draft.text.strip():
        raise Refused(TEXT_EMPTY)
    envelope = Envelope(
        queue_id=queue_id(now),
        door=by.door,
        listener=by.door.value,
        peer="",
        trusted=True,
        identity=draft.login,
        reverse_path="",
        recipients=(),
        received_at=now,
    )
    submission = Submission(
        dialect=by.door.value,
        form="send",
        # Who has the machine may use any name; who is let into the console only what the account may.
        credential=Operator(draft.login) if by.door is Door.CLI else NoSecret(draft.login),
        originator=draft.originator,
        destinations=_asked(draft.numbers),
        text=draft.text,
        recipient="",
        max_destinations=MAX_DESTINATIONS,
        wishes=Wishes(when=At(draft.at) if draft.at is not None else None, transliterate=draft.transliterate),
    )
    if store is not None:
        account = await Phonebook(store).consult(account, submission)
    return envelope, account, await decided(envelope, submission, account, "operator", configuration)


def _asked(numbers: Sequence[str]) -> tuple[Asked, ...]:
    return tuple(Asked(number, number) for number in numbers)
