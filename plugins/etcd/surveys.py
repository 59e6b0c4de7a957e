"""What etcd has under any name of a zone, so that the gate can answer names that nobody has asked for yet."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from pydnsk8s import codes, names
from pydnsk8s.etcd.tree import Tree
from pydnsk8s.etcd.values import ADDRESSES, Value, path_of
from pydnsk8s.keep import Stamp
from pydnsk8s.message import Query
from pydnsk8s.plugins.etcd.options import Options
from pydnsk8s.plugins.etcd.reading import TTL, is_pattern, top_of, wildcard
from pydnsk8s.survey import ABSENT, ASK, Outcome, Survey

_FEW = 32  # values of a name that are looked through
_SAMPLE = 64  # values that tell which TTL is the usual one
_STRANGE = 1024  # names with another one in a row: it has become the usual one


def survey(tree: Tree, options: Options, query: Query) -> Survey | None:
    """The zone that the name asked for is in; None where each name has to be asked for."""
    zone = names.closest(query.name, options.zones)
    top = None if zone is None else top_of(zone)
    if zone is None or top is None or query.type not in ADDRESSES.values() or not tree.synced:
        return None
    # Below a zone within, and where names fall through, others have a say.
    within = any(names.is_under(each, zone) for each in options.zones if each != zone)
    if within or not names.are_apart(zone, options.fall.zones):
        return None
    found = _Addresses(tree, options, zone, top, query.type)
    return Survey(zone, found.find, frozenset((found.stamp,)))


class _Addresses:
    """Addresses of one family with the usual TTL, for all replies that are made of one are to have the same."""

    def __init__(self, tree: Tree, options: Options, zone: bytes, top: bytes, type: int) -> None:
        self._tree = tree
        self._strict = options.strict
        self._zone = zone
        self._top = top
        self._type = type
        usual = Counter(value.ttl or TTL for value in tree.sample(top, _SAMPLE) if value.kind == type).most_common(1)
        self._ttl = usual[0][0] if usual else TTL
        self._strange = 0
        self.stamp = Stamp()
        """Retired when another TTL has become the usual one."""

    def find(self, name: bytes, starts: Sequence[int]) -> Outcome:
        """What there is under a name."""
        path = path_of(name, self._zone, self._top) if starts else None
        if path is None or (not self._strict and is_pattern(path, self._top)):
            return ASK
        values = self._values(path)
        if values is None:
            values = self._values(wildcard(self._tree.encloser(path, self._top, None)))
        return ABSENT if values is None else self._among(values)

    def _values(self, path: bytes) -> Sequence[Value] | None:
        """The values that the answer for a name is made from; None if there is no such name."""
        if self._strict:
            return self._tree.at(path, None)
        return self._tree.below(path, None, _FEW + 1) or None

    def _among(self, values: Sequence[Value]) -> Outcome:
        if len(values) > _FEW:
            return ASK
        addresses = []
        for value in values:
            if value.kind == codes.CNAME or value.group or value.lease:
                return ASK
            if value.kind == self._type:
                if (value.ttl or TTL) != self._ttl:
                    return self._meet_stranger()
                addresses.append(value.host)
        self._strange = 0
        return b"".join(addresses if len(addresses) < 2 else dict.fromkeys(addresses))

    def _meet_stranger(self) -> Outcome:
        self._strange += 1
        if self._strange > _STRANGE:
            self.stamp.retire()
        return ASK
