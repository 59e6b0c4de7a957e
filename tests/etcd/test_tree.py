"""The tree: however it came to hold what it holds, it reads the same, and no stamp outlives what was read under it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pydnsk8s import names, testing
from pydnsk8s.etcd.leases import Leases
from pydnsk8s.etcd.tree import MOST, TooManyError, Tree
from pydnsk8s.keep import Stamp

ZONE = names.parse("example.org")
SEGMENTS = ("a", "b", "A", "a-b", "*", "x")
PATHS = st.lists(st.sampled_from(SEGMENTS), max_size=3).map(
    lambda labels: "/".join(["org", "example", *labels]).encode()
)
DOCUMENTS = st.sampled_from(
    ['{"host":"192.0.2.1"}', '{"host":"192.0.2.2","targetstrip":1}', '{"text":"t","targetstrip":2}', "nonsense", "{}"]
).map(str.encode)
PAIRS = st.dictionaries(PATHS, DOCUMENTS, max_size=6)
CHANGES = st.lists(st.tuples(PATHS, st.none() | DOCUMENTS), max_size=6)

Read = Callable[[Tree, set[Stamp]], object]


def filled(pairs: dict[bytes, bytes], *, owned: bool) -> Tree:
    tree = Tree((ZONE,), owned=owned)
    for path, document in pairs.items():
        tree.put(b"/skydns/" + path, document, 0)
    return tree


def readings(path: bytes) -> list[Read]:
    """Everything that can be read at a path."""
    found: list[Read] = [
        lambda tree, read: tree.at(path, read),
        lambda tree, read: tree.below(path, read),
    ]
    if b"*" in path:
        found.append(lambda tree, read: tree.matching(path, b"org/example", read))
    if path.count(b"/") > 1:
        found.append(lambda tree, read: tree.at(path, read) or tree.encloser(path, b"org/example", read))
    return found


EVERYTHING = [
    reading
    for path in ("", "/a", "/b", "/*", "/a/b", "/a/x", "/a/*", "/a-b", "/q/r", "/*/b")
    for reading in readings(b"org/example" + path.encode())
]


@given(PAIRS, CHANGES, st.booleans())
def test_a_reading_whose_stamps_live_would_read_the_same_again(
    pairs: dict[bytes, bytes], changes: list[tuple[bytes, bytes | None]], owned: bool
) -> None:
    tree = filled(pairs, owned=owned)
    before: list[tuple[Read, object, set[Stamp]]] = []
    for reading in EVERYTHING:
        stamps: set[Stamp] = set()
        before.append((reading, reading(tree, stamps), stamps))
        assert stamps
    for path, document in changes:
        if document is None:
            pairs.pop(path, None)
            tree.remove(b"/skydns/" + path)
        else:
            pairs[path] = document
            tree.put(b"/skydns/" + path, document, 0)
    fresh = filled(dict(sorted(pairs.items())), owned=owned)
    assert tree.faults == fresh.faults
    assert set(tree.keys()) == set(fresh.keys())
    for reading, said, stamps in before:
        assert reading(tree, set()) == reading(fresh, set())
        if all(stamp.alive for stamp in stamps):
            assert reading(tree, set()) == said


def test_a_change_elsewhere_retires_nothing() -> None:
    tree = filled({b"org/example/a/x": b'{"host":"192.0.2.1"}', b"org/example/b/x": b"{}"}, owned=False)
    read: set[Stamp] = set()
    assert len(tree.below(b"org/example/a", read)) == 1
    assert tree.at(b"org/example/q", read) is None
    tree.put(b"/skydns/org/example/b/x", b'{"host":"192.0.2.2"}', 0)
    tree.put(b"/skydns/org/example/c", b'{"host":"192.0.2.2"}', 0)
    tree.put(b"/skydns/org/example/a/x", b'{ "host" : "192.0.2.1" }', 0)
    assert all(stamp.alive for stamp in read)
    tree.remove(b"/skydns/org/example/a/x")
    assert [stamp.alive for stamp in read].count(False) == 1


def test_a_faulty_value_is_logged_once_with_its_key_and_its_name_stays(caplog: pytest.LogCaptureFixture) -> None:
    tree = Tree((ZONE,))
    for _ in range(2):
        tree.put(b"/skydns/org/example/www/x", b'{"host":}', 0)
    (record,) = caplog.records
    assert "/skydns/org/example/www/x is skipped: " in record.getMessage()
    assert tree.at(b"org/example/www", set()) == [], "it exists"
    tree.put(b"/skydns/org/example/www/x", b"{}", 0)
    assert not tree.faults


def test_only_what_is_in_the_zones_is_held() -> None:
    tree = Tree((ZONE, names.parse("2.0.192.in-addr.arpa")), owned=True)
    tree.put(b"/skydns/arpa/in-addr/192/0/2/1", b'{"host":"a.example.org"}', 0)
    for path in (b"net/example/a", b"org/examples/a", b"arpa/in-addr/192/0/3/1", b"org"):
        tree.put(b"/skydns/" + path, b'{"host":"192.0.2.1"}', 0)
    tree.put(b"/skydns/org/example/a", b'{"host":"192.0.2.1","targetstrip":2}', 0)
    assert len(tree) == 1
    everything = Tree((names.ROOT,))
    everything.put(b"/skydns/net/example/a", b'{"host":"192.0.2.1"}', 0)
    assert len(everything.below(b"", set())) == 1


@pytest.mark.parametrize("owned", [False, True])
def test_keys_that_differ_in_case_alone_are_two_at_one_name(owned: bool) -> None:
    tree = filled({b"org/example/A": b'{"host":"192.0.2.1"}', b"org/example/a": b'{"host":"192.0.2.2"}'}, owned=owned)
    assert {value.host[3] for value in tree.at(b"org/example/a", set()) or ()} == {1, 2}
    assert set(tree.keys()) == {b"/skydns/org/example/A", b"/skydns/org/example/a"}
    tree.remove(b"/skydns/org/example/A")
    assert [value.host[3] for value in tree.at(b"org/example/a", set()) or ()] == [2]


def test_values_of_an_owner_are_in_the_order_of_their_keys() -> None:
    last, first = b'{"host":"192.0.2.1","targetstrip":1}', b'{"text":"t","targetstrip":1,"ttl":5,"port":9}'
    tree = filled({b"org/example/a/2": last, b"org/example/a/1": first, b"org/example/a-b": b"{}"}, owned=True)
    assert [value.path[-1:] for value in tree.at(b"org/example/a", set()) or ()] == [b"1", b"2"]


def test_a_key_with_a_nul_is_skipped(caplog: pytest.LogCaptureFixture) -> None:
    tree = filled({b"org/example/a\0b": b'{"host":"192.0.2.1"}'}, owned=False)
    assert "has a NUL octet" in caplog.text
    assert not len(tree)
    tree.remove(b"/skydns/org/example/a\0b")
    assert not tree.faults


def test_one_reading_gives_no_more_than_a_message_holds() -> None:
    tree = filled({b"org/example/h%d" % at: b"{}" for at in range(MOST + 1)}, owned=False)
    assert len(tree.below(b"org/example", set())) == MOST
    assert len(tree.below(b"org/example", set(), 2)) == 2
    with pytest.raises(TooManyError):
        tree.matching(b"org/example/*", b"org/example", set())
    assert tree.matching(b"org/example/h1/*", b"org/example", set()) == []


async def test_a_lease_gets_shorter_and_is_asked_about_again() -> None:
    async with testing.stopped_clock() as clock:
        leases = Leases()
        leases.use(7)
        leases.use(7)
        assert leases.due() == [7]
        unknown = leases.stamp(7)
        assert leases.left(7) == 0
        leases.learn(7, 60)
        assert not unknown.alive
        assert leases.due() == []
        known = leases.stamp(7)
        waiting = asyncio.create_task(leases.wait())
        await clock.advance(20)
        assert leases.left(7) == 40
        assert not waiting.done()
        leases.use(8)
        await clock.advance(0)
        assert waiting.done()
        assert leases.due() == [8]
        leases.leave(8)
        await clock.advance(10)
        assert leases.due() == [7]
        leases.leave(7)
        assert leases.stamp(7) is known
        leases.leave(7)
        assert not known.alive
        assert leases.due() == []
        leases.learn(7, 60)
        assert leases.left(7) == 0


def test_a_lease_that_all_keys_have_left_is_forgotten() -> None:
    tree = Tree((ZONE,))
    document = json.dumps({"host": "192.0.2.1"}).encode()
    tree.put(b"/skydns/org/example/a", document, 5)
    tree.put(b"/skydns/org/example/b", document, 5)
    tree.put(b"/skydns/org/example/a", document, 0)
    assert len(tree.leases) == 1
    tree.remove(b"/skydns/org/example/b")
    assert len(tree.leases) == 0
