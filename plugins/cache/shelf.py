"""A bounded store of replies that keeps what is asked for again.

Rule: neither its entries nor their octets exceed the bounds, and names asked for once cannot push out the others.
"""

from __future__ import annotations

from collections import OrderedDict

from pydnsk8s import clock, metrics
from pydnsk8s.message import Reply
from pydnsk8s.wire import Forwarded

_OCTETS = 1024  # for each entry of the capacity, on average; most replies need a fifth of it
_ROOM = 1 << 17  # octets a shelf has at least: the largest message there is fits in
_RECORD = 100  # octets a decoded record takes besides its name and data
_MOST_USES = 3

_LABELS = ("server", "type", "zones", "view")
_ENTRIES = metrics.gauge("coredns_cache_entries", "The number of elements in the cache.", *_LABELS)
_HITS = metrics.counter("coredns_cache_hits_total", "The count of cache hits.", *_LABELS)
_EVICTIONS = metrics.counter("coredns_cache_evictions_total", "The count of cache evictions.", *_LABELS)


class Entry:
    """One kept reply; it is the tally of its own servings."""

    __slots__ = (
        "born", "end", "fetched", "gap", "hits", "last", "octets",
        "refreshed", "reply", "retry", "shelf", "touched", "uses",
    )  # fmt: skip

    def __init__(self, reply: Reply, shelf: Shelf, seconds: float) -> None:
        self.reply = reply
        self.shelf = shelf
        self.born = self.touched = clock.now()
        self.end = self.born + seconds
        """When it stops being fresh,"""
        self.last = self.end
        """and when it may not even be served stale."""
        self.hits = 0
        """Servings without a gap of more than ``gap`` seconds."""
        self.gap = 60.0
        self.uses = 0
        """Servings of late, as far as the shelf wants to know."""
        self.fetched = 0
        """Servings to come that are no hits: the one it was fetched for."""
        self.refreshed = False
        """Whether it has been fetched again ahead of its end."""
        self.retry = 0.0
        """When it may be fetched again after a failure."""
        self.octets = _octets(reply)

    def fresh(self, now: float) -> bool:
        """Whether its TTLs have not run out."""
        return now < self.end

    def usable(self, now: float) -> bool:
        """Whether it may still be served, and the data it was made from are current."""
        return now < self.last and all(stamp.alive for stamp in self.reply.keep.stamps)

    def add(self, servings: int) -> None:
        """Count so many servings, by this plugin or by the gate."""
        hits = max(servings - self.fetched, 0)
        self.fetched = max(self.fetched - servings, 0)
        if not hits:
            return
        now = clock.now()
        self.hits = hits if now - self.touched > self.gap else self.hits + hits
        self.touched = now
        self.uses = min(self.uses + hits, _MOST_USES)
        self.shelf.hits.add(hits)
        self.shelf.requests.add(hits)


class Shelf:
    """The entries of one sort, evicted by S3-FIFO (Yang and others, SOSP 2023).

    What is new waits in a small queue and leaves it by the back door unless it is asked for again.
    """

    def __init__(self, sort: str, capacity: int, labels: tuple[str, str, str], requests: metrics.Counter) -> None:
        self.capacity = capacity
        self.room = max(capacity * _OCTETS, _ROOM)
        """Octets that all entries together may take."""
        self.held = 0
        """Octets they do take."""
        self.requests = requests
        server, zones, view = labels
        self.hits = _HITS.labels(server, sort, zones, view)
        self._entries = _ENTRIES.labels(server, sort, zones, view)
        self._evictions = _EVICTIONS.labels(server, sort, zones, view)
        self._small: OrderedDict[bytes, Entry] = OrderedDict()
        self._main: OrderedDict[bytes, Entry] = OrderedDict()
        self._ghosts: OrderedDict[bytes, None] = OrderedDict()
        """Keys lately gone from the small queue: who comes back was sent away too early."""

    def __len__(self) -> int:
        return len(self._small) + len(self._main)

    def __contains__(self, key: bytes) -> bool:
        return key in self._main or key in self._small

    def get(self, key: bytes, now: float) -> Entry | None:
        """The entry of this key, if it may still be served."""
        entry = self._main.get(key) or self._small.get(key)
        return entry if entry is not None and entry.usable(now) else None

    def put(self, key: bytes, entry: Entry) -> bool:
        """Keep an entry, in place of the one before if there is one; False if there is no room for it at all."""
        if not self.capacity or entry.octets > self.room:
            self.remove(key)
            return False
        queue = self._main if key in self._main or key in self._ghosts else self._small
        self._ghosts.pop(key, None)
        small, main = self._small, self._main
        if (old := queue.get(key)) is not None:
            entry.uses = old.uses  # its time ran out, not the interest in it
            self.held -= old.octets
            # It takes the place of the old one: a dict never uses that of a deleted key again, and would soon grow.
            queue.move_to_end(key)
            if self.held + entry.octets > self.room:
                del queue[key]
        while key not in queue and (len(small) + len(main) >= self.capacity or self.held + entry.octets > self.room):
            self._evict()
        queue[key] = entry
        self.held += entry.octets
        self._entries.value = len(small) + len(main)
        return True

    def remove(self, key: bytes) -> None:
        """Drop the entry of this key, if there is one."""
        entry = self._main.pop(key, None) or self._small.pop(key, None)
        if entry is not None:
            self.held -= entry.octets
            self._entries.set(len(self))

    def _evict(self) -> None:
        """Let one entry go, or give it another chance if it was used."""
        now = clock.now()
        if self._small and (len(self._small) * 10 >= self.capacity or not self._main):
            key, entry = self._small.popitem(last=False)
            if entry.uses and entry.usable(now):
                entry.uses = 0
                self._main[key] = entry
                return
            self._ghosts[key] = None
            if len(self._ghosts) > self.capacity:
                self._ghosts.popitem(last=False)
        else:
            key, entry = self._main.popitem(last=False)
            if entry.uses and entry.usable(now):
                entry.uses -= 1
                self._main[key] = entry
                return
        self.held -= entry.octets
        self._evictions.add()


def _octets(reply: Reply) -> int:
    if isinstance(reply, Forwarded):
        return len(reply.wire)
    return sum(len(record.name) + len(record.data) + _RECORD for record in reply.records)
