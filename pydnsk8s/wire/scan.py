"""Another server's reply: one bounded walk over its records, and the records themselves when someone looks."""

from __future__ import annotations

import struct
from typing import NamedTuple

from pydnsk8s import codes
from pydnsk8s.message import Record
from pydnsk8s.names import MAX_NAME
from pydnsk8s.rdata import LAYOUTS
from pydnsk8s.wire.parse import FormError, read_options, skip_name

_HEADER = struct.Struct(">HHHHHH")
_COUNTS = struct.Struct(">HHH")
_RECORD = struct.Struct(">HHIH")
_TYPE_CLASS = struct.Struct(">HH")


class Scan(NamedTuple):
    """What one walk over a reply finds; offsets are octets from the message's start."""

    flags: int
    question_end: int
    counts: tuple[int, int, int]
    """Records in answer, authority and additional, the OPT among them."""
    ttls: tuple[int, ...]
    """Where the TTLs stand, the OPT's left out."""
    types: tuple[int, ...]
    """The types of these records."""
    opt_at: int
    """Where the OPT record starts; 0 if there is none."""
    opt_last: bool
    """Whether nothing follows the OPT."""
    rcode: int
    options: tuple[tuple[int, bytes], ...]


def scan(wire: bytes) -> Scan:
    """Walk over a whole message with one question; FormError if its records do not fill it exactly."""
    try:
        return _scan(wire)
    except (IndexError, struct.error):
        raise FormError("the message ends early") from None


def _scan(wire: bytes) -> Scan:
    _, flags, questions, answers, authorities, additionals = _HEADER.unpack_from(wire)
    if questions != 1:
        raise FormError(f"{questions} questions")
    at = question_end = skip_name(wire, 12) + 4
    opt_at, rcode = 0, flags & 15
    options: tuple[tuple[int, bytes], ...] = ()
    ttls, types = [], []
    total, size = answers + authorities + additionals, len(wire)
    for index in range(total):
        start = at
        # Most owners are a pointer to the question.
        at = at + 2 if wire[at] >= 0xC0 else skip_name(wire, at)
        type, _, ttl, length = _RECORD.unpack_from(wire, at)
        if type == codes.OPT:
            if opt_at or index < total - additionals or wire[start]:
                raise FormError("a misplaced or second OPT")
            opt_at, rcode = start, rcode | ttl >> 20 & 0xFF0
            options = read_options(wire[at + 10 : at + 10 + length]) if length else ()
        else:
            ttls.append(at + 4)
            types.append(type)
        at += 10 + length
        if at > size:
            raise FormError("a record runs over the end")
    if at != size:
        raise FormError("octets behind the message")
    opt_last = bool(opt_at) and (not ttls or ttls[-1] < opt_at)
    counts = answers, authorities, additionals
    return Scan(flags, question_end, counts, tuple(ttls), tuple(types), opt_at, opt_last, rcode, options)


def outline(wire: bytes, at: int) -> tuple[bytes, int]:
    """The types of the records behind a question, two octets each, and where the last record starts.

    ``at`` is the end of the question. As ``scan`` with less to find out; FormError if they do not fill the message.
    """
    start, types = at, b""
    try:
        for _ in range(sum(_COUNTS.unpack_from(wire, 6))):
            start = at
            at = at + 2 if wire[at] >= 0xC0 else skip_name(wire, at)
            types += wire[at : at + 2]
            at += 10 + (wire[at + 8] << 8 | wire[at + 9])
    except (IndexError, struct.error):
        raise FormError("the message ends early") from None
    if at != len(wire):
        raise FormError("the records do not fill the message")
    return types, start


def records(wire: bytes, found: Scan) -> tuple[tuple[Record, ...], tuple[Record, ...], tuple[Record, ...]]:
    """The answer, authority and additional records, names decompressed, the OPT left out."""
    try:
        return _records(wire, found)
    except (IndexError, struct.error):
        raise FormError("a name runs over the end") from None


def _records(wire: bytes, found: Scan) -> tuple[tuple[Record, ...], tuple[Record, ...], tuple[Record, ...]]:
    at = found.question_end
    expanded: dict[int, bytes] = {}  # so that a thousand pointers to one long name cost its length once
    sections: list[tuple[Record, ...]] = []
    for count in found.counts:
        section = []
        for _ in range(count):
            name, at = _name(wire, at, expanded)
            type, klass, ttl, length = _RECORD.unpack_from(wire, at)
            at += 10 + length
            if type != codes.OPT:
                data = _data(wire, type, at - length, at, expanded)
                # RFC 2181 section 8: a TTL with the top bit set is 0.
                section.append(Record(name, type, ttl if ttl < 0x80000000 else 0, data, klass))
        sections.append(tuple(section))
    return sections[0], sections[1], sections[2]


def _data(wire: bytes, type: int, at: int, end: int, expanded: dict[int, bytes]) -> bytes:
    layout = LAYOUTS.get(type)
    if layout is None:
        return wire[at:end]
    start = at
    at += layout.skip
    for _ in range(layout.strings):
        at += 1 + wire[at]
    parts = [wire[start:at]]
    for _ in range(layout.names):
        name, at = _name(wire, at, expanded)
        parts.append(name)
    if at > end:
        raise FormError("a name runs over its record")
    parts.append(wire[at:end])
    return b"".join(parts)


def _name(wire: bytes, at: int, expanded: dict[int, bytes]) -> tuple[bytes, int]:
    """The decompressed name at an offset and where the next field starts."""
    limit = at
    parts: list[bytes] = []
    starts = [(at, 0)]  # where this name and each it points to begins, and how many parts come before it
    end = 0
    while True:
        length = wire[at]
        if length >= 0xC0:
            target = (length & 0x3F) << 8 | wire[at + 1]
            end = end or at + 2
            # Pointers that only go back cannot loop (RFC 1035 section 4.1.4: "a prior occurrence").
            if target >= limit:
                raise FormError("a compression pointer that does not point back")
            if target in expanded:
                parts.append(expanded[target])
                break
            starts.append((target, len(parts)))
            at = limit = target
        elif length > 63:
            raise FormError("a label of an unknown kind")
        elif length:
            parts.append(wire[at : at + 1 + length])
            at += 1 + length
        else:
            parts.append(b"\0")
            end = end or at + 1
            break
    name = b"".join(parts)
    if len(name) > MAX_NAME:
        raise FormError("a name over 255 octets")
    for start, before in starts:
        expanded[start] = b"".join(parts[before:])
    return name, end
