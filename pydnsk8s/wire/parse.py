"""A client's packet to a Query, or to the error reply it deserves."""

from __future__ import annotations

import struct

from pydnsk8s import codes, subnet
from pydnsk8s.message import Client, Edns, Query
from pydnsk8s.names import MAX_NAME

_HEADER = struct.Struct(">HHHHHH")
_RECORD = struct.Struct(">HHIH")
_TYPE_CLASS = struct.Struct(">HH")
_ACCEPTED = frozenset((codes.OPCODE_QUERY, codes.OPCODE_NOTIFY))
_OPT = b"\0\0\x29\x04\xd0\0\0\0\0\0\0"  # without options, for 1232 octets
_LEAST_SOA = 22  # octets of SOA data: two names and five numbers


class FormError(ValueError):
    """Bytes that are no acceptable message."""

    def __init__(self, reason: str, reply: bytes | None = None, rcode: int = codes.FORMERR) -> None:
        super().__init__(reason)
        self.reply = reply
        """What to send back; None to send nothing."""
        self.rcode = rcode


_kinds: dict[bytes, tuple[int, int, int, Edns | None]] = {}
"""What was read of queries without their ids and names: type, class, flags and EDNS of the sound and plain ones."""
_MOST_KINDS = 1024


def parse(packet: bytes, client: Client) -> Query:
    """Read a query; FormError carries the reply to send, if any (RFC 8906 sections 3 and 8)."""
    at = 12
    try:
        while 0 < (length := packet[at]) <= 63:
            at += 1 + length
    except IndexError:
        return _parse(packet, client)
    at += 1
    # Nearly all queries differ from one seen before in id and name only.
    kind = _kinds.get(packet[2:12] + packet[at:])
    if kind is None or length or at - 12 > MAX_NAME:
        return _parse(packet, client)
    question = packet[12:at]
    name = question.lower()
    # Where both are the same one is enough: many queries may be waiting.
    query = Query(question if name == question else name, kind[0], kind[1])
    query.question = question
    query.id = packet[0] << 8 | packet[1]
    query.flags = kind[2]
    query.edns = kind[3]
    query.client = client
    query.size = len(packet)
    query.packet = packet
    return query


def _parse(packet: bytes, client: Client) -> Query:
    """The same for a query of a kind not seen yet."""
    if len(packet) < 12:
        raise FormError("shorter than a header")
    id, flags, questions, answers, authorities, additionals = _HEADER.unpack_from(packet)
    if flags & codes.QR:
        # Answering an answer would let two servers talk to each other for ever.
        raise FormError("not a query")
    if flags >> 11 & 15 not in _ACCEPTED:
        # RFC 8906 section 3.1.4: an unknown opcode gets NOTIMP and the header only.
        raise _refusal(id, flags, codes.NOTIMP, f"opcode {flags >> 11 & 15}")
    try:
        if questions != 1 or answers > 1 or authorities > 1 or additionals > 2:
            raise FormError("unexpected section counts")
        query = _read(packet, client, answers + authorities, additionals)
    except (FormError, IndexError, struct.error) as error:
        raise _refusal(id, flags, codes.FORMERR, str(error)) from None
    if query.edns is not None and query.edns.options and not query.edns.version:
        try:
            subnet.asked(query.edns.options)
        except ValueError as error:
            raise _rejection(query, str(error)) from None
    if query.plain and (query.edns is None or not query.edns.options):
        if len(_kinds) >= _MOST_KINDS:
            _kinds.clear()  # clients choose the kinds, but not how many are remembered
        _kinds[packet[2:12] + packet[12 + len(query.question) :]] = query.type, query.klass, query.flags, query.edns
    return query


def _refusal(id: int, flags: int, rcode: int, reason: str) -> FormError:
    kept = flags & (0x7800 | codes.RD)
    return FormError(reason, _HEADER.pack(id, codes.QR | kept | rcode, 0, 0, 0, 0), rcode)


def _rejection(query: Query, reason: str) -> FormError:
    """FORMERR for an option, with an OPT of ours: a resolver must not take us for a server without EDNS."""
    flags = codes.QR | query.flags & (0x7800 | codes.RD) | codes.FORMERR
    question = query.question + _TYPE_CLASS.pack(query.type, query.klass)
    return FormError(reason, _HEADER.pack(query.id, flags, 1, 0, 0, 1) + question + _OPT)


def _read(packet: bytes, client: Client, others: int, additionals: int) -> Query:
    at = 12
    while length := packet[at]:
        if length > 63:
            # A compression pointer here could only point at the header.
            raise FormError("a compressed question")
        at += 1 + length
    at += 1
    if at - 12 > MAX_NAME:
        raise FormError("a name over 255 octets")
    question = packet[12:at]
    type, klass = _TYPE_CLASS.unpack_from(packet, at)
    at += 4
    edns, plain, serial = None, True, None
    if others or additionals:
        at, edns, plain, serial = _read_others(packet, at, others, additionals)
    if at != len(packet):
        raise FormError("octets behind the message")
    query = Query(
        question.lower(),
        type,
        klass,
        id=packet[0] << 8 | packet[1],
        flags=packet[2] << 8 | packet[3],
        edns=edns,
        client=client,
        question=question,
        size=at,
    )
    query.packet = packet
    query.plain = plain
    query.serial = serial
    return query


def _read_others(packet: bytes, at: int, others: int, additionals: int) -> tuple[int, Edns | None, bool, int | None]:
    """Pass over the records behind the question.

    Returns the end, the OPT record, whether there was no other, and the serial of an SOA record.
    """
    edns, plain, serial = None, not others, None
    for index in range(others + additionals):
        start = at
        at = skip_name(packet, at)
        type, klass, ttl, length = _RECORD.unpack_from(packet, at)
        at += 10 + length
        if at > len(packet):
            raise FormError("a record runs over the end")
        if type != codes.OPT:
            plain = False
            if type == codes.SOA and index < others and length >= _LEAST_SOA:
                # The five numbers end the data, however the names before them are compressed.
                serial = int.from_bytes(packet[at - 20 : at - 16], "big")
            continue
        # RFC 6891 section 6.1.1: one OPT at most, at the root, in the additional section.
        if edns is not None or index < others or packet[start]:
            raise FormError("a misplaced or second OPT")
        options = read_options(packet[at - length : at])
        edns = Edns(klass, bool(ttl & 0x8000), ttl >> 16 & 255, options)
        # A client subnet is part of the packet's bytes, so the gate tells such questions apart by itself.
        plain = plain and all(code == codes.OPTION_SUBNET for code, _ in options)
    return at, edns, plain, serial


def skip_name(packet: bytes | bytearray, at: int) -> int:
    """Where what follows a name starts; FormError for a label of a kind nobody has defined."""
    while length := packet[at]:
        if length >= 0xC0:
            return at + 2
        if length > 63:
            raise FormError("a label of an unknown kind")
        at += 1 + length
    return at + 1


def read_options(data: bytes) -> tuple[tuple[int, bytes], ...]:
    """The options of an OPT record; FormError if they do not fill it exactly (RFC 6891 section 6.1.2)."""
    if not data:
        return ()
    options, at = [], 0
    while at < len(data):
        if at + 4 > len(data):
            raise FormError("an EDNS option runs over the end")
        code, length = _TYPE_CLASS.unpack_from(data, at)
        at += 4 + length
        if at > len(data):
            raise FormError("an EDNS option runs over the end")
        options.append((code, data[at - length : at]))
    return tuple(options)
