"""The gate against a model that always asks: what comes from memory is what asking again would give."""

from __future__ import annotations

import gc
import itertools
import math
import socket
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from pydnsk8s import codes, names
from pydnsk8s.gate import Gate, packed
from pydnsk8s.keep import ALWAYS, EACH_CLIENT, NEVER, TURNS, Keep, Stamp
from pydnsk8s.message import Edns, Query, Record, Reply
from pydnsk8s.wire import forwarded, render
from tests import strategies as draw

NAMES = [names.parse(text) for text in ("a.example.org", "b.example.org", "deep.a.example.org", "example.org")]
CLIENTS = ["192.0.2.1", "192.0.2.2", "198.51.100.1", "2001:db8::1", "2001:db8:1::1"]
TTL = 300


class Counter:
    """A tally."""

    def __init__(self) -> None:
        self.count = 0

    def add(self, servings: int) -> None:
        self.count += servings


@dataclass
class Datum:
    """What the world knows of one name, and how long it lets a reply be kept."""

    keep: Keep = ALWAYS
    version: int = 0
    stamp: Stamp = field(default_factory=Stamp)
    leased: dict[bytes, tuple[float, int]] = field(default_factory=dict)
    """For data kept for some seconds: since when, and which version, for each part of the world."""


class World:
    """Answers every question as it stands; what it leases for some seconds stays the same until they are over."""

    def __init__(self) -> None:
        self.data = {name: Datum() for name in NAMES}

    def ask(self, query: Query, now: float) -> Reply:
        """The reply now, whose keep promises no more than is true."""
        datum = self.data[query.name]
        keep, part = datum.keep, self.part(query, datum.keep)
        age, version = 0, datum.version
        if keep.seconds not in (0, math.inf):
            born, version = datum.leased.get(part, (-math.inf, 0))
            if now >= born + keep.seconds:
                born, version = datum.leased[part] = now, datum.version
            keep &= Keep(born + keep.seconds - now)
            age = int(now - born) if keep.ages else 0
        elif keep.seconds:
            keep &= Keep.while_(datum.stamp)
        records = [
            Record(query.name, codes.A, TTL - age, bytes((10, version & 255, len(part), number))) for number in range(3)
        ]
        extra = [Record(query.name, codes.TXT, TTL - age, bytes((len(part),)) + part)]
        return Reply(answer=records, additional=extra, keep=keep)

    @staticmethod
    def part(query: Query, keep: Keep) -> bytes:
        """What the reply shows of who asked."""
        address = query.client.address
        bits = keep.prefix4 if len(address) == 4 else keep.prefix6
        number = int.from_bytes(address, "big") >> (len(address) * 8 - bits)
        return b"%d/%d" % (len(address), number) if keep.prefix4 or keep.prefix6 else b""


KEEPS = [
    ALWAYS,
    NEVER,
    TURNS,
    EACH_CLIENT,
    Keep(10),
    Keep(10, ages=True),
    Keep(2.5, ages=True, turns=True),
    Keep(prefix4=24, prefix6=48),
    Keep(10, prefix4=24, prefix6=48, ages=True),
]


class GateAndWorld(RuleBasedStateMachine):
    """Asks through the gate, and compares each replay with what the world says at that moment."""

    @initialize(keeps=st.lists(st.sampled_from(KEEPS), min_size=len(NAMES), max_size=len(NAMES)))
    def begin(self, keeps: list[Keep]) -> None:
        self.gate = Gate(entries=6, octets=20_000)
        self.world = World()
        self.now = 1000.0
        self.tally = Counter()
        self.watched = self.replays = 0
        for datum, keep in zip(self.world.data.values(), keeps, strict=True):
            datum.keep = keep

    @rule(
        name=st.sampled_from(NAMES).flatmap(draw.recased) | st.sampled_from(NAMES),
        id=draw.u16,
        flags=st.sampled_from([0, codes.RD]),
        edns=st.sampled_from([None, Edns(1232), Edns(512, True)]),
        client=st.sampled_from(CLIENTS),
        watch=st.booleans(),
    )
    def ask(self, name: bytes, id: int, flags: int, edns: Edns | None, client: str, watch: bool) -> None:
        asker = Query(b"\0", 1).client._replace(address=packed(client))
        query = Query(name.lower(), codes.A, id=id, flags=flags, edns=edns, question=name, client=asker)
        packet = draw.packet(query)
        watched = self.watched
        replayed = self.gate.look(packet, (client, 40000), self.now)
        reply = self.world.ask(query, self.now)
        fresh = render(query, reply, 1232, 1232)
        if replayed is None:
            assert watched == self.watched
            observe = self.observe if watch else None
            self.gate.remember(
                packet, fresh, reply.keep, packed(client), self.now, tallies=(self.tally,), watch=observe
            )
        else:
            self.replays += 1
            assert reply.keep.alive
            self.compare(replayed, fresh, reply.keep)

    def observe(self, packet: bytes, sent: bytes, sender: object) -> None:
        assert packet[:2] == sent[:2]
        self.watched += 1

    def compare(self, replayed: bytes, fresh: bytes, keep: Keep) -> None:
        if not (keep.ages or keep.turns):
            assert replayed == fresh
            return
        end = fresh.index(b"\0", 12) + 5
        assert replayed[:end] == fresh[:end]
        assert len(replayed) == len(fresh)
        ours, theirs = forwarded(replayed), forwarded(fresh)
        for held, asked in ((ours.answer, theirs.answer), (ours.additional, theirs.additional)):
            if not keep.turns:
                assert [record.data for record in held] == [record.data for record in asked]
            assert sorted(record.data for record in held) == sorted(record.data for record in asked)
            # Fractions of a second add up differently in a reply that was taken from the cache in mid-life.
            slack = 1 if keep.ages else 0
            assert all(abs(one.ttl - other.ttl) <= slack for one, other in zip(held, asked, strict=True))

    @rule(name=st.sampled_from(NAMES))
    def change(self, name: bytes) -> None:
        datum = self.world.data[name]
        datum.version += 1
        datum.stamp.retire()
        datum.stamp = Stamp()

    @rule(name=st.sampled_from(NAMES), keep=st.sampled_from(KEEPS))
    def change_keep(self, name: bytes, keep: Keep) -> None:
        datum = self.world.data[name]
        if datum.keep.seconds in (0, math.inf):
            # What was leased must run out before the name is answered otherwise.
            self.change(name)
            datum.keep = keep
            datum.leased.clear()

    @rule(seconds=st.sampled_from([0.3, 1, 4.7, 12]))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @rule()
    def forget(self) -> None:
        self.gate.forget()
        assert len(self.gate) == 0
        for datum in self.world.data.values():
            datum.leased.clear()

    @invariant()
    def it_is_bounded(self) -> None:
        assert len(self.gate) <= self.gate.entries
        held = sum(entry.cost for entry in self.gate._memo.values())
        held += sum(fork.cost for fork in self.gate._forks.values())
        assert self.gate._held == held <= self.gate.octets

    @invariant()
    def every_replay_is_counted_once(self) -> None:
        self.gate.settle()
        assert self.tally.count == self.replays


TestGateAndWorld = GateAndWorld.TestCase
TestGateAndWorld.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)


def question(name: bytes, *, id: int = 1) -> bytes:
    return draw.packet(Query(name, codes.A, id=id))


def reply_to(name: bytes, *addresses: int) -> bytes:
    records = [Record(name, codes.A, TTL, bytes((192, 0, 2, last))) for last in addresses or (1,)]
    return render(Query(name, codes.A), Reply(answer=records), 1232, 1232)


def numbered(prefix: bytes, number: int) -> bytes:
    return names.join(b"%s%d" % (prefix, number), to=NAMES[-1])


HERE = ("192.0.2.1", 5353)
ADDRESS = packed(HERE[0])


def learn(gate: Gate, name: bytes, keep: Keep = ALWAYS, *addresses: int) -> None:
    gate.remember(question(name), reply_to(name, *addresses), keep, ADDRESS, 0.0)


def test_a_flood_of_names_asked_once_leaves_what_is_asked_again() -> None:
    gate = Gate(entries=500)
    hot = [numbered(b"hot", number) for number in range(200)]
    for name in hot:
        learn(gate, name)
        assert gate.look(question(name), HERE, 0.0)
    for number in range(5000):
        assert gate.look(question(numbered(b"cold", number)), HERE, 0.0) is None
        learn(gate, numbered(b"cold", number))
    assert len(gate) <= 500
    assert all(gate.look(question(name), HERE, 0.0) for name in hot)


def test_a_working_set_that_shifts_is_remembered_again() -> None:
    gate = Gate(entries=100)

    def ask_all(prefix: bytes) -> int:
        hits = 0
        for number in range(90):
            packet = question(numbered(prefix, number))
            if gate.look(packet, HERE, 0.0):
                hits += 1
            elif gate.admits(packet, ALWAYS):
                learn(gate, numbered(prefix, number))
        return hits

    assert max(ask_all(b"old") for _ in range(10)) == 90
    assert max(ask_all(b"new") for _ in range(10)) == 90


def test_with_everything_asked_again_who_comes_waits_for_no_more_than_a_few_looks() -> None:
    gate, tally = Gate(entries=1000), Counter()
    for number in range(1000):
        name = numbered(b"hot", number)
        gate.remember(question(name), reply_to(name), ALWAYS, ADDRESS, 0.0, tallies=(tally,))
        assert gate.look(question(name), HERE, 0.0)
    new = numbered(b"new", 0)
    looks = 0
    while gate.look(question(new), HERE, 0.0) is None:
        before = tally.count
        learn(gate, new)
        assert tally.count - before < 20  # each look hands in the one replay of an entry
        looks += 1
    assert 1 < looks < 200


def test_a_reply_too_large_for_the_gate_is_not_remembered() -> None:
    gate = Gate(octets=100)
    learn(gate, NAMES[0])
    assert len(gate) == gate._held == 0


def test_octets_are_bounded_too() -> None:
    gate = Gate(octets=10_000)
    for number in range(200):
        learn(gate, numbered(b"n", number))
        assert gate._held <= 10_000
    assert 0 < len(gate) < 30


@pytest.mark.parametrize("keep", [ALWAYS, Keep(300.0)])
def test_replies_made_anew_one_by_one_take_no_more_than_those_made_in_one_go(keep: Keep) -> None:
    gate, known = Gate(), [numbered(b"name", number) for number in range(1000)]

    def held(times: Iterable[float]) -> int:
        for name, now in zip(known, times, strict=False):
            gate.remember(question(name), reply_to(name), keep, ADDRESS, now)
        gc.collect()
        return sys.getallocatedblocks()

    held(itertools.repeat(1.0))
    assert held(itertools.count(2.0, 0.001)) - held(itertools.repeat(4.0)) < 100


def test_replays_while_the_counts_are_handed_in_are_counted_once() -> None:
    gate, tally = Gate(), Counter()
    wanted = [numbered(b"n", number) for number in range(1000)]
    for name in wanted:
        gate.remember(question(name), reply_to(name), ALWAYS, ADDRESS, 0.0, tallies=(tally,))
        assert gate.look(question(name), HERE, 0.0)
    counts = []
    for _ in gate.settling():
        counts.append(tally.count)
        assert gate.look(question(wanted[0]), HERE, 0.0)
        assert gate.look(question(wanted[-1]), HERE, 0.0)
    assert len(counts) > 5
    assert all(0 < more - less < 200 for less, more in itertools.pairwise(counts))
    gate.settle()
    assert tally.count == 1000 + 2 * len(counts)


def test_a_flood_of_clients_is_bounded() -> None:
    gate = Gate(octets=200_000)
    name = NAMES[0]
    for number in range(3000):
        address = (0xC6120000 + number).to_bytes(4, "big")
        gate.remember(question(name), reply_to(name), EACH_CLIENT, address, 0.0)
        assert gate._held <= 200_000
        if number < 100:
            assert gate.look(question(name), (socket.inet_ntoa(address), 1), 0.0)


@pytest.mark.parametrize("count", [1, 2, 3, 7])
def test_addresses_take_turns_evenly(count: int) -> None:
    gate = Gate()
    learn(gate, NAMES[0], TURNS, *range(count))
    first = [forwarded(gate.look(question(NAMES[0]), HERE, 0.0) or b"").answer[0].data[3] for _ in range(3 * count)]
    assert sorted(first) == sorted([*range(count)] * 3)


def test_a_retired_stamp_ends_every_reply_kept_under_it() -> None:
    gate, one, other = Gate(), Stamp(), Stamp()
    learn(gate, NAMES[0], Keep.while_(one, other))
    learn(gate, NAMES[1], Keep.while_(other))
    one.retire()
    assert gate.look(question(NAMES[0]), HERE, 0.0) is None
    assert gate.look(question(NAMES[1]), HERE, 0.0)


@given(draw.keeps)
def test_a_keep_that_is_not_alive_is_not_remembered(keep: Keep) -> None:
    gate = Gate()
    learn(gate, NAMES[0], keep & NEVER)
    assert len(gate) == 0


@given(st.binary(max_size=64))
def test_no_packet_confuses_it(packet: bytes) -> None:
    gate = Gate()
    learn(gate, NAMES[0], TURNS, 1, 2)
    learn(gate, NAMES[1], EACH_CLIENT)
    assert gate.look(packet, HERE, 0.0) is None


@given(draw.damaged(st.sampled_from([question(name) for name in NAMES[:2]])))
def test_a_packet_that_is_not_quite_the_one_asked_is_not_taken_for_it(packet: bytes) -> None:
    gate = Gate()
    learn(gate, NAMES[0])
    learn(gate, NAMES[1], TURNS, 1, 2)
    told = gate.look(packet, HERE, 0.0)
    if told is not None:
        assert packet[2:].lower() in [question(name)[2:] for name in NAMES[:2]]
        assert told[:2] == packet[:2]
        assert told[12 : len(packet)] == packet[12:]


def test_an_entry_that_has_ended_hides_no_other_of_a_longer_or_shorter_prefix() -> None:
    for before, after in ((16, 24), (24, 16)):
        gate, stamp = Gate(), Stamp()
        learn(gate, NAMES[0], Keep.while_(stamp) & Keep(prefix4=before))
        stamp.retire()
        learn(gate, NAMES[0], Keep(prefix4=after))
        assert gate.look(question(NAMES[0]), HERE, 0.0)


def test_a_client_subnet_is_part_of_the_question() -> None:
    gate = Gate()
    told = [Edns(options=((codes.OPTION_SUBNET, b"\0\1\x18\0\xcb\0" + bytes((last,))),)) for last in (113, 114)]
    asked = [draw.packet(Query(NAMES[0], codes.A, id=1, edns=edns)) for edns in told]
    gate.remember(asked[0], reply_to(NAMES[0]), ALWAYS, ADDRESS, 0.0)
    assert gate.look(asked[0], HERE, 0.0)
    assert gate.look(asked[1], HERE, 0.0) is None
    assert gate.look(question(NAMES[0]), HERE, 0.0) is None


def test_who_watches_is_told_of_the_replies_of_its_own_block() -> None:
    gate = Gate()
    seen: list[bytes] = []

    def watch(packet: bytes, reply: bytes, sender: object) -> None:
        seen.append(reply)

    gate.remember(question(NAMES[0]), reply_to(NAMES[0]), EACH_CLIENT, ADDRESS, 0.0, watch=watch)
    gate.remember(question(NAMES[0]), reply_to(NAMES[0], 2), EACH_CLIENT, packed("192.0.2.2"), 0.0)
    assert gate.look(question(NAMES[0]), ("192.0.2.2", 1), 0.0)
    assert seen == []
    assert gate.look(question(NAMES[0]), HERE, 0.0)
    assert len(seen) == 1
