"""kubernetes: ExternalName services and what they lead to."""

from __future__ import annotations

import pytest

from pydnsk8s.kube.objects import Object
from pydnsk8s.testing import Answer

from .clusters import endpoint, endpoints, service, serving

ELSEWHERE = """
}
example.com:53 {
    hosts {
        192.0.2.1 www.example.com
        2001:db8::1 www.example.com
    }
}
example.org:53 {
    erratic {
        drop 0
        delay 0
        truncate 1
    }
"""
ALIAS = "alias.shop.svc.cluster.local."
DB = (service("db"), endpoints("db", endpoint("10.244.0.2", "db-0")))


async def asked(target: str, type: str = "A", *objects: Object) -> Answer:
    async with serving(service("alias", alias=target), *objects, more=ELSEWHERE) as (dns, _):
        return await dns.ask(ALIAS, type)


@pytest.mark.parametrize(
    ("target", "type", "chain"),
    [
        ("www.example.com", "A", ["www.example.com. 3600 A 192.0.2.1"]),
        ("WWW.example.com.", "AAAA", ["www.example.com. 3600 AAAA 2001:db8::1"]),
        ("www.example.com", "TXT", []),  # no such type there
        ("absent.example.com", "A", []),  # SERVFAIL there
        ("absent.shop.svc.cluster.local", "A", []),  # NXDOMAIN there
        ("www.example.net", "A", []),  # nobody to ask
        ("db.shop.svc.cluster.local", "A", ["db.shop.svc.cluster.local. 5 A 10.244.0.2"]),
        ("db.shop.svc.cluster.local", "AAAA", []),
        ("db-0.db.shop.svc.cluster.local", "A", ["db-0.db.shop.svc.cluster.local. 5 A 10.244.0.2"]),
    ],
)
async def test_an_alias_leads_on_and_stays_whatever_becomes_of_its_target(
    target: str, type: str, chain: list[str]
) -> None:
    answer = await asked(target, type, *DB)
    assert answer.rcode == "NOERROR"
    assert answer.answer == [f"{ALIAS} 5 CNAME {target.lower().rstrip('.')}.", *chain]
    assert "aa" in answer.flags


async def test_asked_for_the_alias_nothing_else_is_told() -> None:
    answer = await asked("db.shop.svc.cluster.local", "CNAME", *DB)
    assert answer.answer == [f"{ALIAS} 5 CNAME db.shop.svc.cluster.local."]


@pytest.mark.parametrize("type", ["SRV", "MX", "NS"])
async def test_other_types_than_a_host_has_are_not_there(type: str) -> None:
    answer = await asked("www.example.com", type)
    assert (answer.rcode, answer.answer, len(answer.authority)) == ("NOERROR", [], 1)


async def test_an_alias_of_an_alias() -> None:
    second = service("second", alias="www.example.com")
    answer = await asked("second.shop.svc.cluster.local", "A", second)
    assert answer.answer == [
        f"{ALIAS} 5 CNAME second.shop.svc.cluster.local.",
        "second.shop.svc.cluster.local. 5 CNAME www.example.com.",
        "www.example.com. 3600 A 192.0.2.1",
    ]


async def test_aliases_that_lead_in_a_circle_are_left_at_that() -> None:
    answer = await asked("second.shop.svc.cluster.local", "A", service("second", alias=ALIAS))
    assert answer.rcode == "NOERROR"
    assert answer.answer == [
        f"{ALIAS} 5 CNAME second.shop.svc.cluster.local.",
        f"second.shop.svc.cluster.local. 5 CNAME {ALIAS}",
    ]


async def test_an_alias_of_itself_is_none() -> None:
    answer = await asked(ALIAS)
    assert (answer.rcode, answer.answer, len(answer.authority)) == ("NOERROR", [], 1)


@pytest.mark.parametrize("address", ["192.0.2.1", "2001:db8::1"])
async def test_an_address_is_no_name_to_lead_to(address: str) -> None:
    assert (await asked(address)).rcode == "NXDOMAIN"


async def test_an_answer_cut_short_behind_the_alias_is_cut_short() -> None:
    answer = await asked("www.example.org")
    assert "tc" in answer.flags


async def test_a_kept_alias_ends_with_what_it_leads_to() -> None:
    target = "db.shop.svc.cluster.local"
    async with serving(service("alias", alias=target), *DB) as (dns, found):
        await dns.ask(ALIAS)
        assert (await dns.ask(ALIAS)).replayed
        found.index.put(endpoints("db", endpoint("10.244.0.3", "db-0")))
        answer = await dns.ask(ALIAS)
        assert (answer.replayed, answer.answer[1:]) == (False, [f"{target}. 5 A 10.244.0.3"])
        found.index.put(service("alias", "10.96.0.1"))
        assert (await dns.ask(ALIAS)).answer == [f"{ALIAS} 5 A 10.96.0.1"]
