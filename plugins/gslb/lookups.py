"""One question to one DNS server: over UDP, and over TCP if the reply was cut."""

from __future__ import annotations

from pydnsk8s import wire
from pydnsk8s.message import Record
from pydnsk8s.upstream import Address, Message, Terms, Unanswered, Upstream


async def ask(server: Address, name: bytes, type: int, seconds: float) -> tuple[int, tuple[Record, ...]]:
    """The response code and the answer; Unanswered says why there is none that can be read."""
    upstream = Upstream(server, Terms(max_fails=0), "gslb")
    message = Message.ask(name, type)
    try:
        reply = wire.forwarded(await upstream.ask(message, seconds))
        if reply.truncated:
            reply = wire.forwarded(await upstream.ask(message, seconds, stream=True))
        return reply.rcode, reply.answer
    except wire.FormError as error:
        raise Unanswered(f"a reply that cannot be read: {error}") from None
    finally:
        await upstream.stop()
