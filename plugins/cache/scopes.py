"""The keys that replies are kept under: a question's own, and with a client subnet those of networks around it."""

from __future__ import annotations

import struct
from collections.abc import Iterator

from pydnsk8s import codes, subnet
from pydnsk8s.message import Query, Reply

_KEY = struct.Struct(">HHB")
_EXACTLY = b"\xff"  # no address family: what follows is a client subnet as it was told
TRUTHS = (codes.NOERROR, codes.NXDOMAIN)
"""These say how things are: they refresh what is kept, no others do (RFC 8767 section 4)."""


def question_of(query: Query) -> bytes:
    """What tells a query without a client subnet from others."""
    # The name ends itself and the rest has a fixed length, so no two questions have one key. RD is part of it
    # because a referral, the answer to a question without RD, is no answer to one with it.
    flags, edns = query.flags & (codes.RD | codes.CD), query.edns
    return query.name + _KEY.pack(query.type, query.klass, flags >> 3 | (edns is not None and edns.do))


def key_of(query: Query) -> bytes:
    """What tells a query from all those that may be answered otherwise."""
    named = subnet.of(query)
    return question_of(query) if named is None else question_of(query) + _EXACTLY + named.data()


class Scopes:
    """How many bits of client subnets replies have depended on so far: where to look for one that fits."""

    def __init__(self) -> None:
        self._seen: dict[int, tuple[int, ...]] = {}
        """By address family, the most bits first."""

    def around(self, query: Query) -> Iterator[bytes]:
        """The keys of networks that hold the client subnet, the smallest first (RFC 7871 section 7.3.2)."""
        named = subnet.of(query)
        if named is not None:
            question = question_of(query)
            for bits in self._seen.get(named.family, ()):
                if bits <= named.bits:
                    yield question + named.part(bits)

    def place(self, key: bytes, query: Query, reply: Reply) -> bytes:
        """The key to keep a reply to the query of this key under."""
        named, scope = subnet.of(query), reply.keep.scope
        # RFC 7871 section 7.3.1: what those get who tell too little or nothing is for those who tell the same. So is
        # a failure, of which nobody says what it depends on.
        if named is None or not named.bits or scope > named.bits or reply.rcode not in TRUTHS:
            return key
        seen = self._seen.get(named.family, ())
        if scope not in seen:
            self._seen[named.family] = tuple(sorted((*seen, scope), reverse=True))
        return question_of(query) + named.part(scope)
