"""The objects of one scope: listed, then watched, and begun again whenever that ends."""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Iterable, Iterator
from datetime import datetime
from functools import partial
from itertools import chain
from typing import TypeAlias

import msgspec
import urllib3
from msgspec import Raw, Struct

from pydnsk8s.kube import measures, stream
from pydnsk8s.kube.access import Access
from pydnsk8s.kube.decode import Meta, Named, as_shape, read
from pydnsk8s.kube.handover import Change, Handover
from pydnsk8s.kube.login import AccessError
from pydnsk8s.kube.objects import Object
from pydnsk8s.kube.outage import Outages
from pydnsk8s.kube.requests import RefusedError, Requests, Status
from pydnsk8s.kube.resources import Scope
from pydnsk8s.kube.source import Sink

_PAGE = 500  # objects
_MAX_PAGES = 10_000
_BURST = 1 << 16  # octets decoded in one go: a millisecond
_LIST_SILENCE = 60.0
_STREAM_SILENCE = 10.0  # until the objects of a streamed list come; a server that cannot stream may not say so
_WATCH_SILENCE = 120.0  # the server sends a bookmark about once a minute
_WATCH_SECONDS = (300, 600)  # drawn at random, so that not all servers of a cluster come back at once
# After these the revision is still good to watch from; 410 and all others ask for a new list, which costs the server.
_PASSING = frozenset({401, 403, 429, 500, 502, 503, 504})
_CANNOT_STREAM = frozenset({400, 405, 422})
_FIRST_DELAY = 0.2
_LAST_DELAY = 30.0

_log = logging.getLogger("pydnsk8s.kube")

Key: TypeAlias = tuple[str, str]
"""Namespace and name, in lower case."""


class _Watched(Struct, gc=False):
    type: str
    object: Raw


class Watch:
    """Follows one scope in a thread of its own, and hands what it hears over to a sink."""

    def __init__(self, access: Access, scope: Scope, sink: Sink, handover: Handover, outages: Outages) -> None:
        self.skipped = 0
        """How many objects were passed over because they could not be read."""
        self._scope = scope
        self._requests = Requests(access, scope)
        self._ended = self._requests.cancelled
        self._sink = sink
        self._handover = handover
        self._outages = outages
        self._revision = ""
        self._listed: set[Key] | None = None
        """The keys heard of, while a streamed list has not come to its end."""
        self._streams = True
        self._heard = time.monotonic()
        self._thread = threading.Thread(target=self._run, name=f"kube-{scope}", daemon=True)

    def start(self) -> None:
        """Begin to list and watch."""
        self._thread.start()

    def cancel(self) -> None:
        """Wake the thread up and let it end."""
        self._requests.cancel()

    def join(self, seconds: float) -> None:
        """Wait for the thread; one still connecting is left behind, and hands over nothing more."""
        self._thread.join(seconds)

    def _run(self) -> None:
        delays = _delays()
        while not self._ended.is_set():
            began = time.monotonic()
            orderly = self._attempt()
            # One event and a failure at each attempt is no reason to ask a server in need five times a second.
            if (orderly and self._heard > began) or time.monotonic() - began > _LAST_DELAY:
                delays = _delays()
            self._ended.wait(next(delays))

    def _attempt(self) -> bool:
        """List, if need be, and watch until that ends; whether it ended as it should."""
        try:
            self._follow()
        except (urllib3.exceptions.HTTPError, OSError) as error:
            self._fail(_plain(error), "unreachable")
        except RefusedError as error:
            self._refused(error)
        except AccessError as error:
            self._fail(str(error))
        except (msgspec.DecodeError, stream.TooMuchError) as error:
            self._revision = ""  # some event has been lost
            self._fail(f"cannot read what the server sends: {error}", "unreadable")
        except Exception as error:  # noqa: BLE001 - without its thread a kind would go stale, and nobody would know
            self._revision = ""
            _log.exception("following %s was interrupted by a fault", self._scope)
            self._fail(f"interrupted by a fault: {error!r}", "fault")
        else:
            return True
        return False

    def _refused(self, error: RefusedError) -> None:
        if error.status not in _PASSING:
            self._revision = ""
        if error.status == 410:
            # No trouble: the server does not keep its history for long.
            _log.info("listing %s again: %s", self._scope, error)
        elif self._requests.absent and self._scope.resource.optional:
            # It is known that there are none; what is missing is only their definition.
            self._settle(set())
            self._heard = time.monotonic()
            self._fail(f"{error}; is its definition installed?")
        else:
            self._fail(str(error))

    def _fail(self, reason: str, alike: str = "") -> None:
        if not self._ended.is_set():
            self._outages.begin(str(self._scope), reason, self._heard, alike=alike)

    def _follow(self) -> None:
        if not self._revision and self._streams:
            # A server that has not come to a streamed list's end once is asked for pages from then on.
            self._streams = self._stream()
        if not self._revision:
            self._list()
        self._watch()

    def _stream(self) -> bool:
        """List as a watch does, object by object: neither server ever holds the whole; whether the server can."""
        parameters = {**_watching(), "sendInitialEvents": "true", "resourceVersionMatch": "NotOlderThan"}
        self._listed = set()
        try:
            with self._requests.open("watch", parameters, _STREAM_SILENCE) as response:
                for lines in stream.lines(response):
                    self._take(lines)
                    if self._revision:
                        return True
        except RefusedError as error:
            if error.status not in _CANNOT_STREAM:
                raise
        except (urllib3.exceptions.ReadTimeoutError, urllib3.exceptions.ProtocolError):
            return False  # if it is the server that is gone, asking for pages will say so
        finally:
            self._listed = None
        return False

    def _list(self) -> None:
        keys: set[Key] = set()
        more = ""
        for _ in range(_MAX_PAGES):
            parameters = {"limit": str(_PAGE), **({"continue": more} if more else {})}
            with self._requests.open("list", parameters, _LIST_SILENCE) as response:
                page = stream.Page(stream.body(response))
            self._heard = time.monotonic()
            for burst in _bursts(page):
                keys |= self._put(burst)
            more = page.meta.more
            if not more:
                self._settle(keys)
                self._revision = page.meta.resource_version
                return
        raise RefusedError(200, f"a list of more than {_MAX_PAGES} pages")

    def _put(self, documents: list[bytes | Raw]) -> set[Key]:
        """Hand the listed objects over; the keys of all, also of those that cannot be read and stay what they were."""
        with self._handover.turn:
            objects = [self._read(document) for document in documents]
            keys = {
                (obj.namespace, obj.name) if obj is not None else as_shape(document, Named).metadata.key
                for obj, document in zip(objects, documents, strict=True)
            }
        self._handover.give(partial(self._sink.put, obj) for obj in objects if obj is not None)
        return keys

    def _settle(self, keys: set[Key]) -> None:
        """A full list has been put, with these keys: the rest is gone."""
        self._handover.give(_settling(self._sink, self._scope, keys))

    def _watch(self) -> None:
        with self._requests.open(
            "watch", {**_watching(), "resourceVersion": self._revision}, _WATCH_SILENCE
        ) as response:
            self._outages.end(str(self._scope))
            try:
                for lines in stream.lines(response):
                    self._take(lines)
            except (urllib3.exceptions.ReadTimeoutError, urllib3.exceptions.ProtocolError):
                # No trouble yet: proxies break watches off, and a quiet kind is silent where the server sends no
                # bookmarks. If the server is gone, opening the next watch will say so.
                return

    def _take(self, lines: Iterable[bytes]) -> None:
        changes: list[Iterable[Change]] = []
        self._heard = time.monotonic()
        try:
            with self._handover.turn:
                for line in lines:
                    if line.strip():
                        changes.append(self._event(as_shape(line, _Watched)))  # noqa: PERF401 - a fault ends this
        finally:
            # What came before the fault counts.
            self._handover.give(chain.from_iterable(changes))

    def _event(self, event: _Watched) -> Iterable[Change]:
        if event.type == "ERROR":
            status = as_shape(event.object, Status)
            raise RefusedError(status.code, status.message)
        meta = as_shape(event.object, Named).metadata
        if self._listed is None:
            self._revision = meta.resource_version or self._revision
        if event.type in {"ADDED", "MODIFIED"}:
            obj = self._read(event.object)
            if self._listed is not None:
                self._listed.add(meta.key)
            # What was there before us has not just changed.
            triggered = 0.0 if self._listed is not None else _triggered(meta)
            return () if obj is None else (partial(self._sink.put, obj, triggered),)
        if event.type == "DELETED":
            return (partial(self._sink.remove, self._scope.kind, *meta.key),)
        if self._listed is not None and meta.annotations and meta.annotations.list_ended == "true":
            keys, self._listed, self._revision = self._listed, None, meta.resource_version
            return _settling(self._sink, self._scope, keys)
        return ()

    def _read(self, document: bytes | Raw) -> Object | None:
        obj = read(self._scope.kind, document)
        if obj is None:
            self.skipped += 1
            measures.count_skipped(self._scope.kind.__name__)
        return obj


def _watching() -> dict[str, str]:
    return {"watch": "1", "allowWatchBookmarks": "true", "timeoutSeconds": str(random.randint(*_WATCH_SECONDS))}


def _settling(sink: Sink, scope: Scope, keys: set[Key]) -> Iterator[Change]:
    """Drop what is not among the keys, one by one; to be drawn where the sink lives."""
    for namespace, name in sink.surplus(scope.kind, keys, scope.namespace):
        yield partial(sink.remove, scope.kind, namespace, name)
    yield partial(sink.complete, scope.kind, scope.namespace)


def _bursts(documents: Iterable[bytes | Raw]) -> Iterator[list[bytes | Raw]]:
    """The documents in groups that are decoded in about a millisecond."""
    burst: list[bytes | Raw] = []
    size = 0
    for document in documents:
        burst.append(document)
        size += memoryview(document).nbytes
        if size >= _BURST:
            yield burst
            burst, size = [], 0
    if burst:
        yield burst


def _triggered(meta: Meta) -> float:
    """When, in Unix seconds, the pods of a slice changed; 0 if it does not say."""
    try:
        return datetime.fromisoformat(meta.annotations.triggered).timestamp() if meta.annotations else 0.0
    except ValueError:
        return 0.0


def _plain(error: Exception) -> str:
    """What went wrong on the way, without the library's own names."""
    text = str(error.args[-1] if isinstance(error, urllib3.exceptions.HTTPError) and error.args else error)
    return text.partition("): ")[2] or text


def _delays() -> Iterator[float]:
    """Ever longer pauses, drawn at random so that many clients do not return together."""
    longest = _FIRST_DELAY
    while True:
        yield random.uniform(longest / 2, longest)
        longest = min(longest * 2, _LAST_DELAY)
