"""kubernetes - answers for a cluster's services, endpoints and pods from its objects in memory."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Self

from pydnsk8s import log, names
from pydnsk8s.corefile import Directive
from pydnsk8s.keep import Keep
from pydnsk8s.kube import sync
from pydnsk8s.kube.index import Index
from pydnsk8s.kube.source import Source, SourceError
from pydnsk8s.message import Labels, Query, Record, Reply
from pydnsk8s.plugin import HAND_ON, WAIT, Plugin, Rest, ServerBlock, StartError, Turn
from pydnsk8s.plugins.kubernetes.answers import Alias, Answers
from pydnsk8s.plugins.kubernetes.labels import labels_of
from pydnsk8s.plugins.kubernetes.options import Options, read
from pydnsk8s.plugins.kubernetes.surveys import survey
from pydnsk8s.plugins.kubernetes.transfer import zone_records
from pydnsk8s.survey import Survey

_log = log.plugin("kubernetes")


class Kubernetes(Plugin):
    """Answers from an index that lists and watches fill; every reply is kept until what it was read from changes."""

    name = "kubernetes"
    once = True

    def __init__(self, options: Options, block: ServerBlock) -> None:
        self.options = options
        self.index = Index(options.kinds, namespaces=options.namespaces)
        self._block = block
        self._answers = Answers(self.index, options, block)
        self._source: Source | None = None

    @classmethod
    def setup(cls, directive: Directive, block: ServerBlock) -> Self:
        return cls(read(directive, block), block)

    def inherit(self, old: Self) -> bool:
        """Go on with the index and the watches there are."""
        # The words are the same, but the files they name may be others: `root` has a say in that.
        if old._source is None or old.options != self.options:
            return False
        self.index, self._source = old.index, old._source
        self._answers = Answers(self.index, self.options, self._block)
        return True

    async def start(self) -> None:
        if self._source is None:
            try:
                self._source = await asyncio.to_thread(_open, self.options)  # a login command may take its time
                await self._source.start(self.index)
            except SourceError as error:
                raise StartError(f"plugin/kubernetes: {error}") from error
        if not await sync.first(self.index, self.options.startup_timeout, _tell_of_waiting):
            _log.warning("starting server with unsynced Kubernetes API")

    async def stop(self) -> None:
        if self._source is not None:
            await self._source.stop()

    def ready(self) -> bool:
        return self.index.synced

    def labels(self, query: Query) -> Labels:
        """Metadata about the name asked for, and about the pod that asks."""
        zone = names.closest(query.name, self.options.zones)
        if zone is None:
            return {}
        return labels_of(query, None if names.is_reverse(zone) else self._answers.asked(query.name, zone), self.index)

    def transfer(self, zone: bytes) -> Iterator[Record] | None:
        """The records of a zone, for secondaries; reverse zones are not copied."""
        if zone not in self.options.zones or names.is_reverse(zone):
            return None
        return zone_records(self.index.copy(), self.options, zone, self._block) if self.index.synced else iter(())

    def passes(self, zone: bytes) -> Keep | None:
        return HAND_ON if names.are_apart(zone, self.options.zones) else None

    def at_once(self, query: Query) -> Turn:
        found = self._answers.find(query)
        return query.follow_at_once(found.reply) or WAIT if isinstance(found, Alias) else found

    def survey(self, query: Query) -> Survey | None:
        """What the cluster has beside the name asked for."""
        return survey(self.index, self.options, query)

    async def answer(self, query: Query, rest: Rest) -> Reply:
        found = self._answers.find(query)
        if isinstance(found, Alias):
            return await query.follow(found.reply)
        return found if isinstance(found, Reply) else (await rest(query)).under(found)


def _tell_of_waiting() -> None:
    _log.info("waiting for Kubernetes API before starting server")


def _open(options: Options) -> Source:
    # Imported where it is used: HTTPS and YAML take 40 ms and 6 MB each that the other one need not pay.
    if options.manifests:
        from pydnsk8s.kube.manifests import Manifests

        return Manifests(options.manifests, options.kinds)
    from pydnsk8s.kube.access import Access
    from pydnsk8s.kube.api import Api

    if options.kubeconfig is not None:
        access = Access.kubeconfig(options.kubeconfig, options.context)
    elif options.endpoint:
        access = Access.endpoint(options.endpoint, *(str(file) if file else None for file in options.certificates))
    else:
        access = Access.in_cluster()
    return Api(
        access,
        options.kinds,
        namespaces=options.namespaces,
        labels=options.labels,
        namespace_labels=options.namespace_labels,
    )
