"""SMS from subscribers, and the mails in which they are forwarded."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, insert

from gateway.model import Incoming, Note, Reply
from gateway.sms.numbers import mask
from gateway.spool import hooks
from gateway.spool.engine import insert_missing
from gateway.spool.put import outbox_row
from gateway.spool.schema import incoming, outbox, trail
from gateway.spool.trail import trail_row


@dataclass(frozen=True, slots=True)
class Arrived:
    """An SMS that came in, and what is to be done with it."""

    id: str
    provider: str
    sms: Incoming
    account: str | None
    """Whose number it came to; None: nobody's."""
    mail: Reply | None
    """Finished; None: to no mailbox."""
    hook: bool
    """The account's program is told, too."""
    at: float


def keep(connection: Connection, item: Arrived) -> bool:
    """Write it down. False: the provider has told it before."""
    row = {
        "id": item.id,
        "provider": item.provider,
        "provider_id": item.sms.provider_id,
        "received_at": item.at,
        "sender": item.sms.sender,
        "destination": item.sms.destination,
        "account": item.account,
        "text": item.sms.text.replace("\0", "?"),
    }
    if not connection.execute(insert_missing(connection, incoming), row).rowcount:
        return False
    values = {"provider": item.provider, "from": mask(item.sms.sender), "to": mask(item.sms.destination)}
    note = Note("incoming", "an SMS came in", values | ({"account": item.account} if item.account else {}))
    connection.execute(insert(trail), trail_row(item.id, None, item.at, (note,)))
    if item.mail is not None:
        finished = {"kind": "incoming", "message": item.mail.message}
        connection.execute(insert(outbox), outbox_row(item.id, item.mail.to, item.at, 0.0) | finished)
    if item.hook and item.account is not None:
        hooks.call_about_incoming(connection, item.account, row)
    return True
