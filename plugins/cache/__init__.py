"""cache - keeps replies that came from elsewhere for as long as their TTLs allow."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from functools import partial
from typing import Any, Self

from pydnsk8s import clock, codes, log, names
from pydnsk8s.corefile import Directive
from pydnsk8s.keep import Keep
from pydnsk8s.message import Query, Reply
from pydnsk8s.plugin import HAND_ON, WAIT, Later, Plugin, Rest, ServerBlock, Take, Turn, Wake
from pydnsk8s.relay import Relay
from pydnsk8s.wire import FormError, aged

from . import numbers
from .flight import Flights, with_ad
from .passing import Passing
from .policy import Policy, read
from .scopes import TRUTHS, Scopes, key_of, question_of
from .shelf import Entry, Shelf
from .terms import Terms, is_for_all, judge, kept

# HINFO is what `loop` sends itself: every one must reach it. From 249 on stand the types of
# transactions, transfers and other questions without a lasting answer (RFC 6895 section 3.1).
_PASSED = frozenset((codes.HINFO, codes.OPT, *range(249, codes.ANY)))
_TURNS = 3  # times a query waits for another's answer before it asks for itself
_REFRESHES = 512  # entries fetched again in the background at one time
_STALE = b"\0\3"  # RFC 8914 section 4.4
_STALE_DENIAL = b"\0\x13"  # RFC 8914 section 4.20

_LOG = log.plugin("cache")


class Cache(Plugin):
    """Keeps what the rest of the chain says; data that tell themselves when they change pass untouched."""

    name = "cache"
    once = True

    def __init__(self, policy: Policy, block: ServerBlock) -> None:
        self.policy = policy
        self._block = block
        zones = ",".join(names.text(zone) for zone in policy.zones or block.zones)
        labels = block.label, zones, block.view
        self._requests = numbers.REQUESTS.labels(*labels)
        self._misses = numbers.MISSES.labels(*labels)
        self._prefetches = numbers.PREFETCHES.labels(*labels)
        self._drops = numbers.DROPS.labels(*labels)
        self._served_stale = numbers.SERVED_STALE.labels(*labels)
        self.success = Shelf("success", policy.success.capacity, labels, self._requests)
        self.denial = Shelf("denial", policy.denial.capacity, labels, self._requests)
        self.flights = Flights()
        """The questions that the rest of the chain is being asked."""
        self._refreshes: dict[Entry, asyncio.Task[Reply]] = {}
        self._scopes = Scopes()

    @classmethod
    def setup(cls, directive: Directive, block: ServerBlock) -> Self:
        return cls(read(directive, block), block)

    def inherit(self, old: Self) -> bool:
        """Go on with what the old one has kept, if those behind it would still say the same."""
        if self._behind() == old._behind():
            self.success, self.denial, self._scopes = old.success, old.denial, old._scopes
        return False  # the old one may be fetching

    def _behind(self) -> list[tuple[str, ...]]:
        """What the Corefile says of the plugins behind this one."""
        plugins = self._block.plugins
        return [plugin.written for plugin in plugins[plugins.index(self) :]]

    def relayed(self, query: Query, zone: bytes, behind: Callable[[Query], Relay | None]) -> Relay | None:
        limits = self.policy.success
        if not self._concerns(query.with_(name=zone)) or not names.are_apart(zone, limits.never):
            return None
        relay = behind(with_ad(query))
        return None if relay is None else Passing(self, query, limits, relay).relay

    async def stop(self) -> None:
        tasks = tuple(self._refreshes.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def passes(self, zone: bytes) -> Keep:
        return HAND_ON

    def at_once(self, query: Query) -> Turn:
        if not self._concerns(query):
            return HAND_ON
        if query.edns is not None and query.edns.options:
            return WAIT
        key = question_of(query)
        entry = self.find_at(key)
        return HAND_ON if entry is None else self._serve_at_once(entry)

    def amend(self, query: Query, reply: Reply) -> Reply:
        if reply.keep.live or not self._concerns(query):
            return reply
        return self._missed(self._keep(key_of(query), query, reply, 1))

    def begin(self, query: Query, wake: Wake, behind: Later | None) -> Take | None:
        key = question_of(query)
        if behind is None or behind.begin is None or key in self.flights or not self._concerns(query):
            return None
        query = with_ad(query)
        take = behind.begin(query, wake, behind.behind)
        if take is None:
            return None
        self.flights.begin(key)
        return partial(self.take, key, query, behind, take)

    def take(self, key: bytes, query: Query, behind: Later, take: Take, came: Any) -> Reply | Rest:
        """What becomes of what came for a question on its way, by what those behind make of it."""
        landed = None
        try:
            reply = take(came)
            if not isinstance(reply, Reply):
                # Somebody who waits for this one goes on instead if nobody wants this reply any more.
                return partial(self._go_on, key, behind._replace(rest=reply))
            landed = self._land(key, query, behind.amended(query, reply), 1)
            return self._missed(landed)
        finally:
            self.flights.land(key, landed)

    async def _go_on(self, key: bytes, behind: Later, query: Query) -> Reply:
        return self._missed(await self._fetch(key, query, behind.answer, misses=1))

    async def answer(self, query: Query, rest: Rest) -> Reply:
        if not self._concerns(query):
            return await rest(query)
        key = key_of(query)
        for _ in range(_TURNS):
            if (entry := self._find(key, query)) is not None:
                return await self._serve(entry, key, query, rest)
            # A lookup on behalf of a query in flight must not wait: CNAMEs in a circle would wait for each other.
            if query.depth or key not in self.flights:
                break
            reply = await self.flights.join(key)
            if reply is not None and self._find(key, query) is None:
                if not is_for_all(reply):
                    break
                return self._missed(reply)
        return self._missed(await self._fetch(key, query, rest, misses=1))

    def _concerns(self, query: Query) -> bool:
        if query.type in _PASSED or query.opcode != codes.OPCODE_QUERY:
            return False
        zones = self.policy.zones
        return not zones or names.closest(query.name, zones) is not None

    def _missed(self, reply: Reply) -> Reply:
        # Live data are not the cache's business: the gate replays them, and hits would not be seen here.
        if not reply.keep.live:
            self.count_miss()
        return reply

    def count_miss(self) -> None:
        """Count a query that others had to answer."""
        self._requests.add()
        self._misses.add()

    def _holds(self, key: bytes) -> bool:
        return key in self.success or key in self.denial

    def _find(self, key: bytes, query: Query) -> Entry | None:
        """What is kept for a query: what is fresh, else what may be served stale."""
        entry = self.find_at(key)
        if query.edns is None or not query.edns.options or (entry is not None and entry.fresh(clock.now())):
            return entry
        for place in self._scopes.around(query):
            if (other := self.find_at(place)) is not None:
                if other.fresh(clock.now()):
                    return other
                entry = entry or other
        return entry

    def find_at(self, key: bytes) -> Entry | None:
        """What is kept under a key, and may still be served."""
        if not self._holds(key):
            return None
        now = clock.now()
        denied = self.denial.get(key, now)
        known = self.success.get(key, now)
        # Both are there only with prefer_positive: then the denial is newer, and good as long as it is fresh.
        if known is not None and (denied is None or not denied.fresh(now)):
            return known
        return denied

    def _serve_at_once(self, entry: Entry) -> Reply | None:
        """What is kept, if it is fresh and need not be fetched anew."""
        now = clock.now()
        if not entry.fresh(now):
            return WAIT
        keep = self._lease(entry, now)
        return WAIT if self._is_due(entry, keep) else self._served(entry, keep, now)

    async def _serve(self, entry: Entry, key: bytes, query: Query, rest: Rest) -> Reply:
        now = clock.now()
        if not entry.fresh(now):
            return await self._serve_stale(entry, key, query, rest)
        keep = self._lease(entry, now)
        if self._is_due(entry, keep) and self._refresh(entry, key, query, rest) is not None:
            entry.refreshed = True
            self._prefetches.add()
        return self._served(entry, keep, now)

    def _is_due(self, entry: Entry, keep: Keep) -> bool:
        """Whether the entry is to be fetched anew before it ends."""
        prefetch = self.policy.prefetch
        return prefetch is not None and not keep.seconds and entry.hits + 1 >= prefetch.hits

    def _served(self, entry: Entry, keep: Keep, now: float) -> Reply:
        reply = entry.reply if self.policy.keep_ttl else aged(entry.reply, int(now - entry.born))
        return reply.with_(keep=keep, tallies=(entry,))

    def _lease(self, entry: Entry, now: float) -> Keep:
        """How long the gate may replay an entry on its own."""
        seconds = entry.end - now
        prefetch = self.policy.prefetch
        if prefetch is not None and not entry.refreshed:
            # In its last part every query must come here, for one of them is to fetch it anew.
            seconds = max(seconds - math.ceil(prefetch.share * (entry.end - entry.born)), 0)
        own = entry.reply.keep
        return Keep(seconds, stamps=own.stamps, scope=own.scope, ages=not self.policy.keep_ttl, turns=own.turns)

    async def _serve_stale(self, entry: Entry, key: bytes, query: Query, rest: Rest) -> Reply:
        stale = self.policy.stale
        assert stale is not None, "without serve_stale no entry outlives its end"
        task = self._refresh(entry, key, query, rest) if clock.now() >= entry.retry else None
        if stale.verify and task is not None and not query.depth:
            await asyncio.wait((task,), timeout=stale.timeout)
            if (reply := _truth(task)) is not None:
                return reply if is_for_all(reply) else await rest(query)
        left = min(entry.retry, entry.last) - clock.now()
        keep = Keep(max(left, 0), stamps=entry.reply.keep.stamps, scope=entry.reply.keep.scope)
        extended = _STALE_DENIAL if entry.reply.rcode == codes.NXDOMAIN else _STALE
        return aged(entry.reply, 0, stale.ttl).with_(
            keep=keep, tallies=(entry, self._served_stale), options=((codes.OPTION_ERROR, extended),)
        )

    def _refresh(self, entry: Entry, key: bytes, query: Query, rest: Rest) -> asyncio.Task[Reply] | None:
        """Fetch an entry anew in the background; None if too many are being fetched."""
        task = self._refreshes.get(entry)
        if task is None and len(self._refreshes) < _REFRESHES:
            task = self._refreshes[entry] = asyncio.create_task(self._fetch(key, query, rest, misses=0))
            task.add_done_callback(partial(self._refreshed, query, entry))
        return task

    def _refreshed(self, query: Query, entry: Entry, task: asyncio.Task[Reply]) -> None:
        del self._refreshes[entry]
        if task.cancelled():
            return
        if (error := task.exception()) is not None:
            _LOG.warning("cannot fetch %r anew: %s: %s", query, type(error).__name__, error)
        if self.policy.stale is not None and _truth(task) is None:
            entry.retry = clock.now() + self.policy.stale.recheck

    async def _fetch(self, key: bytes, query: Query, rest: Rest, *, misses: int) -> Reply:
        """Ask the rest of the chain; who asks the same meanwhile waits for this answer."""
        leads = key not in self.flights
        if leads:
            self.flights.begin(key)
        landed = None
        try:
            query = with_ad(query)
            landed = self._land(key, query, await rest(query), misses)
            return landed
        finally:
            if leads:
                self.flights.land(key, landed)

    def _land(self, key: bytes, query: Query, reply: Reply, misses: int) -> Reply:
        """Keep what was fetched; the reply as it is to be served."""
        place = self._scopes.place(key, query, reply)
        return reply if reply.keep.live and not self._holds(place) else self._keep(place, query, reply, misses)

    def _keep(self, place: bytes, query: Query, reply: Reply, misses: int) -> Reply:
        """Keep the reply if it may be kept; the reply as it is to be served."""
        terms = None
        if is_for_all(reply) and not reply.keep.live:
            try:
                terms = judge(self.policy, query, reply)
            except FormError:
                self._drops.add()
                raise
        if terms is not None and terms.sort == "failure" and self._find(place, query) is not None:
            return reply  # RFC 8767 section 4: a failure does not refresh what we have
        if terms is not None:
            return self._store(place, terms, reply, misses)
        if reply.rcode in TRUTHS and not reply.truncated:
            # What is kept is older than this, which cannot take its place.
            self.success.remove(place)
            self.denial.remove(place)
        return reply

    def _store(self, place: bytes, terms: Terms, reply: Reply, misses: int) -> Reply:
        """Keep the reply on these terms; the reply as it is to be served."""
        reply = terms.apply(reply)
        entry = self.shelve(place, terms, kept(reply, self.name), misses)
        if entry is None:
            return reply
        for tally in reply.tallies:
            tally.add(1)  # later servings are ours, not those of who answered
        return reply.with_(keep=self._lease(entry, entry.born), tallies=(entry,))

    def shelve(self, place: bytes, terms: Terms, reply: Reply, misses: int) -> Entry | None:
        """Put a reply that is fit for it where it is kept; None if there is no room for it at all.

        So many servings to come are misses: those it was fetched for.
        """
        stale = self.policy.stale
        shelf = self.success if terms.sort == "success" else self.denial
        entry = Entry(reply, shelf, min(terms.seconds, reply.keep.seconds or math.inf))
        entry.fetched = misses
        if stale is not None and terms.sort != "failure":
            entry.last += stale.seconds
        if self.policy.prefetch is not None:
            entry.gap = self.policy.prefetch.gap
        if terms.sort == "success":
            self.denial.remove(place)
        elif stale is None or not stale.prefer_positive:
            self.success.remove(place)
        return entry if shelf.put(place, entry) else None


def _truth(task: asyncio.Task[Reply]) -> Reply | None:
    """The task's reply if it has one that says how things are."""
    if not task.done() or task.cancelled() or task.exception() is not None:
        return None
    reply = task.result()
    return reply if reply.rcode in TRUTHS else None
