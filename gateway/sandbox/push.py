"""The platform reports by itself: each receipt is pushed until its id comes back, five times in all; incoming SMS."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from urllib.parse import urlencode

import aiohttp

from gateway.sandbox.platform import Platform, Sms
from gateway.sandbox.targetsms import moscow

TRIES = 5
AGAIN_S = 0.5
"""The platform itself waits longer."""
LOOK_S = 0.1


class Format(StrEnum):
    """How a receipt is written."""

    TARGETSMS_XML = "targetsms-xml"
    TARGETSMS_JSON = "targetsms-json"
    SMSC = "smsc"


@dataclass(frozen=True, slots=True)
class Target:
    """Where to push to."""

    url: str
    format: Format = Format.TARGETSMS_XML


@dataclass(slots=True)
class Pusher:
    """Watches the handsets of a platform and tells one target."""

    platform: Platform
    target: Target | None = None
    _told: set[str] = field(default_factory=set)

    async def run(self) -> None:
        """Until cancelled."""
        async with aiohttp.ClientSession(trust_env=False) as session:
            while True:
                for sms in list(self.platform.messages) if self.target else ():
                    self.platform.settle(sms)
                    if sms.state != "send" and sms.id not in self._told:
                        self._told.add(sms.id)
                        await self._tell(session, sms)
                await asyncio.sleep(LOOK_S)

    async def _tell(self, session: aiohttp.ClientSession, sms: Sms) -> None:
        assert self.target is not None
        body, content_type = _WRITERS[self.target.format](sms)
        for _ in range(TRIES):
            try:
                async with session.post(self.target.url, data=body, headers={"Content-Type": content_type}) as response:
                    if response.status == 200 and (
                        sms.id in await response.text() or self.target.format is Format.SMSC
                    ):
                        return
            except aiohttp.ClientError:
                pass
            await asyncio.sleep(AGAIN_S)

    async def incoming(self, url: str, sms: Mapping[str, str]) -> str:
        """An SMS for us: GET with the fields of smsgate/httpGateDoc. What the other side answers."""
        given = {
            "date": moscow(self.platform.clock()),
            "prefix": sms.get("text", "").partition(" ")[0],
            "text": sms.get("text", ""),
            "smsid": sms.get("id", "1"),
            "sender": sms.get("from", ""),
            "receiver": sms.get("to", ""),
        }
        async with (
            aiohttp.ClientSession(trust_env=False) as session,
            session.get(f"{url}{'&' if '?' in url else '?'}{urlencode(given)}") as response,
        ):
            return await response.text()


def _xml(sms: Sms) -> tuple[bytes, str]:
    state = f'<state id_sms="{sms.id}" time="{moscow(sms.changed_at or 0)}">{sms.state}</state>'
    return f'<?xml version="1.0" encoding="utf-8"?><request>{state}</request>'.encode(), "text/xml"


def _json(sms: Sms) -> tuple[bytes, str]:
    entry = {"id_sms": sms.id, "time": moscow(sms.changed_at or 0), "state": sms.state}
    return json.dumps([entry]).encode(), "application/json"


def _smsc(sms: Sms) -> tuple[bytes, str]:
    status = {"deliver": "1", "not_deliver": "20", "expired": "3", "partly_deliver": "-1"}[sms.state]
    fields = {"id": sms.id, "phone": sms.destination, "status": status, "time": moscow(sms.changed_at or 0), "err": "0"}
    return urlencode(fields).encode(), "application/x-www-form-urlencoded"


_WRITERS: Mapping[Format, Callable[[Sms], tuple[bytes, str]]] = {
    Format.TARGETSMS_XML: _xml,
    Format.TARGETSMS_JSON: _json,
    Format.SMSC: _smsc,
}
