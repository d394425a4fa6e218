"""What stands in the place of the network for ``driver: sandbox``."""

from __future__ import annotations

import asyncio

import httpx

from gateway.sandbox import targetsms as wire
from gateway.sandbox.platform import Platform


class SandboxTransport(httpx.AsyncBaseTransport):
    """Hands requests to the platform without a network between."""

    def __init__(self, platform: Platform, name: str = "") -> None:
        self._platform, self._name = platform, name

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Answer as the platform on HTTP would, lost answers included."""
        answer = wire.get(self._platform, request.url.params.multi_items(), self._name)
        if answer.delay_s:
            await asyncio.sleep(answer.delay_s)
        if answer.cut:
            raise httpx.ReadError("the sandbox lost the answer")
        return httpx.Response(answer.status, text=answer.body)
