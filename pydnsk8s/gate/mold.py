"""What is the same in the replies for names of one zone, learned from one of them."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Callable
from itertools import pairwise

from pydnsk8s import codes

_TYPE_CLASS = 4  # octets that end a question
_HEADER = 12  # octets
_OWNED = 12  # octets of a record up to its data, its owner being a pointer
_ADDRESS = {codes.A: 4, codes.AAAA: 16}  # octets
_TRUNCATED = codes.TC >> 8  # in the first octet of the flags
_BEFORE_TARGET = 6  # octets of an SRV record's data before its target
_NUMBERS = 20  # octets of the five numbers that end an SOA record's data
_QUESTION = b"\xc0\x0c"  # a pointer to the question's name, which starts behind the header

Tell = Callable[[int, int], None]
"""Told of replies made: how many octets they are longer than the one learned from, and how many they are."""


class Mold:
    """Makes the replies that differ from the one learned in the labels left of the zone, and in what was found."""

    __slots__ = ("_head", "_opt", "_rest", "made")

    def __init__(self, head: bytes, rest: int, opt: bytes) -> None:
        self._head = head
        """Flags and counts."""
        self._rest = rest
        """Octets of a packet behind its question."""
        self._opt = opt
        """What comes last, the same for all."""
        self.made: defaultdict[int, int] = defaultdict(int)
        """How many replies were made of late, by the octets of their packets."""

    def cast(self, packet: bytes, found: bytes) -> bytes | None:
        """The reply to a packet that asks for a name of which this was found; None if it may be another."""
        raise NotImplementedError

    def makes(self, reply: bytes, packet: bytes, found: bytes) -> bool:
        """Whether the reply is one that it might make."""
        return self.cast(packet, found) == reply


class _Address(Mold):
    """One address record of the name asked for."""

    __slots__ = ("_record",)

    def __init__(self, head: bytes, rest: int, opt: bytes, record: bytes) -> None:
        super().__init__(head, rest, opt)
        self._record = record
        """The record without its address."""

    def cast(self, packet: bytes, found: bytes) -> bytes:
        end = len(packet) - self._rest
        return b"".join((packet[:2], self._head, packet[12:end], self._record, found, self._opt))


class _Addresses(Mold):
    """Several address records of the name asked for, in the order they were found in."""

    __slots__ = ("_record", "_width")

    def __init__(self, head: bytes, rest: int, opt: bytes, record: bytes, width: int) -> None:
        super().__init__(head, rest, opt)
        self._record = record
        """Each record without its address."""
        self._width = width
        """Octets of an address."""

    def cast(self, packet: bytes, found: bytes) -> bytes:
        return self._lay(packet, _split(found, self._width))

    def _lay(self, packet: bytes, addresses: list[bytes]) -> bytes:
        end, record = len(packet) - self._rest, self._record
        return b"".join((packet[:2], self._head, packet[12:end], record, record.join(addresses), self._opt))


class _Turning(_Addresses):
    """The same in an order drawn by chance."""

    __slots__ = ()

    def cast(self, packet: bytes, found: bytes) -> bytes:
        addresses = _split(found, self._width)
        addresses.sort(key=_chance)
        return self._lay(packet, addresses)

    def makes(self, reply: bytes, packet: bytes, found: bytes) -> bool:
        size = _OWNED + self._width
        answer = reply[len(packet) - self._rest :][: len(found) // self._width * size]
        drawn = [record[_OWNED:] for record in _split(answer, size)]
        return sorted(drawn) == sorted(_split(found, self._width)) and self._lay(packet, drawn) == reply


class _Cut(Mold):
    """No record, for there are more than the client takes (RFC 2181 section 9)."""

    __slots__ = ("_least",)

    def __init__(self, head: bytes, rest: int, opt: bytes, least: int) -> None:
        super().__init__(head, rest, opt)
        self._least = least
        """Octets of the packet it was learned from: the reply to a shorter one may fit."""

    def cast(self, packet: bytes, found: bytes) -> bytes | None:
        if len(packet) < self._least:
            return None
        return b"".join((packet[:2], self._head, packet[12 : len(packet) - self._rest], self._opt))


def _split(found: bytes, width: int) -> list[bytes]:
    return [found[at : at + width] for at in range(0, len(found), width)]


def _chance(_: bytes) -> float:
    return random.random()


class _Service(Mold):
    """One SRV record (RFC 2782), and the address of its target, which is the name without its first two labels."""

    __slots__ = ("_address", "_record", "_weight")

    def __init__(self, head: bytes, rest: int, opt: bytes, record: bytes, weight: bytes, address: bytes) -> None:
        super().__init__(head, rest, opt)
        self._record = record
        """The SRV record up to its length."""
        self._weight = weight
        """Priority and weight."""
        self._address = address
        """The address record between its owner and its address."""

    def cast(self, packet: bytes, found: bytes) -> bytes:
        end, at = len(packet) - self._rest, _third(packet)
        target = packet[at : end - _TYPE_CLASS].lower()
        length = (len(target) + _BEFORE_TARGET).to_bytes(2, "big")
        pointer = (0xC000 + at).to_bytes(2, "big")
        record = (self._record, length, self._weight, found[:2], target)
        return b"".join((packet[:2], self._head, packet[12:end], *record, pointer, self._address, found[2:], self._opt))


class _Denial(Mold):
    """The SOA record of the zone (RFC 2308 section 2)."""

    __slots__ = ("_bodies", "_pieces", "_zone")

    def __init__(self, head: bytes, rest: int, opt: bytes, pieces: list[bytes], zone: int) -> None:
        super().__init__(head, rest, opt)
        self._pieces = pieces
        """The record, to be joined by pointers at the zone's name in the question."""
        self._zone = zone
        """Octets from there to the end of the question."""
        self._bodies: dict[int, bytes] = {}
        """What follows a question that ends there: as many as there are lengths of names."""

    def cast(self, packet: bytes, found: bytes) -> bytes:
        end = len(packet) - self._rest
        body = self._bodies.get(end)
        if body is None:
            pointer = (0xC000 + end - self._zone).to_bytes(2, "big")
            body = self._bodies[end] = pointer.join(self._pieces) + self._opt
        return b"".join((packet[:2], self._head, packet[12:end], body))


def learn(packet: bytes, end: int, reply: bytes, found: bytes, zone: int, *, turns: bool) -> Mold | None:
    """What makes replies like this one; None if there is more to it.

    ``end`` is that of the question in both, ``zone`` the octets of the zone's name; ``turns`` says that the order of
    its addresses was drawn by chance.
    """
    head, rest, body = reply[2:_HEADER], len(packet) - end, reply[end:]
    counts = tuple(int.from_bytes(reply[at : at + 2], "big") for at in (6, 8))
    width = _ADDRESS.get(int.from_bytes(packet[end - _TYPE_CLASS : end - 2], "big"), 0)
    mold: Mold | None = None
    if len(found) < 2:
        mold = _denial(body, head, rest, zone + _TYPE_CLASS, end) if counts == (0, 1) else None
    elif width and counts == (0, 0) and reply[2] & _TRUNCATED:
        mold = _Cut(head, rest, body, len(packet))
    elif not body.startswith(_QUESTION) or counts != (len(found) // width if width else 1, 0):
        return None
    elif len(found) == width:
        mold = _Address(head, rest, body[_OWNED + width :], body[:_OWNED])
    elif width:
        opt = body[(_OWNED + width) * counts[0] :]
        mold = (_Turning if turns else _Addresses)(head, rest, opt, body[:_OWNED], width)
    else:
        at = _OWNED + _BEFORE_TARGET + end - _TYPE_CLASS - _third(packet)
        opt = body[at + _OWNED + len(found) - 2 :]
        mold = _Service(head, rest, opt, body[: _OWNED - 2], body[_OWNED : _OWNED + 4], body[at + 2 : at + _OWNED])
    # Whatever else there may be to it: what does not make the reply it was learned from is none.
    return mold if mold is not None and mold.makes(reply, packet, found) else None


def _third(packet: bytes) -> int:
    """Where the third label of the question starts."""
    at = _HEADER + 1 + packet[_HEADER]
    return at + 1 + packet[at]


def _denial(body: bytes, head: bytes, rest: int, zone: int, end: int) -> Mold | None:
    pointers = _pointers(body)
    at_zone = (0xC000 + end - zone).to_bytes(2, "big")
    if not pointers or any(body[at : at + 2] != at_zone for at in pointers):
        return None
    close = pointers[-1] + 2 + _NUMBERS
    pieces = [body[before + 2 : at] for before, at in pairwise((-2, *pointers, close))]
    return _Denial(head, rest, body[close:], pieces, zone)


def _pointers(body: bytes) -> list[int]:
    """Where the three pointers of an SOA record stand with which the octets begin; none if there are not as many."""
    if body[0] < 0xC0 or int.from_bytes(body[2:4], "big") != codes.SOA:
        return []
    found, at = [0], _OWNED
    for _ in range(2):
        while 0 < body[at] < 0xC0:
            at += 1 + body[at]
        if not body[at]:
            return []
        found.append(at)
        at += 2
    return found
