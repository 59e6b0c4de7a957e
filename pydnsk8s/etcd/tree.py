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

SOUGHT = 10_000
"""Names that one such question is worth: about a millisecond, and anybody may ask."""

_ANY = frozenset((b"*", b"any"))
_LONGEST_FAULT = 200  # characters
_log = log.plugin("etcd")


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
        self._at: dict[bytes, tuple[Value, ...]] = {}
        self._order: list[bytes] = []
        """The paths of ``_at``, sorted; what is below a path is a slice of it."""
        self._stamps = Stamps()
        """By what was looked for, ``at``, ``below``, ``exists`` or ``any``, and the path."""

    def __len__(self) -> int:
        return len(self._keys)

    def exists(self, path: bytes, read: set[Stamp]) -> bool:
        """Whether there is a value at the path or below it (RFC 8020 section 2)."""
        read.add(self._stamp("exists", path))
        return self._exists(path)

    def at(self, path: bytes, read: set[Stamp]) -> tuple[Value, ...]:
        """The values at just this path."""
        read.add(self._stamp("at", path))
        return self._at.get(path, ())

    def below(self, path: bytes, read: set[Stamp]) -> list[Value]:
        """The values at the path and below it, in the order of their keys, MOST at the most."""
        read.add(self._stamp("below", path))
        first, last = self._span(path)
        found = [*self._at.get(path, ())]
        for place in self._order[first : min(last, first + MOST)]:
            found += self._at[place]
        return found[:MOST]

    def matching(self, path: bytes, read: set[Stamp]) -> list[Value]:
        """As :meth:`below`, for a path whose segments ``*`` and ``any`` stand for any one segment.

        Of what is below the segments before the first of these, SOUGHT names are looked at.
        """
        segments = path.split(b"/")
        fixed = next(at for at, segment in enumerate(segments) if segment in _ANY)
        start = b"/".join(segments[:fixed])
        read.add(self._stamp("below", start))
        pattern = b"/".join(b"[^/]+" if segment in _ANY else re.escape(segment) for segment in segments)
        fits = re.compile(pattern + b"(?![^/])").match
        first, last = self._span(start)
        places = filter(fits, self._order[first : min(last, first + SOUGHT)])
        return [*islice((value for place in places for value in self._at[place]), MOST)]

    def encloser(self, path: bytes, zone: bytes, read: set[Stamp]) -> bytes:
        """The closest encloser of a path, at the furthest the zone's (RFC 4592 section 3.3.1).

        A path that exists is its own, and leaves the stamp to whoever reads it now.
        """
        if path == zone or self._exists(path):
            return path
        missing, above = path, path.rpartition(b"/")[0]
        while above != zone and not self._exists(above):
            missing, above = above, above.rpartition(b"/")[0]
        read.add(self._stamp("exists", missing))
        if above != zone:
            read.add(self._stamp("exists", above))
        return above

    def serial(self, read: set[Stamp]) -> int:
        """When anything last changed, to tell versions apart."""
        read.add(self._stamp("any", b""))
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
        self._retire("any", b"")

    def _hold(self, place: bytes, gone: Value | None, come: Value | None) -> None:
        """Change what is at a place, and retire the stamps of all who read it."""
        held = list(self._at.get(place, ()))
        if gone is not None:
            held.remove(gone)
        if come is not None:
            insort(held, come)
        if not held:
            del self._at[place], self._order[bisect_left(self._order, place)]
            self._retire_existence(place)
        elif place not in self._at:
            self._retire_existence(place)
            insort(self._order, place)
        if held:
            self._at[place] = tuple(held)
        self._retire("at", place)
        for path in _upwards(place):
            self._retire("below", path)

    def _exists(self, path: bytes) -> bool:
        if path in self._at:
            return True
        below = path + b"/" if path else b""
        first = bisect_left(self._order, below)
        return first < len(self._order) and self._order[first].startswith(below)

    def _span(self, path: bytes) -> tuple[int, int]:
        """Where in the order the paths below this one are."""
        if not path:
            return 0, len(self._order)
        # "0" is the octet after "/".
        first = bisect_left(self._order, path + b"/")
        return first, bisect_left(self._order, path + b"0", first)

    def _stamp(self, kind: str, path: bytes) -> Stamp:
        return self._stamps.of((kind, path))

    def _retire(self, kind: str, path: bytes) -> None:
        if self._stamps:
            self._stamps.retire((kind, path))

    def _retire_existence(self, place: bytes) -> None:
        """Retire the stamps of the names that do not exist without what is at a place."""
        for path in _upwards(place) if self._stamps else ():
            if self._exists(path):
                return
            self._retire("exists", path)


def _upwards(path: bytes) -> Iterator[bytes]:
    """The path, then each of its parents down to the root's."""
    while path:
        yield path
        path = path.rpartition(b"/")[0]
    yield path
