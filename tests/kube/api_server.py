"""A small Kubernetes API server: lists in pages, watches with bookmarks, and forgets old revisions."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, urlsplit

PATHS = {
    "Namespace": "/api/v1/namespaces",
    "Service": "/api/v1/services",
    "Pod": "/api/v1/pods",
    "EndpointSlice": "/apis/discovery.k8s.io/v1/endpointslices",
    "ServiceImport": "/apis/multicluster.x-k8s.io/v1beta1/serviceimports",
}
Json = dict[str, Any]


class Event(NamedTuple):
    """A line of the history: at which revision what happened to which object."""

    revision: int
    path: str
    type: str
    object: Json


class Request(NamedTuple):
    """What a client asked for."""

    path: str
    query: dict[str, str]
    headers: dict[str, str]

    @property
    def watches(self) -> bool:
        return self.query.get("watch") == "1"


class ApiServer:
    """Listens on a free port of the loopback; ``apply`` and ``delete`` change the cluster."""

    def __init__(self) -> None:
        self.revision = 1
        self.requests: list[Request] = []
        self.refusals: list[int] = []
        """Statuses to answer the next requests with."""
        self.piece = 1 << 20
        """How many octets to put into a chunk of a watch."""
        self.turn = threading.Condition()
        self.history: list[Event] = []
        self.forgotten = 0
        """The last revision that no watch can start from any more."""
        self.streak = 0
        """Watches opened in an earlier streak break off in mid-chunk."""
        self._objects: dict[str, dict[tuple[str, str], Json]] = {path: {} for path in PATHS.values()}
        self._pages: dict[str, tuple[int, list[Json]]] = {}
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
        self._http.daemon_threads = True
        self._http.api = self  # type: ignore[attr-defined]  # the handler's only way to us
        self.url = f"http://127.0.0.1:{self._http.server_address[1]}"
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()

    def close(self) -> None:
        self.interrupt()
        self._http.shutdown()
        self._thread.join()
        self._http.server_close()

    def apply(self, kind: str, name: str, namespace: str = "", **fields: Any) -> None:
        metadata = {"name": name, "namespace": namespace, **fields.pop("metadata", {})}
        held = self._objects[PATHS[kind]]
        type = "MODIFIED" if (namespace, name) in held else "ADDED"
        self._record(PATHS[kind], type, {"kind": kind, "metadata": metadata, **fields})

    def delete(self, kind: str, name: str, namespace: str = "") -> None:
        self._record(PATHS[kind], "DELETED", self._objects[PATHS[kind]][namespace, name])

    def bookmark(self) -> None:
        """Tell all watches the present revision."""
        with self.turn:
            self.revision += 1
            for path in PATHS.values():
                self.history.append(Event(self.revision, path, "BOOKMARK", {"metadata": {}}))
            self.turn.notify_all()

    def interrupt(self) -> None:
        """Break off all watches."""
        with self.turn:
            self.streak += 1
            self.turn.notify_all()

    def forget(self) -> None:
        """Compact the history: watches that are behind must list again."""
        with self.turn:
            self.history.clear()
            self.forgotten = self.revision

    def asked(self, kind: str, *, watches: bool) -> list[Request]:
        return [request for request in self.requests if request.path == PATHS[kind] and request.watches is watches]

    def page(self, path: str, query: dict[str, str]) -> Json | None:
        """One page of a list; all pages show the revision at which the first was asked for."""
        with self.turn:
            token = query.get("continue", "")
            revision, rest = self._pages.pop(token, (self.revision, list(self._objects[path].values())))
            limit = int(query.get("limit", "0")) or len(rest)
            metadata: Json = {"resourceVersion": str(revision)}
            if len(rest) > limit:
                metadata["continue"] = f"{path}@{revision}+{len(rest) - limit}"
                self._pages[metadata["continue"]] = revision, rest[limit:]
            return {"kind": "List", "metadata": metadata, "items": rest[:limit] or None}

    def _record(self, path: str, type: str, obj: Json) -> None:
        with self.turn:
            self.revision += 1
            key = obj["metadata"]["namespace"], obj["metadata"]["name"]
            obj = {**obj, "metadata": {**obj["metadata"], "resourceVersion": str(self.revision)}}
            if type == "DELETED":
                del self._objects[path][key]
            else:
                self._objects[path][key] = obj
            self.history.append(Event(self.revision, path, type, obj))
            self.turn.notify_all()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    @property
    def api(self) -> ApiServer:
        api = self.server.api  # type: ignore[attr-defined]
        assert isinstance(api, ApiServer)
        return api

    def log_message(self, format: str, *args: object) -> None:
        """Stay silent."""

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        request = Request(parts.path, dict(parse_qsl(parts.query)), dict(self.headers))
        self.api.requests.append(request)
        if self.api.refusals:
            self._refuse(self.api.refusals.pop(0))
        elif parts.path not in PATHS.values():
            self._refuse(404)
        elif request.watches:
            self._watch(request)
        else:
            self._answer(200, self.api.page(parts.path, request.query))

    def _refuse(self, status: int) -> None:
        self._answer(status, {"kind": "Status", "code": status, "message": f"refused with {status}"})

    def _answer(self, status: int, document: Json | None) -> None:
        body = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _watch(self, request: Request) -> None:
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self.close_connection = True
        with suppress(ConnectionError):
            for line in self._lines(request.path, int(request.query["resourceVersion"])):
                for start in range(0, len(line), self.api.piece):
                    piece = line[start : start + self.api.piece]
                    self.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece))
            self.wfile.write(b"ff\r\nbroken off")

    def _lines(self, path: str, revision: int) -> Iterator[bytes]:
        api, streak = self.api, self.api.streak
        while streak == api.streak:
            if revision < api.forgotten:
                yield _line("ERROR", {"kind": "Status", "code": 410, "message": "too old resource version"})
                return
            with api.turn:
                news = [event for event in api.history if event.revision > revision]
                if not news:
                    api.turn.wait()
            for event in news:
                revision = event.revision
                if event.path == path:
                    metadata = {**event.object["metadata"], "resourceVersion": str(revision)}
                    yield _line(event.type, {**event.object, "metadata": metadata})


def _line(type: str, obj: Json) -> bytes:
    return json.dumps({"type": type, "object": obj}).encode() + b"\n"
