"""A mail, examined: by a border MTA's word where it comes from there, by our own checks otherwise."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from gateway.mail import results
from gateway.mail.author import author, domain_of, names_all
from gateway.mail.read import OpenedMail
from gateway.model import Check, Envelope, Evidence
from gateway.policy.accounts import in_networks
from gateway.policy.senders import Parties, SenderChecks, weigh_own, weigh_stated

if TYPE_CHECKING:
    from gateway.senders.dns import Resolver


class Examiner:
    """Keeps the resolver and its cache. Loads the libraries of the extra ``mailauth`` when they are first needed.

    ``nameservers`` with their ports; none: the system's. ``timeout_s`` for all lookups of one mail.
    """

    def __init__(self, nameservers: Sequence[tuple[str, int]] = (), timeout_s: float = 5.0) -> None:
        self._nameservers, self._timeout_s = nameservers, timeout_s
        self._resolver: Resolver | None = None

    async def examine(self, envelope: Envelope, mail: OpenedMail, raw: bytes, checks: SenderChecks) -> Evidence | None:
        """What the listener's checks find; None where it makes none of mails from there."""
        message = mail.message
        parties = Parties(
            author=domain_of(author(message)),
            sender=domain_of(envelope.reverse_path),
            named=names_all(message, envelope.recipients),
        )
        border = checks.border
        if border is not None and in_networks(envelope.peer, border.peers):
            said = results.stated(message, border.authserv_id, border.own_received)
            return weigh_stated(parties, said, border.authserv_id)
        if not checks.own:
            return None
        return weigh_own(parties, await self._own(envelope, mail, raw, parties.author, checks.own), checks.own)

    async def _own(
        self, envelope: Envelope, mail: OpenedMail, raw: bytes, author: str, own: frozenset[str]
    ) -> tuple[Check, ...]:
        from gateway.senders import alignment, permits, signatures  # noqa: PLC0415
        from gateway.senders.dns import Lookups, Resolver  # noqa: PLC0415

        if self._resolver is None:
            self._resolver = Resolver(self._nameservers, self._timeout_s)
        lookups = Lookups(self._resolver)
        found: list[Check] = []
        if author and own & {"dkim", "dmarc"}:
            found += await signatures.signatures(raw, mail.message, author, lookups, envelope.received_at)
        if author and "dmarc" in own:
            signers = [check.domain for check in found if check.result == "pass"]
            found.append(await alignment.aligned(author, signers, lookups))
        if "spf" in own:
            found.append(await permits.permitted(envelope.peer, envelope.reverse_path, envelope.helo, lookups))
        return tuple(found)
