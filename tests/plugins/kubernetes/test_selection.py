"""kubernetes: which of the cluster's names are served, and what they are called."""

from __future__ import annotations

import pytest

from pydnsk8s import codes
from pydnsk8s.kube.objects import Namespace, Object, Port
from pydnsk8s.message import Reply
from tests.plugins.blocks import ELSEWHERE, elsewhere, query, texts

from .clusters import ask, cluster, endpoint, endpoints, imported, pod, service

SHOP = (
    service("web", "10.96.0.1"),
    endpoints("web", endpoint("10.244.0.1", pod="web-0")),
    service("idle", "10.96.0.2"),
    endpoints("idle"),
    service("db"),
    endpoints("db", endpoint("10.244.0.2", "db-0", zone="north"), endpoint("10.244.0.3", "db-1", zone="south.x")),
)


def told(reply: Reply) -> list[str] | str:
    """The data of the answer; without one the response code, and NODATA for a name that exists."""
    if reply.plugin == ELSEWHERE.plugin:
        return "passed on"
    if reply.answer:
        return [line.split(" ", 3)[3] for line in texts(reply.answer)]
    return codes.rcode_name(reply.rcode) if reply.rcode else "NODATA"


async def asked(name: str, type: str = "A", options: str = "", objects: tuple[Object, ...] = SHOP) -> list[str] | str:
    zones = "cluster.local clusterset.local in-addr.arpa ip6.arpa"
    return told(await ask(cluster(*objects, options=options, zones=zones), name, type))


WEB = "web.shop.svc.cluster.local"
IDLE = "idle.shop.svc.cluster.local"
DB = "db.shop.svc.cluster.local"


async def test_namespaces_that_are_not_chosen_are_not_there() -> None:
    blue = (*SHOP, service("web", "10.96.1.1", namespace="blue"), Namespace("green"))
    for options in ("namespaces blue green", "namespaces blue\nnamespaces GREEN"):
        assert await asked("web.blue.svc.cluster.local", options=options, objects=blue) == ["10.96.1.1"]
        assert await asked("green.svc.cluster.local", options=options, objects=blue) == "NODATA"
        assert await asked(WEB, options=options, objects=blue) == "NXDOMAIN"
        assert await asked("shop.svc.cluster.local", options=options, objects=blue) == "NXDOMAIN"
        assert await asked("1.0.96.10.in-addr.arpa", "PTR", options, blue) == "NXDOMAIN"
        assert await asked("1.1.96.10.in-addr.arpa", "PTR", options, blue) == ["web.blue.svc.cluster.local."]


async def test_a_namespace_that_is_not_listed_shows_nothing_not_even_by_address() -> None:
    # As where ``namespace_labels`` leaves it out.
    found = cluster(*SHOP)
    found.index.remove(Namespace, "", "shop")
    assert told(await ask(found, WEB)) == "NXDOMAIN"
    assert told(await ask(found, "1.0.96.10.in-addr.arpa", "PTR")) == "NXDOMAIN"
    assert told(await ask(found, "1.0.244.10.in-addr.arpa", "PTR")) == "NXDOMAIN"


POD = "10-244-0-9.shop.pod.cluster.local"


@pytest.mark.parametrize(
    ("options", "name", "type", "answer"),
    [
        ("pods disabled", POD, "A", "NXDOMAIN"),
        ("pods disabled", "shop.pod.cluster.local", "A", "NXDOMAIN"),
        ("pods insecure", POD, "A", ["10.244.0.9"]),
        ("pods insecure", POD, "AAAA", "NODATA"),
        ("pods insecure", "192-0-2-1.shop.pod.cluster.local", "A", ["192.0.2.1"]),
        ("pods insecure", "2001-db8--9.shop.pod.cluster.local", "AAAA", ["2001:db8::9"]),
        ("pods insecure", "--1.shop.pod.cluster.local", "AAAA", ["::1"]),
        ("pods insecure", "192-0-2-256.shop.pod.cluster.local", "A", "NXDOMAIN"),
        ("pods insecure", "192-0-2.shop.pod.cluster.local", "A", "NXDOMAIN"),
        ("pods insecure", r"192-0-2-\000.shop.pod.cluster.local", "A", "NXDOMAIN"),
        ("pods insecure", r"192-0-2-\178.shop.pod.cluster.local", "A", "NXDOMAIN"),
        ("pods insecure", "any.shop.pod.cluster.local", "A", "NXDOMAIN"),
        ("pods insecure", "10-244-0-9.absent.pod.cluster.local", "A", "NXDOMAIN"),
        ("pods insecure", "shop.pod.cluster.local", "A", "NODATA"),
        ("pods insecure", "absent.pod.cluster.local", "A", "NXDOMAIN"),
        ("pods insecure\nnamespaces blue", POD, "A", "NXDOMAIN"),
        ("pods verified", POD, "A", ["10.244.0.9"]),
        ("pods verified", "2001-db8--9.shop.pod.cluster.local", "AAAA", ["2001:db8::9"]),
        ("pods verified", "192-0-2-1.shop.pod.cluster.local", "A", "NXDOMAIN"),
        ("pods verified", "10-244-0-9.blue.pod.cluster.local", "A", "NXDOMAIN"),
    ],
)
async def test_pods_have_the_names_that_are_wished_for(
    options: str, name: str, type: str, answer: list[str] | str
) -> None:
    pods = (*SHOP, pod("toolbox", "10.244.0.9", "2001:db8::9"), Namespace("blue"))
    assert await asked(name, type, options, pods) == answer


async def test_endpoints_can_be_called_by_their_pods() -> None:
    assert await asked("web-0." + WEB, options="endpoint_pod_names") == ["10.244.0.1"]
    assert await asked("10-244-0-1." + WEB, options="endpoint_pod_names") == "NXDOMAIN"
    assert await asked("db-0." + DB, options="endpoint_pod_names") == ["10.244.0.2"]
    assert await asked("1.0.244.10.in-addr.arpa", "PTR", "endpoint_pod_names") == [f"web-0.{WEB}."]
    assert await asked("web-0." + WEB) == "NXDOMAIN"


async def test_an_ipv6_address_in_dashes_does_not_end_in_one() -> None:
    objects = (service("db"), endpoints("db", endpoint("2001:db8::")))
    assert await asked("2001-db8--0." + DB, "AAAA", objects=objects) == ["2001:db8::"]


async def test_endpoints_that_share_a_host_name_share_its_records() -> None:
    objects = (service("db"), endpoints("db", endpoint("10.244.0.2", "db"), endpoint("10.244.0.3", "db")))
    assert await asked("db." + DB, objects=objects) == ["10.244.0.2", "10.244.0.3"]
    assert await asked(DB, "SRV", objects=objects) == [f"0 50 80 db.{DB}."]


async def test_an_address_in_several_slices_is_told_once() -> None:
    slices = [endpoints("db", endpoint("10.244.0.2"), name=name) for name in ("db-x", "db-y")]
    assert await asked(DB, objects=(service("db"), *slices)) == ["10.244.0.2"]


async def test_without_endpoints_only_cluster_addresses_are_known() -> None:
    assert await asked(WEB, options="noendpoints") == ["10.96.0.1"]
    assert await asked("10-244-0-1." + WEB, options="noendpoints") == "NXDOMAIN"
    assert await asked(DB, options="noendpoints") == "NXDOMAIN"
    assert await asked("1.0.244.10.in-addr.arpa", "PTR", "noendpoints") == "NXDOMAIN"


@pytest.mark.parametrize("name", [IDLE, "_http._tcp." + IDLE, "_tcp." + IDLE])
async def test_an_empty_service_can_be_ignored_with_all_that_is_below(name: str) -> None:
    assert await asked(name, options="ignore empty_service") == "NXDOMAIN"
    assert await asked(name) != "NXDOMAIN"
    assert await asked(name.replace("idle", "web"), options="ignore empty_service") != "NXDOMAIN"


async def test_the_ttl_is_that_of_all_records_and_of_denials_up_to_five_minutes() -> None:
    found = cluster(*SHOP, options="ttl 600")
    assert [record.ttl for record in (await ask(found, WEB)).answer] == [600]
    assert [record.ttl for record in (await ask(found, "1.0.96.10.in-addr.arpa", "PTR")).answer] == [600]
    assert [record.ttl for record in (await ask(found, "absent.cluster.local")).authority] == [300]
    version = await ask(found, "dns-version.cluster.local", "TXT")
    assert [record.ttl for record in version.answer] == [28_800]


@pytest.mark.parametrize(
    ("options", "passed", "kept"),
    [
        ("fallthrough", {"absent." + WEB, "9.9.9.10.in-addr.arpa"}, {WEB, IDLE, "svc.cluster.local"}),
        ("fallthrough in-addr.arpa", {"9.9.9.10.in-addr.arpa"}, {"absent." + WEB, "1.0.96.10.in-addr.arpa"}),
        ("", {"www.example.org", "local"}, {"absent." + WEB, "9.9.9.10.in-addr.arpa"}),
    ],
)
async def test_only_names_that_do_not_exist_fall_through(options: str, passed: set[str], kept: set[str]) -> None:
    assert {await asked(name, "PTR", options) == "passed on" for name in passed} == {True}
    assert {await asked(name, "PTR", options) == "passed on" for name in kept} == {False}


SET = (
    imported("web", "10.97.0.1", "2001:db8:97::1"),
    imported("db"),
    endpoints("db", endpoint("10.1.0.1", "db-0"), endpoint("10.1.0.2"), cluster="east"),
    endpoints("db", endpoint("10.2.0.1", "db-0"), cluster="west"),
    imported("idle"),
    service("web", "10.96.0.1"),
)


@pytest.mark.parametrize(
    ("name", "type", "answer"),
    [
        ("web.shop", "A", ["10.97.0.1"]),
        ("web.shop", "AAAA", ["2001:db8:97::1"]),
        ("_http._tcp.web.shop", "SRV", ["0 50 80 web.shop.svc.clusterset.local."]),
        ("_tcp.web.shop", "A", "NODATA"),
        ("db.shop", "A", ["10.1.0.1", "10.1.0.2", "10.2.0.1"]),
        ("db-0.east.db.shop", "A", ["10.1.0.1"]),
        ("db-0.west.db.shop", "A", ["10.2.0.1"]),
        ("10-1-0-2.east.db.shop", "A", ["10.1.0.2"]),
        ("east.db.shop", "A", "NODATA"),
        ("north.db.shop", "A", "NXDOMAIN"),
        ("db-0.db.shop", "A", "NXDOMAIN"),
        ("db-0.north.db.shop", "A", "NXDOMAIN"),
        ("_http._tcp.db.shop", "SRV", [
            f"0 33 80 {name}.db.shop.svc.clusterset.local." for name in ("db-0.east", "10-1-0-2.east", "db-0.west")
        ]),
        ("_tcp.db.shop", "A", "NODATA"),
        ("idle.shop", "A", "NXDOMAIN"),
        ("_tcp.idle.shop", "A", "NXDOMAIN"),
        ("absent.shop", "A", "NXDOMAIN"),
        ("x.pin._zone.db.shop", "A", "NXDOMAIN"),
    ],
)  # fmt: skip
async def test_a_cluster_set_has_the_services_that_are_imported(name: str, type: str, answer: list[str] | str) -> None:
    options = "multicluster clusterset.local\nzonal"
    assert await asked(f"{name}.svc.clusterset.local", type, options, SET) == answer
    assert await asked(WEB, "A", options, SET) == ["10.96.0.1"]
    assert await asked(DB, "A", options, SET) == "NXDOMAIN"


@pytest.mark.parametrize(
    ("name", "answer"),
    [
        ("north.pin._zone.db", ["10.244.0.2"]),
        ("south.x.pin._zone.db", ["10.244.0.3"]),
        ("SOUTH.X.pin._zone.db", ["10.244.0.3"]),
        ("west.pin._zone.db", "NODATA"),
        ("north.prefer._zone.db", ["10.244.0.2"]),
        ("west.prefer._zone.db", ["10.244.0.2", "10.244.0.3"]),
        ("north.avoid._zone.db", "NXDOMAIN"),
        ("pin._zone.db", "NODATA"),
        ("_zone.db", "NODATA"),
        ("north.pin._zone.web", "NXDOMAIN"),
        ("pin._zone.web", "NXDOMAIN"),
        ("north.pin._zone.empty", "NXDOMAIN"),
        ("_zone.empty", "NXDOMAIN"),
        ("north.pin._zone.absent", "NXDOMAIN"),
    ],
)
async def test_the_endpoints_of_one_topology_zone(name: str, answer: list[str] | str) -> None:
    objects = (*SHOP, service("empty"))
    assert await asked(f"{name}.shop.svc.cluster.local", options="zonal", objects=objects) == answer
    assert await asked(f"{name}.shop.svc.cluster.local", objects=objects) == "NXDOMAIN"


async def test_services_without_ports_have_addresses_only() -> None:
    objects = (
        service("web", "10.96.0.1", ports=()),
        service("db"),
        endpoints("db", endpoint("10.244.0.2"), ports=()),
    )
    assert await asked(WEB, objects=objects) == ["10.96.0.1"]
    assert await asked(DB, objects=objects) == ["10.244.0.2"]
    assert await asked(WEB, "SRV", objects=objects) == "NODATA"
    assert await asked(DB, "SRV", objects=objects) == "NODATA"


async def test_a_port_left_open_is_no_place_to_go() -> None:
    slices = endpoints("db", endpoint("10.244.0.2"), ports=(Port("http", 0, "tcp"),))
    assert await asked(DB, "SRV", objects=(service("db"), slices)) == "NODATA"


async def test_the_shares_of_many_endpoints_are_at_least_one() -> None:
    many = [endpoint(f"10.0.0.{last}") for last in range(150)]
    answer = await asked(DB, "SRV", objects=(service("db"), endpoints("db", *many)))
    assert {line.split()[1] for line in answer} == {"1"}


async def test_a_target_whose_name_would_be_too_long_is_left_out() -> None:
    long = "x" * 63
    objects = (
        imported(long, namespace=long),
        endpoints(long, endpoint("10.1.0.1", long), endpoint("10.1.0.2", "db"), namespace=long, cluster="e" * 60),
    )
    options = "multicluster clusterset.local"
    name = f"{long}.{long}.svc.clusterset.local"
    assert await asked(name, "SRV", options, objects) == [f"0 50 80 db.{'e' * 60}.{name}."]


async def test_other_classes_are_not_its_business() -> None:
    found = cluster(*SHOP)
    assert await found.answer(query(WEB, klass=codes.CH), elsewhere) is ELSEWHERE
