"""An upstream for scenarios: a plugin, offered through an entry point as others are, that says what it is told."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import EntryPoint
from typing import Self

from pydnsk8s import chain, codes, names
from pydnsk8s.corefile import Directive
from pydnsk8s.keep import NEVER
from pydnsk8s.message import Query, Record, Reply
from pydnsk8s.plugin import Plugin, Rest, ServerBlock


class Scripted(Plugin):
    """Answers as a recursive server would from a few records; like ``forward``, it promises no keep."""

    name = "scripted"
    after = "forward"

    def __init__(self) -> None:
        self.records: list[Record] = []
        self.works = True
        self.asked = 0
        """Queries that came here since the scenario last looked."""

    @classmethod
    def setup(cls, directive: Directive, block: ServerBlock) -> Self:
        return cls()

    async def answer(self, query: Query, rest: Rest) -> Reply:
        self.asked += 1
        if not self.works:
            return self._tell(codes.SERVFAIL, [])
        answer = list(self._find(query.name, query.type))
        if answer:
            return self._tell(codes.NOERROR, answer)
        exists = any(names.is_under(record.name, query.name) for record in self.records)
        soa = [record for record in self.records if record.type == codes.SOA]
        return self._tell(codes.NOERROR if exists else codes.NXDOMAIN, [], soa)

    def _find(self, name: bytes, type: int, links: int = 8) -> Iterator[Record]:
        for record in self.records:
            if record.name == name and record.type == type:
                yield record
            elif record.name == name and record.type == codes.CNAME and links:
                yield record
                yield from self._find(record.data, type, links - 1)

    def _tell(self, rcode: int, answer: Sequence[Record], authority: Sequence[Record] = ()) -> Reply:
        return Reply(
            rcode, answer, authority, keep=NEVER, authoritative=False, recursive=True, plugin=self.name,
            error="the upstream fails" if rcode == codes.SERVFAIL else "",
        )  # fmt: skip


@contextmanager
def offered() -> Iterator[None]:
    """Make the directive known while the block lasts."""
    elsewhere = chain._elsewhere()
    elsewhere["scripted"] = EntryPoint("scripted", f"{__name__}:Scripted", chain.GROUP)
    chain.known.cache_clear()
    try:
        yield
    finally:
        del elsewhere["scripted"]
        for remembered in (chain.known, chain.find, chain.place):
            remembered.cache_clear()
