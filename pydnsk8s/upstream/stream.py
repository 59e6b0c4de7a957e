"""Asking over TCP and TLS: connections that stay open, many questions at a time on each (RFC 7766 section 6.2)."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable

from pydnsk8s.upstream.address import Address
from pydnsk8s.upstream.outstanding import STOPPING, Closed, Message, Outstanding, Patience, Unanswered, awaited, reason
from pydnsk8s.upstream.terms import Reuse, Terms


class Stream(asyncio.Protocol):
    """One connection: questions leave as they come, replies may arrive in any order (RFC 7766 section 6.2.1.1)."""

    def __init__(self, patience: Patience, idle: Callable[[Stream], None], gone: Callable[[Stream], None]) -> None:
        loop = asyncio.get_running_loop()
        self._loop = loop
        self._outstanding = Outstanding(patience, loop, self._emptied)
        self._transport: asyncio.Transport | None = None
        self._unsent: list[bytes] = []
        self._arrived = bytearray()
        self._idle = idle
        self._gone = gone
        self.connecting: asyncio.Task[None] | None = None
        """The task that connects."""
        self.opened = self.idle_since = loop.time()
        self.proven = False
        """Whether it has brought an answer: only then may its end be the peer's tidiness."""

    def __len__(self) -> int:
        """How many questions wait for their answers."""
        return len(self._outstanding)

    @property
    def stuck(self) -> bool:
        """Whether a question got no answer here, so that others had better not wait behind it."""
        return self._outstanding.given_up > 0

    def connect(self, address: Address, terms: Terms, context: ssl.SSLContext | None) -> None:
        """Begin to connect; questions may be asked at once."""
        self.connecting = self._loop.create_task(self._connect(address, terms, context))

    async def _connect(self, address: Address, terms: Terms, context: ssl.SSLContext | None) -> None:
        try:
            async with asyncio.timeout(terms.read_timeout):
                await self._loop.create_connection(
                    lambda: self,
                    address.host,
                    address.port,
                    ssl=context,
                    server_hostname=(address.servername or address.host) if context else None,
                    local_addr=(terms.source, 0) if terms.source else None,
                )
        except TimeoutError:
            self._end(Unanswered(f"no connection within {terms.read_timeout:.3g} s"))
        except OSError as error:
            self._end(Unanswered(f"no connection: {reason(error)}"))

    def ask(self, message: Message, seconds: float) -> asyncio.Future[bytes]:
        """Send the message, as soon as there is a connection; the future gets the reply, or Unanswered."""
        answer, wake = awaited(self._loop)
        packet = self._outstanding.add(message, seconds, wake)
        # RFC 7766 section 8: length and message in one write, so that they leave in one segment.
        framed = len(packet).to_bytes(2, "big") + packet
        if self._transport is None:
            self._unsent.append(framed)
        else:
            self._transport.write(framed)
        return answer

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        transport.writelines(self._unsent)
        self._unsent.clear()

    def data_received(self, data: bytes) -> None:
        arrived = self._arrived
        arrived += data
        at = 0
        while len(arrived) - at >= 2:
            end = at + 2 + (arrived[at] << 8 | arrived[at + 1])
            if len(arrived) < end:
                break
            self.proven = True
            self._outstanding.settle(bytes(arrived[at + 2 : end]))
            at = end
        del arrived[:at]

    def connection_lost(self, exc: Exception | None) -> None:
        why = reason(exc) if isinstance(exc, OSError) else "closed by the upstream"
        self._end(Closed(f"connection {why}"))

    def close(self) -> None:
        """Close now; whoever still waits is told."""
        if self.connecting is not None:
            self.connecting.cancel()
        self._end(Unanswered(STOPPING))

    def _end(self, error: Unanswered) -> None:
        self._gone(self)
        if self._transport is not None:
            self._transport.abort()
        self._outstanding.end(error)

    def _emptied(self) -> None:
        self.idle_since = self._loop.time()
        self._idle(self)


class Streams:
    """The connections to one upstream."""

    LIMIT = 16
    """Connections at a time; further questions share them."""
    CROWDED = 4
    """Questions on one connection from which on another is opened: some servers answer one after the other."""
    FULL = 256
    """Questions on one connection beyond which none is taken."""
    AGAIN = 8
    """How often a question is asked anew because its connection was closed after the answer to another one."""

    def __init__(
        self, address: Address, terms: Terms, patience: Patience, reuse: Reuse, *, encrypted: bool = False
    ) -> None:
        self._address = address
        self._terms = terms
        self._patience = patience
        self._reuse = reuse
        self._encrypted = encrypted
        self._open: set[Stream] = set()
        self._timers: dict[Stream, asyncio.TimerHandle] = {}

    async def ask(self, message: Message, seconds: float) -> bytes:
        """The reply to the message; Unanswered if there is none."""
        loop = asyncio.get_running_loop()
        end = loop.time() + seconds
        stream = self._pick(loop.time(), proven=True)
        for _ in range(self.AGAIN):
            try:
                return await stream.ask(message, max(end - loop.time(), 0))
            except Closed:
                # RFC 7766 section 6.2.4: a connection closed between two questions says nothing about the second one.
                # Some servers close each after one answer, whatever else was asked there.
                if not stream.proven:
                    raise
            stream = self._pick(loop.time(), proven=False)
        return await stream.ask(message, max(end - loop.time(), 0))

    def _pick(self, now: float, *, proven: bool) -> Stream:
        """The least busy connection, or a new one.

        Unless ``proven`` it is not one that had answers before, and as a rule one on which nothing else waits.
        """
        usable = [stream for stream in self._open if (proven or not stream.proven) and not self._spent(stream, now)]
        stream = min(usable, key=len, default=None)
        crowded = self.CROWDED if proven else 1
        if stream is not None and (len(stream) < crowded or len(self._open) >= self.LIMIT):
            if len(stream) >= self.FULL:
                raise Unanswered(f"{self.FULL} questions wait on every connection already")
            self._reuse.hits.add(1)
            return stream
        if len(self._open) >= 2 * self.LIMIT:
            raise Unanswered(f"{len(self._open)} connections are open already")
        self._reuse.misses.add(1)
        stream = Stream(self._patience, self._idle, self._gone)
        self._open.add(stream)
        # Looked up each time: certificates are replaced while the server runs.
        stream.connect(self._address, self._terms, self._terms.contexts["tls"] if self._encrypted else None)
        return stream

    def _spent(self, stream: Stream, now: float) -> bool:
        max_age = self._terms.max_age
        return stream.stuck or (max_age > 0 and now > stream.opened + max_age)

    def _idle(self, stream: Stream) -> None:
        """Decide how long a connection without questions stays open."""
        terms = self._terms
        now = asyncio.get_running_loop().time()
        idle = sum(1 for other in self._open if not len(other))
        if (terms.max_idle and idle > terms.max_idle) or self._spent(stream, now):
            stream.close()
        elif stream in self._open and stream not in self._timers:
            self._wait(stream, terms.expire)

    def _wait(self, stream: Stream, seconds: float) -> None:
        self._timers[stream] = asyncio.get_running_loop().call_later(seconds, self._expire, stream)

    def _expire(self, stream: Stream) -> None:
        del self._timers[stream]
        left = stream.idle_since + self._terms.expire - asyncio.get_running_loop().time()
        if len(stream):
            return
        if left > 0:
            self._wait(stream, left)
        else:
            stream.close()

    def _gone(self, stream: Stream) -> None:
        self._open.discard(stream)
        timer = self._timers.pop(stream, None)
        if timer is not None:
            timer.cancel()

    async def stop(self) -> None:
        """Close every connection; whoever still waits is told."""
        streams = tuple(self._open)
        for stream in streams:
            stream.close()
        connecting = [stream.connecting for stream in streams if stream.connecting is not None]
        await asyncio.gather(*connecting, return_exceptions=True)
