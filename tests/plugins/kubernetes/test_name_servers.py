"""kubernetes: the name servers of its zones."""

from __future__ import annotations

import pytest

from pydnsk8s.kube.objects import Object
from pydnsk8s.listen import interfaces
from pydnsk8s.message import Reply
from tests.plugins.blocks import texts

from .clusters import ask, cluster, endpoint, endpoints, service

DNS = (
    service("dns", "10.96.0.10", "2001:db8:96::a", namespace="kube-system"),
    endpoints("dns", endpoint("10.244.0.2"), endpoint("10.244.0.3"), namespace="kube-system"),
)
OWN = "dns.kube-system.svc.cluster.local."


@pytest.fixture(autouse=True)
def addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    """The machine's addresses: one of the pod network, and such as nobody else can reach."""
    held = {"lo": ("127.0.0.1", "::1"), "eth0": ("10.244.0.2", "fe80::1%eth0")}
    monkeypatch.setattr(interfaces, "addresses", lambda: held)


async def servers(*objects: Object, zone: str = "cluster.local", options: str = "", more: str = "") -> Reply:
    zones = "cluster.local clusterset.local in-addr.arpa"
    return await ask(cluster(*objects, zones=zones, options=options, more=more), zone, "NS")


async def test_the_services_that_we_stand_behind() -> None:
    reply = await servers(*DNS)
    assert texts(reply.answer) == [f"cluster.local. 5 NS {OWN}"]
    assert texts(reply.additional) == [f"{OWN} 5 A 10.96.0.10", f"{OWN} 5 AAAA 2001:db8:96::a"]


async def test_of_a_headless_service_our_endpoint() -> None:
    reply = await servers(service("dns", namespace="kube-system"), DNS[1])
    assert texts(reply.answer) == [f"cluster.local. 5 NS 10-244-0-2.{OWN}"]
    assert texts(reply.additional) == [f"10-244-0-2.{OWN} 5 A 10.244.0.2"]


@pytest.mark.parametrize("objects", [(), DNS[:1], DNS[1:]])
async def test_without_a_service_our_own_addresses(objects: tuple[Object, ...]) -> None:
    reply = await servers(*objects)
    assert texts(reply.answer) == ["cluster.local. 5 NS ns.dns.cluster.local."]
    assert texts(reply.additional) == ["ns.dns.cluster.local. 5 A 10.244.0.2"]


async def test_a_service_that_is_not_served_is_not_named() -> None:
    reply = await servers(*DNS, options="namespaces shop")
    assert texts(reply.answer) == ["cluster.local. 5 NS ns.dns.cluster.local."]


@pytest.mark.parametrize("bind", ["bind 10.244.0.3", "bind 10.244.0.3 127.0.0.1"])
async def test_where_we_listen_is_where_we_are(bind: str) -> None:
    reply = await servers(*DNS, more=bind)
    assert texts(reply.answer) == [f"cluster.local. 5 NS {OWN}"]
    alone = await servers(more=bind)
    assert texts(alone.additional)[0] == "ns.dns.cluster.local. 5 A 10.244.0.3"


@pytest.mark.parametrize("bind", ["bind 0.0.0.0", "bind ::"])
async def test_to_listen_everywhere_is_to_be_where_the_machine_is(bind: str) -> None:
    assert texts((await servers(more=bind)).additional) == ["ns.dns.cluster.local. 5 A 10.244.0.2"]


@pytest.mark.parametrize("zone", ["in-addr.arpa", "clusterset.local"])
async def test_other_zones_have_name_servers_that_can_be_found(zone: str) -> None:
    reply = await servers(*DNS, zone=zone, options="multicluster clusterset.local")
    assert texts(reply.answer) == [f"{zone}. 5 NS {OWN}"]
    reply = await servers(zone=zone, options="multicluster clusterset.local")
    assert texts(reply.answer) == [f"{zone}. 5 NS ns.dns.cluster.local."]


async def test_a_cluster_set_alone_names_our_own_addresses() -> None:
    found = cluster(*DNS, zones="clusterset.local", options="multicluster clusterset.local")
    reply = await ask(found, "clusterset.local", "NS")
    assert texts(reply.answer) == ["clusterset.local. 5 NS ns.dns.clusterset.local."]
    assert texts((await ask(found, "ns.dns.clusterset.local")).answer) == ["ns.dns.clusterset.local. 5 A 10.244.0.2"]


async def test_the_addresses_of_all_name_servers_have_one_name() -> None:
    found = cluster(*DNS)
    assert texts((await ask(found, "ns.dns.cluster.local")).answer) == ["ns.dns.cluster.local. 5 A 10.96.0.10"]
    assert texts((await ask(found, "ns.dns.cluster.local", "AAAA")).answer) == [
        "ns.dns.cluster.local. 5 AAAA 2001:db8:96::a"
    ]


async def test_a_service_that_comes_takes_over() -> None:
    found = cluster(DNS[0])
    before = await ask(found, "cluster.local", "NS")
    found.index.put(DNS[1])
    assert not before.keep.alive
    assert texts((await ask(found, "cluster.local", "NS")).answer) == [f"cluster.local. 5 NS {OWN}"]
