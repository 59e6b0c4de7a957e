"""One remembered reply, or for a question whose answer depends on who asks, one for each client prefix."""

from __future__ import annotations

import math
import struct
from collections.abc import Callable
from typing import Self

from msgspec import Struct

from pydnsk8s import codes
from pydnsk8s.keep import Keep, Stamp
from pydnsk8s.message import Tally
from pydnsk8s.wire.parse import skip_name
from pydnsk8s.wire.scan import scan

_TTL = struct.Struct(">I")
_ADDRESS_DATA = {codes.A: 4, codes.AAAA: 16}
_FORKS = 1024  # client prefixes remembered for one question
_NEVER = math.inf  # one number for all; a sum with it would be a new one for each reply

Sender = tuple[str, int] | tuple[str, int, int, int]
"""A peer as the socket names it."""
Watch = Callable[[bytes, bytes, Sender], None]
"""Told of each replay: the packet asked, the packet sent, and to whom."""


class _Stamps:
    """Several stamps as one."""

    __slots__ = ("each",)

    def __init__(self, each: frozenset[Stamp]) -> None:
        self.each = each

    @property
    def alive(self) -> bool:
        return all(stamp.alive for stamp in self.each)


_ALIVE = Stamp()


def pair(stamps: frozenset[Stamp]) -> tuple[Stamp | _Stamps, Stamp | _Stamps]:
    """Two that are alive as long as all of them: one or two are the rule, and cheaper to ask than all of many."""
    if len(stamps) > 2:
        return _Stamps(stamps), _ALIVE
    first, second, *_ = (*stamps, _ALIVE, _ALIVE)
    return first, second


class Entry(Struct, gc=False, eq=False):
    """One remembered reply.

    The collector does not look at these: there are so many that each look would be a pause. What refers back to the
    gate from here has to be forgotten by it.
    """

    tail: bytes
    """The reply without its id."""
    until: float
    """Until when ``tail`` is right: the end, or with ageing TTLs the next whole second."""
    stamp: Stamp | _Stamps
    other: Stamp | _Stamps
    question_end: int
    ring: tuple[int, int, int] | None
    """Where the address records stand in the tail and how long each is, if they take turns."""
    tallies: tuple[Tally, ...]
    ages: bool
    """Whether the TTLs in ``tail`` count down."""
    born: float
    """When the reply was made, if they do."""
    end: float
    watch: Watch | None = None
    """Who wants to be told of each replay."""
    hits: int = 0
    """Replays since the tallies were last told."""
    used: bool = False
    """Whether there were replays before that."""
    aged: int = 0
    """Seconds already taken off the TTLs in ``tail``."""

    @classmethod
    def of(cls, tail: bytes, keep: Keep, now: float, tallies: tuple[Tally, ...], question_end: int) -> Self:
        """An entry for a reply that was made now."""
        end = min(_NEVER, now + keep.seconds)
        ring = _ring(b"\0\0" + tail) if keep.turns else None
        # What was made in one go shares its ``now``. Whoever does not need it must not come to have one of its own
        # when it is made anew: memory would grow, by one number for each reply.
        until, born = (min(end, now + 1), now) if keep.ages else (end, 0.0)
        return cls(tail, until, *pair(keep.stamps), question_end, ring, tallies, keep.ages, born, end)

    @property
    def cost(self) -> int:
        """Octets it takes, about."""
        return len(self.tail) * 2 + 400

    def settle(self) -> None:
        """Tell the tallies of the replays since the last time."""
        if self.hits:
            for tally in self.tallies:
                tally.add(self.hits)
            self.hits = 0
            self.used = True

    def good(self, now: float) -> bool:
        """Whether it may be replayed."""
        return self.stamp.alive and self.other.alive and (now < self.until or self.renew(now))

    def renew(self, now: float) -> bool:
        """Lower the TTLs to what they are now; False if the entry has ended."""
        if not self.ages or now >= self.end:
            return False
        age = int(now - self.born)
        fresh = bytearray(b"\0\0" + self.tail)
        for at in scan(bytes(fresh)).ttls:
            _TTL.pack_into(fresh, at, max(_TTL.unpack_from(fresh, at)[0] - (age - self.aged), 0))
        self.tail = bytes(fresh[2:])
        self.aged = age
        self.until = min(self.end, self.born + age + 1)
        return True

    def turn(self) -> bytes:
        """The tail with its address records moved on by one."""
        start, end, width = self.ring or (0, 0, 0)
        tail = self.tail
        self.tail = tail[:start] + tail[start + width : end] + tail[start : start + width] + tail[end:]
        return self.tail


class Fork:
    """One question whose answer depends on who asks: an entry for each client prefix."""

    __slots__ = ("cost", "entries", "shifts")

    def __init__(self) -> None:
        self.cost = 0
        """Octets it takes, about."""
        self.entries: dict[tuple[int, int, int], Entry] = {}
        """By octets of the address, bits of it that do not matter, and the others."""
        self.shifts: dict[int, list[int]] = {}
        """By octets of the address, how many bits of it do not matter to some entry."""

    def find(self, address: bytes, now: float) -> Entry | None:
        """A good entry for the address, if there is one."""
        octets, number = len(address), int.from_bytes(address, "big")
        for shift in self.shifts.get(octets, ()):
            entry = self.entries.get((octets, shift, number >> shift))
            # One that has ended must not hide another under a longer or shorter prefix.
            if entry is not None and entry.good(now):
                return entry
        return None

    def put(self, address: bytes, bits: int, entry: Entry) -> None:
        """Keep an entry for all who share so many leading bits of the address."""
        if len(self.entries) >= _FORKS:
            self.settle()
            self.entries.clear()
            self.shifts.clear()
            self.cost = 0
        octets, shift = len(address), len(address) * 8 - bits
        shifts = self.shifts.setdefault(octets, [])
        if shift not in shifts:
            shifts.append(shift)
        key = octets, shift, int.from_bytes(address, "big") >> shift
        if (old := self.entries.get(key)) is not None:
            old.settle()
            self.cost -= old.cost
        self.entries[key] = entry
        self.cost += entry.cost

    @property
    def asked_again(self) -> bool:
        return any(entry.hits or entry.used for entry in self.entries.values())

    def settle(self) -> None:
        for entry in self.entries.values():
            entry.settle()


def question_end(packet: bytes) -> int:
    """Where the question section of a packet ends, an offset in octets."""
    return skip_name(packet, 12) + 4


def _ring(reply: bytes) -> tuple[int, int, int] | None:
    """Where in the tail the address records that can trade places stand; None for fewer than two."""
    at = question_end(reply)
    first, width, end = 0, 0, 0
    for _ in range(int.from_bytes(reply[6:8], "big")):
        # A record that spells its owner out may be pointed at: such stay where they are.
        pointer = reply[at] >= 0xC0
        start, at = at, skip_name(reply, at)
        type = int.from_bytes(reply[at : at + 2], "big")
        length = int.from_bytes(reply[at + 8 : at + 10], "big")
        at += 10 + length
        turning = pointer and _ADDRESS_DATA.get(type) == length
        if turning and (not first or (at - start == width and start == end)):
            first, width, end = first or start, at - start, at
        elif first:
            break
    return (first - 2, end - 2, width) if first and end - first > width else None
