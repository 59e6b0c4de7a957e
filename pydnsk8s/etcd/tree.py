"""The values below an etcd prefix in memory, found by name.

Rule: every reading leaves the stamps of what it read, and a change of that retires them. A reply kept under the stamps
of all its readings is therefore never stale. Who looks again each time, and keeps nothing, gives no set for stamps.
"""

from __future__ import annotations

import re
import time
from bisect import bisect_left, insort
from collections.abc import Callable, Iterator

from pydnsk8s import log
from pydnsk8s.etcd import values
from pydnsk8s.etcd.leases import Leases
from pydnsk8s.etcd.values import Value
from pydnsk8s.keep import Stamp, Stamps

MOST = 4096
"""Values that one reading gives: no message holds as many records (16 octets each in 65,535)."""

_ANY = frozenset((b"*", b"any"))
_FEW = 4
_AT, _BELOW = b"\0", b"/"  # what is behind a path in the rows that are at it, and in those below it
_BEHIND = {_AT: b"\1", _BELOW: b"0"}  # the octets that come next
_LONGEST_FAULT = 200  # characters
_log = log.plugin("etcd")


class TooManyError(Exception):
    """More would have to be looked through than one question may cost."""


class Tree:
    """Holds the values that are in some zones.

    With ``owned`` a value stands at its owner's name, otherwise at that of its whole key.
    """

    def __init__(
        self,
        zones: tuple[bytes, ...],
        prefix: bytes = b"/skydns/",
        *,
        owned: bool = False,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.prefix = prefix
        self.unknown = Stamp()
        """Retired when everything has been listed once."""
        self.changed_at = 0
        """When anything last changed, in Unix seconds; 0 before the first value."""
        self.leases = Leases()
        self.faults: dict[bytes, str] = {}
        """The keys, without the prefix, that say nothing because of what is wrong with them."""
        # A zone's path with its border is how paths in it begin; that of the root is empty.
        self._zones = tuple(path + b"/" if path else b"" for path in map(values.path_of, zones) if path is not None)
        self._owned = owned
        self._clock = clock
        self._rows: list[bytes] = []
        """All values, sorted; what is at a path is a slice of it, and what is below that another one."""
        self._own = Stamps()
        """Of paths that exist: which values are at just this path, or that none are."""
        self._branches = Stamps()
        """Of all that is at a path and below it; of a path that does not exist also that it does not."""
        self._names = Stamps()
        """Of paths that exist: that they do."""

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def synced(self) -> bool:
        """Whether everything has been listed once."""
        return not self.unknown.alive

    def complete(self) -> None:
        """Note that everything has been put."""
        self.unknown.retire()

    def at(self, path: bytes, read: set[Stamp] | None) -> list[Value] | None:
        """The values at just this path; None if there are none below it either (RFC 8020 section 2)."""
        first, last = self._span(path, _AT, MOST)
        if first < last:
            if read is not None:
                read.add(self._own.of(path))
            return [*map(values.unpack, self._rows[first:last])]
        first, last = self._span(path, _BELOW, 1, first)
        if first == last:
            if read is not None:
                read.add(self._branches.of(path))
            return None
        if read is not None:
            read |= {self._own.of(path), self._names.of(path)}
        return []

    def below(self, path: bytes, read: set[Stamp] | None, most: int = MOST) -> list[Value]:
        """The values at the path and below it, in the order of their keys, so many at the most."""
        if read is not None:
            read.add(self._branches.of(path))
        first, last = self._span(path, _AT, most)
        rows = self._rows[first:last]
        if len(rows) < most:
            rows += self._rows[slice(*self._span(path, _BELOW, most - len(rows), last))]
        return [*map(values.unpack, rows)]

    def matching(self, path: bytes, zone: bytes, read: set[Stamp]) -> list[Value]:
        """As :meth:`below`, for a path whose segments ``*`` and ``any`` below a zone's stand for any one segment.

        TooManyError if there are more than MOST values below the segments in front of the first of these.
        """
        segments, own = path.split(b"/"), zone.count(b"/") + 1 if zone else 0
        wild = [at for at, segment in enumerate(segments) if at >= own and segment in _ANY]
        start = b"/".join(segments[: wild[0]])
        read.add(self._branches.of(start))
        first, last = self._span(start, _BELOW, MOST + 1)
        if last - first > MOST:
            shown = start.decode("utf-8", "backslashreplace")
            raise TooManyError(f"more than {MOST} keys to look through below {shown}")
        pattern = b"/".join(b"[^/\0]+" if at in wild else re.escape(segment) for at, segment in enumerate(segments))
        fits = re.compile(pattern + b"[/\0]").match
        return [*map(values.unpack, filter(fits, self._rows[first:last]))]

    def sample(self, path: bytes, number: int) -> list[Value]:
        """About so many of the values below a path, from all over it."""
        first, last = self._span(path, _BELOW, len(self._rows))
        return [*map(values.unpack, self._rows[first : last : max(1, (last - first) // number)])]

    def encloser(self, path: bytes, zone: bytes, read: set[Stamp] | None) -> bytes:
        """The closest encloser of a path that does not exist, at the furthest the zone's (RFC 4592 section 3.3.1)."""
        missing, above = path, path.rpartition(b"/")[0]
        while above != zone and not self._exists(above):
            missing, above = above, above.rpartition(b"/")[0]
        if read is not None:
            read.add(self._branches.of(missing))
            if above != zone:
                read.add(self._names.of(above))
        return above

    def serial(self, read: set[Stamp]) -> int:
        """When anything last changed, to tell versions apart."""
        read.add(self._branches.of(b""))
        return self.changed_at

    def put(self, key: bytes, document: bytes, lease: int) -> None:
        """Take a pair that is new or has changed; keys come whole, with the prefix."""
        key = key[len(self.prefix) :]
        self._change(self._find(key), self._read(key, document, lease))

    def remove(self, key: bytes) -> None:
        """Drop a pair that is gone."""
        key = key[len(self.prefix) :]
        self.faults.pop(key, None)
        self._change(self._find(key), None)

    def keys(self) -> Iterator[bytes]:
        """The whole keys of all pairs that were put; a faulty one's may come twice."""
        for row in self._rows:
            yield self.prefix + values.key_of(row)
        for key in self.faults:
            yield self.prefix + key

    def _find(self, key: bytes) -> bytes | None:
        """The row of a key, if it has one."""
        path = key.lower()
        for place in _upwards(path) if self._owned else (path,):
            start = values.row_start(path, place)
            for at in range(bisect_left(self._rows, start), len(self._rows)):
                row = self._rows[at]
                if not row.startswith(start):
                    break
                if values.key_of(row) == key:
                    return row
        return None

    def _read(self, key: bytes, document: bytes, lease: int) -> bytes | None:
        """The row of a pair, None for one outside the zones; a faulty one makes its name exist and says nothing."""
        path = key.lower()
        if not (path + b"/").startswith(self._zones):
            return None
        written = b"" if path == key else key
        fault, value = "", None
        try:
            values.check(path)
            value = Value(path, key=written)
            value = values.read(path, document, lease, written)
        except ValueError as error:
            fault = str(error)[:_LONGEST_FAULT]
        self._note(key, fault)
        if value is None:
            return None
        place = value.owner if self._owned else path
        return values.pack(value, place) if (place + b"/").startswith(self._zones) else None

    def _note(self, key: bytes, fault: str) -> None:
        if not fault:
            self.faults.pop(key, None)
        elif self.faults.get(key) != fault:
            self.faults[key] = fault
            _log.warning("%s is skipped: %s", (self.prefix + key).decode("utf-8", "backslashreplace"), fault)

    def _change(self, old: bytes | None, new: bytes | None) -> None:
        """Swap one row for another, and retire the stamps of all who read what that changes."""
        if old == new:
            return
        self._swap(old, new)
        if new is not None:
            self.leases.use(values.unpack(new).lease)
        if old is not None:
            self.leases.leave(values.unpack(old).lease)
        for place in {values.place_of(row) for row in (old, new) if row is not None}:
            self._retire(place)
        self.changed_at = max(self.changed_at, int(self._clock()))

    def _swap(self, old: bytes | None, new: bytes | None) -> None:
        rows = self._rows
        if old is not None:
            at = bisect_left(rows, old)
            if new is not None and bisect_left(rows, new) - at in (0, 1):
                # Still between its neighbours: nothing behind it has to move.
                rows[at] = new
                return
            del rows[at]
        if new is not None:
            insort(rows, new)

    def _retire(self, place: bytes) -> None:
        """Retire the stamps of all who read what was at a place."""
        self._own.retire(place)
        for path in _upwards(place) if self._branches else ():
            self._branches.retire(path)
        for path in _upwards(place) if self._names else ():
            if self._exists(path):
                break
            self._names.retire(path)

    def _exists(self, path: bytes) -> bool:
        first, last = self._span(path, _AT, 1)
        if first == last:
            first, last = self._span(path, _BELOW, 1, first)
        return first < last

    def _span(self, path: bytes, border: bytes, most: int, first: int = 0) -> tuple[int, int]:
        """Where the rows at the path or below it are, so many at the most and none of them in front of ``first``."""
        rows = self._rows
        if not path:
            return 0, min(most, len(rows)) if border == _BELOW else 0
        prefix = path + border
        # Mostly what is below a path comes just behind what is at it.
        if first < len(rows) and rows[first] < prefix:
            first = bisect_left(rows, prefix, first)
        last, end = first, min(first + most, len(rows))
        # Mostly there is one: walking to the border is faster than looking for it.
        while last < end and rows[last].startswith(prefix):
            last += 1
            if last - first == _FEW:
                return first, bisect_left(rows, path + _BEHIND[border], last, end)
        return first, last


def _upwards(path: bytes) -> Iterator[bytes]:
    """The path, then each of its parents down to the root's."""
    while path:
        yield path
        path = path.rpartition(b"/")[0]
    yield path
