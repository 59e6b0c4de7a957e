from __future__ import annotations

import asyncio

import pytest

from pydnsk8s import codes, names
from pydnsk8s.keep import NEVER
from pydnsk8s.message import Query
from pydnsk8s.plugins.loop import Loop
from pydnsk8s.server import Server
from tests.plugins.blocks import ELSEWHERE, block, elsewhere, errors, plugin, query
from tests.ports import free_port
from tests.upstream import servers


@pytest.mark.parametrize(
    ("directives", "why"),
    [
        ("loop\nwhoami", ""),
        ("loop argument\nwhoami", "wrong number of arguments"),
        ("loop {\nfoo\n}\nwhoami", "takes no options"),
        ("loop\nloop\nwhoami", "only be used once"),
    ],
)
def test_loop_takes_no_arguments_and_stands_once_in_a_block(directives: str, why: str) -> None:
    assert why in errors(directives)
    assert bool(errors(directives)) == bool(why)


async def test_a_server_that_forwards_to_itself_ends() -> None:
    port = free_port()
    text = f"example.org.:{port} {{\nbind 127.0.0.1\nloop\nforward . 127.0.0.1:{port}\n}}"
    async with Server.from_text(text) as server:
        await asyncio.wait_for(server.stopping.wait(), 5)
        assert server.fatal is not None
        assert server.fatal.startswith("plugin/loop: Loop (127.0.0.1:")
        assert 'detected for zone "example.org."' in server.fatal
        assert ".example.org." in server.fatal.partition("HINFO")[2]


async def test_a_loop_through_another_server_is_found_too() -> None:
    one, two = free_port(), free_port()
    text = (
        f".:{one} {{\nbind 127.0.0.1\nloop\nforward . 127.0.0.1:{two}\n}}\n"
        f".:{two} {{\nbind 127.0.0.1\nforward . 127.0.0.1:{one}\n}}"
    )
    async with Server.from_text(text) as server:
        await asyncio.wait_for(server.stopping.wait(), 5)
        assert "plugin/loop: Loop" in (server.fatal or "")


async def test_a_server_whose_upstream_answers_lives() -> None:
    async with servers.Server(lambda packet, transport: servers.reply(packet, rcode=codes.NXDOMAIN)) as upstream:
        text = f".:0 {{\nbind 127.0.0.1\nloop\nforward . {upstream.address}\n}}"
        async with Server.from_text(text) as server:
            await servers.until(lambda: bool(upstream.asked))
            await asyncio.sleep(0.05)
            assert (server.fatal, len(upstream.asked)) == (None, 1)
            packet = upstream.asked[0].packet
            assert packet[servers.question_end(packet) - 3] == codes.HINFO


async def test_the_name_asked_for_is_new_each_time() -> None:
    seen = set()
    for _ in range(2):
        async with servers.Server() as upstream:
            made = plugin(Loop, "loop\nwhoami", "example.org:0")
            made._block.addresses = (("127.0.0.1", upstream.port),)
            await made.start()
            await servers.until(lambda: bool(upstream.asked))
            await made.stop()
            seen.add(upstream.asked[0].packet[12:])
    assert len(seen) == 2
    assert all(names.parse("example.org") in question for question in seen)


async def test_other_questions_pass_by_and_its_own_is_never_kept() -> None:
    async with servers.Server() as upstream:
        made = plugin(Loop, "loop\nwhoami")
        made._block.addresses = (("", upstream.port),)
        await made.start()
        await servers.until(lambda: bool(upstream.asked))
        packet = upstream.asked[0].packet
        name = packet[12 : servers.question_end(packet) - 4]
        for other in (query("example.org", "HINFO"), Query(name, codes.A)):
            assert await made.answer(other, elsewhere) is ELSEWHERE
        found = await made.answer(Query(name, codes.HINFO), elsewhere)
        assert (found.rcode, found.keep.alive) == (ELSEWHERE.rcode, NEVER.alive)
        again = await made.answer(Query(name, codes.HINFO), elsewhere)
        assert (again.rcode, "Loop" in again.error) == (codes.SERVFAIL, True)
        await made.stop()
        assert await made.answer(Query(name, codes.HINFO), elsewhere) is ELSEWHERE


async def test_a_block_that_is_never_served_is_not_asked() -> None:
    made = block("loop\nwhoami").find(Loop)
    assert made is not None
    await made.start()
    await asyncio.sleep(0.01)
    await made.stop()
