"""A running server: it starts whole or not at all, swaps its configuration without losing a query, and stops."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from pydnsk8s import metrics
from pydnsk8s.corefile import CorefileError
from pydnsk8s.listen import http
from pydnsk8s.plugin import StartError
from pydnsk8s.plugins.health import Health
from pydnsk8s.server import Server
from tests.listen.dns_clients import Udp, connected, framed, question
from tests.ports import free_port

ONE = "{zone} {{\n    bind 127.0.0.1\n    hosts {{\n        192.0.2.{last} a.{zone}\n        reload 0\n    }}\n}}\n"

FAILED = "coredns_reload_failed_total "


def corefile(last: int = 1, *zones: str) -> str:
    return "".join(ONE.format(zone=zone, last=last) for zone in zones or ("example.org",))


class Source:
    """A Corefile on disk that a test writes anew."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def write(self, text: str) -> None:
        self.path.write_text(text)


@pytest.fixture
def source(tmp_path: Path) -> Source:
    return Source(tmp_path / "Corefile")


@asynccontextmanager
async def served(source: Source, text: str) -> AsyncIterator[Server]:
    source.write(text)
    async with Server.from_path(source.path, port=0) as server:
        yield server


async def asked(server: Server, name: str = "a.example.org") -> list[str]:
    with Udp() as client:
        answer, _ = await client.ask(question(name), ("127.0.0.1", server.port))
    return answer.answer or [answer.rcode]


def a(last: int, zone: str = "example.org") -> list[str]:
    return [f"a.{zone}. 3600 A 192.0.2.{last}"]


def reloads_failed() -> int:
    (line,) = [line for line in metrics.exposition()[1].decode().splitlines() if line.startswith(FAILED)]
    return int(float(line.removeprefix(FAILED)))


async def test_a_reload_swaps_what_is_answered_and_keeps_the_socket(source: Source) -> None:
    async with served(source, corefile(1)) as server:
        port = server.port
        assert await asked(server) == a(1)
        source.write(corefile(2, "example.org", "example.com"))
        assert await server.reload()
        assert server.port == port
        assert await asked(server) == a(2)
        assert await asked(server, "a.example.com") == a(2, "example.com")


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("example.org {\n", CorefileError),
        ("example.org {\n    whomai\n}\n", CorefileError),
        ("example.org {\n    hosts a b c {\n        ttl x\n    }\n}\n", CorefileError),
        ("example.org {\n    bind 192.0.2.250\n    whoami\n}\n", StartError),
    ],
)
async def test_a_failed_reload_changes_nothing(source: Source, text: str, error: type[Exception]) -> None:
    async with served(source, corefile(1)) as server:
        ports = dict(server.ports)
        source.write(text)
        with pytest.raises(error):
            await server.reload()
        assert server.ports == ports
        assert await asked(server) == a(1)
        source.write(corefile(3))
        assert await server.reload()
        assert await asked(server) == a(3)


async def test_a_file_that_is_being_written_does_not_turn_into_the_default(source: Source) -> None:
    async with served(source, corefile(1)) as server:
        source.write("")
        with pytest.raises(CorefileError, match="no server block"):
            await server.reload()
        assert await asked(server) == a(1)
        source.write(corefile(2))
        assert await server.reload(force=False)
        assert await asked(server) == a(2)


async def test_a_failed_reload_leaves_the_limits_of_connections_alone(source: Source) -> None:
    async with served(source, corefile(1)) as server, connected(server) as stream:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            more = f"    timeouts {{\n        maxtcpqueries 1\n    }}\n    health 127.0.0.1:{taken.getsockname()[1]}\n"
            source.write(corefile(1).replace("    hosts", f"{more}    hosts"))
            with pytest.raises(StartError):
                await server.reload()
            for id in (1, 2):
                stream.send(framed(question(id=id)))
                assert (await stream.answers(1))[id].answer == a(1)
        assert await server.reload()
        async with connected(server) as limited:
            limited.send(framed(question()))
            assert (await limited.answers(1))[1].answer == a(1)
            assert await limited.closed()


async def test_a_corefile_that_failed_is_not_tried_again_until_it_changes(source: Source) -> None:
    async with served(source, corefile(1)) as server:
        source.write("example.org {\n    bind 192.0.2.250\n    whoami\n}\n")
        with pytest.raises(StartError):
            await server.reload(force=False)
        assert not await server.reload(force=False)
        source.write(corefile(1))
        assert not await server.reload(force=False)
        source.write(corefile(2))
        assert await server.reload(force=False)


async def test_a_corefile_that_failed_is_tried_again_once_it_was_taken_back(source: Source) -> None:
    async with served(source, corefile(1)) as server:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            health = corefile(2).replace("    hosts", f"    health 127.0.0.1:{taken.getsockname()[1]}\n    hosts")
            source.write(health)
            with pytest.raises(StartError, match="cannot serve /health"):
                await server.reload(force=False)
        source.write(corefile(1))
        assert not await server.reload(force=False)
        source.write(health)
        assert await server.reload(force=False)
        assert await asked(server) == a(2)


async def test_a_corefile_that_cannot_be_read_is_told_of_and_counted_once(
    source: Source, caplog: pytest.LogCaptureFixture
) -> None:
    failed = reloads_failed()
    async with served(source, corefile(1)) as server:
        source.write("example.org {\n")
        for _ in range(3):
            server.request_reload(force=False)
            await asyncio.gather(*server._reloading)
    assert reloads_failed() == failed + 1
    assert caplog.text.count("Restart failed") == 1


async def test_a_reload_loses_no_query(source: Source) -> None:
    async with served(source, corefile(1)) as server:
        stop = asyncio.Event()
        answers: list[list[str]] = []

        async def ask_on() -> None:
            while not stop.is_set():
                answers.append(await asked(server))

        asking = asyncio.create_task(ask_on())
        for last in range(2, 12):
            source.write(corefile(last))
            await server.reload()
            await asyncio.sleep(0.01)
        stop.set()
        await asking
    assert len(answers) > 10
    assert answers == sorted(answers, key=lambda answer: int(answer[0].rpartition(".")[2]))


async def test_an_answer_in_work_during_a_reload_is_given_but_not_kept(source: Source) -> None:
    slow = "example.org {\n    bind 127.0.0.1\n    erratic {\n        drop 0\n        delay 1 50ms\n    }\n}\n"
    async with served(source, slow) as server:
        with Udp() as client:
            waiting = asyncio.create_task(client.ask(question(), ("127.0.0.1", server.port)))
            await asyncio.sleep(0.01)
            source.write(corefile(1))
            await server.reload()
            answer, _ = await waiting
        assert answer.rcode == "NOERROR"
        assert await asked(server) == a(1)


async def test_an_address_that_is_gone_is_closed_and_its_connections_with_it(source: Source) -> None:
    both = corefile(1) + corefile(2, "example.com").replace("127.0.0.1", "127.0.0.9")
    async with served(source, both) as server, connected(server) as client:
        port = server.ports["127.0.0.9", 0]
        with Udp() as other:
            assert (await other.ask(question("a.example.com"), ("127.0.0.9", port)))[0].answer == a(2, "example.com")
        source.write(corefile(1))
        await server.reload()
        assert list(server.ports) == [("127.0.0.1", 0)]
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.9", port)
        client.send(framed(question()))
        assert await client.answers(1)


ALL = corefile(2, "example.com").replace("    bind 127.0.0.1\n", "")
BOTH = corefile(1) + ALL


@pytest.mark.parametrize("text", [BOTH, ALL + corefile(1)])
async def test_bound_and_unbound_blocks_share_a_port_and_no_query_meets_the_wrong_one(text: str) -> None:
    async with Server.from_text(text, port=free_port()) as server:
        with Udp() as client:
            for name, host, answer in (
                ("a.example.org", "127.0.0.1", a(1)),
                ("a.example.com", "127.0.0.1", a(2, "example.com")),
                ("a.example.com", "127.0.0.2", a(2, "example.com")),
            ):
                assert (await client.ask(question(name), (host, server.port)))[0].answer == answer
                async with connected(server, host) as stream:
                    stream.send(framed(question(name)))
                    assert (await stream.answers(1))[1].answer == answer
        other = Server.from_text(text, port=server.port)
        with pytest.raises(StartError, match="in use"):
            await other.start()


async def test_a_reload_may_bind_a_block_and_release_it_again(source: Source) -> None:
    source.write(ALL)
    async with Server.from_path(source.path, port=free_port()) as server:
        for text in (corefile(3, "example.com"), BOTH, ALL.replace("    hosts", "    bind 0.0.0.0\n    hosts"), ALL):
            source.write(text)
            assert await server.reload()
            assert await asked(server, "a.example.com") == a(3 if ".3 a" in text else 2, "example.com")


async def test_two_servers_cannot_have_one_port(source: Source) -> None:
    async with served(source, corefile(1)) as server:
        other = Server.from_text(corefile(2), port=server.port)
        with pytest.raises(StartError, match=f"cannot listen on dns://127.0.0.1:{server.port}: .*in use"):
            await other.start()
        assert await asked(server) == a(1)


async def test_what_has_started_is_stopped_when_the_rest_cannot(
    source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    stopped: list[str] = []

    async def stop(self: Health) -> None:
        stopped.append(self.name)

    async def start(self: Health) -> None:
        raise StartError("health: no")

    from pydnsk8s.plugins.hosts import Hosts

    monkeypatch.setattr(Health, "start", start)
    monkeypatch.setattr(Hosts, "stop", stop)
    text = corefile(1).replace("    hosts", "    health 127.0.0.1:0\n    hosts")
    before = len(metrics.before_scrape)
    # Of two blocks the first has started by the time the second cannot.
    server = Server.from_text(corefile(1, "example.com") + text, port=0)
    with pytest.raises(StartError, match="health: no"):
        await server.start()
    assert stopped == ["hosts"]
    assert server.ports == {}
    assert len(metrics.before_scrape) == before


async def test_stopping_twice_is_stopping_once(source: Source) -> None:
    async with served(source, corefile(1)) as server:
        port = server.port
        await server.stop()
        await server.stop()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
            free.bind(("127.0.0.1", port))


async def test_who_stops_during_a_reload_stops_what_that_has_begun(
    source: Source, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    start, begun, released = Health.start, asyncio.Event(), asyncio.Event()

    async def slow(self: Health) -> None:
        await start(self)
        begun.set()
        await released.wait()

    monkeypatch.setattr(Health, "start", slow)
    address = http.Address("127.0.0.1", free_port())
    async with served(source, corefile(1)) as server:
        source.write(corefile(2).replace("    hosts", f"    health {address}\n    hosts"))
        server.request_reload()
        await begun.wait()
        stopping = asyncio.ensure_future(server.stop())
        await asyncio.sleep(0)
        released.set()
        await asyncio.gather(stopping, *server._reloading)
        assert server.configuration is None
        assert server.ports == {}
    assert "Restart failed" not in caplog.text
    with socket.create_server(address):
        pass  # the page is gone, too


async def test_a_port_below_1024_needs_a_privilege_and_the_error_says_which(monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(host: str, number: int, *, shared: bool) -> list[socket.socket]:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("pydnsk8s.listen.tcp.bind", denied)
    with pytest.raises(StartError, match="CAP_NET_BIND_SERVICE"):
        await Server.from_text(corefile(1)).start()


async def test_a_requested_reload_logs_how_it_went(source: Source, caplog: pytest.LogCaptureFixture) -> None:
    async with served(source, corefile(1)) as server:
        with caplog.at_level("INFO", "pydnsk8s"):
            source.write("example.org {\n    whomai\n}\n")
            server.request_reload()
            await asyncio.gather(*server._reloading)
            assert "Restart failed" in caplog.text
            assert "whomai" in caplog.text
            source.write(corefile(2))
            server.request_reload()
            await asyncio.gather(*server._reloading)
            assert "Reloading complete" in caplog.text
        assert await asked(server) == a(2)
