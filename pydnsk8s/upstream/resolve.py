"""The addresses behind an upstream's host name."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Sequence

from pydnsk8s import codes, names, wire
from pydnsk8s.upstream.address import Address
from pydnsk8s.upstream.outstanding import Message, Unanswered
from pydnsk8s.upstream.terms import Terms
from pydnsk8s.upstream.upstream import Upstream

_SECONDS = 5.0


async def resolve(host: str, resolvers: Sequence[Address]) -> list[str]:
    """The IP addresses of a host, asked of these servers in turn or, if there are none, of the system.

    Raises Unanswered if nobody knows any.
    """
    found = await _from_servers(host, resolvers) if resolvers else await _from_system(host)
    if not found:
        raise Unanswered(f"{host} has no address")
    return list(dict.fromkeys(found))


async def _from_system(host: str) -> list[str]:
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(_SECONDS):
            found = await loop.getaddrinfo(host, None, type=socket.SOCK_DGRAM)
    except TimeoutError:
        raise Unanswered(f"the system's resolver did not answer within {_SECONDS:g} s") from None
    except OSError as error:
        raise Unanswered(f"the system's resolver says: {(error.strerror or str(error)).lower()}") from None
    return [str(address[0]) for *_, address in found]


async def _from_servers(host: str, resolvers: Sequence[Address]) -> list[str]:
    failures = []
    for address in resolvers:
        server = Upstream(address, Terms(max_fails=0))
        try:
            name = names.parse(host)
            return [text for type in (codes.A, codes.AAAA) for text in await _lookup(server, name, type)]
        except (Unanswered, wire.FormError) as error:
            failures.append(f"{server}: {error}")
        finally:
            await server.stop()
    raise Unanswered("; ".join(failures))


async def _lookup(server: Upstream, name: bytes, type: int) -> list[str]:
    message = Message.ask(name, type)
    reply = wire.forwarded(await server.ask(message, server.terms.read_timeout))
    if reply.truncated:
        reply = wire.forwarded(await server.ask(message, server.terms.read_timeout, stream=True))
    if reply.rcode != codes.NOERROR:
        raise Unanswered(codes.rcode_name(reply.rcode))
    family, size = (socket.AF_INET, 4) if type == codes.A else (socket.AF_INET6, 16)
    # The answer may begin with CNAMEs; whatever addresses end it are the host's.
    return [
        socket.inet_ntop(family, record.data)
        for record in reply.answer
        if record.type == type and len(record.data) == size
    ]
