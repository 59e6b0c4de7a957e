"""A name that several clusters stand for, and what is answered for it at the moment."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Sequence
from itertools import count
from pathlib import Path

from pydnsk8s import clock, codes, log, names
from pydnsk8s.keep import EACH_CLIENT, NEVER, TURNS, Keep, Stamp
from pydnsk8s.message import Query, Record

from . import memory
from .checks import Check
from .choice import Atlas, Offer, draw
from .cluster import Cluster
from .watch import Terms, Watch

_DRAWING = ("weighted", "combined")
_RELOAD = 30.0  # seconds between two looks at a database's file
_LOG = log.plugin("gslb")


class Service:
    """The clusters of one name; every reply made from them is good until what is healthy changes."""

    def __init__(self, name: bytes) -> None:
        self.name = name
        self.strategy = "round_robin"
        self.ttl = 30
        self.clusters: list[Cluster] = []
        self.checks: tuple[Check, ...] = ()
        self.terms = Terms(retain=300.0)
        self.atlas: Atlas | None = None
        self.last_resort = True
        """Whether all are answered when none is healthy, rather than none."""
        self.own: Cluster | None = None
        """The cluster we belong to, whose healthy addresses we tell our peers."""
        self.file: Path | None = None
        """Where the states are written down."""
        self.stamp = Stamp()
        self.offers: tuple[Offer, ...] = ()
        """What can be answered, in the order of preference."""
        self.falls_back = False
        """Whether none is healthy."""
        self._standing: tuple[tuple[tuple[bytes, ...], tuple[bytes, ...]], ...] = ()
        """The healthy and all addresses of each cluster when that was worked out."""
        self._turns = count()
        self._begun = clock.now()

    async def start(self) -> None:
        """Begin to watch; returns when every name and peer has been asked once, or had the time for it."""
        self._begun = clock.now()
        for cluster in self.clusters:
            cluster.open(self.checks, self.terms, self._changed)
        if self.atlas is not None:
            self.atlas.database.watch(_RELOAD)
        if self.file is not None:
            known = memory.load(self.file, names.text(self.name))
            for cluster in self.clusters:
                cluster.recall(known.get(cluster.tag, {}))
        self._weigh_up()
        # Without their addresses the first replies would be wrong; targets count as up until they are known not to.
        await self._look([held for cluster in self.clusters if (held := cluster.source) and not held.addresses])

    async def stop(self) -> None:
        """Watch no more."""
        ending = [task for cluster in self.clusters for task in cluster.close()]
        if ending:
            await asyncio.wait(ending)
        if self.atlas is not None:
            await self.atlas.database.stop()

    async def settle(self) -> None:
        """Return when everything has been looked at once, or had the time for it."""
        await self._look(self._watches())

    async def _look(self, watches: Sequence[Watch]) -> None:
        if watches:
            looks = [asyncio.ensure_future(held.looked.wait()) for held in watches]
            _, late = await asyncio.wait(looks, timeout=self.terms.timeout)
            for look in late:
                look.cancel()

    def ready(self) -> bool:
        """Whether everything has been looked at, or had an interval's time for it."""
        late = clock.now() - self._begun > self.terms.interval
        return late or all(held.looked.is_set() for held in self._watches())

    def _watches(self) -> list[Watch]:
        return [held for cluster in self.clusters for held in cluster.watches]

    def _changed(self) -> None:
        self._weigh_up()
        if self.file is not None:
            memory.save(self.file, names.text(self.name), self.clusters)

    def _weigh_up(self) -> None:
        """Work out what can be answered; if it is something else than before, the earlier replies end."""
        standing = tuple((cluster.healthy, tuple(cluster.targets)) for cluster in self.clusters)
        if standing == self._standing:
            return
        self._standing = standing
        usable = [cluster for cluster in self.clusters if cluster.weight]
        offers = tuple(Offer(cluster, cluster.healthy) for cluster in usable if cluster.healthy)
        self.falls_back = not offers
        if not offers and self.last_resort:
            offers = tuple(Offer(cluster, tuple(cluster.targets)) for cluster in usable if cluster.targets)
        self.offers = offers
        old, self.stamp = self.stamp, Stamp()
        old.retire()
        _LOG.info("%s: %s", names.text(self.name), self.summary)

    @property
    def summary(self) -> str:
        """What can be answered, in words."""
        if not self.falls_back:
            return "healthy in " + ", ".join(offer.cluster.tag for offer in self.offers)
        return "no cluster is healthy, " + (
            "answering as if all were" if self.last_resort else "answering with nothing"
        )

    def answer(self, query: Query) -> tuple[list[Record], Keep]:
        """The addresses of the type asked for, and how long and for whom they are right."""
        offers, keep = self.choose(query)
        held = dict.fromkeys(address for offer in offers for address in offer.addresses)
        found = self._records(query, held)
        # The gate takes turns where it replays; where it may not, this does.
        first = next(self._turns) % len(found) if found else 0
        return found[first:] + found[:first], keep & TURNS

    def local(self, query: Query) -> tuple[list[Record], Keep]:
        """The healthy addresses of our own cluster."""
        return self._records(query, self.own.healthy if self.own is not None else ()), Keep.while_(self.stamp)

    def _records(self, query: Query, addresses: Iterable[bytes]) -> list[Record]:
        found = [address_record(query.name, self.ttl, address) for address in addresses]
        return [record for record in found if query.type in (record.type, codes.ANY)]

    def choose(self, query: Query) -> tuple[Sequence[Offer], Keep]:
        """The clusters that answer a query."""
        offers, keep = self.eligible(query)
        if len(offers) > 1 and self.strategy in _DRAWING:
            # Whole clusters are drawn, for the order of addresses is lost behind resolvers.
            # Each query draws anew, so nobody may be given the lot of another, from a cache either.
            offers, keep = [draw(offers)], keep & EACH_CLIENT & NEVER
        return offers, keep

    def eligible(self, query: Query) -> tuple[Sequence[Offer], Keep]:
        """The clusters that are as good as each other for a query, but for their weights."""
        offers: Sequence[Offer] = self.offers
        keep = Keep.while_(self.stamp)
        if len(offers) > 1 and self.strategy == "failover":
            offers = offers[:1]
        if len(offers) > 1 and self.atlas is not None:
            offers, why = self.atlas.around(offers, query)
            keep &= why
        return offers, keep

    def story(self, query: Query) -> Iterator[str]:
        """Why each address is in the answer or not."""
        yield f"{names.text(self.name)} {self.strategy}: {self.summary}"
        offered = {offer.cluster.tag: offer.addresses for offer in self.offers}
        chosen = [offer.cluster for offer in self.eligible(query)[0]]
        total = sum(cluster.weight for cluster in chosen)
        for cluster in self.clusters:
            if not cluster.weight:
                verdict = "out, drained"
            elif cluster not in chosen:
                verdict = f"in, but {self.strategy} chooses {', '.join(each.tag for each in chosen)}"
            elif self.strategy in _DRAWING and len(chosen) > 1:
                verdict = f"in, drawn {cluster.weight} in {total}"
            else:
                verdict = "in, chosen"
            for target, address, why in cluster.story():
                told = verdict if address in offered.get(cluster.tag, ()) or not cluster.weight else "out"
                yield f"{cluster.tag:<12} {target:<24} {told} ({why})"


def address_record(name: bytes, ttl: int, address: bytes) -> Record:
    """An A or AAAA record."""
    return Record(name, codes.A if len(address) == 4 else codes.AAAA, ttl, address)
