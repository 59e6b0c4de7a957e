"""A stand-in for the servers behind the chain, and a cache in front of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from pydnsk8s import codes, names, rdata
from pydnsk8s.message import Edns, Query, Record, Reply
from pydnsk8s.plugins.cache import Cache
from pydnsk8s.testing import record
from pydnsk8s.wire import forwarded, render

from .blocks import plugin, query

SUBNET = (codes.OPTION_SUBNET, b"\0\1\x18\0\xc0\0\2")


class Upstream:
    """Replies with what it was last told to say; ``gate`` can hold its replies back."""

    def __init__(self, *answer: str, **attributes: object) -> None:
        self.asked: list[Query] = []
        self.open = asyncio.Event()
        self.open.set()
        self.error: Exception | None = None
        self.says(*answer, **attributes)

    def says(self, *answer: str, **attributes: object) -> None:
        """From now on give these records, or a reply with other attributes."""
        attributes.setdefault("authoritative", False)
        self.reply = Reply(answer=[record(line) for line in answer], **attributes)  # type: ignore[arg-type]

    def denies(self, rcode: int = codes.NXDOMAIN, *answer: str, ttl: int = 60, minimum: int = 30) -> None:
        """From now on deny with an SOA."""
        self.says(*answer, rcode=rcode, authority=(soa(ttl, minimum),))

    def fails(self) -> None:
        """From now on answer SERVFAIL."""
        self.says(rcode=codes.SERVFAIL, error="no server answers")

    async def __call__(self, query: Query) -> Reply:
        self.asked.append(query)
        reply, error = self.reply, self.error
        await self.open.wait()
        if error is not None:
            raise error
        return reply


def soa(ttl: int = 60, minimum: int = 30, serial: int = 1) -> Record:
    primary, mailbox = names.parse("ns.example.org"), names.parse("admin.example.org")
    timers = (7200, 3600, 86400, minimum)
    return Record(names.parse("example.org"), codes.SOA, ttl, rdata.soa(primary, mailbox, serial, timers=timers))


def off_the_wire(asked: Query, reply: Reply) -> Reply:
    """The reply as ``forward`` would hand it on."""
    return forwarded(render(asked, reply, 65535, 1232))


def cache(*options: str, args: str = "", keys: str = ".:0") -> Cache:
    lines = "".join(f"\n{option}" for option in options)
    return plugin(Cache, f"cache {args} {{{lines}\n}}" if options else f"cache {args}", keys)


def asking(
    name: str = "a.example.org", type: str = "A", *, flags: int = codes.RD, do: bool = False, subnet: bool = False
) -> Query:
    question = query(name, type)
    options = (SUBNET,) if subnet else ()
    return question.with_(flags=flags, edns=Edns(do=do, options=options) if do or subnet else None)


async def ask(cache: Cache, upstream: Callable[[Query], object], *args: str, **kwargs: object) -> Reply:
    """Ask once, and count the serving as the server does."""
    reply = await cache.answer(asking(*args, **kwargs), upstream)  # type: ignore[arg-type]
    for tally in reply.tallies:
        tally.add(1)
    return reply


def ttls(reply: Reply) -> list[int]:
    return [each.ttl for each in reply.records]
