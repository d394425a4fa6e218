"""Long SMS from subscribers come in parts. No part is acknowledged before the whole text is on the disk."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass, field

from gateway.smpp.pdu import Status
from gateway.smpp.text import Part

HOLD_S = 3.0
"""So long a part waits for the others; then the provider is to bring it again. It is remembered meanwhile: some bring
the second part only when the first is answered."""
GIVE_UP_S = 600.0
"""Then what is there is handed on, with an ellipsis for what is not. After a restart, or with several processes, a
part may come alone again and again."""
KEPT = 1000
"""Texts."""

Write = Callable[[list[bytes | None]], Awaitable[None]]


@dataclass(slots=True)
class _Text:
    total: int
    since: float
    pieces: dict[int, bytes] = field(default_factory=dict)
    written: asyncio.Event = field(default_factory=asyncio.Event)
    writing: asyncio.Lock = field(default_factory=asyncio.Lock)

    @property
    def is_whole(self) -> bool:
        return len(self.pieces) == self.total

    def in_order(self) -> list[bytes | None]:
        return [self.pieces.get(number) for number in range(1, self.total + 1)]


class Assembly:
    """The parts that are here, by the text that they belong to."""

    def __init__(self, clock: Callable[[], float], hold_s: float = HOLD_S) -> None:
        self._clock = clock
        self._hold_s = hold_s
        self._texts: dict[Hashable, _Text] = {}

    async def take(self, sender: Hashable, part: Part, octets: bytes, write: Write) -> int:
        """The command_status of this part's acknowledgement. ``write`` is called once for each text, with ``None``
        for a part that never came; raises what it raises."""
        text = self._text((sender, part.reference, part.total), part, octets)
        text.pieces[part.number] = octets
        if text.is_whole or self._clock() - text.since > GIVE_UP_S:
            await self._write(text, write)
            return Status.OK
        try:
            await asyncio.wait_for(text.written.wait(), self._hold_s)
        except TimeoutError:
            return Status.NOT_NOW
        return Status.OK

    def _text(self, key: Hashable, part: Part, octets: bytes) -> _Text:
        """A part that says something else than it did belongs to a new text: references are used again."""
        known = self._texts.get(key)
        if known is None or known.pieces.get(part.number, octets) != octets:
            while len(self._texts) >= KEPT:
                del self._texts[next(iter(self._texts))]
            known = self._texts[key] = _Text(part.total, self._clock())
        return known

    @staticmethod
    async def _write(text: _Text, write: Write) -> None:
        async with text.writing:
            if not text.written.is_set():
                await write(text.in_order())
                text.written.set()
