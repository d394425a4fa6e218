"""SMS that come in: whose they are, and the mail in which they are forwarded."""

from __future__ import annotations

import time
from collections.abc import Callable

import structlog

from gateway.model import Incoming, Reply
from gateway.policy.accounts import Account
from gateway.replies.forward import forward
from gateway.service.ids import queue_id
from gateway.settings.load import Configuration
from gateway.sms.numbers import mask
from gateway.spool import incoming
from gateway.spool.incoming import Arrived
from gateway.spool.store import Store

log = structlog.get_logger()


class Mailroom:
    """``configuration`` is asked for each time: it is replaced as a whole on a reload."""

    def __init__(
        self, configuration: Callable[[], Configuration], store: Store, clock: Callable[[], float] = time.time
    ) -> None:
        self._configuration = configuration
        self._store = store
        self._clock = clock

    async def keep(self, provider: str, sms: Incoming) -> None:
        """Write it down, once, and have it forwarded. Returns after the commit."""
        now = self._clock()
        account = self._configuration().directory.owner_of(sms.destination)
        sms_id = queue_id(now)
        item = Arrived(
            id=sms_id,
            provider=provider,
            sms=sms,
            account=account.login if account else None,
            mail=self._mail(sms_id, sms, account, now),
            hook=account is not None and account.webhook is not None,
            at=now,
        )
        is_new = await self._store.write(lambda connection: incoming.keep(connection, item))
        write = log.info if account is not None else log.warning
        what = {"from": mask(sms.sender), "to": mask(sms.destination), "account": item.account}
        write("sms.incoming", id=item.id, provider=provider, repeated=not is_new or None, **what)

    def _mail(self, sms_id: str, sms: Incoming, account: Account | None, now: float) -> Reply | None:
        settings, conversations = self._configuration().settings, self._configuration().conversations
        if account is None or account.incoming_mail is None or settings.replies is None:
            return None
        return forward(
            sms,
            sms_id,
            to=account.incoming_mail,
            reply_to=conversations.address(sms.sender, sms.destination) if conversations else "",
            sender=settings.replies.sender,
            hostname=settings.server.hostname,
            language=account.language,
            now=now,
        )
