"""The objects of one scope: listed, then watched, and begun again whenever that ends."""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from functools import partial
from itertools import chain
from typing import TypeAlias

import msgspec
import urllib3
from msgspec import Raw, Struct
from urllib3.response import BaseHTTPResponse

from pydnsk8s.kube import measures, stream
from pydnsk8s.kube.access import Access, AccessError
from pydnsk8s.kube.decode import Document, Meta, Named, as_shape, read
from pydnsk8s.kube.handover import Change, Handover
from pydnsk8s.kube.objects import Object
from pydnsk8s.kube.outage import Outages
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
_MAX_REASON = 64 << 10

_log = logging.getLogger("pydnsk8s.kube")

Key: TypeAlias = tuple[str, str]
"""Namespace and name, in lower case."""


class RefusedError(Exception):
    """The API server answered, but not with what was asked for."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(f"{status} {message}")
        self.status = status


class _Watched(Struct, gc=False):
    type: str
    object: Raw


class _Status(Struct, gc=False):
    code: int = 0
    message: str = ""


class Watch:
    """Follows one scope in a thread of its own, and hands what it hears over to a sink."""

    def __init__(self, access: Access, scope: Scope, sink: Sink, handover: Handover, outages: Outages) -> None:
        self.skipped = 0
        """How many objects were passed over because they could not be read."""
        self._access = access
        self._scope = scope
        self._versions = scope.resource.versions
        self._unknown = 0
        self._sink = sink
        self._handover = handover
        self._outages = outages
        self._revision = ""
        self._listed: set[Key] | None = None
        """The keys heard of, while a streamed list has not come to its end."""
        self._streams = True
        self._heard = time.monotonic()
        self._ended = threading.Event()
        self._response: BaseHTTPResponse | None = None
        self._thread = threading.Thread(target=self._run, name=f"kube-{scope}", daemon=True)

    def start(self) -> None:
        """Begin to list and watch."""
        self._thread.start()

    def cancel(self) -> None:
        """Wake the thread up and let it end."""
        self._ended.set()
        response = self._response
        if response is not None:
            try:
                response.shutdown()
            except (RuntimeError, ValueError, OSError):
                pass  # the response has just ended by itself

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
            self._fail(_plain(error), alike="unreachable")
        except RefusedError as error:
            self._refused(error)
        except AccessError as error:
            self._fail(str(error))
        except (msgspec.DecodeError, stream.TooMuchError) as error:
            self._revision = ""  # some event has been lost
            self._fail(f"cannot read what the server sends: {error}", alike="unreadable")
        else:
            return True
        return False

    def _refused(self, error: RefusedError) -> None:
        if error.status not in _PASSING:
            self._revision = ""
        if error.status == 410:
            # No trouble: the server does not keep its history for long.
            _log.info("listing %s at %s again: %s", self._scope, self._access.url, error)
            return
        if error.status != 404:
            self._fail(str(error))
            return
        self._versions = (*self._versions[1:], self._versions[0])
        self._unknown += 1
        if not self._scope.resource.optional:
            self._fail(str(error))
        elif self._unknown >= len(self._versions):
            # It is known that there are none; what is missing is only their definition.
            self._settle(set())
            self._fail(
                f"the server does not know {self._scope.resource.name}: is its definition installed?", fresh=True
            )

    def _fail(self, reason: str, *, alike: str = "", fresh: bool = False) -> None:
        if not self._ended.is_set():
            heard = time.monotonic() if fresh else self._heard
            self._outages.begin(str(self._scope), reason, heard, alike=alike)

    def _follow(self) -> None:
        if not self._revision and self._streams:
            # A server that has not come to a streamed list's end once is asked for pages from then on.
            self._streams = False
            self._streams = self._stream()
        if not self._revision:
            self._list()
        self._watch()

    def _stream(self) -> bool:
        """List as a watch does, object by object: neither server ever holds the whole; whether the server can."""
        parameters = {**_watching(), "sendInitialEvents": "true", "resourceVersionMatch": "NotOlderThan"}
        self._listed = set()
        try:
            with self._open("watch", parameters, _STREAM_SILENCE) as response:
                for lines in stream.lines(response):
                    self._take(lines)
                    if self._listed is None:
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
            with self._open("list", parameters, _LIST_SILENCE) as response:
                meta, documents = stream.page(stream.body(response))
            self._heard = time.monotonic()
            for burst in _bursts(documents):
                keys |= self._put(burst)
            more = meta.more
            if not more:
                self._settle(keys)
                self._revision = meta.resource_version
                return
        raise RefusedError(200, f"a list of more than {_MAX_PAGES} pages")

    def _put(self, documents: list[Document]) -> set[Key]:
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
        with self._open("watch", {**_watching(), "resourceVersion": self._revision}, _WATCH_SILENCE) as response:
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
                        changes.append(self._event(as_shape(line, _Watched)))
        finally:
            self._handover.give(chain.from_iterable(changes))

    def _event(self, event: _Watched) -> Iterable[Change]:
        if event.type == "ERROR":
            status = as_shape(event.object, _Status)
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

    def _read(self, document: Document) -> Object | None:
        obj = read(self._scope.kind, document)
        if obj is None:
            self.skipped += 1
            measures.count_skipped(self._scope.kind.__name__)
        return obj

    @contextmanager
    def _open(self, verb: str, parameters: Mapping[str, str], silence: float) -> Iterator[BaseHTTPResponse]:
        path = self._scope.path(self._versions[0])
        response = self._access.get(path, {**self._scope.selectors, **parameters}, silence)
        self._response = response
        try:
            # Looked at after the response can be seen by ``cancel``: one of the two notices the other.
            if self._ended.is_set():
                raise RefusedError(response.status, "no longer wanted")
            if response.status != 200:
                raise RefusedError(response.status, self._why(response, verb))
            self._unknown = 0
            yield response
        finally:
            self._response = None
            response.close()

    def _why(self, response: BaseHTTPResponse, verb: str) -> str:
        try:
            told = as_shape(response.read(_MAX_REASON), _Status).message
        except msgspec.DecodeError:
            told = ""
        told = told or response.reason or ""
        if response.status == 401:
            return f"the API server does not accept us {self._access.who}: {told}"
        if response.status == 403:
            where = f"in namespace {self._scope.namespace}" if self._scope.namespace else "in all namespaces"
            return f"missing RBAC: {verb} {self._scope.resource.name} {where}: {told}"
        return told


def _watching() -> dict[str, str]:
    return {"watch": "1", "allowWatchBookmarks": "true", "timeoutSeconds": str(random.randint(*_WATCH_SECONDS))}


def _settling(sink: Sink, scope: Scope, keys: set[Key]) -> Iterator[Change]:
    """Drop what is not among the keys, one by one; to be drawn where the sink lives."""
    for namespace, name in sink.surplus(scope.kind, keys, scope.namespace):
        yield partial(sink.remove, scope.kind, namespace, name)
    yield partial(sink.complete, scope.kind, scope.namespace)


def _bursts(documents: Iterable[Document]) -> Iterator[list[Document]]:
    """The documents in groups that are decoded in about a millisecond."""
    burst: list[Document] = []
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
    """What went wrong on the way, without the addresses of objects in memory."""
    text = str(error.args[-1] if isinstance(error, urllib3.exceptions.HTTPError) and error.args else error)
    return text.rpartition(">: ")[2] or type(error).__name__


def _delays() -> Iterator[float]:
    """Ever longer pauses, drawn at random so that many clients do not return together."""
    longest = _FIRST_DELAY
    while True:
        yield random.uniform(longest / 2, longest)
        longest = min(longest * 2, _LAST_DELAY)
