"""kubernetes: the Kubernetes DNS specification, asked of the example cluster."""

from __future__ import annotations

import pytest

from pydnsk8s import names
from pydnsk8s.testing import Answer

from .clusters import endpoint, endpoints, example, service, serving

SVC = "svc.cluster.local."
V6 = names.text(names.reverse(bytes.fromhex("20010db8009600000000000000003000")))


async def asked(name: str, type: str) -> Answer:
    async with serving(*example()) as (dns, _):
        return await dns.ask(name, type)


def data(lines: list[str]) -> list[str]:
    """The records without owner and TTL."""
    return [line.split(" ", 3)[3] for line in lines]


CLUSTER_IP = [
    (f"kubernetes.default.{SVC}", "A", ["10.96.0.1"]),
    (f"web.shop.{SVC}", "A", ["10.96.12.20"]),
    (f"web.shop.{SVC}", "AAAA", ["2001:db8:96::c20"]),
    (f"dashboard.monitoring.{SVC}", "AAAA", ["2001:db8:96::3000"]),
    (f"admin.shop.{SVC}", "A", ["10.96.12.80"]),
    (f"front.shop.{SVC}", "A", ["10.96.12.90"]),
    (f"database.legacy.{SVC}", "A", ["10.96.40.1"]),
    (f"returns.shop.{SVC}", "A", ["10.96.12.70"]),
    (f"_https._tcp.kubernetes.default.{SVC}", "SRV", [f"0 100 443 kubernetes.default.{SVC}"]),
    (f"_dns._udp.kube-dns.kube-system.{SVC}", "SRV", [f"0 100 53 kube-dns.kube-system.{SVC}"]),
    (f"dns-tcp.tcp.kube-dns.kube-system.{SVC}", "SRV", [f"0 100 53 kube-dns.kube-system.{SVC}"]),
    (f"_http._tcp.web.shop.{SVC}", "SRV", [f"0 50 80 web.shop.{SVC}"]),
    (f"_http._tcp.web.shop.{SVC}", "AAAA", ["2001:db8:96::c20"]),
    (f"mail.legacy.{SVC}", "SRV", [f"0 100 25 mail.legacy.{SVC}"]),
    (f"_._tcp.mail.legacy.{SVC}", "SRV", [f"0 100 25 mail.legacy.{SVC}"]),
    (f"10-244-1-25.mail.legacy.{SVC}", "A", ["10.244.1.25"]),
    ("10.0.96.10.in-addr.arpa", "PTR", [f"kube-dns.kube-system.{SVC}"]),
    (V6, "PTR", [f"dashboard.monitoring.{SVC}"]),
]
HEADLESS = [
    (f"basket.shop.{SVC}", "A", ["10.244.1.40", "10.244.2.40"]),
    (f"search.shop.{SVC}", "A", ["10.244.1.50", "10.244.2.50"]),
    (f"agents.monitoring.{SVC}", "A", ["10.244.1.9", "10.244.2.9"]),
    (f"agents.monitoring.{SVC}", "AAAA", ["2001:db8:244:1::9", "2001:db8:244:2::9"]),
    (f"basket-1.basket.shop.{SVC}", "A", ["10.244.2.40"]),
    (f"10-244-2-50.search.shop.{SVC}", "A", ["10.244.2.50"]),
    (f"2001-db8-244-1--9.agents.monitoring.{SVC}", "AAAA", ["2001:db8:244:1::9"]),
    (
        f"_redis._tcp.basket.shop.{SVC}",
        "SRV",
        [f"0 50 6379 basket-0.basket.shop.{SVC}", f"0 50 6379 basket-1.basket.shop.{SVC}"],
    ),
    (
        f"_peers._tcp.search.shop.{SVC}",
        "SRV",
        [f"0 50 9300 10-244-1-50.search.shop.{SVC}", f"0 50 9300 10-244-2-50.search.shop.{SVC}"],
    ),
    ("40.1.244.10.in-addr.arpa", "PTR", [f"basket-0.basket.shop.{SVC}"]),
    ("20.1.244.10.in-addr.arpa", "PTR", [f"10-244-1-20.{name}.shop.{SVC}" for name in ("admin", "front", "web")]),
    ("30.2.0.192.in-addr.arpa", "PTR", [f"192-0-2-30.database.legacy.{SVC}"]),
]
OTHERS = [
    ("dns-version.cluster.local", "TXT", ['"1.1.0"']),
    (f"payments.shop.{SVC}", "CNAME", ["payments.example.com."]),
    (f"payments.shop.{SVC}", "A", ["payments.example.com."]),
    (f"cart.shop.{SVC}", "A", [f"basket.shop.{SVC}", "10.244.1.40", "10.244.2.40"]),
]


@pytest.mark.parametrize(("name", "type", "found"), CLUSTER_IP + HEADLESS + OTHERS)
async def test_what_is_there(name: str, type: str, found: list[str]) -> None:
    answer = await asked(name, type)
    assert (answer.rcode, data(answer.answer), answer.authority) == ("NOERROR", found, [])
    assert "aa" in answer.flags


@pytest.mark.parametrize(("name", "type", "found"), CLUSTER_IP + HEADLESS + OTHERS)
async def test_letter_case_changes_nothing_but_the_spelling(name: str, type: str, found: list[str]) -> None:
    spelled = name.swapcase()
    answer = await asked(spelled, type)
    assert [line.casefold() for line in data(answer.answer)] == [line.casefold() for line in found]
    assert answer.answer[0].split()[0].rstrip(".") == spelled.rstrip(".")


@pytest.mark.parametrize(
    ("name", "type"),
    [
        (f"kubernetes.default.{SVC}", "AAAA"),
        (f"dashboard.monitoring.{SVC}", "A"),
        (f"basket.shop.{SVC}", "AAAA"),
        (f"basket-0.basket.shop.{SVC}", "AAAA"),
        (f"kubernetes.default.{SVC}", "MX"),
        (f"kubernetes.default.{SVC}", "TXT"),
        (f"kubernetes.default.{SVC}", "HTTPS"),
        (f"kubernetes.default.{SVC}", "SOA"),
        (f"payments.shop.{SVC}", "SRV"),
        # Names with others below them.
        ("cluster.local", "A"),
        (SVC, "A"),
        (SVC, "TXT"),
        ("pod.cluster.local", "A"),
        ("dns.cluster.local", "A"),
        (f"shop.{SVC}", "A"),
        (f"shop.{SVC}", "NS"),
        (f"_tcp.web.shop.{SVC}", "SRV"),
        (f"_tcp.mail.legacy.{SVC}", "SRV"),
        (f"_tcp.basket.shop.{SVC}", "SRV"),
    ],
)
async def test_what_is_there_without_the_type_asked_for(name: str, type: str) -> None:
    answer = await asked(name, type)
    assert (answer.rcode, answer.answer) == ("NOERROR", [])
    assert [line.partition(" SOA ns.dns.")[0] for line in answer.authority] == ["cluster.local. 5"]


@pytest.mark.parametrize("type", ["A", "AAAA", "SRV", "TXT", "SOA", "NS"])
@pytest.mark.parametrize(
    "name",
    [
        f"absent.shop.{SVC}",
        f"web.absent.{SVC}",
        f"absent.{SVC}",
        f"queue.shop.{SVC}",  # headless, and no endpoint is ready
        f"queue-0.queue.shop.{SVC}",
        f"_tcp.queue.shop.{SVC}",
        f"basket-2.basket.shop.{SVC}",  # not ready
        f"_absent._tcp.web.shop.{SVC}",
        f"_http._udp.web.shop.{SVC}",
        f"_udp.web.shop.{SVC}",
        f"a.b.c.web.shop.{SVC}",
        f"any.payments.shop.{SVC}",
        f"*._tcp.web.shop.{SVC}",
        f"_http._tcp.payments.shop.{SVC}",
        f"*.shop.{SVC}",
        "absent.cluster.local",
        "web.shop.cluster.local",
        "1.2.dns-version.cluster.local",
        "10-244-1-20.shop.pod.cluster.local",  # pods have no names unless an option says so
        "shop.pod.cluster.local",
    ],
)
async def test_what_is_not_there(name: str, type: str) -> None:
    answer = await asked(name, type)
    assert (answer.rcode, answer.answer) == ("NXDOMAIN", [])
    assert [line.partition(" SOA ns.dns.")[0] for line in answer.authority] == ["cluster.local. 5"]


async def test_service_records_bring_the_addresses_of_their_targets() -> None:
    clusters = await asked(f"_http._tcp.web.shop.{SVC}", "SRV")
    assert clusters.additional == [f"web.shop.{SVC} 5 A 10.96.12.20", f"web.shop.{SVC} 5 AAAA 2001:db8:96::c20"]
    headless = await asked(f"_redis._tcp.basket.shop.{SVC}", "SRV")
    assert headless.additional == [
        f"basket-0.basket.shop.{SVC} 5 A 10.244.1.40",
        f"basket-1.basket.shop.{SVC} 5 A 10.244.2.40",
    ]


async def test_the_soa_record_is_at_the_zone() -> None:
    answer = await asked("cluster.local", "SOA")
    zone, ttl, *_ = answer.answer[0].split()
    mname, rname, serial, *timers = data(answer.answer)[0].split()
    assert (zone, ttl, mname, rname) == ("cluster.local.", "5", "ns.dns.cluster.local.", "hostmaster.cluster.local.")
    assert int(serial) > 0
    assert timers == ["7200", "1800", "86400", "5"]


@pytest.mark.parametrize("type", ["AXFR", "IXFR"])
async def test_the_zone_is_not_given_away(type: str) -> None:
    async with serving(*example()) as (dns, _):
        assert (await dns.ask("cluster.local", type, tcp=True)).rcode == "REFUSED"


async def test_all_of_many_endpoints_are_told_over_tcp() -> None:
    many = [endpoint(f"10.0.{number // 250}.{number % 250}") for number in range(300)]
    async with serving(service("db"), endpoints("db", *many)) as (dns, _):
        assert "tc" in (await dns.ask(f"db.shop.{SVC}", "A")).flags
        assert len((await dns.ask(f"db.shop.{SVC}", "A", tcp=True)).answer) == 300
