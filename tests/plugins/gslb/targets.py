"""Applications on loopback that can be killed and revived."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from tests.upstream.servers import until

__all__ = ["App", "app", "eventually", "page", "until"]


def page(body: bytes = b"all is well", status: bytes = b"200 OK", *headers: bytes) -> bytes:
    """An HTTP response."""
    head = b"\r\n".join((b"HTTP/1.1 " + status, b"Content-Length: %d" % len(body), *headers))
    return head + b"\r\n\r\n" + body


class App:
    """Answers every connection with the same bytes, None for never, after the first it has received."""

    def __init__(self, says: bytes | None, context: ssl.SSLContext | None) -> None:
        self.says = says
        self.asked: list[bytes] = []
        self.context = context
        self.host = ""
        self.port = 0
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()

    async def revive(self) -> None:
        self._server = await asyncio.start_server(self._serve, self.host, self.port, ssl=self.context)
        self.port = self._server.sockets[0].getsockname()[1]

    async def kill(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        for writer in self._writers:
            writer.transport.abort()
        while self._writers:  # noqa: ASYNC110 - there is no event for the last of several
            await asyncio.sleep(0)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        with contextlib.suppress(OSError):
            self.asked.append(await reader.read(4096))
            if self.says is None:
                await reader.read()
            else:
                writer.write(self.says)
                await writer.drain()
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
        self._writers.discard(writer)


@asynccontextmanager
async def app(
    says: bytes | None = b"", *, host: str = "127.0.0.1", port: int = 0, context: ssl.SSLContext | None = None
) -> AsyncIterator[App]:
    """An application while the block lasts."""
    made = App(says, context)
    made.host, made.port = host, port
    await made.revive()
    try:
        yield made
    finally:
        await made.kill()


async def eventually(asked: Callable[[], object], wanted: object) -> None:
    """Wait until a coroutine function gives this; AssertionError with what it gave instead."""
    found: object = None
    for _ in range(500):
        found = await asked()  # type: ignore[misc]
        if found == wanted:
            return
        await asyncio.sleep(0.01)
    raise AssertionError(f"still {found}, not {wanted}")
