"""What one answer is made from, and how long it holds."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

from pydnsk8s import names
from pydnsk8s.etcd.tree import MOST, Tree
from pydnsk8s.etcd.values import Value, path_of
from pydnsk8s.keep import ALWAYS, Keep, Stamp
from pydnsk8s.message import Query, Record, Reply, Tally
from pydnsk8s.plugins.etcd.options import Options

_TTL = 300  # seconds, of values that say nothing about it; CoreDNS's
_LOOKUPS = 32  # names outside that one answer may need; CoreDNS sets no limit
_FEWER = 8  # by which that is divided for each lookup that led here: or two zones could multiply them without end
_ANY = re.compile(rb"(?:^|/)(?:\*|any)(?:$|/)")


class Found(NamedTuple):
    """What the tree has for a name."""

    place: bytes
    """The path it was found at: the name's own or, under a wildcard, that one's."""
    values: Sequence[Value]

    @property
    def own(self) -> list[Value]:
        """The values meant for the very name, not for those below it."""
        return [value for value in self.values if self.place in (value.path, value.owner)]


class Answer(NamedTuple):
    """The records for a name that exists; none of the type asked for is NODATA."""

    records: Sequence[Record] = ()
    additional: Sequence[Record] = ()
    authority: Sequence[Record] = ()
    rcode: int = 0


class OutsideError(Exception):
    """The answer depends on a name outside, and that has to be waited for."""


class Reading:
    """Reads for one query, and notes what the answer depends on; unless it ``waits``, OutsideError ends it there."""

    def __init__(self, tree: Tree, options: Options, query: Query, zone: bytes, *, waits: bool = True) -> None:
        self.query = query
        self.zone = zone
        self.truncated = False
        self.tallies: tuple[Tally, ...] = ()
        self._tree = tree
        self._options = options
        self._top = _top(zone)
        self._stamps: set[Stamp] = set()
        self._seconds = math.inf
        self._lookups = max(1, _LOOKUPS // _FEWER**query.depth)
        self._room = MOST
        self._met = ALWAYS
        self._waits = waits

    @property
    def keep(self) -> Keep:
        """How long everything read so far holds."""
        return Keep(self._seconds, stamps=frozenset(self._stamps)) & self._met

    def find_subtree(self, name: bytes) -> Found | None:
        """The values at a name and below it; None if there is no such name.

        ``*`` and ``any`` stand for any one label (as CoreDNS does). Of all that one answer finds no more than MOST
        count, however often aliases lead to the same ones.
        """
        path = path_of(name)
        if path is None or not self._room:
            return None
        if _ANY.search(path):
            values = self._tree.matching(path, self._stamps)
        else:
            path = self._existing(path)
            values = self._tree.below(path, self._stamps)
        values = values[: self._room]
        self._room -= len(values)
        return Found(path, values) if values else None

    def find(self, name: bytes) -> Found | None:
        """The values of just this name; None if there is no such name, nor any below it."""
        path = path_of(name)
        if path is None:
            return None
        path = self._existing(path)
        values = self._tree.at(path, self._stamps)
        return Found(path, values) if values or self._tree.exists(path, self._stamps) else None

    def _existing(self, path: bytes) -> bytes:
        """The path, or the wildcard that stands for it if it does not exist (RFC 4592 section 3.3.1)."""
        encloser = self._tree.encloser(path, self._top, self._stamps)
        if encloser == path:
            return path
        return encloser + b"/*" if encloser else b"*"

    def special(self, label: bytes) -> Found | None:
        """The values at and below ``LABEL.dns`` in the zone, where skydns keeps those of the apex."""
        path = path_of(names.join(label, b"dns", to=self.zone)) or b""
        values = self._tree.below(path, self._stamps)
        return Found(path, values) if values else None

    def serial(self) -> int:
        """The zone's serial, for an answer about it."""
        return self._tree.serial(self._stamps)

    def ttl(self, value: Value) -> int:
        """The TTL of a value's records: the shorter of what it says itself and what its lease has left."""
        if not value.lease:
            return value.ttl or _TTL
        self._stamps.add(self._tree.leases.stamp(value.lease))
        left, least = self._tree.leases.left(value.lease), self._options.least_lease
        most = min(self._options.longest_lease, value.ttl or math.inf)
        if left > least:
            # It gets shorter by the second once there is less than may be said.
            self._seconds = min(self._seconds, max(1.0, left - most))
        return int(min(max(left, least), most))

    async def look_up(self, name: bytes, type: int) -> Reply | None:
        """What this server as a whole says about another name; None if that would be too many."""
        if not self._lookups:
            return None
        if not self._waits:
            raise OutsideError
        self._lookups -= 1
        reply = await self.query.lookup(name, type)
        self._met &= reply.keep
        self.tallies += reply.tallies
        return reply


@lru_cache(256)
def _top(zone: bytes) -> bytes:
    return path_of(zone) or b""
