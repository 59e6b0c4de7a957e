"""Answers what it has answered before; hands over the rest.

Rules: it only replays bytes that asking again would produce; it knows packets, keeps and tallies, no plugin; it is
bounded, and a flood of names asked once cannot push out what is asked again and again.
"""

from __future__ import annotations

import socket
import struct
from collections import deque
from collections.abc import Callable
from functools import lru_cache

from pydnsk8s import codes
from pydnsk8s.keep import Keep, Stamp
from pydnsk8s.message import Tally
from pydnsk8s.wire.scan import scan

_TTL = struct.Struct(">I")
_ADDRESS_DATA = {codes.A: 4, codes.AAAA: 16}
_FORKS = 1024  # client prefixes remembered for one question

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


class _Entry:
    """One remembered reply."""

    __slots__ = (
        "aged",
        "ages",
        "born",
        "end",
        "hits",
        "other",
        "question_end",
        "ring",
        "stamp",
        "tail",
        "tallies",
        "until",
        "used",
        "watch",
    )

    def __init__(self, tail: bytes, keep: Keep, now: float, tallies: tuple[Tally, ...], question_end: int) -> None:
        self.tail = tail
        """The reply without its id."""
        self.until = now + keep.seconds
        """Until when ``tail`` is right: the end, or with ageing TTLs the next whole second."""
        # One or two stamps are the rule; asking them is cheaper than asking all of many.
        stamps: tuple[Stamp | _Stamps, ...] = (*keep.stamps, _ALIVE, _ALIVE)
        self.stamp, self.other = stamps[:2] if len(stamps) < 5 else (_Stamps(keep.stamps), _ALIVE)
        self.question_end = question_end
        self.ring: tuple[int, int, int] | None = _ring(b"\0\0" + tail) if keep.turns else None
        """Where the address records stand in the tail and how long each is, if they take turns."""
        self.tallies = tallies
        self.watch: Watch | None = None
        """Who wants to be told of each replay."""
        self.hits = 0
        """Replays since the tallies were last told."""
        self.used = False
        """Whether there were replays before that."""
        self.ages = keep.ages
        if keep.ages:
            self.born = now
            self.end = self.until
            self.until = min(self.end, now + 1)
            self.aged = 0
            """Seconds already taken off the TTLs in ``tail``."""

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


class _Fork:
    """One question whose answer depends on who asks: an entry for each client prefix."""

    __slots__ = ("cost", "entries", "known", "prefixes")

    def __init__(self) -> None:
        self.cost = 0
        """Octets it takes, about."""
        self.entries: dict[tuple[int, bytes], _Entry] = {}
        self.prefixes: set[tuple[int, int]] = set()
        self.known: dict[bytes, _Entry] = {}
        """The entries lately found for whole addresses."""

    def find(self, address: bytes, now: float) -> _Entry | None:
        """A good entry for the address, if there is one."""
        entry = self.known.get(address)
        if entry is not None and entry.good(now):
            return entry
        for octets, bits in self.prefixes:
            if octets != len(address):
                continue
            # One that has ended must not hide another under a longer or shorter prefix.
            entry = self.entries.get((bits, _masked(address, bits)))
            if entry is not None and entry.good(now):
                if len(self.known) >= _FORKS:
                    self.known.clear()
                self.known[address] = entry
                return entry
        return None

    def put(self, address: bytes, bits: int, entry: _Entry) -> None:
        if len(self.entries) >= _FORKS:
            self.settle()
            self.entries.clear()
            self.prefixes.clear()
            self.known.clear()
            self.cost = 0
        self.prefixes.add((len(address), bits))
        key = bits, _masked(address, bits)
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


@lru_cache(4096)
def packed(address: str) -> bytes:
    """An address as the socket names it in octets, its interface left out."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    return socket.inet_pton(family, address.partition("%")[0])


def _masked(address: bytes, bits: int) -> bytes:
    size = len(address) * 8
    return (int.from_bytes(address, "big") >> (size - bits)).to_bytes(len(address), "big")


class _Door:
    """Knows what has knocked before: one bit a question, forgotten when too many are set.

    Two questions may share a bit; then one is let in that was asked only once, which does no harm.
    """

    __slots__ = ("_bits", "_mask", "_most", "_set")

    def __init__(self, questions: int) -> None:
        self._bits = bytearray(1 << (8 * questions).bit_length())
        self._mask = len(self._bits) * 8 - 1
        self._most = questions * 4
        self._set = 0

    def knows(self, key: bytes) -> bool:
        """Whether the question has knocked before; it has from now on."""
        place = hash(key) & self._mask
        bit = 1 << (place & 7)
        if self._bits[place >> 3] & bit:
            return True
        self._bits[place >> 3] |= bit
        self._set += 1
        if self._set > self._most:
            self._bits = bytearray(len(self._bits))
            self._set = 0
        return False


class Gate:
    """The memo in front of one socket family: exact packets in, finished replies out.

    ``entries`` and ``octets`` bound what it remembers. While there are few everything is remembered at once, then only
    what is asked a second time. Eviction is S3-FIFO (Yang and others, SOSP 2023): what was asked once leaves through
    a small queue and cannot displace what is asked again.
    """

    def __init__(self, entries: int = 65_536, octets: int = 32 << 20) -> None:
        self.entries = entries
        self.octets = octets
        self.pace = 0.0
        """Seconds a replay took of late; the listener measures it."""
        self.replays = 0
        """Replies served from memory since the start."""
        self._memo: dict[bytes, _Entry] = {}
        self._forks: dict[bytes, _Fork] = {}
        self._held = 0
        self._door = _Door(entries)
        self._open = entries // 16
        self._small: deque[bytes] = deque()
        self._main: deque[bytes] = deque()

    def __len__(self) -> int:
        return len(self._memo) + len(self._forks)

    def look(self, packet: bytes, sender: Sender, now: float) -> bytes | None:
        """The reply to a packet from somebody at a time of ``clock.now()``, or None to ask for it."""
        entry = self._memo.get(packet[2:])
        # The usual packet: spelled in lower case, remembered, still good.
        if entry is not None and entry.ring is None and now < entry.until and entry.stamp.alive and entry.other.alive:
            entry.hits += 1
            return packet[:2] + entry.tail
        return self._look_closer(packet, sender, now)

    def _look_closer(self, packet: bytes, sender: Sender, now: float) -> bytes | None:
        key = _key(packet)
        entry = self._memo.get(key)
        if entry is None and key in self._forks:
            entry = self._forks[key].find(packed(sender[0]), now)
        if entry is None:
            return None
        if not entry.good(now):
            entry.settle()
            return None
        entry.hits += 1
        tail = entry.turn() if entry.ring else entry.tail
        # The question goes back as it was spelled; what points at it follows (compression).
        end = entry.question_end
        reply = b"".join((packet[:2], tail[:10], packet[12:end], tail[end - 2 :]))
        if entry.watch is not None:
            entry.watch(packet, reply, sender)
        return reply

    def admits(self, packet: bytes, keep: Keep) -> bool:
        """Whether a reply to the packet is worth remembering: kept at all, and once there are many, asked before."""
        if keep.seconds <= 0:
            return False
        for stamp in keep.stamps:
            if not stamp.alive:
                return False
        return len(self._memo) < self._open or self._door.knows(_key(packet))

    def remember(
        self,
        packet: bytes,
        reply: bytes,
        keep: Keep,
        address: bytes,
        now: float,
        *,
        tallies: tuple[Tally, ...] = (),
        watch: Watch | None = None,
    ) -> None:
        """Keep a reply for the next who asks the same, as its keep allows."""
        if not keep.alive:
            return
        key = _key(packet)
        end = _question_end(packet)
        # The question as the key has it; who spelled it otherwise gets it back as it was.
        tail = b"".join((reply[2:12], key[10 : end - 2], reply[end:]))
        entry = _Entry(tail, keep, now, tallies, end)
        if watch is not None:
            # Replays that somebody watches go the longer way.
            entry.watch = watch
            entry.ring = entry.ring or (0, 0, 0)
        if keep.prefix4 or keep.prefix6:
            self._fork(key, entry, address, keep.prefix4 if len(address) == 4 else keep.prefix6)
        else:
            self._put(key, entry)
        while len(self._memo) + len(self._forks) > self.entries or self._held > self.octets:
            self._evict()

    def _put(self, key: bytes, entry: _Entry) -> None:
        if key in self._forks:
            fork = self._forks.pop(key)
            fork.settle()
            self._held -= fork.cost
        elif (old := self._memo.get(key)) is not None:
            old.settle()
            entry.used = old.used
            self._held -= old.cost
        else:
            self._queue_for(key).append(key)
        self._memo[key] = entry
        self._held += entry.cost

    def _fork(self, key: bytes, entry: _Entry, address: bytes, bits: int) -> None:
        if (old := self._memo.pop(key, None)) is not None:
            old.settle()
            self._held -= old.cost
        elif key not in self._forks:
            self._queue_for(key).append(key)
        fork = self._forks.setdefault(key, _Fork())
        before = fork.cost
        fork.put(address, bits, entry)
        self._held += fork.cost - before

    def _queue_for(self, key: bytes) -> deque[bytes]:
        """Where a question begins: who has knocked before is asked again and again already."""
        return self._main if self._door.knows(key) else self._small

    def _evict(self) -> None:
        """Let one question go: of those asked once if they are many, else of those not asked of late."""
        small = bool(self._small) and (len(self._small) * 10 >= len(self) or not self._main)
        key = (self._small if small else self._main).popleft()
        held = self._memo.get(key) or self._forks.get(key)
        if held is None:
            return
        again = held.asked_again if isinstance(held, _Fork) else bool(held.hits or held.used)
        held.settle()
        if again:
            self._main.append(key)
            if not small:
                _rest(held)
            return
        self._held -= held.cost
        self._memo.pop(key, None)
        self._forks.pop(key, None)

    def settle(self) -> None:
        """Tell all tallies of the replays so far, as a scrape wants to know."""
        for entry in self._memo.values():
            entry.settle()
        for fork in self._forks.values():
            fork.settle()

    def forget(self) -> None:
        """Drop everything: the configuration has changed."""
        self.settle()
        for store in (self._memo, self._forks, self._small, self._main):
            store.clear()
        self._held = 0


def _rest(held: _Entry | _Fork) -> None:
    """Let what has had its second chance show itself again before the next."""
    for entry in held.entries.values() if isinstance(held, _Fork) else (held,):
        entry.used = False


def _key(packet: bytes) -> bytes:
    """The packet without its id, its name in lower case up to the first zero octet.

    That is the root label but for names with a zero octet in a label; those are only told apart by case.
    """
    end = packet.find(0, 12)
    return packet[2:12] + packet[12:end].lower() + packet[end:]


def _question_end(packet: bytes) -> int:
    at = 12
    while length := packet[at]:
        at += 1 + length
    return at + 5


def _ring(reply: bytes) -> tuple[int, int, int] | None:
    """Where in the tail the address records that can trade places stand; None for fewer than two."""
    at = _question_end(reply)
    first, width, end = 0, 0, 0
    for _ in range(int.from_bytes(reply[6:8], "big")):
        # A record that spells its owner out may be pointed at: such stay where they are.
        pointer = reply[at] >= 0xC0
        start = at
        while reply[at] and reply[at] < 0xC0:
            at += 1 + reply[at]
        at += 2 if reply[at] else 1
        type = int.from_bytes(reply[at : at + 2], "big")
        length = int.from_bytes(reply[at + 8 : at + 10], "big")
        at += 10 + length
        turning = pointer and _ADDRESS_DATA.get(type) == length
        if turning and (not first or (at - start == width and start == end)):
            first, width, end = first or start, at - start, at
        elif first:
            break
    return (first - 2, end - 2, width) if first and end - first > width else None
