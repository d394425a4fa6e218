"""A DNS server on the loopback, in the test's own loop: it knows what it is told, and can be slow, broken or silent."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset

Records = dict[tuple[str, str], list[str]]


class Names(asyncio.DatagramProtocol):
    """``records`` by name and kind, as in a zone file; a name that begins with "slow." is never answered, one that
    begins with "broken." by SERVFAIL."""

    def __init__(self, records: Records) -> None:
        self.records = records
        self.asked: list[tuple[str, str]] = []
        self.silent = False

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, address: Any) -> None:
        question = dns.message.from_wire(data)
        name = question.question[0].name.to_text(omit_final_dot=True).lower()
        kind = dns.rdatatype.to_text(question.question[0].rdtype)
        self.asked.append((name, kind))
        if self.silent or name.startswith("slow."):
            return
        answer = dns.message.make_response(question)
        answer.flags |= dns.flags.RA
        known = {key for key, _ in self.records}
        if name.startswith("broken."):
            answer.set_rcode(dns.rcode.SERVFAIL)
        elif found := self.records.get((name, kind)):
            answer.answer.append(dns.rrset.from_text(question.question[0].name, 300, "IN", kind, *found))
        elif not any(other == name or other.endswith("." + name) for other in known):
            answer.set_rcode(dns.rcode.NXDOMAIN)
        self.transport.sendto(answer.to_wire(), address)

    @property
    def address(self) -> tuple[str, int]:
        host, port = self.transport.get_extra_info("sockname")[:2]
        return str(host), int(port)


@asynccontextmanager
async def names(records: Records) -> AsyncIterator[Names]:
    """Run one."""
    transport, server = await asyncio.get_running_loop().create_datagram_endpoint(
        lambda: Names(records), local_addr=("127.0.0.1", 0)
    )
    try:
        yield server
    finally:
        transport.close()


def quoted(text: str) -> str:
    """A TXT record in a zone file: strings of at most 255 bytes."""
    return " ".join(f'"{text[start : start + 255]}"' for start in range(0, len(text), 255))
