"""kubernetes: names of addresses."""

from __future__ import annotations

import pytest

from pydnsk8s import codes, names
from tests.plugins.blocks import texts

from .clusters import ask, cluster, endpoint, endpoints, pod, service

V6 = names.text(names.reverse(bytes.fromhex("20010db8" + "00" * 11 + "01")))
OBJECTS = (
    service("web", "10.96.0.1", "2001:db8::1"),
    service("db"),
    endpoints("db", endpoint("10.244.0.2", "db-0"), endpoint("2001:db8:1::2")),
    service("copy"),
    endpoints("copy", endpoint("10.244.0.2")),
    pod("toolbox", "10.244.0.9"),
)


async def told(name: str, type: str = "PTR", zones: str = "cluster.local in-addr.arpa ip6.arpa") -> list[str] | str:
    reply = await ask(cluster(*OBJECTS, zones=zones, options="pods verified"), name, type)
    if reply.answer:
        return [line.split(" ", 3)[3] for line in texts(reply.answer)]
    return codes.rcode_name(reply.rcode) if reply.rcode else "NODATA"


@pytest.mark.parametrize(
    ("name", "answer"),
    [
        ("1.0.96.10.in-addr.arpa", ["web.shop.svc.cluster.local."]),
        (V6, ["web.shop.svc.cluster.local."]),
        ("2.0.244.10.in-addr.arpa", ["10-244-0-2.copy.shop.svc.cluster.local.", "db-0.db.shop.svc.cluster.local."]),
        ("9.0.244.10.in-addr.arpa", "NXDOMAIN"),  # a pod that no service selects
        ("3.0.96.10.in-addr.arpa", "NXDOMAIN"),
        ("01.0.96.10.in-addr.arpa", "NXDOMAIN"),
        ("web.0.96.10.in-addr.arpa", "NXDOMAIN"),
        ("1.1.0.96.10.in-addr.arpa", "NXDOMAIN"),
        (V6.replace("1.0.0.0", "g.0.0.0", 1), "NXDOMAIN"),
        # Networks that have addresses below them exist, others do not.
        ("0.96.10.in-addr.arpa", "NODATA"),
        ("10.in-addr.arpa", "NODATA"),
        ("1.96.10.in-addr.arpa", "NXDOMAIN"),
        ("11.in-addr.arpa", "NXDOMAIN"),
        (V6[2:], "NODATA"),
        ("8.b.d.0.1.0.0.2.ip6.arpa", "NODATA"),
        ("9.b.d.0.1.0.0.2.ip6.arpa", "NXDOMAIN"),
        ("in-addr.arpa", "NODATA"),
    ],
)
async def test_the_names_an_address_has(name: str, answer: list[str] | str) -> None:
    assert await told(name) == answer


@pytest.mark.parametrize("type", ["A", "TXT", "SOA", "NS"])
async def test_the_type_asked_for_does_not_make_a_name_exist(type: str) -> None:
    assert await told("1.0.96.10.in-addr.arpa", type) == "NODATA"
    assert await told("3.0.96.10.in-addr.arpa", type) == "NXDOMAIN"


async def test_names_have_no_pointers() -> None:
    assert await told("web.shop.svc.cluster.local") == "NODATA"


async def test_a_denial_shows_the_reverse_zone_that_was_asked() -> None:
    reply = await ask(cluster(zones="cluster.local 10.96.0.0/16 10.in-addr.arpa"), "1.0.96.10.in-addr.arpa", "PTR")
    assert [names.text(record.name) for record in reply.authority] == ["96.10.in-addr.arpa."]


async def test_pointers_lead_into_the_first_zone_of_names() -> None:
    zones = "in-addr.arpa example.org cluster.local"
    assert await told("1.0.96.10.in-addr.arpa", zones=zones) == ["web.shop.svc.example.org."]


async def test_without_reverse_zones_nothing_is_said_about_addresses() -> None:
    reply = await ask(cluster(*OBJECTS, zones="cluster.local"), "1.0.96.10.in-addr.arpa", "PTR")
    assert reply.plugin == "elsewhere"


async def test_the_same_address_at_two_services_gives_one_name() -> None:
    found = cluster(service("b", "10.96.0.1"), service("a", "10.96.0.1"), service("a", "10.96.0.1", namespace="blue"))
    assert texts((await ask(found, "1.0.96.10.in-addr.arpa", "PTR")).answer) == [
        "1.0.96.10.in-addr.arpa. 5 PTR a.blue.svc.cluster.local."
    ]


async def test_thousands_of_addresses_are_asked_for_and_each_gets_its_answer() -> None:
    shop = cluster(*OBJECTS)
    for number in range(3000):
        reply = await ask(shop, f"{number % 250 + 2}.{number // 250}.96.10.in-addr.arpa", "PTR")
        assert reply.rcode == codes.NXDOMAIN
        assert reply.keep.alive
    assert (await ask(shop, "1.0.96.10.in-addr.arpa", "PTR")).answer
