"""Any bytes at all: parsing gives a Query or a FormError, and never takes long."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pydnsk8s import codes, testing
from pydnsk8s.message import NOBODY, Query, Reply
from pydnsk8s.wire import FormError, forwarded, matches, parse, records, render, scan
from tests import strategies as draw

packets = st.one_of(st.binary(max_size=80), draw.damaged(draw.queries().map(draw.packet)))
sent = st.builds(lambda query, reply: render(query, reply, 65535, 1232), draw.queries(), draw.replies())
messages = st.one_of(st.binary(max_size=80), draw.damaged(sent), packets)
HEADER = b"\x12\x34\1\0\0\1\0\0\0\0\0\0"
QUESTION = b"\1a\0\0\1\0\1"


def outcome(packet: bytes) -> Query | FormError:
    """What becomes of a packet; any other exception is a failure."""
    try:
        return parse(packet, NOBODY)
    except FormError as error:
        return error


@given(packets)
def test_any_bytes_are_a_query_or_a_form_error(packet: bytes) -> None:
    read = outcome(packet)
    if isinstance(read, Query):
        assert read.name == read.question.lower()
        assert 1 <= len(read.name) <= 255
        assert read.size == len(packet)
    elif read.reply is not None:
        assert read.reply[:2] == packet[:2]
        assert read.reply[2] & 0x80
        assert read.reply[3] & 15 in (codes.FORMERR, codes.NOTIMP)
        assert len(read.reply) <= len(packet)


@given(packets)
def test_whatever_is_a_query_can_be_answered(packet: bytes) -> None:
    read = outcome(packet)
    if isinstance(read, Query):
        wire = render(read, Reply(codes.SERVFAIL), 512, 1232)
        assert testing.read(wire).rcode == "SERVFAIL"
        assert wire[:2] == packet[:2]


@given(messages)
def test_any_bytes_are_a_reply_or_a_form_error(message: bytes) -> None:
    try:
        found = scan(message)
        records(message, found)
    except FormError:
        return
    # What holds together can be passed on.
    query = Query(b"\0", codes.A, client=NOBODY)
    testing.read(render(query, forwarded(message), 65535, 1232))


@given(messages, st.integers(0, 0xFFFF), st.binary(max_size=30))
def test_any_bytes_can_be_compared_with_a_question(message: bytes, id: int, question: bytes) -> None:
    assert matches(message, question) in (True, False)


@pytest.mark.parametrize(
    ("packet", "rcode"),
    [
        (HEADER + QUESTION[:-1], codes.FORMERR),
        (HEADER + b"\xc0\x0c\0\1\0\1", codes.FORMERR),
        (HEADER + b"\x40a\0\0\1\0\1", codes.FORMERR),
        (HEADER + QUESTION + b"x", codes.FORMERR),
        (HEADER + (b"\x3f" + b"x" * 63) * 4 + b"\0\0\1\0\1", codes.FORMERR),
        (HEADER[:4] + b"\0\0" + HEADER[6:], codes.FORMERR),
        (HEADER[:4] + b"\0\2" + HEADER[6:] + QUESTION * 2, codes.FORMERR),
        (HEADER[:2] + b"\x10\0" + HEADER[4:] + QUESTION, codes.NOTIMP),
        (HEADER[:2] + b"\x78\0" + HEADER[4:] + QUESTION, codes.NOTIMP),
        # RFC 6891 section 6.1.1: one OPT, at the root, in the additional section, its options complete.
        (HEADER[:11] + b"\2" + QUESTION + (b"\0\0\x29\4\xd0" + bytes(6)) * 2, codes.FORMERR),
        (HEADER[:11] + b"\1" + QUESTION + b"\1a\0\0\x29\4\xd0" + bytes(6), codes.FORMERR),
        (HEADER[:9] + b"\1\0\0" + QUESTION + b"\0\0\x29\4\xd0" + bytes(6), codes.FORMERR),
        (HEADER[:11] + b"\1" + QUESTION + b"\0\0\x29\4\xd0" + bytes(4) + b"\0\3\0\3\0", codes.FORMERR),
    ],
)
def test_what_is_wrong_is_said_in_a_header(packet: bytes, rcode: int) -> None:
    with pytest.raises(FormError) as error:
        parse(packet, NOBODY)
    assert error.value.rcode == rcode
    reply = error.value.reply
    assert reply is not None
    assert reply[3] & 15 == rcode
    assert reply[:2] == packet[:2]
    assert reply[4:] == bytes(8)


@pytest.mark.parametrize("packet", [b"", b"\0" * 11, HEADER[:2] + b"\x81" + HEADER[3:] + QUESTION])
def test_what_must_not_be_answered_is_not(packet: bytes) -> None:
    with pytest.raises(FormError) as error:
        parse(packet, NOBODY)
    assert error.value.reply is None


def test_pointers_that_lead_round_are_an_error() -> None:
    record = b"\xc0%c" % len(HEADER + QUESTION) + b"\0\1\0\1" + bytes(4) + b"\0\4\xc0\0\2\1"
    message = HEADER[:7] + b"\1" + HEADER[8:] + QUESTION + record
    with pytest.raises(FormError):
        records(message, scan(message))


def test_many_pointers_to_one_long_name_cost_its_length_once() -> None:
    name = (b"\x3f" + b"x" * 63) * 3 + b"\x3c" + b"y" * 60 + b"\0"
    record = b"\xc0\x0c\0\1\0\1" + bytes(4) + b"\0\4\xc0\0\2\1"
    message = HEADER[:6] + (4000).to_bytes(2, "big") + HEADER[8:] + name + b"\0\1\0\1" + record * 4000
    answer, _, _ = records(message, scan(message))
    assert len(answer) == 4000
    assert len({id(one.name) for one in answer}) <= 2
