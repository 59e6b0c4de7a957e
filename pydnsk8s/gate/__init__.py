"""Answers what it has answered before, and what differs from that only in its name; hands over the rest.

Rules: it only sends bytes that asking would produce, or might where asking draws an order by chance; it knows packets,
keeps, surveys and tallies, no plugin; it is bounded, and a flood of names asked once cannot push out what is asked
again and again.
"""

from __future__ import annotations

import socket
from collections import deque
from collections.abc import Callable, Iterator
from functools import lru_cache

from pydnsk8s.gate.door import Door
from pydnsk8s.gate.entry import Entry, Fork, Sender, Watch, question_end
from pydnsk8s.gate.family import Families
from pydnsk8s.gate.mold import Tell
from pydnsk8s.keep import Keep
from pydnsk8s.message import Tally
from pydnsk8s.survey import Survey

__all__ = ["Gate", "Sender", "Watch", "packed"]

_SETTLED = 128  # entries, in a tenth of a millisecond
_LOOKS = 16  # at entries that may go for one that comes


@lru_cache(4096)
def packed(address: str) -> bytes:
    """An address as the socket names it in octets, its interface left out."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    return socket.inet_pton(family, address.partition("%")[0])


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
        self._memo: dict[bytes, Entry] = {}
        self._forks: dict[bytes, Fork] = {}
        self._held = 0
        self._door = Door(entries)
        self._families = Families(self._door)
        self._open = entries // 16
        self._small: deque[bytes] = deque()
        self._main: deque[bytes] = deque()

    def __len__(self) -> int:
        return len(self._memo) + len(self._forks)

    def look(self, packet: bytes, sender: Sender, now: float) -> bytes | None:
        """The reply to a packet from somebody at a time of ``clock.now()``, or None to ask for it."""
        tail = packet[2:]
        entry = self._memo.get(tail)
        # The usual packet: spelled in lower case, remembered, still good.
        if entry is not None and entry.ring is None and now < entry.until and entry.stamp.alive and entry.other.alive:
            entry.hits += 1
            return packet[:2] + entry.tail
        if entry is None and not self._forks and tail == tail.lower():
            return self._families.reply(packet, tail)  # it is its own key
        return self._look_closer(packet, sender, now)

    def _look_closer(self, packet: bytes, sender: Sender, now: float) -> bytes | None:
        fork = self._forks.get(packet[2:])
        if fork is not None:
            entry = fork.find(packed(sender[0]), now)
            # The same short way as above, for those whose answer depends on where they are.
            if entry is not None and entry.ring is None:
                entry.hits += 1
                return packet[:2] + entry.tail
        key = _key(packet)
        entry = self._memo.get(key)
        if entry is None and key in self._forks:
            entry = self._forks[key].find(packed(sender[0]), now)
        if entry is None:
            return self._families.reply(packet, key) if key == key.lower() else None
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

    def learn(
        self, packet: bytes, reply: bytes, survey: Callable[[], Survey | None], tell: Tell, *, turns: bool
    ) -> None:
        """Take a reply as an example of those for the names beside, which the survey knows.

        ``turns`` says that the order of its addresses was drawn by chance, and may be drawn anew.
        """
        self._families.learn(packet, _key(packet), reply, survey, tell, turns=turns)

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
        end = question_end(packet)
        # The question as the key has it; who spelled it otherwise gets it back as it was.
        tail = b"".join((reply[2:12], key[10 : end - 2], reply[end:]))
        entry = Entry.of(tail, keep, now, tallies, end)
        if not self._has_room(key, entry.cost):
            return
        if watch is not None:
            # Replays that somebody watches go the longer way.
            entry.watch = watch
            entry.ring = entry.ring or (0, 0, 0)
        if keep.prefix4 or keep.prefix6:
            self._fork(key, entry, address, keep.prefix4 if len(address) == 4 else keep.prefix6)
        else:
            self._put(key, entry)

    def _has_room(self, key: bytes, octets: int) -> bool:
        """Whether there is room for so many octets more, which is made as far as it can be within a moment.

        With nobody left who was not asked again of late, finding one takes a look at all; so the one that comes has to
        wait until it is asked for once more, and the looking goes on then.
        """
        for _ in range(_LOOKS):
            known = key in self._memo or key in self._forks
            if len(self) < self.entries + known and self._held + octets <= self.octets:
                return True
            if not (self._small or self._main):
                break
            self._families.full = True
            self._evict()
        return False

    def _put(self, key: bytes, entry: Entry) -> None:
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

    def _fork(self, key: bytes, entry: Entry, address: bytes, bits: int) -> None:
        if (old := self._memo.pop(key, None)) is not None:
            old.settle()
            self._held -= old.cost
        elif key not in self._forks:
            self._queue_for(key).append(key)
        fork = self._forks.setdefault(key, Fork())
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
        again = held.asked_again if isinstance(held, Fork) else bool(held.hits or held.used)
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
        """Tell all tallies of the replays so far."""
        for _ in self.settling():
            pass

    def settling(self) -> Iterator[None]:
        """The same for a scrape, a few at a time: wherever it yields there may be replays."""
        held: list[Entry | Fork] = [*self._memo.values(), *self._forks.values()]
        for at in range(0, len(held), _SETTLED):
            for each in held[at : at + _SETTLED]:
                each.settle()
            yield
        self._families.settle()

    def forget(self) -> None:
        """Drop everything: the configuration has changed."""
        self.settle()
        for store in (self._memo, self._forks, self._small, self._main):
            store.clear()
        self._held = 0
        self._door = Door(self.entries)
        self._families = Families(self._door)


def _rest(held: Entry | Fork) -> None:
    """Let what has had its second chance show itself again before the next."""
    for entry in held.entries.values() if isinstance(held, Fork) else (held,):
        entry.used = False


def _key(packet: bytes) -> bytes:
    """The packet without its id, its name in lower case up to the first zero octet.

    That is the root label but for names with a zero octet in a label; those are only told apart by case.
    """
    end = packet.find(0, 12)
    return packet[2:12] + packet[12:end].lower() + packet[end:]
