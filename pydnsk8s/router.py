"""Which server block a name belongs to, and what happens when its plugins fail."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Iterator
from itertools import islice
from typing import Any, NamedTuple

from pydnsk8s import codes, metrics, names
from pydnsk8s.abilities import Labeller
from pydnsk8s.keep import ALWAYS, NEVER, Keep
from pydnsk8s.message import Query, Reply
from pydnsk8s.plugin import Later, Rest, ServerBlock, Take, Wake
from pydnsk8s.relay import Relay
from pydnsk8s.survey import Survey
from pydnsk8s.wire import FormError

_log = logging.getLogger("pydnsk8s.server")
_DEEPEST = 16  # lookups of lookups: longer CNAME chains are loops or mistakes


class Site(NamedTuple):
    """A zone as one server block serves it."""

    zone: bytes
    block: ServerBlock
    labellers: tuple[Labeller, ...]
    traffic: metrics.Traffic | None


class Way(NamedTuple):
    """Where a query goes: to a site, and how long and for whom that holds; without one, the rcode it gets instead."""

    site: Site | None
    keep: Keep
    rcode: int


class Router:
    """The zones served at one address."""

    def __init__(self, label: str) -> None:
        self.label = label
        """The address as metrics and logs name it, such as ``dns://:53``."""
        self.dropped: metrics.Traffic | None = None
        """Counts the queries that no zone took, if any block counts at all."""
        self._sites: dict[bytes, list[Site]] = {}
        self._short: dict[bytes, Way | None] = {}
        """The same zones, and the way to those that one block serves whoever asks."""
        self._any_class = False
        self._filtered = False
        self._above: set[bytes] = set()
        """The names above the zones."""

    def add(self, zone: bytes, block: ServerBlock) -> None:
        """Serve a zone from a block; several blocks of one zone are tried in this order."""
        labellers = tuple(plugin for plugin in block.plugins if isinstance(plugin, Labeller)) if block.labelled else ()
        traffic = block.traffic(self.label, zone) if block.traffic else None
        if block.traffic and self.dropped is None:
            self.dropped = metrics.traffic(self.label, "dropped")
        self._any_class = self._any_class or block.any_class
        self._filtered = self._filtered or bool(block.filters)
        self._above.update(islice(names.suffixes(zone), 1, None))
        sites = self._sites.setdefault(zone, [])
        sites.append(Site(zone, block, labellers, traffic))
        self._short[zone] = None if len(sites) > 1 or labellers else Way(sites[0], ALWAYS, codes.NOERROR)

    def serves(self, zone: bytes) -> bool:
        """Whether some block serves just this zone here."""
        return zone in self._sites

    def survey(self, query: Query, block: ServerBlock, plugin: str) -> Survey | None:
        """The zone of a query that a plugin of the block has answered, if all its names are alike; never raises."""
        try:
            survey = block.surveys[plugin](query)
        except Exception as error:  # noqa: BLE001 - as below
            _failed(query, error, block)
            return None
        # Questions for names in it may go to other blocks, by the name or by who asks.
        divided = survey is None or self._filtered or survey.zone in self._above
        return None if divided else survey

    def relay(self, query: Query, site: Site, plugin: str) -> Relay | None:
        """How questions like one that a plugin had others answer go, for as many names as possible; never raises."""
        if self._filtered:
            return None
        for zone in reversed(tuple(islice(names.suffixes(query.name), 1, None))):
            # Names in a zone above another one may belong to that.
            if zone in self._above or not names.is_under(zone, site.zone):
                continue
            try:
                relay = site.block.relays[plugin](query, zone)
            except Exception as error:  # noqa: BLE001 - as below
                _failed(query, error, site.block)
                return None
            if relay is not None:
                return relay
        return None

    @property
    def sites(self) -> tuple[Site, ...]:
        """All sites, in the order they were added."""
        return tuple(site for sites in self._sites.values() for site in sites)

    def find(self, query: Query) -> Site | None:
        """The site for a query: that of the longest zone whose block's filters let it in."""
        return self._find(query)[0]

    def _find(self, query: Query) -> tuple[Site | None, Keep]:
        """The site, and how long and for whom it is this one: as long as every filter asked decides as it did."""
        name, at = query.name, 0
        child: Site | None = None
        keep = ALWAYS
        while True:
            for site in self._sites.get(name[at:], ()):
                if site.labellers or site.block.filters:
                    enters, why = _enters(query, site)
                    keep &= why
                    if not enters:
                        continue
                # RFC 4035 section 3.1.4.1: the DS record lives in the parent zone. The nearest zone
                # above answers; only where we have none does the child say that it has no such record.
                if query.type == codes.DS and not at and len(name) > 1:
                    child = child or site
                    break
                return site, keep
            length = name[at]
            if not length:
                return child, keep
            at += 1 + length

    def way(self, query: Query) -> Way:
        """Where a query goes; or what it gets at the door."""
        query.asker = self
        if query.edns is not None and query.edns.version:
            # RFC 6891 section 6.1.3: say which version we speak.
            return Way(None, NEVER, codes.BADVERS)
        if query.klass != codes.IN and not self._any_class:
            return Way(None, NEVER, codes.REFUSED)
        way = self._short_way(query)
        if way is None or way.site is None or way.site.block.filters:
            site, keep = self._find(query)
            way = Way(site, keep, codes.NOERROR) if site is not None else Way(None, NEVER & keep, codes.REFUSED)
        if way.site is not None:
            query.zone = way.site.zone
        return way

    def _short_way(self, query: Query) -> Way | None:
        """The way that all take who ask for a name, if there is one."""
        if query.type == codes.DS:
            return None
        name, at, short = query.name, 0, self._short
        if len(short) == 1:
            return short.get(names.ROOT)
        while name[at:] not in short:
            if not name[at]:
                return None
            at += 1 + name[at]
        return short[name[at:]]

    def at_once(self, query: Query, way: Way) -> Reply | Later:
        """The reply, if the plugins on its way know it without waiting; never raises."""
        site, keep, rcode = way
        if site is None:
            return Reply(rcode, authoritative=False, keep=keep)
        try:
            assert site.block.chain is not None
            reply = site.block.chain.ask(query)
        except Exception as error:  # noqa: BLE001 - a plugin must not take the others down
            return _failed(query, error, site.block)
        if not isinstance(reply, Reply):
            return reply
        if reply.more is not None:
            return Later(_given(reply))  # what comes in several messages takes its time
        # Another client, or another time, may belong to another block.
        return reply if keep is ALWAYS else reply.under(keep)

    def begin(self, query: Query, way: Way, later: Later, wake: Wake) -> Take | Later:
        """Begin to wait: what makes the reply once ``wake`` is called, or what to ``answer`` with; never raises."""
        if later.begin is None:
            return later
        try:
            return later.begin(query, wake, later.behind) or later
        except Exception as error:  # noqa: BLE001 - as above
            return Later(_given(_failed(query, error, _block(way))))

    def take(self, query: Query, way: Way, later: Later, take: Take, came: Any) -> Reply | Later:
        """The reply now that something has come, or what to ``answer`` with; never raises."""
        try:
            reply = take(came)
        except Exception as error:  # noqa: BLE001 - as above
            return _failed(query, error, _block(way))
        return self._amended(query, way, later, reply) if isinstance(reply, Reply) else later._replace(rest=reply)

    async def answer(self, query: Query, way: Way, later: Later) -> Reply:
        """The reply that has to be waited for; never raises."""
        try:
            reply = await later.rest(query)
        except Exception as error:  # noqa: BLE001 - as above
            return _failed(query, error, _block(way))
        return self._amended(query, way, later, reply)

    def _amended(self, query: Query, way: Way, later: Later, reply: Reply) -> Reply:
        """What becomes of a reply that has come."""
        try:
            reply = later.amended(query, reply)
        except Exception as error:  # noqa: BLE001 - as above
            return _failed(query, error, _block(way))
        if reply.more is not None:
            reply = reply.with_(more=_watched(reply.more, query, _block(way)))
        return reply if way.keep is ALWAYS else reply.under(way.keep)

    async def ask(self, query: Query) -> Reply:
        """Answer a question that comes from one of the plugins, as ``Query.lookup`` asks it."""
        if query.depth > _DEEPEST:
            return _too_deep(query)
        way = self.way(query)
        reply = self.at_once(query, way)
        return reply if isinstance(reply, Reply) else await self.answer(query, way, reply)

    def ask_at_once(self, query: Query) -> Reply | None:
        """The same; None if that has to be waited for."""
        if query.depth > _DEEPEST:
            return _too_deep(query)
        reply = self.at_once(query, self.way(query))
        return reply if isinstance(reply, Reply) else None


def _enters(query: Query, site: Site) -> tuple[bool, Keep]:
    """Whether the block's filters let the query in, and how long and for whom they say so."""
    before = query.labels
    if site.labellers and any(names.is_under(query.name, zone) for zone in site.block.labelled):
        # A dictionary of its own: the labels are no business of the next block, nor of the query this is a lookup for.
        query.labels = {}
        for labeller in site.labellers:
            query.labels.update(labeller.labels(query))
    keep = ALWAYS
    for accepts in site.block.filters:
        accepted, why = accepts(query)
        keep &= why
        if not accepted:
            query.labels = before
            return False, keep
    return True, keep


def _too_deep(query: Query) -> Reply:
    return Reply(codes.SERVFAIL, authoritative=False, error=f"too many lookups on the way to {query!r}")


def _block(way: Way) -> ServerBlock:
    assert way.site is not None, "who is refused is refused at once"
    return way.site.block


def _given(reply: Reply) -> Rest:
    async def rest(_: Query) -> Reply:
        return reply

    return rest


def _watched(more: Iterator[Reply], query: Query, block: ServerBlock) -> Iterator[Reply]:
    """The further messages of a reply; if one cannot be made the last one says so, and the client discards them all."""
    try:
        yield from more
    except Exception as error:  # noqa: BLE001 - as above, only later
        yield _failed(query, error, block)


def _failed(query: Query, error: Exception, block: ServerBlock) -> Reply:
    if isinstance(error, FormError):
        # Another server's reply that was sound at first sight and did not decode: no fault of a plugin.
        return Reply(codes.SERVFAIL, authoritative=False, error=f"bad upstream reply: {error}")
    tell_of_fault(query, error, block)
    return Reply(codes.SERVFAIL, authoritative=False, keep=NEVER, error=f"unexpected {type(error).__name__}: {error}")


def tell_of_fault(query: Query, error: Exception, block: ServerBlock | None, doing: str = "answering") -> None:
    """Count and log what a plugin's fault was; where faults are to be debugged it ends the process."""
    metrics.PANICS.add()
    told = block is None or block.stacktrace or block.debug
    stack = "\n" + "".join(traceback.format_exception(error)) if told else ""
    _log.error("unexpected %s while %s %r: %s%s", type(error).__name__, doing, query, error, stack)
    if block is not None and block.debug and block.process is not None:
        block.process.abort(f"debug: an unexpected {type(error).__name__} ended the process")
