"""k8s_external: the cluster as it looks from outside, and never longer than it does."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest
from msgspec.structs import replace

from pydnsk8s import codes, names, testing
from pydnsk8s.kube.objects import Object, Port, Service
from pydnsk8s.listen import interfaces
from pydnsk8s.message import Record, Reply
from pydnsk8s.plugin import StartError
from pydnsk8s.plugins.k8s_external import K8sExternal
from pydnsk8s.plugins.kubernetes import Kubernetes

from .blocks import ELSEWHERE, block, elsewhere, errors, plugin, query, texts
from .kubernetes.clusters import HTTP, endpoint, endpoints, fill, packed, service

ZONE = names.parse("example.org")
ZONES = "example.org 2.0.192.in-addr.arpa 10.in-addr.arpa ip6.arpa"
TWO = (*HTTP, Port("dns", 53, "udp"))


@pytest.fixture(scope="module", autouse=True)
def addresses() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(interfaces, "addresses", lambda: {"eth0": ("10.0.0.1", "2001:db8::1")})
        yield


def balanced(name: str, *ips: str, hosts: tuple[str, ...] = (), ports: tuple[Port, ...] = HTTP) -> Service:
    """A service with a cluster IP that can be reached at these addresses or host names."""
    return replace(service(name, "10.96.0.1", ports=ports), external_ips=packed(*ips), external_hosts=hosts)


async def made(*objects: Object, options: str = "", cluster: str = "", zones: str = ZONES) -> K8sExternal:
    text = f"k8s_external {zones} {{\n{options}\n}}\nkubernetes cluster.local {{\n{cluster}\n}}"
    held = block(text)
    kubernetes, found = held.find(Kubernetes), held.find(K8sExternal)
    assert kubernetes is not None
    assert found is not None
    fill(kubernetes.index, kubernetes.options.kinds, objects)
    await found.start()
    return found


async def ask(found: K8sExternal, name: str, type: str = "A") -> Reply:
    return await found.answer(query(name, type), elsewhere)


async def said(found: K8sExternal, name: str, type: str = "A") -> list[str] | str:
    """The data of the answer; for an empty one what that means."""
    reply = await ask(found, name, type)
    if reply.plugin == ELSEWHERE.plugin:
        return "elsewhere"
    assert reply.authoritative
    assert reply.plugin == "k8s_external"
    if reply.answer:
        return [line.split(" ", 3)[3] for line in texts(reply.answer)]
    [soa] = reply.authority
    assert soa.type == codes.SOA
    return "NODATA" if reply.rcode == codes.NOERROR else codes.rcode_name(reply.rcode)


@pytest.mark.parametrize(
    ("name", "type", "expected"),
    [
        ("web.shop", "A", ["192.0.2.10"]),
        ("WEB.shop", "AAAA", ["2001:db8::10"]),
        ("web.shop", "TXT", "NODATA"),
        ("web.shop", "CNAME", "NODATA"),
        ("web.shop", "SRV", ["0 25 80 web.shop.example.org.", "0 25 53 web.shop.example.org."]),
        ("_http._tcp.web.shop", "SRV", ["0 50 80 web.shop.example.org."]),
        ("_dns._udp.web.shop", "SRV", ["0 50 53 web.shop.example.org."]),
        ("_http._tcp.web.shop", "A", ["192.0.2.10"]),
        ("_._tcp.web.shop", "SRV", ["0 50 80 web.shop.example.org."]),
        ("*._tcp.web.shop", "SRV", "NXDOMAIN"),
        ("http.tcp.web.shop", "SRV", ["0 50 80 web.shop.example.org."]),
        ("_tcp.web.shop", "A", "NODATA"),
        ("_http._udp.web.shop", "SRV", "NXDOMAIN"),
        ("_sctp.web.shop", "A", "NXDOMAIN"),
        ("anything.web.shop", "A", "NXDOMAIN"),
        ("a.b.c.web.shop", "A", "NXDOMAIN"),
        ("inside.shop", "A", "NXDOMAIN"),
        ("nothing.shop", "A", "NXDOMAIN"),
        ("shop", "A", "NODATA"),
        ("nowhere", "A", "NXDOMAIN"),
        ("web.nowhere", "A", "NXDOMAIN"),
        ("db.shop", "A", "NXDOMAIN"),
    ],
)
async def test_a_name(name: str, type: str, expected: list[str] | str) -> None:
    found = await made(
        balanced("web", "192.0.2.10", "2001:db8::10", ports=TWO),
        service("inside", "10.96.0.7"),
        service("db"),
        endpoints("db", endpoint("10.1.0.1", "first")),
    )
    assert await said(found, f"{name}.example.org", type) == expected


async def test_srv_replies_show_the_addresses_of_their_targets() -> None:
    found = await made(balanced("web", "192.0.2.10", "2001:db8::10"))
    assert texts((await ask(found, "_http._tcp.web.shop.example.org", "SRV")).additional) == [
        "web.shop.example.org. 5 A 192.0.2.10",
        "web.shop.example.org. 5 AAAA 2001:db8::10",
    ]


@pytest.mark.parametrize(
    ("name", "type", "expected"),
    [
        ("db.shop", "A", ["10.1.0.1", "10.1.0.2"]),
        ("first.db.shop", "A", ["10.1.0.1"]),
        ("10-1-0-2.db.shop", "A", ["10.1.0.2"]),
        ("second.db.shop", "A", "NXDOMAIN"),
        ("_http._tcp.db.shop", "SRV", ["0 50 80 first.db.shop.example.org.", "0 50 80 10-1-0-2.db.shop.example.org."]),
        ("_tcp.db.shop", "A", "NODATA"),
        ("inside.shop", "A", "NXDOMAIN"),
        ("10-1-0-3.inside.shop", "A", "NXDOMAIN"),
        ("both.shop", "A", ["192.0.2.11"]),
        ("empty.shop", "A", "NXDOMAIN"),
    ],
)
async def test_headless_services_have_their_endpoints_if_asked_for(
    name: str, type: str, expected: list[str] | str
) -> None:
    found = await made(
        service("db"),
        endpoints("db", endpoint("10.1.0.1", "first"), endpoint("10.1.0.2")),
        service("inside", "10.96.0.7"),
        endpoints("inside", endpoint("10.1.0.3")),
        replace(service("both"), external_ips=packed("192.0.2.11")),
        endpoints("both", endpoint("10.1.0.4")),
        service("empty"),
        options="headless",
    )
    assert await said(found, f"{name}.example.org", type) == expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("10.2.0.192.in-addr.arpa", ["api.shop.example.org.", "web.shop.example.org."]),
        ("11.2.0.192.in-addr.arpa", "NXDOMAIN"),
        ("1.0.96.10.in-addr.arpa", "NXDOMAIN"),  # a cluster IP
        ("1.0.1.10.in-addr.arpa", ["first.db.shop.example.org."]),
        ("3.0.1.10.in-addr.arpa", "NXDOMAIN"),  # behind a service that is not reached at its endpoints
        ("2.0.192.in-addr.arpa", "NODATA"),
        ("1.10.in-addr.arpa", "NODATA"),
        ("a.2.0.192.in-addr.arpa", "NXDOMAIN"),
        ("0.1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa", ["web.shop.example.org."]),
    ],
)
async def test_an_address_points_back(name: str, expected: list[str] | str) -> None:
    found = await made(
        balanced("web", "192.0.2.10", "2001:db8::10"),
        balanced("api", "192.0.2.10"),
        service("db"),
        endpoints("db", endpoint("10.1.0.1", "first")),
        endpoints("web", endpoint("10.1.0.3")),
        options="headless",
    )
    assert await said(found, name, "PTR") == expected


async def test_other_types_at_a_reverse_name_are_nodata() -> None:
    found = await made(balanced("web", "192.0.2.10"))
    assert await said(found, "10.2.0.192.in-addr.arpa", "A") == "NODATA"


@pytest.mark.parametrize(
    ("name", "type", "expected"),
    [
        ("example.org", "SOA", ["ns1.dns.example.org. hostmaster.dns.example.org. 0 7200 1800 86400 5"]),
        ("example.org", "NS", ["ns1.dns.example.org."]),
        ("example.org", "A", "NODATA"),
        ("dns.example.org", "A", "NODATA"),
        ("ns1.dns.example.org", "A", ["10.0.0.1"]),
        ("ns1.dns.example.org", "AAAA", ["2001:db8::1"]),
        ("ns1.dns.example.org", "MX", "NODATA"),
        ("ns2.dns.example.org", "A", "NXDOMAIN"),
        ("x.ns1.dns.example.org", "A", "NXDOMAIN"),
        ("2.0.192.in-addr.arpa", "NS", ["ns1.dns.example.org."]),
        ("2.0.192.in-addr.arpa", "SOA", ["ns1.dns.example.org. hostmaster.dns.example.org. 0 7200 1800 86400 5"]),
    ],
)
async def test_the_apex(name: str, type: str, expected: list[str] | str) -> None:
    assert await said(await made(), name, type) == expected


async def test_the_label_below_the_apex_and_the_ttl_can_be_chosen() -> None:
    found = await made(balanced("web", "192.0.2.10"), options="apex names\nttl 60")
    assert texts((await ask(found, "example.org", "NS")).answer) == ["example.org. 60 NS ns1.names.example.org."]
    assert texts((await ask(found, "web.shop.example.org")).answer) == ["web.shop.example.org. 60 A 192.0.2.10"]
    assert (await ask(found, "dns.example.org")).rcode == codes.NXDOMAIN
    [soa] = (await ask(found, "names.example.org")).authority
    assert testing.text(soa).endswith(" 7200 1800 86400 60")
    assert soa.ttl == 60


async def test_the_name_server_is_reached_where_its_service_is() -> None:
    ours = endpoints("dns", endpoint("10.0.0.1"))
    found = await made(balanced("dns", "192.0.2.53", "2001:db8::53"), ours)
    assert texts((await ask(found, "example.org", "NS")).additional) == [
        "ns1.dns.example.org. 5 A 192.0.2.53",
        "ns1.dns.example.org. 5 AAAA 2001:db8::53",
    ]
    inside = await made(service("dns", "10.96.0.10"), ours)
    assert await said(inside, "ns1.dns.example.org") == ["10.0.0.1"]


async def test_the_serial_is_the_time_of_the_last_change() -> None:
    found = await made()
    found._index._clock = lambda: 1_800_000_000
    found._index.put(balanced("web", "192.0.2.10"))
    [soa] = (await ask(found, "example.org", "SOA")).answer
    assert " 1800000000 " in testing.text(soa)


async def test_only_the_namespaces_of_kubernetes_are_served() -> None:
    other = replace(balanced("web", "192.0.2.12"), namespace="other")
    found = await made(balanced("web", "192.0.2.10"), other, cluster="namespaces shop")
    assert await said(found, "web.shop.example.org") == ["192.0.2.10"]
    for name in ("web.other.example.org", "other.example.org", "12.2.0.192.in-addr.arpa"):
        assert await said(found, name) == "NXDOMAIN"


async def test_endpoints_are_named_as_kubernetes_names_them() -> None:
    held = endpoints("db", endpoint("10.1.0.1", pod="db-0"))
    found = await made(service("db"), held, options="headless", cluster="endpoint_pod_names")
    assert await said(found, "db-0.db.shop.example.org") == ["10.1.0.1"]
    assert await said(found, "1.0.1.10.in-addr.arpa", "PTR") == ["db-0.db.shop.example.org."]


@pytest.mark.parametrize(
    ("zones", "passed"),
    [("", True), ("example.org", True), ("web.shop.example.org", False), ("in-addr.arpa", False)],
)
async def test_names_that_do_not_exist_are_passed_on_if_so_wished(zones: str, passed: bool) -> None:
    found = await made(balanced("web", "192.0.2.10"), options=f"fallthrough {zones}")
    for name in ("nothing.shop.example.org", "nowhere.example.org", "x.dns.example.org"):
        assert await said(found, name) == ("elsewhere" if passed else "NXDOMAIN")
    assert await said(found, "web.shop.example.org", "MX") == "NODATA"
    assert await said(found, "shop.example.org") == "NODATA"


@pytest.mark.parametrize("options", ["", "fallthrough"])
async def test_before_the_cluster_is_known_nothing_is_denied_or_passed_on(options: str) -> None:
    found = plugin(K8sExternal, f"k8s_external {ZONES} {{\n{options}\n}}\nkubernetes cluster.local")
    await found.start()
    for name in ("web.shop.example.org", "example.org", "10.2.0.192.in-addr.arpa"):
        reply = await ask(found, name)
        assert (reply.rcode, reply.error) == (codes.SERVFAIL, "the cluster is not known yet")
        assert reply.keep.live, "a cache may hold it back"
    fill(found._index, found._options.kinds, [])
    assert not reply.keep.alive


async def test_names_elsewhere_are_passed_on() -> None:
    found = await made(balanced("web", "192.0.2.10"))
    assert await said(found, "web.shop.example.net") == "elsewhere"
    assert (await found.answer(query("web.shop.example.org", klass=codes.CH), elsewhere)) is ELSEWHERE


@asynccontextmanager
async def serving(*objects: Object, more: str = "", options: str = "") -> AsyncIterator[testing.Dns]:
    with tempfile.TemporaryDirectory() as empty:
        plugins = f"k8s_external {ZONES} {{\n{options}\n}}\nkubernetes cluster.local {{\nmanifests {empty}\n}}\n{more}"
        async with testing.serving(f". {{\n{plugins}\n}}") as dns:
            kubernetes = next(held for held in dns.plugins if isinstance(held, Kubernetes))
            fill(kubernetes.index, kubernetes.options.kinds, objects)
            yield dns


BALANCER = balanced("web", hosts=("lb.example.com", "other.example.com"), ports=TWO)
TARGET = "hosts {\n192.0.2.99 lb.example.com\nfallthrough\n}"


async def test_a_load_balancer_with_a_name_is_an_alias() -> None:
    async with serving(BALANCER, more=TARGET) as dns:
        alias = "web.shop.example.org. 5 CNAME lb.example.com."
        assert (await dns.ask("web.shop.example.org")).answer == [alias, "lb.example.com. 3600 A 192.0.2.99"]
        assert (await dns.ask("web.shop.example.org", "AAAA")).answer == [alias]
        assert (await dns.ask("web.shop.example.org", "CNAME")).answer == [alias]
        assert (await dns.ask("web.shop.example.org", "MX")).answer == [alias]


async def test_the_ports_of_a_load_balancer_with_a_name_point_to_it() -> None:
    found = await made(BALANCER)
    assert await said(found, "_http._tcp.web.shop.example.org", "SRV") == ["0 100 80 lb.example.com."]
    assert await said(found, "web.shop.example.org", "SRV") == ["0 50 80 lb.example.com.", "0 50 53 lb.example.com."]
    assert await said(found, "_http._tcp.web.shop.example.org", "A") == "NODATA"
    assert await said(found, "_tcp.web.shop.example.org") == "NODATA"
    assert await said(found, "_http._udp.web.shop.example.org", "SRV") == "NXDOMAIN"
    assert await said(found, "x.web.shop.example.org") == "NXDOMAIN"


async def test_an_alias_stays_whatever_becomes_of_its_target() -> None:
    async with serving(BALANCER) as dns:
        answer = await dns.ask("web.shop.example.org")
        assert answer.rcode == "NOERROR"
        assert answer.answer == ["web.shop.example.org. 5 CNAME lb.example.com."]


async def test_an_alias_of_itself_leads_nowhere() -> None:
    async with serving(balanced("web", hosts=("web.shop.example.org",))) as dns:
        answer = await dns.ask("web.shop.example.org")
        assert (answer.rcode, answer.answer) == ("NOERROR", [])


async def test_aliases_in_a_circle_end() -> None:
    circle = (balanced("a", hosts=("b.shop.example.org",)), balanced("b", hosts=("a.shop.example.org",)))
    async with serving(*circle) as dns:
        answer = await dns.ask("a.shop.example.org")
        assert (answer.rcode, len(answer.answer)) == ("NOERROR", 2)


async def test_addresses_go_before_host_names() -> None:
    found = await made(balanced("web", "192.0.2.10", hosts=("lb.example.com",)))
    assert await said(found, "web.shop.example.org") == ["192.0.2.10"]
    assert await said(found, "web.shop.example.org", "AAAA") == "NODATA"


async def test_replies_are_replayed_until_the_service_changes() -> None:
    async with serving(balanced("web", "192.0.2.10")) as dns:
        for _ in range(3):
            last = await dns.ask("web.shop.example.org")
        assert last.replayed
        kubernetes = next(held for held in dns.plugins if isinstance(held, Kubernetes))
        kubernetes.index.put(balanced("web", "192.0.2.11"))
        assert (await dns.ask("web.shop.example.org")).answer == ["web.shop.example.org. 5 A 192.0.2.11"]


async def test_a_pointer_to_an_endpoint_ends_when_its_service_is_reached_elsewhere() -> None:
    found = await made(service("db"), endpoints("db", endpoint("10.1.0.1")), options="headless")
    before = await ask(found, "1.0.1.10.in-addr.arpa", "PTR")
    assert before.answer
    assert before.keep.live
    found._index.put(replace(service("db"), external_ips=packed("192.0.2.10")))
    assert not before.keep.alive
    assert await said(found, "1.0.1.10.in-addr.arpa", "PTR") == "NXDOMAIN"


async def test_kubernetes_has_to_be_there() -> None:
    with pytest.raises(StartError, match="needs the kubernetes plugin"):
        await plugin(K8sExternal, "k8s_external example.org").start()


@pytest.mark.parametrize(
    ("directive", "message"),
    [
        ("k8s_external 10.0.0.0/8", "a zone that holds names is needed"),
        ("k8s_external a..b", "not a domain name"),
        ("k8s_external {\napex\n}", "expected: apex LABEL"),
        ("k8s_external {\napex a.b\n}", "expected one label"),
        ("k8s_external {\napex .\n}", "expected one label"),
        ("k8s_external {\nttl 3601\n}", "0 to 3600"),
        ("k8s_external {\nttl\n}", "expected: ttl SECONDS"),
        ("k8s_external {\nheadless yes\n}", "expected: headless"),
        ("k8s_external {\nhedless\n}", "did you mean 'headless'"),
        ("k8s_external {\nfallthrough a..b\n}", "not a domain name"),
    ],
)
def test_what_cannot_be_is_an_error(directive: str, message: str) -> None:
    assert message in errors(directive)


def test_the_options_and_their_defaults() -> None:
    plain = plugin(K8sExternal, "k8s_external", "example.org:0")
    assert (plain.zones, plain.apex, plain.ttl, plain.headless, plain.fall.zones) == ((ZONE,), "dns", 5, False, ())
    text = "k8s_external {\nfallthrough ip6.arpa inaddr.arpa foo.com\nheadless\nttl 0\napex TestDNS\n}"
    chosen = plugin(K8sExternal, text)
    assert chosen.fall.zones == tuple(map(names.parse, ("ip6.arpa", "inaddr.arpa", "foo.com")))
    assert (chosen.apex, chosen.ttl, chosen.headless) == ("testdns", 0, True)


def copied(found: K8sExternal) -> list[Record]:
    records = found.transfer(ZONE)
    assert records is not None
    return list(records)


async def test_reverse_zones_are_not_copied_and_others_are_not_ours() -> None:
    found = await made(balanced("web", "192.0.2.10"))
    for zone in ("2.0.192.in-addr.arpa", "example.net", "shop.example.org"):
        assert found.transfer(names.parse(zone)) is None
    assert (await ask(found, "example.org", "AXFR")).rcode == codes.REFUSED


async def test_a_zone_is_transferred() -> None:
    held = (balanced("web", "192.0.2.10"), balanced("far", hosts=("lb.example.com",)))
    async with serving(*held, more="transfer example.org {\nto *\n}") as dns:
        [answer] = await dns.transfer("example.org")
        soa, *records, last = answer.answer
        assert soa == last
        assert records == [
            "example.org. 5 NS ns1.dns.example.org.",
            "ns1.dns.example.org. 5 A 10.0.0.1",
            "ns1.dns.example.org. 5 AAAA 2001:db8::1",
            "far.shop.example.org. 5 CNAME lb.example.com.",
            "_http._tcp.far.shop.example.org. 5 SRV 0 100 80 lb.example.com.",
            "web.shop.example.org. 5 A 192.0.2.10",
            "web.shop.example.org. 5 SRV 0 100 80 web.shop.example.org.",
            "_http._tcp.web.shop.example.org. 5 SRV 0 100 80 web.shop.example.org.",
        ]
    unsynced = plugin(K8sExternal, "k8s_external example.org\nkubernetes cluster.local")
    await unsynced.start()
    assert copied(unsynced) == []
