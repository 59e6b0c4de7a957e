"""Two of our servers as two clusters on one machine, each with an application that lives and dies."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import dns.asyncquery
import dns.exception
import dns.message
import dns.rcode
import pytest

from pydnsk8s import chain, codes, corefile, explain, metrics, testing
from pydnsk8s.plugins.gslb import Gslb
from pydnsk8s.server import Server
from tests.ports import free_port
from tests.upstream.servers import Server as FakePeer
from tests.upstream.servers import reply

from .targets import App, app, eventually

EU, US = "127.0.0.3", "127.0.0.4"
"""Where the applications of the two clusters are."""
QUICK = """
        interval 100ms jitter 20%
        timeout 100ms
        rise 2
        fall 2
"""


def corefile_of(host: str, port: int, *lines: str) -> str:
    options = "\n".join(f"        {line}" for line in lines)
    return f"""
example.org:{port} {{
    bind {host}
    gslb app.example.org {{
{QUICK}
{options}
    }}
}}
"""


async def addresses(server: Server, name: str = "app.example.org") -> list[str]:
    """What a client is answered, in order."""
    host, port = next(iter(server.ports))
    answer = await dns.asyncquery.udp(dns.message.make_query(name, "A"), host, 5, port)
    return sorted(record.address for held in answer.answer for record in held)


class Two:
    """The two clusters: eu at 127.0.0.1 with the application 127.0.0.3, us at .2 with .4."""

    def __init__(self, eu: Server, us: Server, app_eu: App, app_us: App) -> None:
        self.eu, self.us = eu, us
        self.app_eu, self.app_us = app_eu, app_us

    async def answer(self, wanted: list[str]) -> None:
        """Wait until both servers answer with these addresses."""
        await asyncio.gather(*(eventually(lambda held=held: addresses(held), wanted) for held in (self.eu, self.us)))  # type: ignore[misc]


@asynccontextmanager
async def two(eu: Sequence[str], us: Sequence[str]) -> AsyncIterator[Two]:
    """Both with these options; PORT is the applications' port, DNS that of the servers."""
    port = free_port()
    async with AsyncExitStack() as stack:
        app_eu = await stack.enter_async_context(app(host=EU))
        app_us = await stack.enter_async_context(app(host=US, port=app_eu.port))
        servers: list[Server] = []
        for host, options in (("127.0.0.1", eu), ("127.0.0.2", us)):
            lines = [line.replace("PORT", str(app_eu.port)).replace("DNS", str(port)) for line in options]
            server = Server.from_text(corefile_of(host, port, *lines))
            servers.append(await stack.enter_async_context(server))
        yield Two(servers[0], servers[1], app_eu, app_us)


CHECKED = ("strategy failover", f"cluster eu {EU} primary", f"cluster us {US}", "check tcp PORT")


async def test_a_dead_application_is_replaced_and_comes_back() -> None:
    async with two(CHECKED, CHECKED) as clusters:
        await clusters.answer([EU])
        await clusters.app_eu.kill()
        await clusters.answer([US])
        await clusters.app_eu.revive()
        await clusters.answer([EU])


PEER_EU = (
    "strategy failover",
    f"cluster eu {EU} primary",
    "cluster us peer 127.0.0.2:DNS",
    "local eu",
    "check tcp PORT",
)
PEER_US = (
    "strategy failover",
    "cluster eu peer 127.0.0.1:DNS primary",
    f"cluster us {US}",
    "local us",
    "check tcp PORT",
)


async def test_peers_tell_each_other_which_addresses_are_healthy() -> None:
    async with two(PEER_EU, PEER_US) as clusters:
        await clusters.answer([EU])
        await clusters.app_eu.kill()
        await clusters.answer([US])
        assert await addresses(clusters.us, "localtargets-app.example.org") == [US]
        assert await addresses(clusters.eu, "localtargets-app.example.org") == []
        await clusters.app_eu.revive()
        await clusters.answer([EU])


async def test_a_peer_out_of_reach_changes_nothing_until_the_time_is_over() -> None:
    async with two(PEER_EU, (*PEER_US, "retain 2s")) as clusters:
        await clusters.answer([EU])
        await clusters.eu.stop()
        seen = set()
        end = asyncio.get_running_loop().time() + 0.5
        while asyncio.get_running_loop().time() < end:
            seen.add(tuple(await addresses(clusters.us)))
            await asyncio.sleep(0.01)
        assert seen == {(EU,)}
        await eventually(lambda: addresses(clusters.us), [US])


async def test_a_peer_of_k8gb_is_believed_when_it_has_an_answer() -> None:
    async with FakePeer() as peer, AsyncExitStack() as stack:
        said = codes.NOERROR
        peer.behave = lambda packet, transport: reply(
            packet, rcode=said, empty=packet[-3] == codes.AAAA, address="192.0.2.8"
        )
        options = "strategy failover", f"cluster eu peer {peer.address}", "cluster us 192.0.2.9"
        server = await stack.enter_async_context(Server.from_text(corefile_of("127.0.0.1", free_port(), *options)))
        assert await addresses(server) == ["192.0.2.8"]
        assert b"\x10localtargets-app\7example\3org\0" in peer.asked[0].packet
        for said in (codes.SERVFAIL, codes.REFUSED):
            count = len(peer.asked)
            await eventually(lambda: _true(len(peer.asked) > count + 3), True)
            assert await addresses(server) == ["192.0.2.8"]
        said = codes.NXDOMAIN
        await eventually(lambda: addresses(server), ["192.0.2.9"])


async def _true(value: bool) -> bool:
    return value


async def test_an_address_that_can_be_nobodys_is_not_taken_from_a_peer() -> None:
    async with FakePeer(
        lambda packet, transport: reply(packet, empty=packet[-3] == codes.AAAA, address="0.0.0.0")
    ) as peer:
        options = f"cluster eu peer {peer.address}", "cluster us 192.0.2.9"
        async with Server.from_text(corefile_of("127.0.0.1", free_port(), *options)) as server:
            assert await addresses(server) == ["192.0.2.9"]


async def test_a_named_cluster_follows_its_name() -> None:
    address = "192.0.2.8"
    async with FakePeer() as resolver:
        resolver.behave = lambda packet, transport: reply(packet, empty=packet[-3] == codes.AAAA, address=address)
        options = "cluster eu name lb.example.net", f"resolver {resolver.address}"
        async with Server.from_text(corefile_of("127.0.0.1", free_port(), *options)) as server:
            assert await addresses(server) == ["192.0.2.8"]
            address = "192.0.2.7"
            await eventually(lambda: addresses(server), ["192.0.2.7"])
            resolver.behave = lambda packet, transport: reply(packet, rcode=codes.SERVFAIL)
            await asyncio.sleep(0.3)
            assert await addresses(server) == ["192.0.2.7"]


def changing(port: int, *lines: str) -> tuple[Server, list[str]]:
    """A server, and the one-element list from which it reads its Corefile."""
    text = [corefile_of("127.0.0.1", port, *lines)]
    return Server(lambda known: corefile.parse(text[0], known=known)), text


async def test_a_reload_forgets_nothing_even_if_it_changes_the_directive() -> None:
    port, dead = free_port(), free_port()
    async with app(host=US, port=dead):
        lines = f"cluster eu {EU}", f"cluster us {US}", f"check tcp {dead}"
        server, text = changing(port, *lines)
        async with server:
            await eventually(lambda: addresses(server), [US])
            for more in (("ttl 5",), ("cluster asia 127.0.0.5",), ("fall 9",), ()):
                text[0] = corefile_of("127.0.0.1", port, *lines, *more)
                assert await server.reload()
                assert EU not in await addresses(server)


async def test_a_new_process_goes_on_with_the_states_of_the_file(tmp_path: Path) -> None:
    dead = free_port()
    lines = (
        f"cluster eu {EU}",
        f"cluster us {US}",
        f"check tcp {dead}",
        f"state {tmp_path}/states.json",
        "strategy failover",
    )
    async with app(host=US, port=dead):
        server, _ = changing(free_port(), *lines)
        async with server:
            await eventually(lambda: addresses(server), [US])
        async with changing(free_port(), *lines)[0] as server:
            assert await addresses(server) == [US]
    assert '"127.0.0.3": "down"' in (tmp_path / "states.json").read_text()


async def test_the_addresses_of_a_peer_are_in_the_file_too(tmp_path: Path) -> None:
    async with FakePeer(lambda packet, transport: reply(packet, empty=packet[-3] == codes.AAAA)) as peer:
        options = f"cluster eu peer {peer.address} primary", "cluster us 192.0.2.9", f"state {tmp_path}/states"
        text = corefile_of("127.0.0.1", free_port(), "strategy failover", *options)
        async with Server.from_text(text) as server:
            assert await addresses(server) == ["192.0.2.1"]
    async with Server.from_text(text) as server:
        assert await addresses(server) == ["192.0.2.1"]


@pytest.mark.parametrize(
    "found", ["no JSON", "[" * 100_000, "[]", '{"app.example.org.": {"eu": {"x": "up"}}}', '{"a": {"eu": {"::1": 1}}}']
)
async def test_a_state_file_that_is_none_is_not_used(tmp_path: Path, found: str) -> None:
    (tmp_path / "states").write_text(found)
    text = corefile_of("127.0.0.1", free_port(), "cluster eu 192.0.2.1", f"state {tmp_path}/states")
    async with Server.from_text(text) as server:
        assert await addresses(server) == ["192.0.2.1"]


async def test_ready_waits_for_the_first_look_at_everything() -> None:
    async with app(host=EU) as target:
        text = corefile_of("127.0.0.1", 0, f"cluster eu {EU}", f"check tcp {target.port}")
        block = testing.block(text)
        plugin = block.find(Gslb)
        assert plugin is not None
        await plugin.start()
        assert not plugin.ready()
        await eventually(lambda: _true(plugin.ready()), True)
        await plugin.stop()


async def test_the_numbers_tell_what_is_up_and_what_changed() -> None:
    async with two(CHECKED, CHECKED) as clusters:
        await clusters.app_eu.kill()
        await clusters.answer([US])
        text = metrics.exposition()[1].decode()
    labels = 'name="app.example.org."'
    assert f'coredns_gslb_target_health{{cluster="eu",{labels},target="{EU}"}} 0.0' in text
    assert f'coredns_gslb_target_health{{cluster="us",{labels},target="{US}"}} 1.0' in text
    assert f'coredns_gslb_cluster_healthy_targets{{cluster="eu",{labels}}} 0.0' in text
    assert f'coredns_gslb_transitions_total{{target="{EU}",to="down"}} 1.0' in text
    assert 'coredns_gslb_check_duration_seconds_count{kind="tcp",result="failed"}' in text
    assert f'coredns_gslb_replies_total{{{labels},strategy="failover"}}' in text
    assert "coredns_gslb_target_health{" not in metrics.exposition()[1].decode()


async def test_explain_says_why_each_target_is_in_or_out() -> None:
    dead = free_port()
    async with app(host=US, port=dead):
        options = "strategy failover", f"cluster eu {EU}", f"cluster us {US}", "cluster old 127.0.0.9 weight 0"
        read = corefile.parse(corefile_of("127.0.0.1", 0, *options, f"check tcp {dead}", "fall 1"), known=chain.known())
        told = await explain.explain(read, "app.example.org", "A")
    assert "app.example.org. failover: healthy in us" in told
    lines = [line.split(None, 2) for line in told.splitlines()]
    said = {line[1]: line[2] for line in lines if len(line) == 3}
    assert said[EU] == f"out (down: tcp {dead}: connection refused)"
    assert said[US] == "in, chosen (up)"
    assert said["127.0.0.9"].startswith("out, drained")


async def test_a_peer_that_never_told_an_address_leaves_no_metric_behind() -> None:
    def shown() -> bool:
        return 'cluster="silent",name="gone.example.org."' in metrics.exposition()[1].decode()

    text = "example.org {\ngslb gone.example.org {\ncluster silent peer 127.0.0.1:1\ntimeout 100ms\n}\n}"
    async with testing.serving(text):
        assert shown()
    assert not shown()
