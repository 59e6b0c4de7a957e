"""The names that DNSEndpoints ask for, in memory.

Rule: whatever a lookup returns, it reads under the key that its docstring names, and a change of what is found under a
key retires the stamp of that key. A reply that is kept under the stamps of all it looked up is therefore never stale.

Names are in wire form and lower case. All calls belong on the event loop's thread.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable
from functools import partial
from typing import TypeAlias

from pydnsk8s import codes, names
from pydnsk8s.keep import Keep, Stamp, Stamps
from pydnsk8s.kube.objects import DNSEndpoint, Kind, Object, RecordSet

Key: TypeAlias = tuple[str, bytes]
"""``("name", name)`` for all that is at a name, and whether anything is below it; ``("cut", name)`` for its NS
records; or the one below."""
SYNCED: Key = ("synced", b"")
"""The stamp under this key is retired when one more selection has been listed in full."""
Owner: TypeAlias = tuple[str, str]
"""Namespace and name of an object."""


class RecordIndex:
    """Finds records by name, whichever objects they come from; filled through its selections."""

    def __init__(self) -> None:
        self._selections: list[Selection] = []
        self._objects: dict[Owner, DNSEndpoint] = {}
        self._at: dict[bytes, dict[Owner, tuple[RecordSet, ...]]] = {}
        self._below: dict[bytes, int] = {}
        self._stamps = Stamps()

    @property
    def synced(self) -> bool:
        """Whether every selection has been listed in full at least once."""
        return bool(self._selections) and all(selection.synced for selection in self._selections)

    def select(self, picks: Callable[[DNSEndpoint], bool] = lambda _: True) -> Selection:
        """A new sink; what any of the sinks holds is served."""
        selection = Selection(self._change, partial(self._stamps.retire, SYNCED), picks)
        self._selections.append(selection)
        return selection

    def stamp(self, key: Key) -> Stamp:
        """The stamp of what is, or is not, found under the key now."""
        return self._stamps.of(key)

    def keep(self, *keys: Key) -> Keep:
        """As long as what is, or is not, found under each of the keys stays as it is."""
        return Keep(stamps=frozenset(map(self._stamps.of, keys)))

    def count(self) -> int:
        """How many objects are held."""
        return len(self._objects)

    def find(self, name: bytes) -> dict[int, RecordSet]:
        """The record sets at the name by type, those of several entries made one; under ``("name", name)``."""
        found: dict[int, RecordSet] = {}
        for _, held in sorted(self._at.get(name, {}).items()):
            for each in held:
                found[each.type] = _merged(found[each.type], each) if each.type in found else each
        return found

    def has_below(self, name: bytes) -> bool:
        """Whether there are records at any name below this one; under ``("name", name)``."""
        return name in self._below

    def delegation(self, name: bytes) -> RecordSet | None:
        """The NS records at the name; under ``("cut", name)``."""
        return self.find(name).get(codes.NS) if name in self._at else None

    def _change(self, owner: Owner) -> None:
        """Take over what the selections hold of an object."""
        held = (selection.held.get(owner) for selection in self._selections)
        old, new = self._objects.pop(owner, None), next((obj for obj in held if obj is not None), None)
        if new is not None:
            self._objects[owner] = new
        before, after = _by_name(old), _by_name(new)
        for name in before.keys() | after.keys():
            if before.get(name) != after.get(name):
                self._replace(name, owner, after.get(name, ()))

    def _replace(self, name: bytes, owner: Owner, records: tuple[RecordSet, ...]) -> None:
        at = self._at.setdefault(name, {})
        existed, before = bool(at), at.pop(owner, ())
        if records:
            at[owner] = records
        if not at:
            del self._at[name]
        if bool(at) != existed:
            self._count_above(name, 1 if at else -1)
        self._stamps.retire(("name", name))
        if _delegating(before) != _delegating(records):
            self._stamps.retire(("cut", name))

    def _count_above(self, name: bytes, difference: int) -> None:
        """Count the names below each name; one that gains its first or loses its last has changed."""
        for above in names.suffixes(names.parent(name)):
            count = self._below.get(above, 0) + difference
            if count:
                self._below[above] = count
            else:
                del self._below[above]
            if count == max(difference, 0):
                self._stamps.retire(("name", above))


class Selection:
    """The objects of one filter; a Sink."""

    def __init__(
        self,
        change: Callable[[Owner], None],
        completed: Callable[[], None],
        picks: Callable[[DNSEndpoint], bool],
    ) -> None:
        self.synced = False
        """Whether the objects have been listed in full at least once."""
        self.held: dict[Owner, DNSEndpoint] = {}
        self._change = change
        self._completed = completed
        self._picks = picks

    def put(self, obj: Object, triggered: float = 0.0) -> None:
        """Take an object that is new or has changed."""
        owner = obj.namespace, obj.name
        if not isinstance(obj, DNSEndpoint) or not self._picks(obj):
            self.remove(type(obj), *owner)
        elif self.held.get(owner) != obj:
            self.held[owner] = obj
            self._change(owner)

    def remove(self, kind: Kind, namespace: str, name: str) -> None:
        """Drop an object that is gone."""
        if self.held.pop((namespace, name), None) is not None:
            self._change((namespace, name))

    def surplus(self, kind: Kind, keys: Container[Owner], namespace: str = "") -> list[Owner]:
        """The keys of the objects held that are not among these; of one namespace or of all."""
        return [owner for owner in self.held if owner not in keys and namespace in ("", owner[0])]

    def complete(self, kind: Kind, namespace: str = "") -> None:
        """Note that all objects have now been put, and the surplus removed."""
        self.synced = True
        self._completed()

    def replace(self, kind: Kind, objects: Iterable[Object]) -> None:
        """Take the full list, and change only what differs from what is held."""
        listed = {(obj.namespace, obj.name): obj for obj in objects}
        for obj in listed.values():
            self.put(obj)
        for namespace, name in self.surplus(kind, listed):
            self.remove(kind, namespace, name)
        self.complete(kind)


def _merged(one: RecordSet, other: RecordSet) -> RecordSet:
    # RFC 2181 section 5.2: a record set has one TTL, and where they differ the lowest is safe.
    ttls = [held.ttl for held in (one, other) if held.ttl is not None]
    return RecordSet(
        name=one.name,
        type=one.type,
        ttl=min(ttls, default=None),
        data=tuple(dict.fromkeys((*one.data, *other.data))),
        strategy=one.strategy or other.strategy,
        weights=tuple(dict.fromkeys((*one.weights, *other.weights))),
    )


def _by_name(obj: DNSEndpoint | None) -> dict[bytes, tuple[RecordSet, ...]]:
    found: dict[bytes, list[RecordSet]] = {}
    for each in obj.records if obj is not None else ():
        found.setdefault(each.name, []).append(each)
    return {name: tuple(held) for name, held in found.items()}


def _delegating(records: Iterable[RecordSet]) -> list[RecordSet]:
    return [each for each in records if each.type == codes.NS]
