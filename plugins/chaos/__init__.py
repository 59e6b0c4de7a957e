"""chaos - tells the server's version, authors and host name in class CH."""

from __future__ import annotations

import random
import socket
from typing import Self

from pydnsk8s import codes, names, rdata
from pydnsk8s.corefile import Directive
from pydnsk8s.keep import ALWAYS, NEVER, Keep
from pydnsk8s.message import Query, Record, Reply
from pydnsk8s.plugin import HAND_ON, Plugin, ServerBlock, Turn
from pydnsk8s.version import VERSION

_AUTHORS = names.parse("authors.bind")
_LONGEST = 255  # octets of one character string (RFC 1035 section 3.3)


class Chaos(Plugin):
    """Answers TXT queries in class CH for the names that BIND made customary (RFC 4892)."""

    name = "chaos"

    def __init__(self, version: str, authors: tuple[str, ...]) -> None:
        host = socket.gethostname()
        told = {"version.bind": version, "version.server": version, "hostname.bind": host, "id.server": host}
        self.texts = {names.parse(name): _cut(text) for name, text in told.items()}
        self.authors = tuple(map(_cut, authors))

    @classmethod
    def setup(cls, directive: Directive, block: ServerBlock) -> Self:
        directive.no_options()
        block.any_class = True
        version, *authors = directive.args or (f"pydnsk8s-{VERSION}",)
        return cls(version, tuple(authors))

    def passes(self, zone: bytes) -> Keep:
        return HAND_ON

    def at_once(self, query: Query) -> Turn:
        if query.klass != codes.CH or query.type != codes.TXT:
            return HAND_ON
        if query.name == _AUTHORS:
            # Shuffled each time, so that nobody is always first.
            return self._tell(query, random.sample(self.authors, len(self.authors))).under(NEVER)
        if query.name in self.texts:
            return self._tell(query, [self.texts[query.name]])
        return HAND_ON

    def _tell(self, query: Query, texts: list[bytes]) -> Reply:
        records = [Record(query.name, codes.TXT, 0, rdata.txt(text), codes.CH) for text in texts]
        return Reply(answer=records, authoritative=False, keep=ALWAYS, plugin=self.name)


def _cut(text: str) -> bytes:
    return text.encode(errors="surrogateescape")[:_LONGEST]  # what is no UTF-8 in the environment stays what it is
