"""What happens again and again leaves nothing that only the collector could find, and a reload leaves nothing."""

from __future__ import annotations

import asyncio
import gc
import socket
import struct
import sys
import weakref
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from pydnsk8s import background, collector
from pydnsk8s.server import Server
from tests.listen.dns_clients import PATIENCE, Udp, framed, question
from tests.ports import free_port

UPSTREAM = "upstream.test {\n    bind 127.0.0.1\n    whoami\n}\n"
_TIMES = 5
_RESET = struct.pack("ii", 1, 0)  # SO_LINGER: leave without saying goodbye


@pytest.fixture(autouse=True)
def _set_up() -> Iterator[None]:
    before = gc.get_threshold()
    collector.set_up()
    yield
    gc.set_threshold(*before)
    gc.unfreeze()


def _stream(port: int, data: bytes, *, reset: bool) -> None:
    """Send this, and see the connection to its end, or be gone."""
    with socket.create_connection(("127.0.0.1", port), PATIENCE) as client:
        client.sendall(data)
        if reset:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            return
        client.shutdown(socket.SHUT_WR)
        while client.recv(65535):
            pass


async def stream(port: int, data: bytes, *, reset: bool = False) -> None:
    # In a thread, so that all connections of asyncio are the server's.
    await asyncio.to_thread(_stream, port, data, reset=reset)


async def datagram(port: int, data: bytes) -> None:
    with Udp() as client:
        await client.exchange(data, ("127.0.0.1", port))


async def left_by(happen: Callable[[], Awaitable[None]]) -> list[str]:
    """What is left in circles after something has happened several times."""

    async def several() -> None:
        for _ in range(_TIMES):
            await happen()
        await asyncio.sleep(0.1)  # until the server has seen the ends of all connections

    await several()  # what is made once for all times
    gc.collect()
    gc.set_debug(gc.DEBUG_SAVEALL)
    try:
        await several()
        gc.collect()
        return sorted({f"{type(each).__module__}.{type(each).__qualname__}" for each in gc.garbage})
    finally:
        gc.set_debug(0)
        gc.garbage.clear()


@pytest.mark.parametrize(
    "how",
    [
        "udp",
        "tcp",
        "reset",
        "page",
        "no-page",
        "no-http",
        "page-reset",
        "upstream",
        "tcp-upstream",
        "refusing-upstream",
    ],
)
async def test_nothing_is_left_in_a_circle(how: str) -> None:
    page, refusing = free_port(), free_port()
    async with Server.from_text(UPSTREAM, port=0) as behind:
        at = f"127.0.0.1:{behind.port}"
        text = f"""
            . {{
                bind 127.0.0.1
                prometheus 127.0.0.1:{page}
                forward by-udp.upstream.test {at}
                forward by-tcp.upstream.test {at} {{
                    force_tcp
                    expire 1ms
                }}
                forward refused.test 127.0.0.1:{refusing} {{
                    max_fails 0
                }}
                whoami
            }}
        """
        async with Server.from_text(text, port=0) as server:
            port = server.port
            ask = {name: question(f"a.{name}") for name in ("by-udp.upstream.test", "by-tcp.upstream.test")}
            happen: dict[str, Callable[[], Awaitable[None]]] = {
                "udp": lambda: datagram(port, question()),
                "tcp": lambda: stream(port, framed(question())),
                "reset": lambda: stream(port, framed(question())[:9], reset=True),
                "page": lambda: stream(page, b"GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n"),
                "no-page": lambda: stream(page, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"),
                "no-http": lambda: stream(page, b"\0\0\r\n\r\n"),
                "page-reset": lambda: stream(page, b"GET /metr", reset=True),
                "upstream": lambda: datagram(port, ask["by-udp.upstream.test"]),
                "tcp-upstream": lambda: datagram(port, ask["by-tcp.upstream.test"]),
                "refusing-upstream": lambda: datagram(port, question("a.refused.test")),
            }
            assert not await left_by(happen[how])


@pytest.mark.parametrize(
    "plugin",
    [
        pytest.param("whoami", id="the same"),
        pytest.param("cache\n    whoami", id="with an heir"),
        pytest.param("hosts {{\n        192.0.2.{last} a.test\n    }}", id="another"),
    ],
)
async def test_a_configuration_that_was_replaced_is_gone(tmp_path: Path, plugin: str) -> None:
    async with Server.from_text(UPSTREAM, port=0) as behind:
        file = tmp_path / "Corefile"

        def write(last: int) -> None:
            # Of whom it forwards to, routes are learned as well.
            forward = f"forward . 127.0.0.1:{behind.port} {{\n        max_concurrent {1000 + last}\n    }}"
            file.write_text(f"a.test {{\n    {plugin.format(last=last)}\n}}\n. {{\n    {forward}\n}}\n")

        write(1)
        async with Server.from_path(file, port=0) as server:
            for _ in range(3):
                for name in ("a.test", "a.upstream.test", "b.upstream.test"):
                    await datagram(server.port, question(name))
            assert server.configuration is not None
            former = [weakref.ref(router) for router in server.configuration.routers.values()]
            write(2)
            assert await server.reload()
            assert [router() for router in former] == [None]


async def test_the_room_of_very_many_tuples_is_given_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(collector, "_PERIOD", 0.01)
    monkeypatch.setattr(collector, "_TIDY_PERIOD", 0.05)
    before = sys.getallocatedblocks()
    collector.go_on(asyncio.get_running_loop())
    many = [tuple(range(17)) for _ in range(2000)]
    del many
    await background.until(lambda: sys.getallocatedblocks() < before + 1000, PATIENCE)
    assert sys.getallocatedblocks() < before + 1000


async def test_circles_that_have_become_old_are_let_go_once_they_are_many(monkeypatch: pytest.MonkeyPatch) -> None:
    class Linked:
        def __init__(self) -> None:
            self.link = self

    for name, value in {"_PERIOD": 0.01, "_TIDY_PERIOD": 0.05, "_WHOLE_PERIOD": 0.05, "_FEW": 0}.items():
        monkeypatch.setattr(collector, name, value)
    gc.unfreeze()
    collector.go_on(asyncio.get_running_loop())
    await background.until(lambda: gc.get_freeze_count() > 0, PATIENCE)
    old = [Linked() for _ in range(gc.get_freeze_count())]
    left = weakref.ref(old[0])
    collector.settle()
    del old
    await background.until(lambda: left() is None, PATIENCE)
    assert left() is None
