"""A reply that does not fit is cut between record sets, and says so exactly when something needed is missing."""

from __future__ import annotations

from itertools import groupby

import dns.message
from hypothesis import example, given
from hypothesis import strategies as st

from pydnsk8s import codes, names, testing
from pydnsk8s.message import Edns, Query, Record, Reply
from pydnsk8s.wire import forwarded, render
from tests import strategies as draw

limits = st.integers(512, 1400)
ZONE = names.parse("example.org")


def sets(records: tuple[Record, ...]) -> list[tuple[tuple[bytes, int], int]]:
    """The record sets of a section in order, and how many records each has."""
    return [(key, len(list(held))) for key, held in groupby(records, lambda record: (record.name.lower(), record.type))]


@given(draw.queries(), st.lists(draw.record_sets(20), max_size=12), st.integers(0, 12), st.booleans(), limits)
def test_a_cut_reply_fits_and_keeps_its_record_sets_whole(
    query: Query, held: list[list[Record]], border: int, came: bool, limit: int
) -> None:
    records = list({(one[0].name, one[0].type): one for one in held}.values())
    answer = [record for one in records[:border] for record in one]
    additional = [record for one in records[border:] for record in one]
    reply = Reply(answer=answer, additional=additional)
    if came:
        reply = forwarded(render(query, reply, 65535, 1232)).with_(authoritative=True)
    wire = render(query, reply, limit, 1232)
    cut = forwarded(wire)
    assert len(wire) <= limit
    dns.message.from_wire(wire)
    assert bool(cut.found.opt_at) == (query.edns is not None)
    whole_answer, whole_additional = sets(tuple(answer)), sets(tuple(additional))
    assert sets(cut.answer) == whole_answer[: len(sets(cut.answer))]
    assert sets(cut.additional) == whole_additional[: len(sets(cut.additional))]
    # Additional records go first (RFC 2181 section 9), and only an answer that is not whole counts as truncated.
    complete = len(cut.answer) == len(answer)
    assert cut.truncated == (not complete)
    assert complete or not cut.additional


@given(draw.queries(), draw.replies())
def test_what_fits_is_never_cut(query: Query, reply: Reply) -> None:
    wire = render(query, reply, 65535, 1232)
    assert render(query, reply, len(wire), 1232) == wire


@given(draw.queries(), draw.replies(), limits)
def test_a_smaller_limit_never_gives_more(query: Query, reply: Reply, limit: int) -> None:
    small, large = (forwarded(render(query, reply, most, 1232)) for most in (limit, limit + 200))
    assert len(small.records) <= len(large.records)
    assert small.truncated >= large.truncated


@given(st.integers(1, 60), st.booleans())
@example(40, True)
def test_glue_that_is_missing_from_a_referral_counts(servers: int, referral: bool) -> None:
    """RFC 9471 section 2: a referral without its glue is truncated; other additional records can be asked for."""
    hosts = [names.join(b"ns%d" % number, to=ZONE) for number in range(servers)]
    reply = Reply(
        authority=[Record(ZONE, codes.NS, 300, host) for host in hosts[:8]],
        additional=[Record(host, codes.A, 300, b"\xc0\0\2\1") for host in hosts],
        authoritative=not referral,
    )
    query = Query(names.join(b"www", to=ZONE), codes.A, edns=Edns())
    cut = forwarded(render(query, reply, 512, 1232))
    missing = len(cut.additional) < servers
    assert cut.truncated == (missing and referral)


@given(draw.queries(), draw.replies())
def test_every_pointer_points_back_at_a_name(query: Query, reply: Reply) -> None:
    wire = render(query, reply, 65535, 1232)
    starts = set(label_starts(wire))
    for at in pointers(wire):
        target = (wire[at] & 0x3F) << 8 | wire[at + 1]
        assert 12 <= target < at
        assert target in starts


def label_starts(wire: bytes) -> list[int]:
    """Where labels begin: walked over as a reader does, independently of the code under test."""
    return [at for at, _ in walked(wire)]


def pointers(wire: bytes) -> list[int]:
    return [at for at, pointer in walked(wire) if pointer]


def walked(wire: bytes) -> list[tuple[int, bool]]:
    """Every label and pointer of the names in a message: its offset, and whether it is a pointer."""
    found: list[tuple[int, bool]] = []
    layouts = {2: (0, 1), 5: (0, 1), 12: (0, 1), 6: (0, 2), 15: (2, 1), 33: (6, 1), 39: (0, 1)}

    def name(at: int) -> int:
        while True:
            pointer = wire[at] >= 0xC0
            found.append((at, pointer))
            if pointer:
                return at + 2
            if not wire[at]:
                return at + 1
            at += 1 + wire[at]

    at = name(12) + 4
    for _ in range(sum(int.from_bytes(wire[count : count + 2], "big") for count in (6, 8, 10))):
        at = name(at)
        type, length = int.from_bytes(wire[at : at + 2], "big"), int.from_bytes(wire[at + 8 : at + 10], "big")
        at += 10
        skip, count = layouts.get(type, (0, 0))
        inner = at + skip
        for _ in range(count):
            inner = name(inner)
        at += length
    return found


def test_names_of_newer_types_are_not_compressed() -> None:
    """RFC 3597 section 4: only names in the types of RFC 1035 may be."""
    target = names.parse("a.example.org")
    reply = Reply(answer=[Record(target, codes.SRV, 5, b"\0\0\0\0\0\5" + target)])
    wire = render(Query(target, codes.SRV), reply, 512, 1232)
    assert wire.count(target) == 2
    assert testing.read(wire).answer == ["a.example.org. 5 SRV 0 0 5 a.example.org."]


def test_more_records_than_can_be_counted_are_cut_like_any_others() -> None:
    many = [Record(b"\1a\0", codes.A, 5, number.to_bytes(4, "big")) for number in range(70_000)]
    wire = render(Query(b"\1a\0", codes.A), Reply(answer=many), 65_535, 1232)
    assert forwarded(wire).truncated
    assert forwarded(wire).answer == ()
