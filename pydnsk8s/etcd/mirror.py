"""A tree kept like an etcd prefix: listed once, then watched, from one endpoint after the other."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Iterable
from itertools import cycle
from typing import Never, TypeVar

from pydnsk8s import background, clock, log, metrics
from pydnsk8s.etcd.access import Access, EtcdError
from pydnsk8s.etcd.client import PATIENCE, Client
from pydnsk8s.etcd.stubs import etcd_pb2 as pb
from pydnsk8s.etcd.tree import Tree

_PAGE = 500  # pairs
_BATCH = 100  # pairs taken at a time: about a millisecond that no query is answered in
_LEASES = 32  # asked about at a time
_FIRST_DELAY = 0.1  # seconds
_LAST_DELAY = 5.0
_SHORT_PATIENCE = 1.0  # a member that waits for a new leader does not answer, while another one may
_MOST_DOUBLINGS = 8

_Item = TypeVar("_Item")
_LABELS = ("endpoints", "path")
_log = log.plugin("etcd")
_CONNECTED = metrics.gauge("coredns_etcd_connected", "1 while the changes in etcd are followed.", *_LABELS)
_KEYS = metrics.gauge("coredns_etcd_keys", "Keys that are served.", *_LABELS)
_SKIPPED = metrics.gauge("coredns_etcd_skipped_keys", "Keys whose values cannot be read.", *_LABELS)
_CHANGES = metrics.counter("coredns_etcd_changes_total", "Changes that etcd has told of.", *_LABELS)


class _CompactedError(Exception):
    """What happened since the last known revision is forgotten: only a new list helps."""


class Mirror:
    """Feeds a tree until it is stopped; while etcd is away the tree stays as it is and ``trouble`` says why."""

    def __init__(self, access: Access, tree: Tree) -> None:
        self.trouble = "not connected yet"
        """Why the tree may be out of date; empty when all is well."""
        self._access = access
        self._tree = tree
        self._start = tree.prefix
        # The first key behind all that begin with the prefix, which ends with a slash.
        self._end = tree.prefix[:-1] + bytes((tree.prefix[-1] + 1,))
        self._cluster = 0
        self._revision = 0
        """All changes up to here are in the tree; 0 before the first list."""
        self._following_since: float | None = None
        self._settled = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        labels = " ".join(access.endpoints), tree.prefix.decode("utf-8", "backslashreplace").rstrip("/")
        self._connected, self._keys = _CONNECTED.labels(*labels), _KEYS.labels(*labels)
        self._skipped, self._changes = _SKIPPED.labels(*labels), _CHANGES.labels(*labels)

    async def start(self, within: float) -> None:
        """Begin to follow; returns when the tree is complete, when no endpoint answers, or after so many seconds."""
        self._task = background.start(self._run, _log, "following etcd", self._lose)
        try:
            async with asyncio.timeout(within):
                await self._settled.wait()
        except TimeoutError:
            self._tell("etcd has not sent everything yet")

    async def stop(self) -> None:
        """End; nothing reaches the tree after this returns."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
            self._connected.set(0)

    async def _run(self) -> None:
        """Go round the endpoints, ever slower while none of them is any good."""
        failures = rounds = 0
        for endpoint in cycle(self._access.endpoints):
            patience = PATIENCE if failures >= len(self._access.endpoints) else _SHORT_PATIENCE
            try:
                async with Client(self._access, endpoint, patience) as client:
                    await self._follow(client)
            except EtcdError as error:
                lasted = self._following_since is not None and clock.now() - self._following_since > _LAST_DELAY
                failures = 0 if lasted else failures + 1
                rounds = failures // len(self._access.endpoints)
                if rounds:
                    self._settled.set()
                self._lose(str(error))
            delay = min(_FIRST_DELAY * 2 ** min(rounds, _MOST_DOUBLINGS), _LAST_DELAY)
            await asyncio.sleep(random.uniform(delay / 2, delay))

    async def _follow(self, client: Client) -> Never:
        """Bring the tree up to date and keep it so; raises EtcdError when that ends."""
        if not await self._goes_on(client):
            await self._list(client)
        while True:
            try:
                await self._watch(client)
            except _CompactedError:
                await self._list(client)

    async def _goes_on(self, client: Client) -> bool:
        """Whether the last known revision is a good one to watch from."""
        if not self._revision:
            return False
        # A cluster set up anew or from a backup counts differently: watching on would be waiting for nothing.
        header = await client.header(self._start, self._end)
        return header.cluster_id == self._cluster and header.revision >= self._revision

    async def _list(self, client: Client) -> None:
        begun, listed = clock.now(), 0
        gone: set[bytes] = set()
        async for key in _paced(self._tree.keys()):
            gone.add(key)
        start, revision, more = self._start, 0, True
        while more:
            page = await client.range(start, self._end, limit=_PAGE, revision=revision)
            # All pages show the same moment: that of the first.
            revision, cluster, more = revision or page.header.revision, page.header.cluster_id, page.more
            listed += len(page.kvs)
            async for pair in _paced(page.kvs):
                self._tree.put(pair.key, pair.value, pair.lease)
                gone.discard(pair.key)
                start = pair.key + b"\0"
        async for key in _paced(gone):
            self._tree.remove(key)
        self._tree.complete()
        self._revision, self._cluster = revision, cluster
        self._count()
        _log.info("%d keys from %s in %.2f s", listed, client.endpoint, clock.now() - begun)

    async def _watch(self, client: Client) -> None:
        async with client.watch(self._start, self._end, self._revision + 1) as stream:
            asking = background.start(lambda: self._ask_about_leases(client), _log, "asking about leases")
            try:
                async for response in stream:
                    await self._take(response, client)
            finally:
                asking.cancel()
        raise EtcdError(f"{client.endpoint}: the watch ended")

    async def _take(self, response: pb.WatchResponse, client: Client) -> None:
        if response.canceled:
            if response.compact_revision:
                raise _CompactedError
            raise EtcdError(f"{client.endpoint}: {response.cancel_reason or 'the watch was ended'}")
        if response.created:
            self._find(client)
        for count, event in enumerate(response.events, 1):
            if event.type == pb.Event.DELETE:
                self._tree.remove(event.kv.key)
            else:
                self._tree.put(event.kv.key, event.kv.value, event.kv.lease)
            if count % _BATCH == 0:
                await asyncio.sleep(0)
        if response.events:
            # The header may already be ahead of events that are still to come.
            self._revision = response.events[-1].kv.mod_revision
            self._changes.add(len(response.events))
            self._count()
        elif not response.created:
            self._revision = max(self._revision, response.header.revision)

    async def _ask_about_leases(self, client: Client) -> None:
        leases = self._tree.leases
        while True:
            due = leases.due()
            try:
                for at in range(0, len(due), _LEASES):
                    asked = due[at : at + _LEASES]
                    for lease, left in zip(asked, await asyncio.gather(*map(client.lease, asked)), strict=True):
                        leases.learn(lease, left)
            except EtcdError as error:
                _log.warning("cannot tell how long leases last: %s", error)
                await asyncio.sleep(_LAST_DELAY)
            await leases.wait()

    def _find(self, client: Client) -> None:
        self._following_since = clock.now()
        self._connected.set(1)
        _log.info("following %s from revision %d", client.endpoint, self._revision)
        self.trouble = ""
        self._settled.set()

    def _lose(self, reason: str) -> None:
        self._following_since = None
        self._connected.set(0)
        if reason != self.trouble:
            self._tell(reason)
        self.trouble = reason

    def _tell(self, reason: str) -> None:
        served = f"{len(self._tree)} keys as last known" if self._tree.synced else "nothing yet"
        _log.warning("%s; serving %s", reason, served)

    def _count(self) -> None:
        self._keys.set(len(self._tree))
        self._skipped.set(len(self._tree.faults))


async def _paced(items: Iterable[_Item]) -> AsyncIterator[_Item]:
    """All items, with a turn for others after so many."""
    for count, item in enumerate(items, 1):
        yield item
        if count % _BATCH == 0:
            await asyncio.sleep(0)
