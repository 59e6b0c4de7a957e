"""All objects of one kind: listed in pages, then watched, and begun again whenever that ends."""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import TypeAlias

import msgspec
import urllib3
from msgspec import Raw, Struct, field
from urllib3.response import BaseHTTPResponse

from pydnsk8s.kube.access import Access, AccessError
from pydnsk8s.kube.decode import Named, as_shape, read
from pydnsk8s.kube.objects import EndpointSlice, Kind, Namespace, Object, Pod, Service, ServiceImport
from pydnsk8s.kube.source import Sink

Change: TypeAlias = Callable[[], None]
"""A call of the sink, to be made on the event loop's thread."""

_PATHS: dict[Kind, tuple[str, ...]] = {
    Namespace: ("/api/v1/namespaces",),
    Service: ("/api/v1/services",),
    EndpointSlice: ("/apis/discovery.k8s.io/v1/endpointslices",),
    Pod: ("/api/v1/pods",),
    ServiceImport: (
        "/apis/multicluster.x-k8s.io/v1alpha1/serviceimports",
        "/apis/multicluster.x-k8s.io/v1beta1/serviceimports",
    ),
}
"""Where the API serves a kind; the next one is tried if it does not know the first."""

_PAGE = 500  # objects
_BATCH = 100  # objects handed over at a time: about a millisecond that no query is answered in
_MAX_PAGES = 10_000
_MAX_PAGE = 256 << 20  # octets
_MAX_LINE = 8 << 20  # octets of one event; etcd keeps no object over 1.5 MB
_MAX_ERROR = 64 << 10
_LIST_SILENCE = 60.0
_WATCH_SILENCE = 120.0  # the server sends a bookmark about once a minute
_WATCH_SECONDS = (300, 600)  # drawn at random, so that not all servers of a cluster come back at once
# After these the revision is still good to watch from; 410 and all others ask for a new list, which costs the server.
_PASSING = frozenset({401, 403, 429, 500, 502, 503})
_FIRST_DELAY = 0.2
_LAST_DELAY = 30.0

_log = logging.getLogger("pydnsk8s.kube")


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


class _ListMeta(Struct, gc=False):
    resource_version: str = field(default="", name="resourceVersion")
    more: str = field(default="", name="continue")


class _Page(Struct, gc=False):
    metadata: _ListMeta
    items: list[Raw] | None = None


class Watch:
    """Follows one kind in a thread of its own; ``hand`` takes the changes to a sink, in batches."""

    def __init__(
        self,
        access: Access,
        kind: Kind,
        selectors: Mapping[str, str],
        sink: Sink,
        hand: Callable[[list[Change]], None],
    ) -> None:
        self.kind = kind
        self.trouble = ""
        """Why the objects handed over may be out of date."""
        self.skipped = 0
        """How many objects were passed over because they could not be read."""
        self._access = access
        self._paths = _PATHS[kind]
        self._selectors = selectors
        self._sink = sink
        self._hand = hand
        self._revision = ""
        self._heard = False
        self._ended = threading.Event()
        self._response: BaseHTTPResponse | None = None
        self._thread = threading.Thread(target=self._run, name=f"kube-{kind.__name__}", daemon=True)

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
            began, self._heard = time.monotonic(), False
            try:
                if not self._revision:
                    self._list()
                self._watch()
            except (RefusedError, AccessError, urllib3.exceptions.HTTPError, OSError, msgspec.DecodeError) as error:
                self._fail(error)
            if self._heard or time.monotonic() - began > _LAST_DELAY:
                delays = _delays()
            self._ended.wait(next(delays))

    def _fail(self, error: Exception) -> None:
        if isinstance(error, RefusedError):
            if error.status not in _PASSING:
                self._revision = ""
            if error.status == 404:
                self._paths = (*self._paths[1:], self._paths[0])
        elif isinstance(error, msgspec.DecodeError):
            self._revision = ""  # some event has been lost
        trouble = f"{self.kind.__name__}: {error}"
        if trouble != self.trouble and not self._ended.is_set():
            _log.warning("following %s at %s: %s", self.kind.__name__, self._access.url, error)
            self.trouble = trouble

    def _list(self) -> None:
        keys: set[tuple[str, str]] = set()
        more = ""
        for _ in range(_MAX_PAGES):
            page = self._page(more)
            documents = page.items or []
            for start in range(0, len(documents), _BATCH):
                keys |= self._put(documents[start : start + _BATCH])
            more = page.metadata.more
            if not more:
                self._hand([partial(self._sink.retain, self.kind, keys)])
                self._revision = page.metadata.resource_version
                return
        raise RefusedError(200, f"a list of more than {_MAX_PAGES} pages")

    def _put(self, documents: list[Raw]) -> set[tuple[str, str]]:
        """Hand the listed objects over; the keys of all, also of those that cannot be read and stay what they were."""
        objects = [self._read(document) for document in documents]
        self._hand([partial(self._sink.put, obj) for obj in objects if obj is not None])
        return {
            (obj.namespace, obj.name) if obj is not None else as_shape(document, Named).metadata.key
            for obj, document in zip(objects, documents, strict=True)
        }

    def _page(self, more: str) -> _Page:
        parameters = {"limit": str(_PAGE), **({"continue": more} if more else {})}
        with self._open(parameters, _LIST_SILENCE) as response:
            body = response.read(_MAX_PAGE)
            if len(body) == _MAX_PAGE:
                raise RefusedError(200, f"a page of more than {_MAX_PAGE} octets")
            return as_shape(body, _Page)

    def _watch(self) -> None:
        parameters = {
            "watch": "1",
            "resourceVersion": self._revision,
            "allowWatchBookmarks": "true",
            "timeoutSeconds": str(random.randint(*_WATCH_SECONDS)),
        }
        with self._open(parameters, _WATCH_SILENCE) as response:
            if self.trouble:
                _log.info("following %s at %s again", self.kind.__name__, self._access.url)
                self.trouble = ""
            for lines in _lines(response):
                self._take(lines)

    def _take(self, lines: Iterable[bytes]) -> None:
        changes: list[Change] = []
        try:
            for line in lines:
                if line.strip():
                    self._event(as_shape(line, _Watched), changes)
        finally:
            self._hand(changes)

    def _event(self, event: _Watched, changes: list[Change]) -> None:
        if event.type == "ERROR":
            status = as_shape(event.object, _Status)
            raise RefusedError(status.code, status.message)
        meta = as_shape(event.object, Named).metadata
        if event.type == "DELETED":
            changes.append(partial(self._sink.remove, self.kind, *meta.key))
        elif event.type in {"ADDED", "MODIFIED"}:
            obj = self._read(event.object)
            if obj is not None:
                changes.append(partial(self._sink.put, obj))
        self._revision = meta.resource_version or self._revision
        self._heard = True

    def _read(self, document: Raw) -> Object | None:
        obj = read(self.kind, document)
        self.skipped += obj is None
        return obj

    @contextmanager
    def _open(self, parameters: Mapping[str, str], silence: float) -> Iterator[BaseHTTPResponse]:
        response = self._access.get(self._paths[0], {**self._selectors, **parameters}, silence)
        self._response = response
        try:
            # Looked at after the response can be seen by ``cancel``: one of the two notices the other.
            if self._ended.is_set():
                raise RefusedError(response.status, "no longer wanted")
            if response.status != 200:
                raise RefusedError(response.status, _reason(response))
            yield response
        finally:
            self._response = None
            response.close()


def _delays() -> Iterator[float]:
    """Ever longer pauses, drawn at random so that many clients do not return together."""
    longest = _FIRST_DELAY
    while True:
        yield random.uniform(longest / 2, longest)
        longest = min(longest * 2, _LAST_DELAY)


def _lines(response: BaseHTTPResponse) -> Iterator[list[bytes]]:
    """The lines of a response, as many at a time as have arrived, until it ends or falls silent."""
    rest = b""
    try:
        while chunk := response.read1(1 << 16):
            *lines, rest = (rest + chunk).split(b"\n")
            yield lines
            if len(rest) > _MAX_LINE:
                raise RefusedError(200, f"an event of more than {_MAX_LINE} octets")
    except (urllib3.exceptions.ReadTimeoutError, urllib3.exceptions.ProtocolError):
        # No trouble yet: proxies break watches off, and a quiet kind is silent where the server sends no bookmarks.
        # If the server is gone, opening the next watch will say so.
        return


def _reason(response: BaseHTTPResponse) -> str:
    try:
        return as_shape(response.read(_MAX_ERROR), _Status).message or response.reason or ""
    except msgspec.DecodeError:
        return response.reason or ""
