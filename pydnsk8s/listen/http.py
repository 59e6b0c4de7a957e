"""The small HTTP server behind ``health``, ``ready`` and ``prometheus``: a few pages, one socket an address.

Rule: a page lives as long as someone shows it. A new configuration shows its pages before the old one withdraws its
own, so a reload closes no socket, and one that fails leaves the old pages as they were.
"""

from __future__ import annotations

import asyncio
import errno
import os
import re
import socket
from email.utils import formatdate
from http import HTTPStatus
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

import h11

from pydnsk8s.plugin import StartError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from ssl import SSLContext

_MOST_CONNECTIONS = 64
_MOST_HEADER = 16 * 1024
_PATIENCE = 5.0
"""Seconds a client may take over a request, and over taking in the reply."""
_ADDRESS = re.compile(r"(?:\[(?P<v6>[0-9A-Fa-f:.]+(?:%\w+)?)\]|(?P<name>[^\[\]:/\s]*)):(?P<port>\d{1,5})")


class Address(NamedTuple):
    """Where to listen; no host means every address of the machine, port 0 any free port."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parse_address(text: str) -> Address:
    """Read an address such as ``:9153``, ``localhost:9153`` or ``[2001:db8::1]:9153``; ValueError for anything else."""
    match = _ADDRESS.fullmatch(text)
    if match is None or int(match["port"]) > 65535:
        raise ValueError(f"expected HOST:PORT such as :9153, localhost:9153 or [::1]:9153, found {text!r}")
    return Address(match["v6"] or match["name"] or "", int(match["port"]))


class Response(NamedTuple):
    """What a page says."""

    status: int
    body: bytes
    type: str = "text/plain; charset=utf-8"


Show: TypeAlias = "Callable[[], Response | Awaitable[Response]]"
"""Makes what a page says; who takes a while is awaited."""


class Page:
    """A path that one plugin shows at an address, until it withdraws it."""

    def __init__(self, path: str, show: Show, ssl: SSLContext | None, listener: _Listener) -> None:
        self.path = path
        self.show = show
        self.ssl = ssl
        self._listener = listener

    @property
    def address(self) -> Address:
        """Where it is really shown: the port is known even if any free one was asked for."""
        return Address(*self._listener.socket.getsockname()[:2])

    async def secure(self, ssl: SSLContext) -> None:
        """Show it with other certificates from now on."""
        self.ssl = ssl
        await self._listener.renew(self)

    async def withdraw(self) -> None:
        """Show it no longer; the page that was shown at its place before, if any, comes back."""
        await self._listener.take_down(self)


async def serve(address: Address, path: str, show: Show, ssl: SSLContext | None = None) -> Page:
    """Show a page; StartError if the address cannot be had."""
    try:
        host = await _resolve(address)
        listener = _listeners.get(address)
        if listener is None:
            listener = _Listener(address, _open(host, address.port))
            if address.port:  # two who ask for any free port do not ask for the same one
                _listeners[address] = listener
        page = Page(path, show, ssl, listener)
        await listener.put_up(page)
    except OSError as error:
        raise StartError(f"cannot serve {path} at {address}: {_why(error)}") from error
    return page


def _why(error: OSError) -> str:
    # What a failed bind says repeats the address behind the system's own words; getaddrinfo has its own numbers.
    if error.errno is None or isinstance(error, socket.gaierror):
        return error.strerror or str(error)
    return os.strerror(error.errno)


async def _resolve(address: Address) -> str:
    if not address.host:
        return ""
    found = await asyncio.get_running_loop().getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)
    # A name such as localhost may have both kinds of address; the IPv4 one is meant, as CoreDNS does.
    return str(min(found, key=lambda info: info[0] != socket.AF_INET)[4][0])


def _open(host: str, port: int) -> socket.socket:
    if not host and socket.has_dualstack_ipv6():
        try:
            return socket.create_server(("", port), family=socket.AF_INET6, dualstack_ipv6=True)
        except OSError as error:
            if error.errno != errno.EADDRNOTAVAIL:  # else IPv6 is compiled in but switched off
                raise
    return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)


_listeners: dict[Address, _Listener] = {}


class _Listener:
    """One listening socket and the pages shown at it."""

    def __init__(self, address: Address, listening: socket.socket) -> None:
        self.socket = listening
        self._address = address
        self._pages: list[Page] = []
        self._server: asyncio.Server | None = None
        self._conversations: dict[asyncio.Task[None], None] = {}

    async def put_up(self, page: Page) -> None:
        """Show a page, in front of others with its path."""
        if any(other.path != page.path and (other.ssl is None) != (page.ssl is None) for other in self._pages):
            raise StartError(f"{self._address} cannot be served both with and without TLS")
        anew = not self._pages or page.ssl is not self._ssl
        self._pages.append(page)
        if anew:
            await self._listen()

    async def take_down(self, page: Page) -> None:
        """Show a page no longer, and close the socket after the last one."""
        before = self._ssl
        self._pages.remove(page)
        if not self._pages:
            await self._close()
        elif self._ssl is not before:
            await self._listen()

    async def renew(self, page: Page) -> None:
        """Take a page's other certificates into use, if they are those of the socket."""
        if self._pages and self._pages[-1] is page:
            await self._listen()

    @property
    def _ssl(self) -> SSLContext | None:
        return self._pages[-1].ssl if self._pages else None

    async def _listen(self) -> None:
        # A duplicate shares the queue of waiting connections, so TLS can come, change and go without closing it.
        earlier, listening = self._server, self.socket.dup()
        patience = _PATIENCE if self._ssl else None  # asyncio takes a limit of these only with TLS
        self._server = await asyncio.start_server(
            self._greet,
            sock=listening,
            ssl=self._ssl,
            ssl_handshake_timeout=patience,
            ssl_shutdown_timeout=patience,
        )
        if earlier is not None:
            earlier.close()

    async def _close(self) -> None:
        if _listeners.get(self._address) is self:
            del _listeners[self._address]
        if self._server is not None:
            self._server.close()
        self.socket.close()
        talking = list(self._conversations)
        for task in talking:
            task.cancel()
        await asyncio.gather(*talking, return_exceptions=True)

    def _greet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(self._conversations) >= _MOST_CONNECTIONS:
            # Who holds connections open must not keep the probes of the kubelet out: the longest guest leaves.
            longest = next(iter(self._conversations))
            del self._conversations[longest]
            longest.cancel()
        task = asyncio.get_running_loop().create_task(self._talk(reader, writer))
        self._conversations[task] = None
        task.add_done_callback(lambda done: self._conversations.pop(done, None))

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = h11.Connection(h11.SERVER, max_incomplete_event_size=_MOST_HEADER)
        writer.transport.set_write_buffer_limits(0)  # so that drained means sent
        try:
            while await self._exchange(connection, reader, writer):
                connection.start_next_cycle()
        except OSError as error:
            # The client has gone, or was too slow. The reader keeps the error, whose traceback keeps the reader.
            error.__traceback__ = None
        finally:
            if writer.transport.get_write_buffer_size():
                writer.transport.abort()  # close() would wait for a client that does not read
            else:
                writer.close()

    async def _exchange(
        self, connection: h11.Connection, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> bool:
        """Answer one request; False if there is none or none may follow."""
        request, bare = None, False
        try:
            async with asyncio.timeout(_PATIENCE):
                request = await _receive(connection, reader)
            if request is None:
                return False
            # A body is of no use to any page: it is not read, so nothing can follow it.
            bare = type(connection.next_event()) is h11.EndOfMessage
            response = await self._answer(request)
        except h11.RemoteProtocolError as error:
            error.__traceback__ = None  # the call that raised it holds it
            response = Response(error.error_status_hint, b"")
        async with asyncio.timeout(_PATIENCE):
            writer.write(_render(connection, request, response, last=not bare))
            await writer.drain()
        return bare and connection.our_state is h11.DONE

    async def _answer(self, request: h11.Request) -> Response:
        path = request.target.partition(b"?")[0].decode("ascii")
        page = next((page for page in reversed(self._pages) if page.path == path), None)
        if page is None:
            return Response(404, b"404 page not found\n")
        if request.method not in (b"GET", b"HEAD"):
            return Response(405, b"")
        shown = page.show()
        return shown if isinstance(shown, Response) else await shown


async def _receive(connection: h11.Connection, reader: asyncio.StreamReader) -> h11.Request | None:
    """The head of the next request, or None when the client has ended."""
    while True:
        event = connection.next_event()
        if isinstance(event, h11.Request):
            return event
        if event is not h11.NEED_DATA:
            return None
        connection.receive_data(await reader.read(_MOST_HEADER))


def _render(connection: h11.Connection, request: h11.Request | None, response: Response, *, last: bool) -> bytes:
    headers = [
        ("Content-Type", response.type),
        ("Content-Length", str(len(response.body))),
        ("Date", formatdate(usegmt=True)),  # RFC 9110 section 6.6.1
    ]
    if response.status == 405:
        headers.append(("Allow", "GET, HEAD"))  # RFC 9110 section 15.5.6
    if last:
        headers.append(("Connection", "close"))
    reason = HTTPStatus(response.status).phrase.encode()
    wire = connection.send(h11.Response(status_code=response.status, headers=headers, reason=reason)) or b""
    if response.body and not (request is not None and request.method == b"HEAD"):
        wire += connection.send(h11.Data(data=response.body)) or b""
    return wire + (connection.send(h11.EndOfMessage()) or b"")
