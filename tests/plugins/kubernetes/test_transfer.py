"""kubernetes: a copy of its zone says what it says itself, and one version of it has one serial."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pydnsk8s import codes, names, testing
from pydnsk8s.kube.objects import Namespace, Object
from pydnsk8s.listen import interfaces
from pydnsk8s.message import Query, Record
from pydnsk8s.plugins.kubernetes import Kubernetes
from tests.plugins.blocks import Alone, plugin, query

from .clusters import ask, cluster, endpoint, endpoints, example, imported, service, serving
from .test_honest import OPTIONS, clusters, made, objects

ZONE = names.parse("cluster.local")
CLUSTERSET = names.parse("clusterset.local")


@pytest.fixture(scope="module", autouse=True)
def addresses() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(interfaces, "addresses", lambda: {"eth0": ("10.0.0.1", "2001:db8::1")})
        yield


def copied(found: Kubernetes, zone: bytes = ZONE) -> list[Record]:
    records = found.transfer(zone)
    assert records is not None
    return list(records)


def lines(records: list[Record]) -> list[str]:
    """Records without their zone, below the SOA."""
    return [testing.text(record).replace(".cluster.local.", "") for record in records[1:]]


def serial(record: Record) -> int:
    assert record.type == codes.SOA
    return int.from_bytes(record.data[-20:-16], "big")


def test_a_cluster_ip_service_has_its_addresses_and_ports() -> None:
    assert lines(copied(cluster(service("web", "10.96.0.1", "2001:db8::96")))) == [
        "cluster.local. 5 NS ns.dns",
        "ns.dns 5 A 10.0.0.1",
        "ns.dns 5 AAAA 2001:db8::1",
        "web.shop.svc 5 A 10.96.0.1",
        "web.shop.svc 5 AAAA 2001:db8::96",
        "web.shop.svc 5 SRV 0 50 80 web.shop.svc",
        "_http._tcp.web.shop.svc 5 SRV 0 50 80 web.shop.svc",
    ]


def test_a_headless_service_has_its_endpoints() -> None:
    held = endpoints("db", endpoint("10.1.0.1", "first"), endpoint("10.1.0.2"))
    assert lines(copied(cluster(service("db"), held)))[3:] == [
        "db.shop.svc 5 A 10.1.0.1",
        "db.shop.svc 5 A 10.1.0.2",
        "db.shop.svc 5 SRV 0 50 80 first.db.shop.svc",
        "db.shop.svc 5 SRV 0 50 80 10-1-0-2.db.shop.svc",
        "_http._tcp.db.shop.svc 5 SRV 0 50 80 first.db.shop.svc",
        "_http._tcp.db.shop.svc 5 SRV 0 50 80 10-1-0-2.db.shop.svc",
        "first.db.shop.svc 5 A 10.1.0.1",
        "10-1-0-2.db.shop.svc 5 A 10.1.0.2",
    ]


def test_an_external_name_is_an_alias() -> None:
    found = cluster(service("away", alias="example.com"), service("self", alias="self.shop.svc.cluster.local"))
    assert lines(copied(found))[3:] == ["away.shop.svc 5 CNAME example.com."]


def test_services_come_in_the_order_of_their_names() -> None:
    held = [service(name, "10.96.0.1", namespace=namespace) for namespace in "ba" for name in ("z", "y")]
    owners = [line.split()[0] for line in lines(copied(cluster(*held))) if " A 10.96" in line]
    assert owners == ["y.a.svc", "z.a.svc", "y.b.svc", "z.b.svc"]


def test_a_service_that_is_not_served_is_not_copied() -> None:
    held = (
        service("web", "10.96.0.1"),
        service("db", namespace="other"),
        service("api", "10.96.0.2", namespace="other"),
    )
    assert len(copied(cluster(*held, options="namespaces shop"))) == 4 + 3
    assert len(copied(cluster(*held, options="ignore empty_service"))) == 4


def test_zones_of_a_cluster_set_have_its_services() -> None:
    held = (imported("web", "10.112.0.1"), imported("db"), service("own", "10.96.0.1"))
    held_too = endpoints("db", endpoint("10.1.0.1", "first"), cluster="east")
    found = cluster(*held, held_too, zones="cluster.local clusterset.local", options="multicluster clusterset.local")
    copy = [testing.text(record) for record in copied(found, CLUSTERSET)]
    assert "web.shop.svc.clusterset.local. 5 A 10.112.0.1" in copy
    assert "first.east.db.shop.svc.clusterset.local. 5 A 10.1.0.1" in copy
    assert not any("own.shop" in line for line in copy)


def test_what_is_no_zone_of_names_is_not_copied() -> None:
    found = cluster(service("web", "10.96.0.1"))
    for name in ("svc.cluster.local", "example.org", "in-addr.arpa", "ip6.arpa"):
        assert found.transfer(names.parse(name)) is None


def test_before_the_cluster_is_known_there_is_nothing_to_copy() -> None:
    assert copied(plugin(Kubernetes, "kubernetes cluster.local")) == []


def by_set(records: list[Record]) -> dict[tuple[bytes, int], set[Record]]:
    sets: dict[tuple[bytes, int], set[Record]] = defaultdict(set)
    for record in records:
        assert record not in sets[record.name, record.type], "twice"
        sets[record.name, record.type].add(record)
    return sets


async def check(found: Kubernetes, zone: bytes) -> None:
    """Every record set of the copy is what is answered, and what the specification names is in the copy."""
    copy = by_set(copied(found, zone))
    asks = Alone(found).ask
    for (name, type), records in copy.items():
        assert names.is_under(name, zone)
        reply = await asks(Query(name, type))
        assert set(reply.answer[: len(records)]) == records
        aliased = (name, codes.CNAME) in copy
        assert not aliased or type == codes.CNAME
    served = found.index.service_imports() if zone in found.options.multicluster else found.index.services()
    for held in served:
        name = names.join(held.name.encode(), held.namespace.encode(), b"svc", to=zone)
        ports = [
            names.join(f"_{port.name}".encode(), f"_{port.protocol}".encode(), to=name)
            for port in held.ports
            if port.name
        ]
        questions = [(name, codes.A), (name, codes.AAAA), (name, codes.SRV), *((port, codes.SRV) for port in ports)]
        for question in questions:
            answer = {each for each in (await asks(Query(*question))).answer if each.name == question[0]}
            assert (name, codes.CNAME) in copy or copy.get(question, set()) == answer


async def test_the_example_clusters_copy_says_what_it_says() -> None:
    await check(cluster(*example()), ZONE)


@pytest.mark.parametrize("options", OPTIONS)
@settings(max_examples=30)
@given(held=clusters)
async def test_a_copy_says_what_is_answered(options: str, held: list[Object]) -> None:
    found = made(held, options)
    await check(found, ZONE)
    await check(found, CLUSTERSET)


@settings(max_examples=30)
@given(held=clusters, changes=st.lists(objects, max_size=5), taken=st.integers(0, 5))
def test_what_changes_during_a_transfer_is_not_in_it(held: list[Object], changes: list[Object], taken: int) -> None:
    found = made(held, "")
    expected = copied(found)
    records = found.transfer(ZONE)
    assert records is not None
    begun = [next(records) for _ in range(min(taken, len(expected)))]
    for changed in changes:
        found.index.put(changed)
        found.index.remove(type(changed), changed.namespace, changed.name)
    assert begun + list(records) == expected


@given(st.lists(st.tuples(st.booleans(), st.integers(-3, 3)), max_size=20))
def test_a_zone_that_was_copied_never_changes_without_its_serial(steps: list[tuple[bool, int]]) -> None:
    now = 1_800_000_000
    found = cluster(service("web", "10.96.0.1"))
    found.index._clock = lambda: now
    latest: list[Record] = []
    for number, (copy, seconds) in enumerate(steps):
        now += seconds  # clocks are also set back
        if not copy:
            found.index.put(service("web", f"10.96.0.{2 + number}"))
            continue
        records = copied(found)
        if latest:
            assert serial(records[0]) >= serial(latest[0])
            assert (serial(records[0]) == serial(latest[0])) == (records == latest)
        latest = records


async def test_the_soa_that_is_answered_is_that_of_the_copy() -> None:
    found = cluster(service("web", "10.96.0.1"))
    for number in range(3):
        found.index.put(service("web", f"10.96.0.{2 + number}"))
        first, *_ = copied(found)
        assert (await ask(found, "cluster.local", "SOA")).answer == (first,)


def test_a_change_that_nobody_can_see_moves_nothing() -> None:
    found = cluster(service("web", "10.96.0.1"))
    before = copied(found)
    found.index.put(service("web", "10.96.0.1"))
    found.index.put(Namespace("shop"))
    assert copied(found) == before


async def test_only_transfer_hands_the_zone_out() -> None:
    async with serving(*example(), more="transfer cluster.local {\nto 192.0.2.1\n}") as (dns, found):
        answers = await dns.transfer("Cluster.Local", client="192.0.2.1")
        answered = [line for answer in answers for line in answer.answer]
        expected = [testing.text(record) for record in (*copied(found), copied(found)[0])]
        # The zone's own name is spelled as in the question, wherever it stands.
        assert [line.replace("Cluster.Local", "cluster.local") for line in answered] == expected
        for zone, client in (("cluster.local", "192.0.2.2"), ("shop.svc.cluster.local", "192.0.2.1")):
            assert [answer.rcode for answer in await dns.transfer(zone, client=client)] == ["REFUSED"]
        current = serial(copied(found)[0])
        assert len((await dns.transfer("cluster.local", current, client="192.0.2.1"))[0].answer) == 1
    without = await cluster(*example()).answer(query("cluster.local", "AXFR"), lambda _: pytest.fail("passed on"))
    assert without.rcode == codes.REFUSED
