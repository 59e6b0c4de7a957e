"""A Reply to the bytes one client gets: compressed, with EDNS, cut at record-set borders to what it can take."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from functools import lru_cache

from pydnsk8s import codes, subnet
from pydnsk8s.message import Edns, Query, Record, Reply
from pydnsk8s.names import is_under
from pydnsk8s.rdata import LAYOUTS
from pydnsk8s.wire.forwarded import Forwarded
from pydnsk8s.wire.parse import skip_name

_HEADER = struct.Struct(">HHHHHH")
_FIXED = struct.Struct(">HHIH")
_TYPE_CLASS = struct.Struct(">HH")
_OPT = struct.Struct(">BHHIH")
_OWNED = struct.Struct(">HHHIH")
_COMPRESSED = frozenset(type for type, layout in LAYOUTS.items() if layout.compress)
_QUESTION = b"\xc0\x0c"  # a pointer to the question's name, which starts behind the header
_MOST = 0xFFFF  # records of a section
_POINTABLE = 0x4000  # RFC 1035 section 4.1.4: 14 bits of offset
_KEPT = 0x7800 | codes.RD | codes.CD  # what a reply repeats of the query's flags (RFC 4035 section 3.1.6)


def render(query: Query, reply: Reply, limit: int, size: int) -> bytes:
    """The reply as sent, at most ``limit`` octets; ``size`` is the UDP size to advertise in its OPT."""
    opt = _opt(query, reply, size) if query.edns is not None else b""
    if isinstance(reply, Forwarded) and (wire := _patched(query, reply, opt, limit)) is not None:
        return wire
    wire = _joined(query, reply, opt)
    if wire is None:
        wire = _composed(query, reply, opt)
    return wire if len(wire) <= limit else _cut(query, reply, bytearray(wire), opt, limit)


def _flags(query: Query, reply: Reply) -> int:
    flags = codes.QR | query.flags & _KEPT | reply.rcode & 15
    if reply.authoritative:
        flags |= codes.AA
    if reply.recursive:
        flags |= codes.RA
    if reply.truncated:
        flags |= codes.TC
    # RFC 6840 section 5.8: AD only to those who showed that they understand it.
    if reply.authenticated and (query.flags & codes.AD or query.do):
        flags |= codes.AD
    return flags


def _opt(query: Query, reply: Reply, size: int) -> bytes:
    # RFC 6891 section 7: an OPT in the reply if and only if there was one in the query.
    assert query.edns is not None
    options = reply.options
    if options or query.edns.options:
        options = _answered(query, reply)
    data = b"".join(_TYPE_CLASS.pack(code, len(value)) + value for code, value in options)
    ttl = (reply.rcode >> 4) << 24 | (0x8000 if query.edns.do else 0)
    return _OPT.pack(0, codes.OPT, size, ttl, len(data)) + data


def _answered(query: Query, reply: Reply) -> tuple[tuple[int, bytes], ...]:
    """The reply's options, with a client subnet if and only if the query had one (RFC 7871 section 7.2)."""
    options = tuple([option for option in reply.options if option[0] != codes.OPTION_SUBNET])
    asked = subnet.of(query)
    if asked is None:
        return options
    return (*options, (codes.OPTION_SUBNET, asked.answered(reply.keep.scope)))


def _patched(query: Query, reply: Forwarded, opt: bytes, limit: int) -> bytes | None:
    """The bytes as they came, our header, question and OPT put in; None if that cannot be done in place."""
    found, wire = reply.found, reply.wire
    same_question = (
        len(query.question) == found.question_end - 16 and wire[12 : found.question_end - 4].lower() == query.name
    )
    if not same_question or (found.opt_at and not found.opt_last):
        return None
    answers, authorities, additionals = found.counts
    additionals += bool(opt) - bool(found.opt_at)
    body = wire[found.question_end : found.opt_at] if found.opt_at else wire[found.question_end :]
    if found.question_end + len(body) + len(opt) > limit:
        return None
    header = _HEADER.pack(query.id, _flags(query, reply), 1, answers, authorities, additionals)
    return b"".join((header, query.question, _TYPE_CLASS.pack(query.type, query.klass), body, opt))


def _header(query: Query, reply: Reply, counts: Sequence[int], opt: bytes, flags: int = 0) -> bytes:
    answers, authorities, additionals = counts
    # More than can be counted does not fit either: such a header is made anew once the message is cut.
    numbers = answers & _MOST, authorities & _MOST, (additionals + bool(opt)) & _MOST
    return _HEADER.pack(query.id, _flags(query, reply) | flags, 1, *numbers)


def _joined(query: Query, reply: Reply, opt: bytes) -> bytes | None:
    """The message whole, if all it takes of compression is pointers at the question's name; else None."""
    name, question = query.name, query.question
    if len(name) == 1:
        return None
    counts = len(reply.answer), len(reply.authority), len(reply.additional)
    parts = [_header(query, reply, counts, opt), question, _TYPE_CLASS.pack(query.type, query.klass)]
    for record in reply.answer + reply.authority + reply.additional:
        owner, type, ttl, data, klass = record
        if owner != name and (len(owner) == 1 or not is_under(name, owner)):
            return None
        pointer = 0xC00C + len(name) - len(owner)
        if type not in _COMPRESSED:
            parts.append(_OWNED.pack(pointer, type, klass, ttl, len(data)))
            parts.append(data)
        elif (pieces := _beneath(record)) is not None:
            parts.append(pointer.to_bytes(2, "big").join(pieces))
        else:
            return None
    parts.append(opt)
    return b"".join(parts)


def _composed(query: Query, reply: Reply, opt: bytes) -> bytes:
    """The message whole, each name compressed by what stands before it."""
    counts = len(reply.answer), len(reply.authority), len(reply.additional)
    out = bytearray(_header(query, reply, counts, opt))
    out += query.question
    out += _TYPE_CLASS.pack(query.type, query.klass)
    seen: dict[bytes, int] = {}
    for record in reply.answer + reply.authority + reply.additional:
        _put(out, record, query.name, seen)
    return bytes(out + opt)


def _is_referral(reply: Reply) -> bool:
    return not (reply.authoritative or reply.answer) and any(record.type == codes.NS for record in reply.authority)


def _cut(query: Query, reply: Reply, out: bytearray, opt: bytes, limit: int) -> bytes:
    """The message up to the first record set that does not fit."""
    sections = reply.answer, reply.authority, reply.additional
    section, index, start = _misfit(out, sections, limit - len(opt))
    counts = [*map(len, sections[:section]), index, 0, 0][:3]
    # RFC 2181 section 9: TC only if a required record set is missing; additional records are
    # not required, but for the glue of a referral (RFC 9471 section 2).
    flags = codes.TC if section < 2 or _is_referral(reply) else 0
    return _header(query, reply, counts, opt, flags) + bytes(out[_HEADER.size : start]) + opt


def _misfit(out: bytearray, sections: Sequence[Sequence[Record]], room: int) -> tuple[int, int, int]:
    """The first record set that is not whole within so many octets: its section, its place there, and its offset."""
    at = skip_name(out, _HEADER.size) + _TYPE_CLASS.size
    for number, section in enumerate(sections):
        start, first = at, 0
        for index, record in enumerate(section):
            if record.type != section[first].type or record.name != section[first].name:
                start, first = at, index
            at = skip_name(out, at) + _FIXED.size
            at += out[at - 2] << 8 | out[at - 1]
            if at > room:
                return number, first, start
    raise AssertionError("what fits is not cut")


def _suffixes(question: bytes, seen: dict[bytes, int]) -> dict[bytes, int]:
    """Where the question's name and its parents stand in the message; taken down when it is first of use."""
    at = 0
    while length := question[at]:
        seen[question[at:]] = 12 + at
        at += 1 + length
    return seen


def _put_name(out: bytearray, name: bytes, seen: dict[bytes, int]) -> None:
    """Append a name, as much of it as possible as a pointer (RFC 1035 section 4.1.4)."""
    lower = name.lower()
    at = 0
    while length := name[at]:
        suffix = lower[at:]
        target = seen.get(suffix)
        if target is not None:
            out += (0xC000 | target).to_bytes(2, "big")
            return
        if len(out) < _POINTABLE:
            seen[suffix] = len(out)
        out += name[at : at + 1 + length]
        at += 1 + length
    out += b"\0"


@lru_cache(256)
def _beneath(record: Record) -> tuple[bytes, ...] | None:
    """A record whose data names only what is below its owner, in pieces to be joined by pointers to the owner.

    Such are the SOA and NS records that most negative replies carry.
    """
    layout = LAYOUTS.get(record.type)
    if layout is None or not layout.compress or len(record.name) == 1:
        return None
    data, at = record.data, layout.skip
    pieces, before = [], data[:at]
    for _ in range(layout.names):
        end = at
        while data[end]:
            end += 1 + data[end]
        name = data[at : end + 1]
        if not is_under(name, record.name):
            return None
        pieces.append(before + name[: len(name) - len(record.name)])
        before, at = b"", end + 1
    pieces.append(before + data[at:])
    length = sum(map(len, pieces)) + 2 * layout.names
    return (b"", _FIXED.pack(record.type, record.klass, record.ttl, length) + pieces[0], *pieces[1:])


def _put(out: bytearray, record: Record, question: bytes, seen: dict[bytes, int]) -> None:
    name, type, ttl, data, klass = record
    if is_under(question, name) and (pieces := _beneath(record)) is not None:
        pointer = 0xC000 | 12 + len(question) - len(name)
        out += pointer.to_bytes(2, "big").join(pieces)
        return
    if name == question and len(name) > 1:
        out += _QUESTION
    else:
        _put_name(out, name, seen or _suffixes(question, seen))
    layout = LAYOUTS.get(type)
    if layout is None or not layout.compress:
        out += _FIXED.pack(type, klass, ttl, len(data))
        out += data
        return
    out += _FIXED.pack(type, klass, ttl, 0)
    start = len(out)
    at = layout.skip
    out += data[:at]
    for _ in range(layout.names):
        end = at
        while length := data[end]:
            end += 1 + length
        _put_name(out, data[at : end + 1], seen or _suffixes(question, seen))
        at = end + 1
    out += data[at:]
    out[start - 2 : start] = (len(out) - start).to_bytes(2, "big")


def query(
    name: bytes, type: int, *, klass: int = codes.IN, id: int, flags: int = codes.RD, edns: Edns | None = None
) -> bytes:
    """The bytes of a question to another server, the name spelled as given."""
    opt = b""
    if edns is not None:
        data = b"".join(_TYPE_CLASS.pack(code, len(value)) + value for code, value in edns.options)
        opt = _OPT.pack(0, codes.OPT, edns.size, 0x8000 if edns.do else 0, len(data)) + data
    return _HEADER.pack(id, flags, 1, 0, 0, bool(opt)) + name + _TYPE_CLASS.pack(type, klass) + opt


def matches(packet: bytes, question: bytes) -> bool:
    """Whether a packet is a reply to a question of ours, given as name, type and class as they were sent.

    The letter case must be the same too, so that a forged reply has more to guess (RFC 5452 section 9.1).
    """
    return packet.startswith(question, 12) and packet[2] & 0x80 != 0 and packet[4:6] == b"\0\1"
