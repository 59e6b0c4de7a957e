"""A Kubernetes API server as clients meet it: lists in pages, watches, credentials, access rules, and its failures."""

from __future__ import annotations

import json
import socket
import ssl
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple
from urllib.parse import parse_qsl, urlsplit

from .api_store import PATHS, ExpiredError, Json, Query, Store, Target, target

_USER = "system:serviceaccount:kube-system:coredns"


class Request(NamedTuple):
    """What a client asked for."""

    path: str
    query: Query
    headers: dict[str, str]

    @property
    def watches(self) -> bool:
        return self.query.get("watch") == "1" and not self.streams

    @property
    def streams(self) -> bool:
        """Whether a list is asked for, to come as a watch does."""
        return self.query.get("sendInitialEvents") == "true"


class ApiServer(Store):
    """Listens on a free port of the loopback; ``apply`` and ``delete`` change the cluster."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        super().__init__()
        self.requests: list[Request] = []
        self.refusals: list[int] = []
        """Statuses to answer the next requests with."""
        self.tokens: set[str] | None = None
        """The bearer tokens that are accepted; None asks for no credentials. A client certificate is as good."""
        self.denied: set[tuple[str, str, str]] = set()
        """Verb, resource and namespace (empty for all) that nobody may."""
        self.unknown: set[str] = set()
        """Kinds that are not defined in this cluster."""
        self.streams = False
        """Whether lists can be had as watches."""
        self.heeds_limit = True
        self.piece = 1 << 20
        """How many octets to put into a chunk of a watch."""
        self.pause = 0.0
        """Seconds to wait before each piece."""
        self.spoilt: list[bytes] = []
        """Lines to put into the watches in place of the next events."""
        self.hushed = False
        """Whether the watches say nothing any more, though their connections stand."""
        self._streak = 0
        """Watches opened in an earlier streak end."""
        self._ending = "broken"
        self._gone = False
        """Watches asked for while it was going end, too."""
        self._tls = tls
        self._listen(0)
        self.url = f"http{'s' if tls else ''}://127.0.0.1:{self.port}"

    @property
    def port(self) -> int:
        return int(self._http.server_address[1])

    def close(self) -> None:
        """Be gone: connections are refused."""
        self._gone = True
        self.interrupt()
        self._http.shutdown()
        self._thread.join()
        self._http.server_close()

    def open(self) -> None:
        """Be back at the same port."""
        self._gone = False
        self._listen(self.port)

    def use(self, tls: ssl.SSLContext) -> None:
        """Be back with another certificate."""
        self.close()
        self._tls = tls
        self.open()

    def interrupt(self, how: str = "broken") -> None:
        """End all watches: ``broken`` off in mid-chunk, ``reset``, or ``orderly`` as when their time is up."""
        with self.turn:
            self._streak += 1
            self._ending = how
            self.hushed = False
            self.turn.notify_all()

    def hush(self) -> None:
        """Let the present watches fall silent, as when a router has forgotten them; new ones speak."""
        with self.turn:
            self._streak += 1
            self.hushed = True
            self.turn.notify_all()

    def asked(self, kind: str, *, watches: bool) -> list[Request]:
        return [
            request
            for request in self.requests
            if request.path == PATHS[kind] and request.watches is watches and not request.streams
        ]

    def asked_in(self, namespace: str) -> list[Request]:
        """What was asked of one namespace only; questions whether lists can be had as watches left out."""
        return [
            request for request in self.requests if f"/namespaces/{namespace}/" in request.path and not request.streams
        ]

    def _listen(self, port: int) -> None:
        self._http = _Http(("127.0.0.1", port), _Handler)
        self._http.api, self._http.tls = self, self._tls
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()

    def lines(self, found: Target, query: Query) -> Iterator[bytes]:
        """What a watch is sent until it is to end."""
        streak = self._streak
        try:
            if "sendInitialEvents" in query:
                revision, objects = self.snapshot(found, query)
                yield from (_line("ADDED", obj) for obj in objects)
                end = {"resourceVersion": str(revision), "annotations": {"k8s.io/initial-events-end": "true"}}
                yield _line("BOOKMARK", {"kind": found.kind, "metadata": end})
            else:
                revision = int(query["resourceVersion"])
            while True:
                for revision, type, obj in self.after(revision, found, query):
                    yield self.spoilt.pop() if self.spoilt else _line(type, obj)
                with self.turn:
                    while streak != self._streak and self.hushed:
                        self.turn.wait()
                    if streak != self._streak or self._gone:
                        return
                    if all(event.revision <= revision for event in self.history if event.kind == found.kind):
                        self.turn.wait(10)
        except ExpiredError as error:
            yield _line("ERROR", {"kind": "Status", "code": 410, "reason": "Expired", "message": str(error)})

    def listed(self, found: Target, query: Query) -> bytes:
        """A page of a list as it is sent."""
        return json.dumps(self.page(found, query, heed_limit=self.heeds_limit)).encode()

    @property
    def ending(self) -> str:
        return self._ending


class _Http(ThreadingHTTPServer):
    daemon_threads = True
    api: ApiServer
    tls: ssl.SSLContext | None

    def finish_request(self, request: socket.socket | tuple[bytes, socket.socket], client_address: object) -> None:
        # Here, in the connection's own thread: a client that does not shake hands holds up nobody else.
        with suppress(OSError):
            assert isinstance(request, socket.socket)
            with self.tls.wrap_socket(request, server_side=True) if self.tls else request as connection:
                super().finish_request(connection, client_address)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Http

    def log_message(self, format: str, *args: object) -> None:
        """Stay silent."""

    def do_GET(self) -> None:
        api, parts = self.server.api, urlsplit(self.path)
        request = Request(parts.path, dict(parse_qsl(parts.query)), dict(self.headers))
        api.requests.append(request)
        found = target(parts.path)
        verb = "watch" if request.query.get("watch") == "1" else "list"
        if api.refusals:
            status = api.refusals.pop(0)
            self._refuse(status, f"refused with {status}")
        elif not self._known(request):
            self._refuse(401, "Unauthorized")
        elif found is None or found.kind in api.unknown:
            self._refuse(404, "the server could not find the requested resource")
        elif (verb, found.plural, found.namespace) in api.denied:
            where = f'in the namespace "{found.namespace}"' if found.namespace else "at the cluster scope"
            what = f'{verb} resource "{found.plural}" in API group "{found.group}" {where}'
            self._refuse(403, f'{found.plural} is forbidden: User "{_USER}" cannot {what}')
        elif request.streams and not api.streams:
            self._refuse(422, "sendInitialEvents is forbidden for watch unless the WatchList feature gate is enabled")
        elif verb == "watch":
            self._watch(found, request.query)
        else:
            self._list(found, request.query)

    def _known(self, request: Request) -> bool:
        connection, tokens = self.connection, self.server.api.tokens
        by_certificate = isinstance(connection, ssl.SSLSocket) and bool(connection.getpeercert())
        token = request.headers.get("Authorization", "").removeprefix("Bearer ")
        return tokens is None or by_certificate or token in tokens

    def _list(self, found: Target, query: Query) -> None:
        try:
            self._answer(200, self.server.api.listed(found, query))
        except ExpiredError as error:
            self._refuse(410, str(error))

    def _refuse(self, status: int, message: str) -> None:
        self._answer(status, json.dumps({"kind": "Status", "code": status, "message": message}).encode())

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _watch(self, found: Target, query: Query) -> None:
        api = self.server.api
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self.close_connection = True
        with suppress(OSError):
            for line in api.lines(found, query):
                for start in range(0, len(line), api.piece):
                    piece = line[start : start + api.piece]
                    time.sleep(api.pause)
                    self.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece))
            if api.ending == "reset":
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                self.connection.close()
            self.wfile.write(b"0\r\n\r\n" if api.ending == "orderly" else b"ff\r\nbroken off")


def _line(type: str, obj: Json) -> bytes:
    return json.dumps({"type": type, "object": obj}).encode() + b"\n"
