"""A cluster as its API server tells it: every kind listed, then watched."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterable, Mapping

from pydnsk8s.kube.access import Access
from pydnsk8s.kube.objects import EndpointSlice, Kind, Namespace, Pod, Service
from pydnsk8s.kube.source import Sink
from pydnsk8s.kube.watch import Change, Watch

_RUNNING_PODS = "status.phase!=Succeeded,status.phase!=Failed,status.phase!=Unknown"
_STOP_SECONDS = 2.0


class Api:
    """Serves the objects of an API server and follows their changes, one thread for each kind.

    While the server is away the sink keeps what it has, and ``trouble`` says why.
    """

    def __init__(
        self,
        access: Access,
        kinds: Iterable[Kind] = (Namespace, Service, EndpointSlice),
        *,
        labels: str = "",
        namespace_labels: str = "",
    ) -> None:
        self._access = access
        self._kinds = tuple(kinds)
        self._labels = labels
        self._namespace_labels = namespace_labels
        self._watches: list[Watch] = []
        self._stopped = threading.Event()

    @property
    def trouble(self) -> str:
        """What went wrong with the kinds that are not being followed now."""
        return "; ".join(watch.trouble for watch in self._watches if watch.trouble)

    @property
    def skipped(self) -> int:
        """How many objects were passed over because they could not be read."""
        return sum(watch.skipped for watch in self._watches)

    async def start(self, sink: Sink) -> None:
        """Begin to list; returns at once, whether or not the server can be reached."""
        loop = asyncio.get_running_loop()

        def hand(changes: list[Change]) -> None:
            if not self._stopped.is_set():
                loop.call_soon_threadsafe(self._apply, changes)

        self._watches = [Watch(self._access, kind, self._selectors(kind), sink, hand) for kind in self._kinds]
        for watch in self._watches:
            watch.start()

    async def stop(self) -> None:
        """End all threads; nothing reaches the sink after this returns."""
        self._stopped.set()
        for watch in self._watches:
            watch.cancel()
        await asyncio.to_thread(self._join)

    def _join(self) -> None:
        deadline = time.monotonic() + _STOP_SECONDS
        for watch in self._watches:
            watch.join(max(0.0, deadline - time.monotonic()))

    def _apply(self, changes: list[Change]) -> None:
        if not self._stopped.is_set():
            for change in changes:
                change()

    def _selectors(self, kind: Kind) -> Mapping[str, str]:
        selectors = {}
        if kind in (Service, EndpointSlice, Pod) and self._labels:
            selectors["labelSelector"] = self._labels
        if kind is Namespace and self._namespace_labels:
            selectors["labelSelector"] = self._namespace_labels
        if kind is Pod:
            selectors["fieldSelector"] = _RUNNING_PODS
        return selectors
