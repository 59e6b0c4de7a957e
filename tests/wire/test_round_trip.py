"""What we send says the same to us, to dnslib and to dnspython."""

from __future__ import annotations

import dns.message
import dns.rdata
import dns.rdatatype
import dnslib
from hypothesis import assume, given
from hypothesis import strategies as st

from pydnsk8s import codes, names, testing
from pydnsk8s.message import Query, Record, Reply
from pydnsk8s.wire import aged, forwarded, parse, render
from tests import strategies as draw

ROOMY = 65535


def plain(records: tuple[Record, ...]) -> list[tuple[bytes, int, int, bytes]]:
    """Records as they are compared: names in lower case, for compression may borrow the case of the question."""
    return [(record.name.lower(), record.type, record.ttl, record.data.lower()) for record in records]


def of_dnspython(section: list[dns.rrset.RRset]) -> list[tuple[bytes, int, int, bytes]]:
    return [
        ((rrset.name.to_wire() or b"").lower(), int(rrset.rdtype), rrset.ttl, (rdata.to_wire() or b"").lower())
        for rrset in section
        for rdata in rrset
    ]


@given(draw.queries())
def test_a_query_is_read_as_it_was_asked(query: Query) -> None:
    read = parse(draw.packet(query), query.client)
    for field in ("name", "question", "type", "klass", "id", "flags", "edns", "client"):
        assert getattr(read, field) == getattr(query, field)
    assert read.plain == (query.edns is None or not query.edns.options)
    assert read.size == len(draw.packet(query))


@given(draw.queries(), draw.replies())
def test_a_reply_is_read_as_it_was_given(query: Query, reply: Reply) -> None:
    wire = render(query, reply, ROOMY, 1232)
    read = forwarded(wire)
    assert wire[:2] == query.id.to_bytes(2, "big")
    assert wire[12 : 12 + len(query.question)] == query.question
    assert plain(read.answer) == plain(reply.answer)
    assert plain(read.authority) == plain(reply.authority)
    assert plain(read.additional) == plain(reply.additional)
    assert read.authoritative == reply.authoritative
    assert read.recursive == reply.recursive
    assert not read.truncated
    assert bool(read.found.opt_at) == (query.edns is not None)
    assert read.found.options == (reply.options if query.edns else ())
    assert read.rcode == (reply.rcode if query.edns else reply.rcode & 15)


@given(draw.queries(), draw.replies())
def test_dnspython_reads_the_same(query: Query, reply: Reply) -> None:
    message = dns.message.from_wire(render(query, reply, ROOMY, 1232), one_rr_per_rrset=True)
    assert message.id == query.id
    assert message.question[0].name.to_wire() == query.question
    assert of_dnspython(message.answer) == plain(reply.answer)
    assert of_dnspython(message.authority) == plain(reply.authority)
    assert of_dnspython(message.additional) == plain(reply.additional)
    assert (message.edns == 0) == (query.edns is not None)
    if query.edns is not None:
        assert message.payload == 1232
        assert [(int(option.otype), option.to_wire()) for option in message.options] == list(reply.options)


@given(draw.queries(draw.host_names), draw.replies(draw.host_names))  # dnslib wants labels that decode
def test_dnslib_reads_the_same(query: Query, reply: Reply) -> None:
    wire = render(query, reply, ROOMY, 1232)
    message = dnslib.DNSRecord.parse(wire)
    assert message.header.id == query.id
    assert (message.header.aa, message.header.ra) == (reply.authoritative, reply.recursive)
    additional = [record for record in message.ar if record.rtype != codes.OPT]
    assert len(message.ar) - len(additional) == (query.edns is not None)
    for ours, theirs in zip(
        (reply.answer, reply.authority, reply.additional), (message.rr, message.auth, additional), strict=True
    ):
        told = [(record.name.lower(), record.type, record.ttl) for record in ours]
        assert [(wire_of(record.rname).lower(), record.rtype, record.ttl) for record in theirs] == told
        for record, read in zip(ours, theirs, strict=True):
            if record.type in (codes.A, codes.AAAA):
                assert bytes(read.rdata.data) == record.data
            elif record.type in (codes.NS, codes.CNAME, codes.PTR):
                assert wire_of(read.rdata.label).lower() == record.data


def wire_of(label: dnslib.DNSLabel) -> bytes:
    return b"".join(bytes((len(part),)) + part for part in label.label) + b"\0"


@given(draw.queries(), draw.queries(), draw.replies())
def test_a_forwarded_reply_is_passed_on_as_it_came(first: Query, second: Query, reply: Reply) -> None:
    came = forwarded(render(first, reply, ROOMY, 4096))
    second = second.with_(name=first.name, type=first.type, question=first.name.upper())
    went = forwarded(render(second, came, ROOMY, 1232))
    assert plain(went.records) == plain(reply.records)
    assert bool(went.found.opt_at) == (second.edns is not None)
    assert went.recursive == reply.recursive
    assert went.wire[12 : 12 + len(first.name)] == first.name.upper()


@given(draw.queries(), draw.replies(), st.integers(0, 400), st.none() | st.integers(0, 600))
def test_ageing_takes_the_same_off_every_ttl(query: Query, reply: Reply, seconds: int, cap: int | None) -> None:
    most = 0x7FFFFFFF if cap is None else cap
    expected = [max(min(record.ttl, most) - seconds, 0) for record in reply.records]
    for one in (reply, forwarded(render(query, reply, ROOMY, 1232))):
        assert [record.ttl for record in aged(one, seconds, cap).records] == expected


@given(draw.queries(), draw.replies())
def test_the_answer_of_testing_shows_what_dnspython_shows(query: Query, reply: Reply) -> None:
    assume(all(record.type != 65280 for record in reply.records))
    wire = render(query, reply, ROOMY, 1232)
    answer = testing.read(wire)
    message = dns.message.from_wire(wire, one_rr_per_rrset=True)
    shown = [line.split(" ", 3)[3:] for line in answer.answer]
    assert shown == [[rdata.to_text()] for rrset in message.answer for rdata in rrset]
    assert [names.parse(line.split(" ")[0]) for line in answer.answer] == [record.name for record in reply.answer]
