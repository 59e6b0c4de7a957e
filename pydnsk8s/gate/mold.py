"""What is the same in the replies for names of one zone, learned from one of them."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

from pydnsk8s import codes

_TYPE_CLASS = 4  # octets that end a question
_LONGEST_QUESTION = 255 + _TYPE_CLASS  # RFC 1035 section 2.3.4
_SMALLEST = 512  # RFC 1035 section 4.2.1: octets that everybody takes, so that no reply made here has to be cut
_HEADER = 12  # octets
_OWNED = 12  # octets of a record up to its data, its owner being a pointer
_NUMBERS = 20  # octets of the five numbers that end an SOA record's data
_QUESTION = b"\xc0\x0c"  # a pointer to the question's name, which starts behind the header

Tell = Callable[[int, int], None]
"""Told of replies made: how many octets they are longer than the one learned from, and how many they are."""


class Mold:
    """Makes the replies that differ from the one learned in the labels left of the zone and in an address."""

    __slots__ = ("_head", "_opt", "_rest", "made")

    def __init__(self, head: bytes, rest: int, opt: bytes) -> None:
        self._head = head
        """Flags and counts."""
        self._rest = rest
        """Octets of a packet behind its question."""
        self._opt = opt
        """What comes last, the same for all."""
        self.made: dict[int, int] = {}
        """How many replies were made of late, by the octets of their packets."""

    def cast(self, packet: bytes, found: bytes) -> bytes:
        """The reply to a packet that asks for a name of which this was found."""
        raise NotImplementedError


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


class _Denial(Mold):
    """The SOA record of the zone (RFC 2308 section 2)."""

    __slots__ = ("_pieces", "_zone")

    def __init__(self, head: bytes, rest: int, opt: bytes, pieces: list[bytes], zone: int) -> None:
        super().__init__(head, rest, opt)
        self._pieces = pieces
        """The record, to be joined by pointers at the zone's name in the question."""
        self._zone = zone
        """Octets from there to the end of the question."""

    def cast(self, packet: bytes, found: bytes) -> bytes:
        end = len(packet) - self._rest
        pointer = (0xC000 + end - self._zone).to_bytes(2, "big")
        return b"".join((packet[:2], self._head, packet[12:end], pointer.join(self._pieces), self._opt))


def learn(packet: bytes, end: int, reply: bytes, found: bytes, zone: int) -> Mold | None:
    """What makes replies like this one; None if there is more to it.

    ``end`` is that of the question in both, ``zone`` the octets of the zone's name.
    """
    address = found if len(found) > 1 else b""
    head, rest, body = reply[2:_HEADER], len(packet) - end, reply[end:]
    counts = tuple(int.from_bytes(reply[at : at + 2], "big") for at in (6, 8))
    if _HEADER + _LONGEST_QUESTION + len(body) > _SMALLEST:
        return None
    mold: Mold | None = None
    if counts == (1, 0) and address and body.startswith(_QUESTION):
        mold = _Address(head, rest, body[_OWNED + len(address) :], body[:_OWNED])
    elif counts == (0, 1) and not address:
        mold = _denial(body, head, rest, zone + _TYPE_CLASS, end)
    # Whatever else there may be to it: what does not make the reply it was learned from is none.
    return mold if mold is not None and mold.cast(packet, found) == reply else None


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
