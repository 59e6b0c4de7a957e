"""kubernetes behind the gate: names asked for the first time get from there what the whole chain would say."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pydnsk8s import clock, codes, names, testing
from pydnsk8s.gate import Gate
from pydnsk8s.kube.objects import Object
from pydnsk8s.kube.objects import Port as NamedPort
from pydnsk8s.message import Edns, Query
from pydnsk8s.plugins.kubernetes import Kubernetes
from pydnsk8s.wire import query
from tests import strategies as draw
from tests.plugins.gated import HERE, Gated, said
from tests.plugins.kubernetes.clusters import endpoint, endpoints, fill, service
from tests.plugins.kubernetes.test_honest import NAMES, NAMESPACES, OPTIONS, clusters, objects

BLOCK = """. {{
    errors
    prometheus 127.0.0.1:0
    kubernetes cluster.local clusterset.local 10.in-addr.arpa {{
{options}
    }}
    cache 30
    {more}
}}
"""
FORMS: tuple[dict[str, Any], ...] = ({}, {}, {"edns": Edns(1232)}, {"edns": Edns(4096, do=True)}, {"flags": 0})


class Asked(Gated):
    """A server block with a cluster."""

    def __init__(
        self, *held: Object, options: str = "", more: str = "", blocks: str = "", balance: str = "loadbalance"
    ) -> None:
        super().__init__(BLOCK.format(options=options, more=f"{balance}\n{more}") + blocks)
        found = next(plugin for plugin in self.configuration.plugins if isinstance(plugin, Kubernetes))
        self.index = found.index
        fill(found.index, found.options.kinds, held)

    def order(self, name: str) -> list[str]:
        """The last octets of the addresses of a name, in the order they come in."""
        reply = self.ask(query(names.parse(name), codes.A, id=7))
        assert reply is not None
        return [line.rpartition(".")[2] for line in testing.read(reply).answer]


def some_names() -> Iterator[str]:
    labels = ("db", "web", "nope", "10-0-0-1", "_tcp", "2001-db8--1", "blue", "zone")
    for zone in ("cluster.local", "clusterset.local"):
        for label in (*labels, "svc", "pod", "dns-version", "ns.dns"):
            yield f"{label}.{zone}"
            for middle in ("svc", "pod", "dns", "example"):
                yield f"{label}.{middle}.{zone}"
                for namespace in (*NAMESPACES, "gone"):
                    yield f"{label}.{namespace}.{middle}.{zone}"
                    yield from (f"{label}.{name}.{namespace}.{middle}.{zone}" for name in (*NAMES, "gone"))
    for label in ("_db", "web", "_", "_nope"):
        yield from (
            f"{label}.{protocol}.{name}.blue.svc.cluster.local" for protocol in ("_tcp", "udp", "_") for name in NAMES
        )
    for label in labels:
        yield f"{label}._tcp.db.blue.svc.cluster.local"
        yield f"{label}.pin._zone.db.blue.svc.cluster.local"
        yield f"{label}.10.in-addr.arpa"


ALL_NAMES = tuple(some_names())


@pytest.mark.parametrize("options", [*OPTIONS, "fallthrough blue.svc.cluster.local", "pods disabled"])
@settings(max_examples=40)
@given(held=clusters, changed=st.lists(objects, max_size=4), seed=st.integers(0, 9999), data=st.data())
def test_what_the_gate_makes_is_what_the_chain_says(
    options: str, held: list[Object], changed: list[Object], seed: int, data: st.DataObject
) -> None:
    drawn = random.Random(seed)
    asked = Asked(*held, options=options, balance=drawn.choice(("", "loadbalance")))
    for change in (*changed, None):
        for name in drawn.sample(ALL_NAMES, 60):
            spelled = names.parse_keeping_case(drawn.choice((name, name, name.title())))
            type = drawn.choice((codes.A, codes.A, codes.AAAA, codes.SRV))
            packet = query(spelled, type, id=drawn.randrange(65536), **drawn.choice(FORMS))
            asked.check(packet)
        if change is not None:
            if data.draw(st.booleans()):
                asked.index.put(change)
            else:
                asked.index.remove(type_of(change), change.namespace, change.name)


def type_of(obj: Object) -> Any:
    return type(obj)


def test_one_reply_of_a_kind_is_enough_for_a_zone() -> None:
    asked = Asked(*(service(f"web-{number}", f"10.0.0.{number}") for number in range(1, 9)))
    assert [asked.is_made(f"web-{number}.shop.svc.cluster.local") for number in range(1, 9)] == [False] + [True] * 7
    assert [asked.is_made(f"gone-{number}.shop.svc.cluster.local") for number in range(4)] == [False] + [True] * 3
    assert [asked.is_made(f"web-{number}.shop.svc.cluster.local", codes.AAAA) for number in (1, 2)] == [False, True]


def test_where_there_is_no_room_for_all_names_asked_for_in_turns_do_not_displace_each_other() -> None:
    asked = Asked(*(service(f"web-{number}", f"10.0.0.{number}") for number in range(150)))
    asked.gate = Gate(entries=64)
    packets = [query(names.parse(f"web-{number}.shop.svc.cluster.local"), codes.A, id=7) for number in range(150)]
    for turn in range(8):
        for packet in packets:
            assert said(asked.ask(packet)) == said(asked.anew(packet))
        if turn == 2:
            asked.made = 0
    assert asked.made > 5 * 150 * 0.8


def test_a_flood_of_missing_names_takes_no_room() -> None:
    asked = Asked(service("web", "10.0.0.1"))
    parents = (
        "cluster.local",
        "shop.svc.cluster.local",
        "www.example.com.shop.svc.cluster.local",
        "x.svc.cluster.local",
    )
    made = [asked.is_made(f"{number:x}.{parent}") for parent in parents for number in range(50)]
    assert made == [False] + [True] * 199
    assert len(asked.gate) == 1


def test_who_is_asked_for_again_gets_an_entry() -> None:
    asked = Asked(service("a", "10.0.0.1"), service("b", "10.0.0.2"))
    asked.is_made("a.shop.svc.cluster.local")
    assert [asked.is_made("b.shop.svc.cluster.local") for _ in range(4)] == [True, False, True, True]
    assert len(asked.gate) == 2


def test_services_endpoints_and_pods_are_alike() -> None:
    held = endpoints("db", endpoint("10.1.0.1", "db-0"), endpoint("10.1.0.2", "db-1"), endpoint("10.1.0.3", "db-2"))
    asked = Asked(service("db"), held, options="pods insecure")
    assert [asked.is_made(f"db-{number}.db.shop.svc.cluster.local") for number in range(3)] == [False, True, True]
    assert all(asked.is_made(f"10-9-9-{number}.shop.pod.cluster.local") for number in range(3))


def test_named_ports_are_known_too() -> None:
    ports = (NamedPort("http", 80, "tcp"), NamedPort("dns", 53, "udp"))
    asked = Asked(*(service(f"web-{number}", f"10.0.0.{number}", ports=ports) for number in range(1, 4)))
    web = [
        f"{port}.web-{number}.shop.svc.cluster.local" for number in range(1, 4) for port in ("_http._tcp", "dns.udp")
    ]
    assert [asked.is_made(name, codes.SRV) for name in web] == [False] + [True] * 5
    assert not asked.is_made("_x._tcp.web-1.shop.svc.cluster.local", codes.SRV)
    long = f"_http._tcp.{'x' * 63}.{'y' * 63}.{'z' * 63}.cluster.local"
    assert [asked.is_made(name, codes.SRV) for name in (long, f"{long[:-20]}.cluster.local")] == [False, True]


def headless(number: int, *addresses: str) -> list[Object]:
    """So many headless services with these endpoints: web-1, web-2 and so on."""
    named = [f"web-{each}" for each in range(1, number + 1)]
    return [obj for name in named for obj in (service(name), endpoints(name, *map(endpoint, addresses)))]


def test_names_with_several_addresses_are_alike_if_they_have_as_many() -> None:
    both = ("10.1.0.1", "2001:db8::1", "10.1.0.2", "10.1.0.1", "2001:db8::2", "10.1.0.3")
    dual = service("dual", "10.0.0.1", "10.0.0.2", "10.0.0.3")
    asked = Asked(*headless(4, *both), dual, service("pair"), endpoints("pair", *map(endpoint, both[:3])))
    names = [f"{name}.shop.svc.cluster.local" for name in ("web-1", "web-2", "web-3", "web-4", "dual", "pair")]
    assert [asked.is_made(name) for name in names] == [False, True, True, True, True, False]
    assert [asked.is_made(name, codes.AAAA) for name in names[:4]] == [False, True, True, True]


def test_the_order_of_several_addresses_is_drawn_for_each_where_the_chain_draws_it() -> None:
    asked = Asked(*headless(120, "10.1.0.1", "10.1.0.2", "10.1.0.3"))
    orders = {"".join(asked.order(f"web-{number}.shop.svc.cluster.local")) for number in range(1, 121)}
    assert orders == {"123", "132", "213", "231", "312", "321"}
    assert asked.made == 119


def test_the_order_of_several_addresses_is_that_of_the_cluster_elsewhere() -> None:
    asked = Asked(*headless(20, "10.1.0.3", "10.1.0.1", "10.1.0.2"), balance="")
    orders = {"".join(asked.order(f"web-{number}.shop.svc.cluster.local")) for number in range(1, 21)}
    assert orders == {"312"}
    assert asked.made == 19


@pytest.mark.parametrize("balance", ["loadbalance {\n prefer 10.1.0.2/32\n}", "loadbalance weighted /dev/null"])
def test_where_the_order_depends_on_the_name_each_is_asked_for(balance: str) -> None:
    asked = Asked(*headless(4, "10.1.0.1", "10.1.0.2"), balance=balance)
    assert not any(asked.is_made(f"web-{number}.shop.svc.cluster.local") for number in range(1, 5))


def test_a_reply_that_is_too_long_is_cut_as_the_chain_cuts_it() -> None:
    # 28 addresses fit beside a name of up to 48 octets.
    many = [endpoint(f"10.1.0.{number}") for number in range(28)]
    sizes = (40, 40, 30, 40, 30, 29, 30, 5, 6, 40)
    held = [f"{number}{'x' * (size - 1)}" for number, size in enumerate(sizes)]
    asked = Asked(*(obj for name in held for obj in (service(name), endpoints(name, *many))))
    made = [asked.is_made(f"{name}.shop.svc.cluster.local") for name in held]
    assert made == [False, True, False, True, True, False, True, False, True, False]
    # Whoever can take more gets it whole.
    for name in held[:7]:
        asked.check(query(names.parse(f"{name}.shop.svc.cluster.local"), codes.A, id=7, edns=Edns(1232)))
    assert asked.made == sum(made)


def test_a_change_counts_at_once() -> None:
    asked = Asked(service("a", "10.0.0.1"), service("b", "10.0.0.2"), service("c", "10.0.0.3"))
    asked.is_made("a.shop.svc.cluster.local")
    asked.is_made("gone.shop.svc.cluster.local")
    asked.index.put(service("b", "10.0.0.99"))
    asked.index.remove(type_of(service("c")), "shop", "c")
    asked.index.put(service("new", "10.0.0.4"))
    for name in ("b", "c", "new"):
        assert asked.is_made(f"{name}.shop.svc.cluster.local")
    reply = asked.ask(query(names.parse("b.shop.svc.cluster.local"), codes.A, id=1))
    assert reply is not None
    assert testing.read(reply).answer == ["b.shop.svc.cluster.local. 5 A 10.0.0.99"]


OVERLAPPING = (
    "hosts {\n 10.9.9.9 b.shop.svc.cluster.local\n fallthrough\n}",
    "k8s_external shop.svc.cluster.local",
    "local",
    "log",
)


@pytest.mark.parametrize("more", OVERLAPPING)
async def test_a_plugin_that_looks_at_names_is_asked_for_each(more: str) -> None:
    asked = Asked(service("a", "10.0.0.1"), service("b", "10.0.0.2"), service("c", "10.0.0.3"), more=more)
    assert not any(asked.is_made(f"{name}.shop.svc.cluster.local") for name in "abc")


def behind(name: str, number: int) -> list[Object]:
    """A headless service with so many endpoints."""
    return [service(name), endpoints(name, *(endpoint(f"10.2.0.{each}") for each in range(number)))]


KNOWN = Asked(
    service("a", "10.0.0.1"),
    endpoints("db", endpoint("10.1.0.1", "db-0")),
    service("db"),
    *behind("few", 3),
    *behind("more", 3),
    *behind("many", 40),
    *behind("too-many", 40),
)
LEARNED = [
    "few.shop.svc.cluster.local",
    "more.shop.svc.cluster.local",
    "many.shop.svc.cluster.local",
    "too-many.shop.svc.cluster.local",
    "a.shop.svc.cluster.local",
    "gone.shop.svc.cluster.local",
    "gone.cluster.local",
    "db-0.db.shop.svc.cluster.local",
]


@given(draw.damaged(st.sampled_from([query(names.parse(name), codes.A, id=1) for name in LEARNED])))
def test_a_damaged_packet_gets_what_it_would_get_from_the_chain(packet: bytes) -> None:
    for name in LEARNED:
        KNOWN.is_made(name)
    KNOWN.check_gate(packet)


def test_a_name_behind_the_root_is_no_name() -> None:
    KNOWN.is_made("gone.shop.svc.cluster.local")
    packet = query(names.parse("x.shop.svc.cluster.local"), codes.A, id=1)
    hidden = packet[:12] + b"\0" + packet[14:]
    assert KNOWN.gate.look(hidden, HERE, clock.now()) is None
    answer = KNOWN.anew(hidden)
    assert answer is not None
    assert testing.read(answer).rcode == "FORMERR"


@pytest.mark.parametrize(
    "more",
    [
        "hosts {\n 10.9.9.9 node-1 host.internal\n fallthrough\n}",
        "hosts /dev/null example.org {\n 10.9.9.9 www.example.org\n}",
        "k8s_external example.org",
        "chaos",
        "transfer {\n to *\n}",
    ],
)
def test_plugins_for_other_names_are_in_nobody_s_way(more: str) -> None:
    asked = Asked(service("a", "10.0.0.1"), service("b", "10.0.0.2"), more=more)
    assert [asked.is_made(f"{name}.shop.svc.cluster.local") for name in "ab"] == [False, True]


def test_a_zone_of_another_block_among_the_names_is_left_to_it() -> None:
    blocks = "b.shop.svc.cluster.local {\n whoami\n}\n"
    asked = Asked(service("a", "10.0.0.1"), service("b", "10.0.0.2"), service("c", "10.0.0.3"), blocks=blocks)
    assert not any(asked.is_made(f"{name}.shop.svc.cluster.local") for name in "abc")


def test_what_is_made_is_counted_as_if_it_were_asked_for() -> None:
    asked, other = (Asked(*(service(f"web{'-' * size}x", "10.0.0.1") for size in range(9))) for _ in range(2))
    sites = [each.port.router.find(Query(names.parse("x.cluster.local"), codes.A)) for each in (asked, other)]
    counts = []
    for site, way in zip(sites, (asked.ask, other.anew), strict=True):
        assert site is not None
        assert site.traffic is not None
        site.traffic._shapes = {}
        for size in range(9):
            way(query(names.parse(f"web{'-' * size}x.shop.svc.cluster.local"), codes.A, id=1))
        asked.port.settle()
        counts.append(site.traffic._shapes)
    assert counts[0] == counts[1]
    assert sum(counts[0].values()) == 9
    assert asked.made == 8


def _fail(*_: object) -> None:
    raise RuntimeError("a fault")


@pytest.mark.parametrize("faulty", ["survey", "surveys._Addresses.find"])
def test_a_fault_in_a_survey_costs_no_answer(faulty: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(f"pydnsk8s.plugins.kubernetes.{faulty}", _fail)
    asked = Asked(service("a", "10.0.0.1"), service("b", "10.0.0.2"), service("c", "10.0.0.3"))
    assert not any(asked.is_made(f"{name}.shop.svc.cluster.local") for name in "abc")
