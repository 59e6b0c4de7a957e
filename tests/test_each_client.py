"""Through gate, views, access lists and cache every client gets just what an empty server would have given it."""

from __future__ import annotations

import asyncio
import ipaddress
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pydnsk8s import clock, codes, corefile, names, subnet
from pydnsk8s.chain import link
from pydnsk8s.configuration import Configuration, configure
from pydnsk8s.keep import Keep, Stamp
from pydnsk8s.listen.port import Port
from pydnsk8s.message import Edns, Query, Record, Reply
from pydnsk8s.plugin import Plugin, Rest
from pydnsk8s.plugins.cache import Cache
from pydnsk8s.plugins.geoip import GeoIP
from pydnsk8s.testing import Answer, Clock, Dns, stopped_clock
from tests import databases

COREFILE = """
example.org {{
    metadata
    geoip {path} {{
        edns-subnet 192.0.2.0/25 2001:db8::/33
        reload 0
    }}
    view near {{
        expr metadata('geoip/country/code') in ['DE', 'FR']
    }}
    acl {{
        block type TXT net 192.0.2.32/27 2001:db8:8000::/34
    }}
    cache
}}
example.org {{
    view office {{
        expr incidr(client_ip(), '198.51.100.64/26') or (bufsize() > 2000 && proto() == 'udp')
        expr type() != 'TXT' || client_ip() == '198.51.100.65'
    }}
    cache {{
        prefetch 2 30s 50%
    }}
}}
example.org {{
    acl b.example.org {{
        allow net 192.0.2.0/28
        filter net 192.0.2.0/24 198.51.100.0/25
    }}
    cache {{
        success 4
    }}
}}
"""

WORLDS = [
    {"192.0.2.0/26": "DE", "198.51.100.0/24": "FR", "203.0.113.0/25": "DE", "2001:db8::/32": "FR"},
    {"192.0.2.0/25": "DE", "192.0.2.128/26": "FR", "2001:db8:4000::/35": "DE", "203.0.113.64/26": "FR"},
    {"203.0.113.0/24": "NL"},
]
CLIENTS = [
    "192.0.2.1", "192.0.2.17", "192.0.2.33", "192.0.2.65", "192.0.2.129", "192.0.2.193",
    "198.51.100.1", "198.51.100.65", "198.51.100.66", "198.51.100.129",
    "2001:db8::1", "2001:db8:4000::1", "2001:db8:8000::1", "2001:db8:c000::1", "2001:db9::1",
]  # fmt: skip
SUBNETS = [
    "203.0.113.0/24", "203.0.113.0/25", "203.0.113.64/26", "203.0.113.128/25", "203.0.112.0/20", "192.0.2.0/24",
    "192.0.2.1/32", "0.0.0.0/0", "2001:db8::/32", "2001:db8:4000::/48", "2001:db8:c000::/56", "::/0",
]  # fmt: skip
PARTS = subnet.Networks(map(ipaddress.ip_network, ("203.0.113.64/27", "192.0.2.0/30", "2001:db8:4000::/36")))
TERM = 60  # seconds between two changes of what is leased


@dataclass(frozen=True)
class Ask:
    name: str
    type: int
    client: str
    subnet: str
    size: int
    tcp: bool


@dataclass(frozen=True)
class Change:
    """The data a name is answered from are replaced."""

    name: str


@dataclass(frozen=True)
class Move:
    """The database says otherwise where networks are."""

    world: int


@st.composite
def steps(draw: st.DrawFn) -> list[Ask | Change | Move | int]:
    """Much the same asked by many, for only then is there something to be mixed up."""
    questions = st.tuples(
        st.sampled_from(["a", "b", "near", "live"]),
        st.sampled_from([codes.A, codes.TXT]),
        st.sampled_from([0, 1232, 4096]),
        st.booleans(),
    )
    asked = draw(st.lists(questions, min_size=1, max_size=2, unique=True))
    clients = draw(st.lists(st.sampled_from(CLIENTS), min_size=2, max_size=5, unique=True))
    told = draw(st.sampled_from([[""], ["", *SUBNETS], SUBNETS]))
    asks = st.builds(
        lambda question, client, told: Ask(question[0], question[1], client, told, *question[2:]),
        st.sampled_from(asked),
        st.sampled_from(clients),
        st.sampled_from(told),
    )
    changes = st.one_of(st.builds(Change, st.just("live")), st.builds(Move, st.integers(0, 2)), st.integers(1, 40))
    runs = draw(st.lists(st.tuples(st.lists(asks, min_size=2, max_size=25), changes), min_size=1, max_size=4))
    first = Move(draw(st.sampled_from([2, 0, 1])))
    return [first, *(step for run, change in runs for step in (*run, change))]


class Back(Plugin):
    """Stands for what a block has behind its cache: upstreams with scopes, and data that change at will."""

    name = "back"

    def __init__(self, number: int, world: World) -> None:
        self.number = number
        self.world = world

    async def answer(self, query: Query, rest: Rest) -> Reply:
        await asyncio.sleep(0)
        return self.world.reply(query, self.number)


class World:
    """Answers by the part of the network that asks, and says how much of the address made the difference."""

    def __init__(self, time: Clock) -> None:
        self.time = time
        self.versions: Counter[bytes] = Counter()
        self.stamps: dict[bytes, Stamp] = {}

    def reply(self, query: Query, block: int) -> Reply:
        asker = subnet.asker(query, subnet.EVERYBODY)
        inside, bits = PARTS.find(asker.address)
        live = query.name.startswith(b"\4live")
        if live:
            ttl, version = 30, self.versions[query.name]
            keep = asker.keep(bits) & Keep.while_(self.stamps.setdefault(query.name, Stamp()))
        else:
            # All that was said runs out before anything changes.
            ttl, version = TERM - int(self.time.ahead) % TERM, int(self.time.ahead) // TERM
            if query.name.startswith(b"\4near"):
                keep = Keep(0) & asker.keep(bits)
            else:
                # An upstream knows of a client only what the subnet tells.
                inside, bits = (inside, bits) if asker.named else (False, 0)
                keep = Keep(0, scope=bits)
        data = bytes((block, version & 255, inside, bits))
        data = b"\4" + data if query.type == codes.TXT else data
        return Reply(answer=[Record(query.name, query.type, ttl, data)], keep=keep, plugin="back")

    def change(self, name: bytes) -> None:
        self.versions[name] += 1
        if name in self.stamps:
            self.stamps.pop(name).retire()


@pytest.fixture(scope="module")
def maps() -> Iterator[list[Path]]:
    with tempfile.TemporaryDirectory() as folder:
        yield [
            databases.write(
                Path(folder) / f"{number}.mmdb",
                {network: {"country": {"iso_code": code}} for network, code in world.items()},
            )
            for number, world in enumerate(WORLDS)
        ]


def configured(path: Path, world: World, *, cached: bool) -> tuple[Configuration, Dns]:
    configuration = configure(corefile.parse(COREFILE.format(path=path)))
    for number, block in enumerate(configuration.blocks):
        kept = [plugin for plugin in block.plugins if cached or not isinstance(plugin, Cache)]
        block.chain = link([*kept, Back(number, world)])
    (router,) = configuration.routers.values()
    return configuration, Dns({("", 53): Port(router)}, ())


async def asked(dns: Dns, ask: Ask) -> Answer:
    options: tuple[tuple[int, bytes], ...] = ()
    if ask.subnet:
        net = ipaddress.ip_network(ask.subnet)
        told = subnet.Subnet(1 if net.version == 4 else 2, net.prefixlen, net.network_address.packed)
        options = ((codes.OPTION_SUBNET, told.data()),)
    edns = Edns(max(ask.size, 512), options=options) if ask.size or options else None
    type = codes.type_name(ask.type)
    return await dns.ask(f"{ask.name}.example.org", type, client=ask.client, tcp=ask.tcp, edns=edns)


async def play(steps: list[Ask | Change | Move | int], maps: list[Path], path: Path) -> int:
    shutil.copy(maps[0], path)
    replayed = 0
    async with stopped_clock() as time:
        world = World(time)
        configuration, dns = configured(path, world, cached=True)
        empty, other = configured(path, world, cached=False)
        for step in steps:
            match step:
                case int():
                    time.ahead += step
                case Change():
                    world.change(names.parse(f"{step.name}.example.org"))
                case Move():
                    path.unlink()
                    shutil.copy(maps[step.world], path)
                    for block in (*configuration.blocks, *empty.blocks):
                        if (plugin := block.find(GeoIP)) is not None:
                            await plugin.sources[0].database.refresh()
                case Ask():
                    for port in other.ports.values():
                        port.swap(port.router)  # forgets
                    got, due = await asked(dns, step), await asked(other, step)
                    assert got.wire[2:] == due.wire[2:], f"{step}: {got} instead of {due}"
                    replayed += got.replayed
        for block in configuration.blocks:
            for held in block.plugins:
                await held.stop()
    return replayed


@settings(max_examples=200)
@given(steps=steps())
def test_each_client_gets_what_an_empty_server_would_have_given_it(
    steps: list[Ask | Change | Move | int], maps: list[Path]
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(play(steps, maps, Path(folder) / "live.mmdb"))


async def test_neighbours_share_what_the_gate_remembers(maps: list[Path], tmp_path: Path) -> None:
    def by(client: str, told: str = "") -> Ask:
        return Ask("live", codes.A, client, told, 0, tcp=False)

    steps: list[Ask | Change | Move | int] = [by("192.0.2.1"), by("192.0.2.2"), by("192.0.2.3")]
    assert await play(steps, maps, tmp_path / "live.mmdb") == 2
    assert await play([by("192.0.2.1", "203.0.113.0/25")] * 3, maps, tmp_path / "live.mmdb") == 2
    assert await play([by("192.0.2.1"), Change("live"), by("192.0.2.1")], maps, tmp_path / "live.mmdb") == 0
    assert clock.now() > 0
