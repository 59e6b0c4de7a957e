"""A cluster as its API server tells it: every kind listed, then watched."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable

from pydnsk8s import metrics
from pydnsk8s.kube import measures
from pydnsk8s.kube.access import Access
from pydnsk8s.kube.handover import Handover
from pydnsk8s.kube.objects import EndpointSlice, Kind, Namespace, Service, ServiceImport
from pydnsk8s.kube.outage import Outages
from pydnsk8s.kube.resources import Scope
from pydnsk8s.kube.source import Sink
from pydnsk8s.kube.watch import Watch

_STOP_SECONDS = 2.0
_running: list[Api] = []


class Api:
    """Serves the objects of an API server and follows their changes, one thread for each kind and namespace.

    With namespaces given, nothing is asked for beyond them. While the server is away the sink keeps what it has, and
    ``trouble`` says why.
    """

    def __init__(
        self,
        access: Access,
        kinds: Iterable[Kind] = (Namespace, Service, EndpointSlice),
        *,
        namespaces: Iterable[str] = (),
        labels: str = "",
        namespace_labels: str = "",
    ) -> None:
        self._access = access
        selectors = {Namespace: namespace_labels, ServiceImport: ""}
        self._scopes = [
            Scope(kind, namespace, selectors.get(kind, labels))
            for kind in kinds
            for namespace in sorted(namespaces) or [""]
        ]
        self._watches: list[Watch] = []
        self._outages = Outages(access.url)
        self._handover: Handover | None = None

    @property
    def trouble(self) -> str:
        """What went wrong with the kinds that are not being followed now."""
        return self._outages.trouble

    @property
    def skipped(self) -> int:
        """How many objects were passed over because they could not be read."""
        return sum(watch.skipped for watch in self._watches)

    async def start(self, sink: Sink) -> None:
        """Begin to list; returns at once, whether or not the server can be reached."""
        self._handover = Handover()
        self._watches = [Watch(self._access, scope, sink, self._handover, self._outages) for scope in self._scopes]
        for watch in self._watches:
            watch.start()
        _running.append(self)

    async def stop(self) -> None:
        """End all threads; nothing reaches the sink after this returns."""
        if self._handover is None:
            return
        _running.remove(self)
        for watch in self._watches:
            watch.cancel()
        self._handover.close()
        await asyncio.to_thread(self._join)

    def _join(self) -> None:
        deadline = time.monotonic() + _STOP_SECONDS
        for watch in self._watches:
            watch.join(max(0.0, deadline - time.monotonic()))

    @property
    def age(self) -> tuple[str, float]:
        """The server's host, and for how many seconds some kind could not be followed there."""
        return self._access.host, self._outages.age


def _measure() -> None:
    # Several plugins may follow one server: what is shown is the worst that any of them has.
    measures.AGE.clear()
    for host, age in (api.age for api in _running):
        shown = measures.AGE.labels(host)
        shown.set(max(age, shown.value))


metrics.before_scrape.append(_measure)
