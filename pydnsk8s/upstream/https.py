"""Asking over HTTPS: one HTTP/2 connection, one of its streams for each question (RFC 8484)."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Callable

import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.exceptions

from pydnsk8s import wire
from pydnsk8s.upstream.address import Address
from pydnsk8s.upstream.outstanding import Closed, Message, Unanswered, reason
from pydnsk8s.upstream.terms import Reuse, Terms

_PATH = "/dns-query"
_MEDIA = "application/dns-message"
_MAX_BODY = 65535  # octets of a DNS message
_UNTOLD = 2**32  # what h2 has for the limit of a peer that has not told any, or not yet
_LEAST_STREAMS = 100  # which RFC 9113 section 6.5.2 asks every server to allow
_MOST_CONNECTIONS = 16  # those that answer their last questions included


class Exchange:
    """One request and what has come back for it so far."""

    __slots__ = ("answer", "body", "headers")

    def __init__(self, answer: asyncio.Future[bytes]) -> None:
        self.answer = answer
        self.headers: dict[bytes, bytes] = {}
        self.body = bytearray()

    def take(self, data: bytes) -> None:
        """Add a piece of the body."""
        if len(self.body) + len(data) > _MAX_BODY:
            self.fail(Unanswered(f"a reply over {_MAX_BODY} octets"))
        else:
            self.body += data

    def fail(self, error: Unanswered) -> None:
        """Tell the one who waits that no reply will come."""
        if not self.answer.done():
            self.answer.set_exception(error)

    def finish(self) -> None:
        """Hand over the body, if it is a DNS message."""
        status = self.headers.get(b":status", b"?").decode("ascii", "replace")
        media = self.headers.get(b"content-type", b"").partition(b";")[0].strip().lower()
        if status != "200":
            self.fail(Unanswered(f"HTTP status {status}"))
        elif media != _MEDIA.encode():
            self.fail(Unanswered(f"HTTP content of type {media.decode('ascii', 'replace') or 'unknown'}"))
        elif not self.answer.done():
            self.answer.set_result(bytes(self.body))


class Connection(asyncio.Protocol):
    """One HTTP/2 connection to the upstream."""

    def __init__(self, authority: str, post: bool, gone: Callable[[Connection], None]) -> None:
        self._authority = authority
        self._post = post
        self._gone = gone
        self._http = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True, header_encoding=None))
        self._transport: asyncio.Transport | None = None
        self._exchanges: dict[int, Exchange] = {}
        self.opened = self.used = asyncio.get_running_loop().time()
        self.usable = True
        """Whether it takes further questions."""
        self.proven = False
        """Whether it has brought an answer: only then may its end be the peer's tidiness."""

    @property
    def has_room(self) -> bool:
        """Whether the upstream takes one more question beside those it has not answered (RFC 9113 section 5.1.2)."""
        told = self._http.remote_settings.max_concurrent_streams
        return self._http.open_outbound_streams < (told if told < _UNTOLD else _LEAST_STREAMS)

    def ask(self, message: Message) -> asyncio.Future[bytes]:
        """Send a request; the future gets the reply, or Unanswered."""
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[bytes] = loop.create_future()
        self.used = loop.time()
        try:
            stream = self._http.get_next_available_stream_id()
            self._http.send_headers(stream, self._headers(message), end_stream=not self._post)
            if self._post:
                self._http.send_data(stream, message.packet, end_stream=True)
        except h2.exceptions.NoAvailableStreamIDError:
            # RFC 9113 section 5.1.1: the numbers of streams are not used again, a new connection has new ones.
            answer.set_exception(Closed("no streams are left"))
            self.retire()
            return answer
        except h2.exceptions.ProtocolError as error:
            answer.set_exception(Unanswered(f"HTTP/2: {error}"))
            return answer
        self._exchanges[stream] = Exchange(answer)
        answer.add_done_callback(lambda _: self._done(stream))
        self._flush()
        return answer

    def _headers(self, message: Message) -> list[tuple[str, str]]:
        # RFC 8484 section 4.1: the id is 0, so that equal questions are equal requests.
        common = [(":scheme", "https"), (":authority", self._authority)]
        if self._post:
            content = [("accept", _MEDIA), ("content-type", _MEDIA), ("content-length", str(len(message.packet)))]
            return [(":method", "POST"), (":path", _PATH), *common, *content]
        coded = base64.urlsafe_b64encode(message.packet).rstrip(b"=").decode()
        return [(":method", "GET"), (":path", f"{_PATH}?dns={coded}"), *common, ("accept", _MEDIA)]

    def _done(self, stream: int) -> None:
        """Forget an exchange; one that nobody waits for any more is called off."""
        exchange = self._exchanges.pop(stream, None)
        if exchange is not None and exchange.answer.cancelled():
            try:
                self._http.reset_stream(stream, h2.errors.ErrorCodes.CANCEL)
            except h2.exceptions.ProtocolError:
                pass  # it has ended in the meantime
            self._flush()
        if not self.usable and not self._exchanges:
            self.close(Unanswered("connection given up"))

    def _flush(self) -> None:
        if self._transport is not None:
            self._transport.write(self._http.data_to_send())

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        if transport.get_extra_info("ssl_object").selected_alpn_protocol() != "h2":
            self.close(Unanswered("it does not speak HTTP/2"))
            return
        self._http.initiate_connection()
        self._flush()

    def data_received(self, data: bytes) -> None:
        try:
            for event in self._http.receive_data(data):
                self._take(event)
        except h2.exceptions.ProtocolError as error:
            self.close(Unanswered(f"HTTP/2: {error}"))
            return
        self._flush()

    def _take(self, event: h2.events.Event) -> None:
        exchange = self._exchanges.get(getattr(event, "stream_id", None) or 0)
        match event:
            case h2.events.DataReceived():
                # The window is given back for whatever arrives, wanted or not.
                self._http.acknowledge_received_data(event.flow_controlled_length or 0, event.stream_id or 0)
                if exchange is not None:
                    exchange.take(event.data or b"")
            case h2.events.ConnectionTerminated():
                self.retire()
            case h2.events.ResponseReceived() if exchange is not None:
                exchange.headers.update((bytes(name), bytes(value)) for name, value in event.headers or ())
            case h2.events.StreamEnded() if exchange is not None:
                self.proven = True
                exchange.finish()
            case h2.events.StreamReset() if exchange is not None:
                exchange.fail(Closed("HTTP/2 stream reset by the upstream"))

    def connection_lost(self, exc: Exception | None) -> None:
        why = reason(exc) if isinstance(exc, OSError) else "closed by the upstream"
        self.close(Closed(f"connection {why}"))

    def retire(self) -> None:
        """Take no further questions, and close when the last one is answered."""
        self.usable = False
        if not self._exchanges:
            self.close(Unanswered("connection given up"))

    def close(self, error: Unanswered) -> None:
        """Close now; whoever still waits is told."""
        self.usable = False
        self._gone(self)
        if self._transport is not None:
            self._transport.abort()
        for exchange in tuple(self._exchanges.values()):
            exchange.fail(error)


class Https:
    """The connection to one upstream, opened when there is something to ask."""

    def __init__(self, address: Address, terms: Terms, reuse: Reuse) -> None:
        self._address = address
        self._terms = terms
        self._reuse = reuse
        self._current: Connection | None = None
        self._open: set[Connection] = set()
        self._opening = asyncio.Lock()
        self._stopped = False

    async def ask(self, message: Message, seconds: float) -> bytes:
        """The reply to the message; Unanswered if there is none."""
        try:
            async with asyncio.timeout(seconds):
                reply = await self._ask(message)
        except TimeoutError:
            if self._current is not None:
                # What has swallowed one question may swallow the next.
                self._current.retire()
            raise Unanswered(f"no reply within {seconds:.3g} s") from None
        if not wire.matches(reply, message.question):
            raise Unanswered("a reply to another question")
        return reply

    async def _ask(self, message: Message) -> bytes:
        connection = await self._connection()
        proven = connection.proven
        try:
            return await connection.ask(message)
        except Closed:
            if not proven:
                raise
        # The peer closed a connection that it had had enough of; that says nothing about this question.
        connection.retire()
        return await (await self._connection()).ask(message)

    async def _connection(self) -> Connection:
        async with self._opening:
            now = asyncio.get_running_loop().time()
            terms, current = self._terms, self._current
            if current is not None and current.usable:
                fresh = now < current.used + terms.expire and not 0 < terms.max_age < now - current.opened
                if fresh and current.has_room:
                    self._reuse.hits.add(1)
                    return current
                current.retire()
            if len(self._open) >= _MOST_CONNECTIONS:
                raise Unanswered(f"{len(self._open)} connections are busy already")
            self._reuse.misses.add(1)
            self._current = await self._connect()
            return self._current

    async def _connect(self) -> Connection:
        address, terms = self._address, self._terms
        name = address.servername or address.host
        authority = f"[{name}]" if ":" in name else name
        authority += f":{address.port}" if address.port != 443 else ""
        try:
            _, connection = await asyncio.get_running_loop().create_connection(
                lambda: Connection(authority, terms.post, self._open.discard),
                address.host,
                address.port,
                ssl=terms.contexts["https"],
                server_hostname=name,
                local_addr=(terms.source, 0) if terms.source else None,
            )
        except OSError as error:
            raise Unanswered(f"no connection: {reason(error)}") from None
        if not connection.usable:
            raise Unanswered("it does not speak HTTP/2")
        if self._stopped:
            connection.close(Unanswered("the server is stopping"))
            raise Unanswered("the server is stopping")
        self._open.add(connection)
        return connection

    async def stop(self) -> None:
        """Close the connections; whoever still waits is told."""
        self._stopped = True
        for connection in tuple(self._open):
            connection.close(Unanswered("the server is stopping"))
        self._current = None
