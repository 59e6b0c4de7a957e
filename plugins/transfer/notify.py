"""Tells a secondary that a zone has changed (RFC 1996)."""

from __future__ import annotations

import asyncio
import os
import socket

from pydnsk8s import codes, log, names
from pydnsk8s.upstream.address import Address
from pydnsk8s.wire import matches, query

_WAITS = (2.0, 4.0, 8.0)  # seconds for a reply to each try
_FLAGS = codes.OPCODE_NOTIFY << 11 | codes.AA  # RFC 1996 section 4.6: AA is set
_LOG = log.plugin("transfer")


async def tell(zone: bytes, address: Address, source: str) -> None:
    """Send NOTIFY over UDP until the secondary replies, a few times at most; log if it does not."""
    packet = query(zone, codes.SOA, id=int.from_bytes(os.urandom(2), "big"), flags=_FLAGS)
    try:
        with socket.socket(address.family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as opened:
            if source:
                opened.bind((source, 0))
            opened.connect(address.socket_address())
            rcode = await _ask(opened, packet)
    except OSError as error:
        _LOG.warning("could not notify %s of %s: %s", address, names.text(zone), error.strerror or error)
        return
    if rcode is None:
        _LOG.warning("could not notify %s of %s: no reply", address, names.text(zone))
    elif rcode != codes.NOERROR:
        _LOG.warning("could not notify %s of %s: %s", address, names.text(zone), codes.rcode_name(rcode))


async def _ask(opened: socket.socket, packet: bytes) -> int | None:
    """The code of the secondary's reply; None if there is none."""
    loop = asyncio.get_running_loop()
    for wait in _WAITS:
        await loop.sock_sendall(opened, packet)
        try:
            async with asyncio.timeout(wait):
                while True:
                    reply = await loop.sock_recv(opened, 512)
                    if reply[:2] == packet[:2] and matches(reply, packet[12:]):
                        return reply[3] & 15
        except TimeoutError:
            continue
    return None
