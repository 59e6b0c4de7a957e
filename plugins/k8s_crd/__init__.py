"""k8s_crd - serves the names that DNSEndpoints of a cluster ask for, as k8gb balances them over clusters."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Self

from pydnsk8s import codes, log, names, rdata
from pydnsk8s.corefile import Directive
from pydnsk8s.geo import UnreadableError
from pydnsk8s.keep import ALWAYS, Keep
from pydnsk8s.kube import sync
from pydnsk8s.kube.objects import DNSEndpoint, RecordSet
from pydnsk8s.kube.record_index import SYNCED, Key, RecordIndex
from pydnsk8s.kube.selector import Selector
from pydnsk8s.kube.source import Source, SourceError
from pydnsk8s.message import Query, Record, Reply
from pydnsk8s.plugin import HAND_ON, WAIT, Plugin, Rest, ServerBlock, StartError, Turn
from pydnsk8s.plugins.k8s_crd.choice import Balance
from pydnsk8s.plugins.k8s_crd.options import Options, read

if TYPE_CHECKING:
    from pydnsk8s.kube.access import Access

_TIMERS = (7200, 1800, 86_400)  # refresh, retry and expire, in seconds, as k8gb has them
_SERIAL_SECONDS = 3600
_ADDRESSES = (codes.A, codes.AAAA)
_log = log.plugin("k8s_crd")


class Alias(NamedTuple):
    """A name that stands for another one, and how long it does."""

    record: Record
    keep: Keep

    @property
    def reply(self) -> Reply:
        """The CNAME alone."""
        return Reply(answer=(self.record,), keep=self.keep, plugin=K8sCrd.name)


class K8sCrd(Plugin):
    """Answers from an index that lists and watches fill; a reply is kept until what it was read from changes."""

    name = "k8s_crd"
    before = "kubernetes"

    def __init__(self, options: Options) -> None:
        self.options = options
        self.index = RecordIndex()
        self.balance = Balance(options)
        self._sources: list[Source] = []

    @classmethod
    def setup(cls, directive: Directive, block: ServerBlock) -> Self:
        return cls(read(directive, block))

    def inherit(self, old: Self) -> bool:
        """Go on with the names, the watches and the database there are."""
        if not old._sources or old.options != self.options:
            return False
        self.index, self.balance, self._sources = old.index, old.balance, old._sources
        return True

    async def start(self) -> None:
        if not self._sources:
            try:
                await self._open()
            except (SourceError, UnreadableError) as error:
                await self.balance.places.stop()
                raise StartError(f"plugin/k8s_crd: {error}") from error
        if not await sync.first(self.index, self.options.startup_timeout):
            _log.warning("starting server before the DNSEndpoints are known")

    async def stop(self) -> None:
        for source in self._sources:
            await source.stop()
        await self.balance.places.stop()

    def ready(self) -> bool:
        return self.index.synced

    def passes(self, zone: bytes) -> Keep | None:
        return HAND_ON if names.are_apart(zone, self.options.zones) else None

    def at_once(self, query: Query) -> Turn:
        found = self._find(query)
        return query.follow_at_once(found.reply) or WAIT if isinstance(found, Alias) else found

    async def answer(self, query: Query, rest: Rest) -> Reply:
        found = self._find(query)
        if isinstance(found, Alias):
            return await query.follow(found.reply)
        return found if isinstance(found, Reply) else (await rest(query)).under(found)

    def _find(self, query: Query) -> Reply | Alias | Keep:
        """The reply; for the rest of the chain to answer, how long that is so."""
        zone = names.closest(query.name, self.options.zones)
        if zone is None or query.klass != codes.IN:
            return HAND_ON
        if query.type in (codes.AXFR, codes.IXFR):
            return Reply(codes.REFUSED, authoritative=False, plugin=self.name)
        if not self.index.synced:
            # Neither a false NXDOMAIN nor a name that is ours sent to somebody else's server.
            error, keep = "the cluster's DNSEndpoints are not known yet", self.index.keep(SYNCED)
            return Reply(codes.SERVFAIL, authority=(self._soa(zone),), keep=keep, plugin=self.name, error=error)
        outcome = self._look_up(query, zone)
        if not isinstance(outcome, Keep) or self.options.fall.through(query.name):
            return outcome
        return Reply(codes.NXDOMAIN, authority=(self._soa(zone),), keep=outcome, plugin=self.name)

    def _look_up(self, query: Query, zone: bytes) -> Reply | Alias | Keep:
        """The reply for a name that exists; for one that does not, how long that is known."""
        held, keep = self._held(query.name, zone)
        if query.type in held and (query.type != codes.NS or query.name == zone):
            return self._tell(query, zone, held, keep)
        if (referral := self._referral(query, zone, keep)) is not None:
            return referral
        alias = held.get(codes.CNAME)
        if alias is not None and alias.data[0] != query.name:
            return Alias(self._records(alias, alias.data[:1])[0], keep)
        if held or self.index.has_below(query.name) or names.is_under(self.options.server(zone), query.name):
            # RFC 2308 section 2.2 and RFC 8020 section 2: NODATA shows the SOA; a name with others below it exists.
            return Reply(authority=(self._soa(zone),), keep=keep, plugin=self.name)
        return keep

    def _held(self, name: bytes, zone: bytes) -> tuple[dict[int, RecordSet], Keep]:
        """All that is at a name, and how long it is."""
        keys: list[Key] = [("name", name)]
        # A name that is not there can be delegated as part of one above it.
        keys += [("cut", above) for above in names.suffixes(name) if len(above) > len(zone)]
        held = self.index.find(name)
        if name == self.options.server(zone) and not held:
            keys.append(("name", self.options.outside))
            outside = self.index.find(self.options.outside)
            addresses = [outside[type] for type in _ADDRESSES if type in outside]
            negative_ttl = self.options.negative_ttl
            held = {each.type: RecordSet(name, each.type, negative_ttl, each.data) for each in addresses}
        if name == zone:
            own = RecordSet(zone, codes.NS, self.options.negative_ttl, (self.options.server(zone),))
            soa = self._soa(zone)
            held = {codes.NS: own, **held, codes.SOA: RecordSet(zone, codes.SOA, soa.ttl, (soa.data,))}
        if len(held) > 1:
            # RFC 1034 section 3.6.2: an alias stands alone.
            held.pop(codes.CNAME, None)
        return held, self.index.keep(*keys)

    def _tell(self, query: Query, zone: bytes, held: dict[int, RecordSet], keep: Keep) -> Reply:
        """The records of the type asked for, and what goes with them."""
        found = held[query.type]
        if query.type in _ADDRESSES:
            addresses, chosen = self.balance.choose(found, query)
            return Reply(answer=self._records(found, addresses), keep=keep & chosen, plugin=self.name)
        answer = self._records(found, found.data[:1] if query.type == codes.CNAME else found.data)
        authority: tuple[Record, ...] = ()
        additional: tuple[Record, ...] = ()
        if query.type == codes.SOA:
            servers = held[codes.NS]
            authority = self._records(servers, servers.data)
            keep &= Keep(_SERIAL_SECONDS - time.time() % _SERIAL_SECONDS)
        if query.type == codes.NS:
            additional, known = self._glue(found, zone)
            keep &= known
        return Reply(answer=answer, authority=authority, additional=additional, keep=keep, plugin=self.name)

    def _referral(self, query: Query, zone: bytes, keep: Keep) -> Reply | None:
        """Where to ask for a name that is, or is below, one that has been delegated (RFC 1034 section 4.3.2)."""
        for cut in names.suffixes(query.name):
            if len(cut) <= len(zone):
                return None
            servers = self.index.delegation(cut)
            # RFC 4035 section 3.1.4.1: the DS record at the cut is ours, and there is none.
            if servers is not None and not (cut == query.name and query.type == codes.DS):
                glue, known = self._glue(servers, zone)
                delegation = self._records(servers, servers.data)
                return Reply(
                    authority=delegation, additional=glue, keep=keep & known, authoritative=False, plugin=self.name
                )
        return None

    def _glue(self, servers: RecordSet, zone: bytes) -> tuple[tuple[Record, ...], Keep]:
        """What we know of the name servers' addresses, and how long."""
        found: list[Record] = []
        keep = ALWAYS
        for target in servers.data:
            if names.is_under(target, zone):
                held, known = self._held(target, zone)
                keep &= known
                for each in (held[type] for type in _ADDRESSES if type in held):
                    found += self._records(each, each.data)
        return tuple(found), keep

    def _records(self, held: RecordSet, data: Iterable[bytes]) -> tuple[Record, ...]:
        ttl = self.options.ttl if held.ttl is None else held.ttl
        return tuple(Record(held.name, held.type, ttl, each) for each in data)

    def _soa(self, zone: bytes) -> Record:
        ttl = self.options.negative_ttl
        # The begin of the hour, as k8gb has it: all replicas, and the servers of all clusters, show the same.
        serial = int(time.time()) // _SERIAL_SECONDS * _SERIAL_SECONDS
        primary, mailbox = self.options.server(zone), self.options.mailbox(zone)
        return Record(zone, codes.SOA, ttl, rdata.soa(primary, mailbox, serial, timers=(*_TIMERS, ttl)))

    async def _open(self) -> None:
        """Begin to follow the cluster, each filter with a watch of its own."""
        self.balance.places.start()
        options = self.options
        if options.manifests:
            from pydnsk8s.kube.manifests import Manifests

            manifests = Manifests(options.manifests, (DNSEndpoint,))
            selectors = [Selector(text) for text in options.filters]
            sink = self.index.select(
                lambda obj: not selectors or any(selector.picks(obj.labels) for selector in selectors)
            )
            await manifests.start(sink)
            self._sources.append(manifests)
            return
        from pydnsk8s.kube.api import Api

        # A login command takes as long as it likes, and the names of other plugins are being answered.
        access = await asyncio.to_thread(_access, options)
        followed = [
            (Api(access, (DNSEndpoint,), labels=labels), self.index.select()) for labels in options.filters or ("",)
        ]
        self._sources += [api for api, _ in followed]
        for api, sink in followed:
            await api.start(sink)


def _access(options: Options) -> Access:
    # Imported where it is used: HTTPS takes 40 ms and 6 MB that manifests need not pay.
    from pydnsk8s.kube.access import Access

    if options.endpoint:
        return Access.endpoint(options.endpoint)
    if options.local:
        return Access.kubeconfig(Path(os.environ.get("KUBECONFIG") or "~/.kube/config").expanduser())
    return Access.in_cluster()
