"""The values below an etcd prefix in memory, found by name.

Rule: every reading leaves the stamps of what it read, and a change of that retires them. A reply kept under the stamps
of all its readings is therefore never stale.
"""

from __future__ import annotations

import re
import time
from bisect import bisect_left, insort
from collections.abc import Callable, Iterator
from itertools import islice

from pydnsk8s import log
from pydnsk8s.etcd import values
from pydnsk8s.etcd.leases import Leases
from pydnsk8s.etcd.values import Value
from pydnsk8s.keep import Stamp, Stamps

MOST = 4096
"""Values that one reading gives: no message holds as many records (16 octets each in 65,535)."""

_ANY = frozenset((b"*", b"any"))
_FEW = 4
_LONGEST_FAULT = 200  # characters
_log = log.plugin("etcd")


class TooManyError(Exception):
    """More would have to be looked through than one question may cost."""


class Place(Stamp):
    """The values at a path; a place lives until they change."""

    __slots__ = ("values",)

    def __init__(self, values: tuple[Value, ...]) -> None:
        self.alive = True
        self.values = values


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
        self.synced = False
        """Whether everything has been listed once."""
        self.changed_at = 0
        """When anything last changed, in Unix seconds; 0 before the first value."""
        self.leases = Leases()
        self.faults: dict[bytes, str] = {}
        """The keys, without the prefix, that say nothing because of what is wrong with them."""
        # A zone's path with its border is how paths in it begin; that of the root is empty.
        self._zones = tuple(path + b"/" if path else b"" for path in map(values.path_of, zones) if path is not None)
        self._owned = owned
        self._clock = clock
        self._keys: dict[bytes, Value] = {}
        self._at: dict[bytes, Place] = {}
        self._order: list[bytes] = []
        """The paths of ``_at``, sorted; what is below a path is a slice of it."""
        self._gaps = Stamps()
        """Of paths that exist without values of their own: that they have none."""
        self._branches = Stamps()
        """Of all that is at a path and below it; of a path that does not exist also that it does not."""
        self._names = Stamps()
        """Of paths that exist: that they do."""

    def __len__(self) -> int:
        return len(self._keys)

    def at(self, path: bytes, read: set[Stamp]) -> tuple[Value, ...] | None:
        """The values at just this path; None if there are none below it either (RFC 8020 section 2)."""
        place = self._at.get(path)
        if place is not None:
            read.add(place)
            return place.values
        if not self._exists(path):
            read.add(self._branches.of(path))
            return None
        read |= {self._gaps.of(path), self._names.of(path)}
        return ()

    def below(self, path: bytes, read: set[Stamp], most: int = MOST) -> list[Value]:
        """The values at the path and below it, in the order of their keys, so many at the most."""
        read.add(self._branches.of(path))
        place = self._at.get(path)
        found = [] if place is None else [*place.values]
        for below in self._order[slice(*self._span(path, most))]:
            found += self._at[below].values
        return found if len(found) <= most else found[:most]

    def matching(self, path: bytes, zone: bytes, read: set[Stamp]) -> list[Value]:
        """As :meth:`below`, for a path whose segments ``*`` and ``any`` below a zone's stand for any one segment.

        TooManyError if there are more than MOST paths below the segments in front of the first of these.
        """
        segments, own = path.split(b"/"), zone.count(b"/") + 1 if zone else 0
        wild = [at for at, segment in enumerate(segments) if at >= own and segment in _ANY]
        start = b"/".join(segments[: wild[0]])
        read.add(self._branches.of(start))
        first, last = self._span(start, MOST + 1)
        if last - first > MOST:
            shown = start.decode("utf-8", "backslashreplace")
            raise TooManyError(f"more than {MOST} keys to look through below {shown}")
        pattern = b"/".join(b"[^/]+" if at in wild else re.escape(segment) for at, segment in enumerate(segments))
        fits = re.compile(pattern + b"(?![^/])").match
        places = filter(fits, self._order[first:last])
        return [*islice((value for place in places for value in self._at[place].values), MOST)]

    def encloser(self, path: bytes, zone: bytes, read: set[Stamp]) -> bytes:
        """The closest encloser of a path that does not exist, at the furthest the zone's (RFC 4592 section 3.3.1)."""
        missing, above = path, path.rpartition(b"/")[0]
        while above != zone and not self._exists(above):
            missing, above = above, above.rpartition(b"/")[0]
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
        path = key[len(self.prefix) :]
        old, new = self._keys.get(path), self._read(path, document, lease)
        if new is not None:
            self._keys[path] = new
        elif old is not None:
            del self._keys[path]
        self._change(old, new)

    def remove(self, key: bytes) -> None:
        """Drop a pair that is gone."""
        path = key[len(self.prefix) :]
        self.faults.pop(path, None)
        self._change(self._keys.pop(path, None), None)

    def keys(self) -> set[bytes]:
        """The whole keys of all pairs that were put."""
        return {self.prefix + path for path in (*self._keys, *self.faults)}

    def _read(self, path: bytes, document: bytes, lease: int) -> Value | None:
        """The value of a pair, None for one outside the zones; a faulty one makes its name exist and says nothing."""
        lower = path.lower()
        if not (lower + b"/").startswith(self._zones):
            return None
        fault, value = "", None
        try:
            values.check(lower)
            # Mostly the same octets: then one object serves as key and as path.
            value = Value(path if path == lower else lower)
            value = values.read(value.path, document, lease)
        except ValueError as error:
            fault = str(error)[:_LONGEST_FAULT]
        self._note(path, fault)
        return value if value and (self._place(value) + b"/").startswith(self._zones) else None

    def _note(self, path: bytes, fault: str) -> None:
        if not fault:
            self.faults.pop(path, None)
        elif self.faults.get(path) != fault:
            self.faults[path] = fault
            _log.warning("%s is skipped: %s", (self.prefix + path).decode("utf-8", "backslashreplace"), fault)

    def _place(self, value: Value) -> bytes:
        return value.owner if self._owned else value.path

    def _change(self, old: Value | None, new: Value | None) -> None:
        if old == new:
            return
        before, after = (None if value is None else self._place(value) for value in (old, new))
        if before is not None:
            self._hold(before, old, new if before == after else None)
        if after is not None and before != after:
            self._hold(after, None, new)
        self.leases.use(new.lease if new else 0)
        self.leases.leave(old.lease if old else 0)
        self.changed_at = max(self.changed_at, int(self._clock()))

    def _hold(self, path: bytes, gone: Value | None, come: Value | None) -> None:
        """Change what is at a path, and retire the stamps of all who read it."""
        old = self._at.pop(path, None)
        held = [] if old is None else list(old.values)
        if gone is not None:
            held.remove(gone)
        if come is not None:
            insort(held, come)
        if held:
            self._at[path] = Place(tuple(held))
        if old is None:
            insort(self._order, path)
            self._gaps.retire(path)
        else:
            old.retire()
            if not held:
                del self._order[bisect_left(self._order, path)]
                self._retire_names(path)
        for above in _upwards(path) if self._branches else ():
            self._branches.retire(above)

    def _exists(self, path: bytes) -> bool:
        if path in self._at:
            return True
        below = path + b"/" if path else b""
        first = bisect_left(self._order, below)
        return first < len(self._order) and self._order[first].startswith(below)

    def _span(self, path: bytes, most: int) -> tuple[int, int]:
        """Where in the order the first paths below this one are, so many at the most."""
        if not path:
            return 0, min(most, len(self._order))
        order, start = self._order, path + b"/"
        first = last = bisect_left(order, start)
        # Mostly there is one: walking to the border is faster than looking for it.
        while last < len(order) and order[last].startswith(start):
            last += 1
            if last - first == _FEW:
                # "0" is the octet after "/".
                return first, bisect_left(order, path + b"0", last, min(first + most, len(order)))
        return first, last

    def _retire_names(self, place: bytes) -> None:
        """Retire the stamps of the paths that no longer exist without what was at a place."""
        for path in _upwards(place) if self._names else ():
            if self._exists(path):
                return
            self._names.retire(path)


def _upwards(path: bytes) -> Iterator[bytes]:
    """The path, then each of its parents down to the root's."""
    while path:
        yield path
        path = path.rpartition(b"/")[0]
    yield path
