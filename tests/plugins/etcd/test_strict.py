"""etcd in strict mode: a name has what is meant for it, names above it are empty, and an alias is alone."""

from __future__ import annotations

import pytest

from pydnsk8s import testing

from .test_subtree import denied
from .zones import Pairs, put, remove, serving

PAIRS: Pairs = {
    "org/example/web/0a": {"host": "192.0.2.1", "targetstrip": 1},
    "org/example/web/0b": {"host": "192.0.2.2", "targetstrip": 1},
    "org/example/web/below": {"host": "192.0.2.3"},
    "org/example/deep/down/here": {"host": "192.0.2.4"},
    "org/example/0c": {"host": "192.0.2.5", "targetstrip": 1},
    "org/example/www/0d": {"host": "web.example.org", "targetstrip": 1, "text": '"heritage=external-dns"'},
    "org/example/shop": {"host": "www.example.org"},
    "org/example/gone": {"host": "nothing.example.org"},
    "org/example/self": {"host": "self.example.org"},
    "org/example/loop": {"host": "pool.example.org"},
    "org/example/pool": {"host": "loop.example.org"},
    "org/example/down": {"host": "web.down.example.org"},
    "org/example/down/web": {"host": "192.0.2.6"},
    "org/example/both/0e": {"host": "web.example.org", "targetstrip": 1},
    "org/example/both/0f": {"host": "192.0.2.7", "targetstrip": 1},
    "org/example/_tcp/_sip": {"host": "web.example.org", "port": 5060},
    "org/example/mx": {"host": "web.example.org", "mail": True, "priority": 5},
    "org/example/apps/*/0g": {"host": "192.0.2.8", "targetstrip": 1},
    "org/example/dns/ns/0h": {"host": "192.0.2.53", "targetstrip": 1},
    "org/example/dns/ns/0i": {"host": "web.example.org", "targetstrip": 1},
}


async def answers(name: str, type: str = "A") -> testing.Answer:
    async with serving(PAIRS, "mode strict") as (dns, _):
        return await dns.ask(name, type)


async def test_a_name_has_its_own_values_only() -> None:
    assert (await answers("web.example.org")).answer == [
        "web.example.org. 300 A 192.0.2.1",
        "web.example.org. 300 A 192.0.2.2",
    ]
    assert (await answers("below.web.example.org")).answer == ["below.web.example.org. 300 A 192.0.2.3"]
    assert (await answers("example.org")).answer == ["example.org. 300 A 192.0.2.5"]


@pytest.mark.parametrize("name", ["deep", "down.deep", "_tcp", "apps", "dns"])
async def test_a_name_with_others_below_it_is_empty(name: str) -> None:
    denied(await answers(f"{name}.example.org"), "NOERROR")


@pytest.mark.parametrize("name", ["nothing", "0a.web", "any.deep", "*.deep", "x.down.deep"])
async def test_what_is_not_there_does_not_exist(name: str) -> None:
    denied(await answers(f"{name}.example.org"), "NXDOMAIN")


async def test_an_alias_answers_every_type() -> None:
    for type in ("A", "AAAA", "TXT", "MX"):
        answer = await answers("www.example.org", type)
        assert answer.answer[0] == "www.example.org. 300 CNAME web.example.org."
        assert len(answer.answer) == (3 if type == "A" else 1)
        assert len(answer.authority) == (0 if type == "A" else 1)
    assert (await answers("shop.example.org")).answer[:2] == [
        "shop.example.org. 300 CNAME www.example.org.",
        "www.example.org. 300 CNAME web.example.org.",
    ]
    assert (await answers("shop.example.org", "CNAME")).answer == ["shop.example.org. 300 CNAME www.example.org."]
    assert len((await answers("down.example.org")).answer) == 2


async def test_an_alias_shows_the_code_of_its_end() -> None:
    gone = await answers("gone.example.org")
    assert gone.rcode == "NXDOMAIN"
    assert gone.answer == ["gone.example.org. 300 CNAME nothing.example.org."]
    assert len(gone.authority) == 1


async def test_a_loop_of_aliases_ends() -> None:
    denied(await answers("self.example.org"), "NOERROR")
    assert len((await answers("loop.example.org")).answer) <= 2


async def test_an_address_leaves_no_room_for_an_alias() -> None:
    assert (await answers("both.example.org")).answer == ["both.example.org. 300 A 192.0.2.7"]


async def test_services_and_mail_are_no_aliases() -> None:
    denied(await answers("_sip._tcp.example.org"), "NOERROR")
    sip = await answers("_sip._tcp.example.org", "SRV")
    assert sip.answer == ["_sip._tcp.example.org. 300 SRV 10 100 5060 web.example.org."]
    assert len(sip.additional) == 2
    denied(await answers("web.example.org", "SRV"), "NOERROR")
    assert (await answers("mx.example.org", "MX")).answer == ["mx.example.org. 300 MX 5 web.example.org."]


async def test_a_wildcard_is_for_names_that_are_not_there() -> None:
    assert (await answers("a.b.apps.example.org")).answer == ["a.b.apps.example.org. 300 A 192.0.2.8"]
    assert (await answers("*.apps.example.org")).answer == ["*.apps.example.org. 300 A 192.0.2.8"]
    denied(await answers("a.apps.example.org", "TXT"), "NOERROR")


async def test_name_servers_are_addresses_and_names() -> None:
    answer = await answers("example.org", "NS")
    assert answer.answer == ["example.org. 300 NS ns.dns.example.org.", "example.org. 300 NS web.example.org."]
    assert answer.additional[0] == "ns.dns.example.org. 300 A 192.0.2.53"
    assert (await answers("ns.dns.example.org")).answer[:1] == ["ns.dns.example.org. 300 A 192.0.2.53"]


async def test_a_host_in_a_reverse_zone_is_what_its_address_points_to() -> None:
    pairs: Pairs = {"arpa/in-addr/192/0/2/1": {"host": "web.example.org"}}
    async with serving(pairs, "mode strict", zones="192.0.2.0/24") as (dns, _):
        answer = await dns.ask("1.2.0.192.in-addr.arpa", "PTR")
        assert answer.answer == ["1.2.0.192.in-addr.arpa. 300 PTR web.example.org."]
        assert (await dns.ask("1.2.0.192.in-addr.arpa", "A")).answer == []


async def test_a_wildcard_gives_way_when_a_name_comes_to_be() -> None:
    async with serving(PAIRS, "mode strict") as (dns, tree):
        assert (await dns.ask("a.apps.example.org")).rcode == "NOERROR"
        put(tree, {"org/example/apps/a/b": {"host": "192.0.2.9"}})
        denied(await dns.ask("a.apps.example.org"), "NOERROR")
        remove(tree, "org/example/apps/a/b", "org/example/apps/*/0g")
        denied(await dns.ask("a.apps.example.org"), "NXDOMAIN")
