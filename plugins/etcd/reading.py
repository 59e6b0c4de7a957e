"""What one answer is made from, and how long it holds."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple, TypeAlias

from pydnsk8s import names
from pydnsk8s.etcd.tree import MOST, Tree
from pydnsk8s.etcd.values import Value, path_of
from pydnsk8s.keep import Keep, Stamp
from pydnsk8s.message import Query, Record, Reply, Tally
from pydnsk8s.plugins.etcd.options import Options

TTL = 300
"""Seconds, of values that say nothing about it; CoreDNS's."""
_LOOKUPS = 32  # names outside that one answer may need; CoreDNS sets no limit
_FEWER = 8  # by which that is divided for each lookup that led here: or two zones could multiply them without end
_PATTERN = 128  # values that a name with ``*`` counts for at least: what does not fit has been looked at, too
_ANY = re.compile(rb"(?:^|/)(?:\*|any)(?:$|/)")

Outside: TypeAlias = dict[tuple[bytes, int], Reply | None]
"""What this server as a whole says about names and types outside of a zone; None for what has yet to be asked."""


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


class Reading:
    """Reads for one query, and notes what the answer depends on.

    What is to be asked outside it notes as well, and goes on as if that could not be found: who finds such a question
    in ``outside`` afterwards has it answered, and reads again.
    """

    def __init__(self, tree: Tree, options: Options, query: Query, zone: bytes, outside: Outside) -> None:
        self.query = query
        self.zone = zone
        self.truncated = False
        self._tree = tree
        self._options = options
        self._outside = outside
        self._top = top_of(zone)
        self._stamps: set[Stamp] = set()
        self._seconds = math.inf
        self._room = MOST

    @property
    def waits(self) -> bool:
        """Whether there is something to be asked outside."""
        return None in self._outside.values()

    @property
    def keep(self) -> Keep:
        """How long everything read so far holds."""
        keep = Keep(self._seconds, stamps=frozenset(self._stamps))
        for reply in self._outside.values():
            if reply is not None:
                keep &= reply.keep
        return keep

    @property
    def tallies(self) -> tuple[Tally, ...]:
        """The counters of what was found outside."""
        if not self._outside:
            return ()
        return tuple(tally for reply in self._outside.values() if reply is not None for tally in reply.tallies)

    def find_subtree(self, name: bytes, most: int = MOST) -> Found | None:
        """The values at a name and below it; None if there is no such name.

        ``*`` and ``any`` stand for any one label (as CoreDNS does). Of all that one answer finds no more than MOST
        count, however often aliases lead to the same ones.
        """
        path, top = self._path(name), self._top
        if path is None or top is None or not self._room:
            return None
        if is_pattern(path, top):
            values = self._tree.matching(path, top, self._stamps)[: self._room]
            self._room = max(0, self._room - max(len(values), _PATTERN))
        else:
            values = self._tree.below(path, self._stamps, most)
            if not values and path != top:
                path = self._wildcard(path, top)
                values = self._tree.below(path, self._stamps, most)
            values = values[: self._room]
            self._room -= len(values)
        return Found(path, values) if values else None

    def find(self, name: bytes) -> Sequence[Value] | None:
        """The values of just this name; None if there is no such name, nor any below it."""
        path, top = self._path(name), self._top
        if path is None or top is None:
            return None
        values = self._tree.at(path, self._stamps)
        if values is None and path != top:
            path = self._wildcard(path, top)
            values = self._tree.at(path, self._stamps)
        return values

    def _path(self, name: bytes) -> bytes | None:
        return None if self._top is None else path_of(name, self.zone, self._top)

    def _wildcard(self, path: bytes, top: bytes) -> bytes:
        """The wildcard that stands for a path that does not exist (RFC 4592 section 3.3.1)."""
        return wildcard(self._tree.encloser(path, top, self._stamps))

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
            return value.ttl or TTL
        self._stamps.add(self._tree.leases.stamp(value.lease))
        left, least = self._tree.leases.left(value.lease), self._options.least_lease
        most = min(self._options.longest_lease, value.ttl or math.inf)
        if left > least:
            # It gets shorter by the second once there is less than may be said.
            self._seconds = min(self._seconds, max(1.0, left - most))
        return int(min(max(left, least), most))

    def look_up(self, name: bytes, type: int) -> Reply | None:
        """What this server as a whole says about another name; None if that is not known yet, or would be too many."""
        if len(self._outside) < max(1, _LOOKUPS // _FEWER**self.query.depth):
            self._outside.setdefault((name, type), None)
        return self._outside.get((name, type))


@lru_cache(256)
def top_of(zone: bytes) -> bytes | None:
    """A zone's path; None if no key can stand for it."""
    return path_of(zone)


def wildcard(encloser: bytes) -> bytes:
    """The path of the wildcard that stands for what there is not below this one."""
    return encloser + b"/*" if encloser else b"*"


def is_pattern(path: bytes, top: bytes) -> bool:
    """Whether a label below a zone's path stands for any (as CoreDNS does)."""
    return (b"*" in path or b"any" in path) and _ANY.search(path, len(top)) is not None
