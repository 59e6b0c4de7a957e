"""The index of the names that DNSEndpoints ask for: whatever way it was filled, it finds them and tells changes."""

from __future__ import annotations

from typing import TypeAlias

from hypothesis import given
from hypothesis import strategies as st

from pydnsk8s import codes, names
from pydnsk8s.keep import Stamp
from pydnsk8s.kube.objects import DNSEndpoint, RecordSet, Weight
from pydnsk8s.kube.record_index import Key, RecordIndex

NAMES = [names.parse(text) for text in ("example.org", "a.example.org", "b.a.example.org", "c.b.a.example.org", "net")]
ABOVE = sorted({above for name in NAMES for above in names.suffixes(name)})
KEYS: list[Key] = [(what, name) for name in ABOVE for what in ("name", "cut")]
DATA = {codes.A: (b"\xc0\0\2\1", b"\xc0\0\2\2"), codes.NS: (names.parse("ns.example.net"),), codes.TXT: (b"\1x",)}


def _set(name: bytes, type: int, ttl: int | None, count: int, strategy: str) -> RecordSet:
    data = DATA[type][:count]
    return RecordSet(name, type, ttl, data, strategy, tuple(Weight("eu", 1, each) for each in data))


sets = st.builds(
    _set,
    st.sampled_from(NAMES),
    st.sampled_from(sorted(DATA)),
    st.sampled_from([None, 5, 30]),
    st.integers(1, 2),
    st.sampled_from(["", "geoip", "roundrobin"]),
)
objects = st.builds(
    DNSEndpoint,
    st.sampled_from(["blue", "red"]),
    st.sampled_from(["x", "y"]),
    st.just(()),
    st.lists(sets, max_size=3).map(tuple),
)
Step: TypeAlias = tuple[int, str, list[DNSEndpoint]]
steps = st.tuples(st.integers(0, 1), st.sampled_from(["put", "remove", "replace"]), st.lists(objects, max_size=3))


class Held:
    """An index with two selections, and what it is to hold."""

    def __init__(self) -> None:
        self.index = RecordIndex()
        self.sinks = [self.index.select(), self.index.select()]

    def take(self, step: Step) -> None:
        number, what, held = step
        if what == "replace":
            self.sinks[number].replace(DNSEndpoint, held)
        for obj in held if what != "replace" else ():
            if what == "put":
                self.sinks[number].put(obj)
            else:
                self.sinks[number].remove(DNSEndpoint, obj.namespace, obj.name)

    @property
    def objects(self) -> dict[tuple[str, str], DNSEndpoint]:
        return {**self.sinks[1].held, **self.sinks[0].held}

    def seen(self, key: Key) -> object:
        what, name = key
        return (self.index.find(name), self.index.has_below(name)) if what == "name" else self.index.delegation(name)


@given(st.lists(steps, max_size=12))
def test_any_way_to_the_objects_leads_to_the_same_lookups(taken: list[Step]) -> None:
    held, fresh = Held(), Held()
    for step in taken:
        held.take(step)
    fresh.sinks[0].replace(DNSEndpoint, held.objects.values())
    assert [held.seen(key) for key in KEYS] == [fresh.seen(key) for key in KEYS]
    assert held.index.count() == len(held.objects)


@given(st.lists(steps, max_size=12))
def test_everything_is_found_at_its_name_and_nothing_else_is(taken: list[Step]) -> None:
    held = Held()
    for step in taken:
        held.take(step)
    records = [each for obj in held.objects.values() for each in obj.records]
    for name in ABOVE:
        here = [each for each in records if each.name == name]
        found = held.index.find(name)
        assert found.keys() == {each.type for each in here}
        for type, merged in found.items():
            assert set(merged.data) == {data for each in here if each.type == type for data in each.data}
            assert merged.ttl == min((each.ttl for each in here if each.type == type and each.ttl), default=None)
        below = [each for each in records if each.name != name and names.is_under(each.name, name)]
        assert held.index.has_below(name) == bool(below)


@given(st.lists(steps, max_size=8), steps)
def test_what_is_found_otherwise_has_lost_its_stamp_and_the_rest_has_not(before: list[Step], step: Step) -> None:
    held = Held()
    for each in before:
        held.take(each)
    seen = {key: held.seen(key) for key in KEYS}
    stamps: dict[Key, Stamp] = {key: held.index.stamp(key) for key in KEYS}
    held.take(step)
    changed = {key for key in KEYS if held.seen(key) != seen[key]}
    assert changed <= {key for key, stamp in stamps.items() if not stamp.alive}
    touched = {each.name for _, _, objects in (*before, step) for obj in objects for each in obj.records}
    for key, stamp in stamps.items():
        above = any(names.is_under(name, key[1]) for name in touched)
        assert stamp.alive or above, "a change elsewhere ends nothing"


def test_what_two_filters_pick_stays_until_both_have_lost_it() -> None:
    held = Held()
    obj = DNSEndpoint("blue", "x", (), (_set(NAMES[1], codes.A, 5, 2, ""),))
    for number in (0, 1):
        held.take((number, "put", [obj]))
    for number, left in ((1, True), (0, False)):
        held.take((number, "remove", [obj]))
        assert bool(held.index.find(NAMES[1])) is left


def test_an_index_is_synced_when_every_filter_has_been_listed() -> None:
    index = RecordIndex()
    assert not index.synced
    sinks = [index.select(), index.select()]
    sinks[0].replace(DNSEndpoint, [])
    assert not index.synced
    sinks[1].complete(DNSEndpoint)
    assert index.synced


def test_a_sink_takes_only_what_it_picks() -> None:
    index = RecordIndex()
    sink = index.select(lambda obj: ("tier", "web") in obj.labels)
    held = (_set(NAMES[1], codes.A, 5, 1, ""),)
    sink.put(DNSEndpoint("blue", "x", (("tier", "web"),), held))
    sink.put(DNSEndpoint("blue", "y", (), held))
    assert index.count() == 1
    sink.put(DNSEndpoint("blue", "x", (), held))
    assert index.count() == 0
