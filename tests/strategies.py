"""What Hypothesis draws in this house: names, records, queries, replies, keeps and packets that are nearly right."""

from __future__ import annotations

import math

from hypothesis import strategies as st

from pydnsk8s import codes, names, rdata
from pydnsk8s.keep import Keep, Stamp
from pydnsk8s.message import Client, Edns, Query, Record, Reply
from pydnsk8s.wire import query as asked

LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789-_"

Names = st.SearchStrategy[bytes]

host_labels = st.one_of(
    st.sampled_from([b"www", b"a", b"b", b"example", b"org", b"svc", b"cluster", b"local", b"x" * 63]),
    st.text(LETTERS, min_size=1, max_size=12).map(str.encode),
)
labels = host_labels | st.binary(min_size=1, max_size=8).map(bytes.lower)


def _name(parts: list[bytes]) -> bytes:
    wire = names.ROOT
    for part in parts:
        if len(wire) + len(part) < 255:
            wire = bytes((len(part),)) + part + wire
    return wire


wire_names = st.lists(labels, max_size=8).map(_name)
"""Names in lower-case wire form, any octets in their labels, the root among them."""
host_names = st.lists(host_labels, max_size=8).map(_name)
"""Names as hosts have them."""


def recased(name: bytes) -> st.SearchStrategy[bytes]:
    """The name with any of its letters in upper case."""
    return st.integers(0, (1 << len(name)) - 1).map(
        lambda bits: bytes(
            octet - 32 if 0x61 <= octet <= 0x7A and bits >> at & 1 else octet for at, octet in enumerate(name)
        )
    )


ttls = st.one_of(st.sampled_from([0, 1, 5, 30, 300, 0x7FFFFFFF]), st.integers(0, 86400))
strings = st.binary(max_size=40)
u16 = st.integers(0, 0xFFFF)
u32 = st.integers(0, 0xFFFFFFFF)


def _data(names: Names) -> dict[int, st.SearchStrategy[bytes]]:
    timers = st.tuples(ttls, ttls, ttls, ttls)
    return {
        codes.A: st.binary(min_size=4, max_size=4),
        codes.AAAA: st.binary(min_size=16, max_size=16),
        codes.NS: names,
        codes.CNAME: names,
        codes.PTR: names,
        codes.DNAME: names,
        codes.MX: st.builds(rdata.mx, u16, names),
        codes.SRV: st.builds(rdata.srv, u16, u16, u16, names),
        codes.SOA: st.builds(rdata.soa, names, names, u32, timers=timers),
        codes.TXT: st.lists(strings, min_size=1, max_size=3).map(lambda held: rdata.txt(*held)),
        65280: st.binary(min_size=1, max_size=60),  # a type without a meaning (RFC 6895 section 3.1)
    }


@st.composite
def record_sets(draw: st.DrawFn, most: int = 6, names: Names = wire_names) -> list[Record]:
    """Records of one name and type with one TTL, none twice."""
    kinds = _data(names)
    type = draw(st.sampled_from(sorted(kinds)))
    name, ttl = draw(names), draw(ttls)
    data = draw(st.lists(kinds[type], min_size=1, max_size=1 if type == codes.SOA else most, unique=True))
    return [Record(name, type, ttl, each) for each in data]


@st.composite
def sections(draw: st.DrawFn, most: int = 4, names: Names = wire_names) -> list[Record]:
    """A section: some record sets, no set twice."""
    held: dict[tuple[bytes, int], list[Record]] = {}
    for one in draw(st.lists(record_sets(names=names), max_size=most)):
        held.setdefault((one[0].name, one[0].type), one)
    return [record for one in held.values() for record in one]


# Of the options only codes without a meaning, for dnspython reads the meaning of the others.
options = st.lists(st.tuples(st.integers(65001, 65534), st.binary(max_size=20)), max_size=3).map(tuple)
edns = st.builds(Edns, st.integers(0, 0xFFFF), st.booleans(), st.just(0), options)
clients = st.builds(
    Client,
    st.one_of(st.binary(min_size=4, max_size=4), st.binary(min_size=16, max_size=16)),
    st.integers(1, 0xFFFF),
    st.sampled_from(["udp", "tcp"]),
)
flags = st.sets(st.sampled_from([codes.RD, codes.AD, codes.CD])).map(sum)
question_types = st.one_of(st.sampled_from([codes.A, codes.AAAA, codes.SRV, codes.ANY, codes.SOA]), st.integers(1, 40))


@st.composite
def queries(draw: st.DrawFn, names: Names = wire_names) -> Query:
    """A question in any letter case, as a client would ask it."""
    spelled = draw(names.flatmap(recased))
    return Query(
        spelled.lower(),
        draw(question_types),
        id=draw(u16),
        flags=draw(flags),
        edns=draw(st.none() | edns),
        client=draw(clients),
        question=spelled,
    )


def replies(names: Names = wire_names) -> st.SearchStrategy[Reply]:
    """A reply with records of any kind."""
    return st.builds(
        Reply,
        st.sampled_from([codes.NOERROR, codes.SERVFAIL, codes.NXDOMAIN, codes.REFUSED, codes.BADVERS]),
        sections(names=names),
        sections(2, names),
        sections(2, names),
        authoritative=st.booleans(),
        recursive=st.booleans(),
        authenticated=st.booleans(),
        options=options,
    )


def packet(query: Query) -> bytes:
    """The query as the client sends it."""
    return asked(query.question, query.type, klass=query.klass, id=query.id, flags=query.flags, edns=query.edns)


@st.composite
def damaged(draw: st.DrawFn, wires: st.SearchStrategy[bytes]) -> bytes:
    """A message with some octets changed, cut off, put in or put behind: mostly no longer one."""
    wire = bytearray(draw(wires))
    for _ in range(draw(st.integers(0, 4))):
        at = draw(st.integers(0, max(len(wire) - 1, 0)))
        match draw(st.sampled_from(["set", "pointer", "cut", "insert", "append"])):
            case "set" if wire:
                wire[at] = draw(st.integers(0, 255))
            case "pointer":
                wire[at : at + 2] = (0xC000 | draw(st.integers(0, 600))).to_bytes(2, "big")
            case "cut":
                del wire[at:]
            case "insert":
                wire[at:at] = draw(st.binary(max_size=4))
            case _:
                wire += draw(st.binary(max_size=12))
    return bytes(wire)


stamps = st.sampled_from([Stamp() for _ in range(4)])
keeps = st.builds(
    Keep,
    st.sampled_from([0, 1, 5.5, 30, math.inf]),
    stamps=st.frozensets(stamps, max_size=3),
    prefix4=st.integers(0, 32),
    prefix6=st.integers(0, 128),
    scope=st.integers(0, 128),
    ages=st.booleans(),
    turns=st.booleans(),
)
