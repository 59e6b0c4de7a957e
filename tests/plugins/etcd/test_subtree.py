"""etcd as CoreDNS serves it: a name has what is at its key and everything below."""

from __future__ import annotations

import pytest

from pydnsk8s import testing
from pydnsk8s.etcd.tree import MOST
from pydnsk8s.keep import Stamp

from .zones import Pairs, put, remove, serving

SOA = "example.org. 30 SOA ns.dns.example.org. hostmaster.example.org."


async def answers(pairs: Pairs, name: str, type: str = "A", options: str = "") -> testing.Answer:
    async with serving(pairs, options) as (dns, _):
        return await dns.ask(name, type)


def denied(answer: testing.Answer, rcode: str) -> None:
    """The answer is NODATA or NXDOMAIN as they should be."""
    assert (answer.rcode, answer.answer, answer.additional) == (rcode, [], [])
    assert [line.rpartition(".")[0] + "." for line in answer.authority] == [SOA]
    assert "aa" in answer.flags
    assert "ra" not in answer.flags


WEB: Pairs = {
    "org/example/web/x1": {"host": "192.0.2.1", "port": 80},
    "org/example/web/x2": {"host": "192.0.2.2", "port": 80, "ttl": 60},
    "org/example/web/x3": {"host": "2001:db8::3", "port": 80},
}


async def test_addresses_are_those_of_all_keys_below() -> None:
    answer = await answers(WEB, "WEB.example.org")
    assert sorted(answer.answer) == ["WEB.example.org. 300 A 192.0.2.1", "WEB.example.org. 60 A 192.0.2.2"]
    assert answer.flags == {"qr", "aa", "rd"}
    answer = await answers(WEB, "web.example.org", "AAAA")
    assert answer.answer == ["web.example.org. 300 AAAA 2001:db8::3"]


async def test_a_key_with_others_below_it_keeps_its_own_value() -> None:
    answer = await answers({**WEB, "org/example/web": {"host": "192.0.2.9"}}, "web.example.org")
    assert len(answer.answer) == 3
    assert "web.example.org. 300 A 192.0.2.9" in answer.answer


async def test_the_same_address_is_shown_once() -> None:
    pairs: Pairs = {"org/example/web/a": {"host": "192.0.2.1"}, "org/example/web/b": {"host": "192.0.2.1", "port": 8}}
    assert (await answers(pairs, "web.example.org")).answer == ["web.example.org. 300 A 192.0.2.1"]


async def test_names_and_types_that_are_not_there() -> None:
    denied(await answers(WEB, "web.example.org", "TXT"), "NOERROR")
    denied(await answers(WEB, "web.example.org", "HINFO"), "NOERROR")
    denied(await answers(WEB, "web.example.org", "CNAME"), "NOERROR")
    denied(await answers(WEB, "nothing.example.org"), "NXDOMAIN")
    denied(await answers(WEB, "web.web.example.org"), "NXDOMAIN")
    denied(await answers(WEB, r"web\047x1.example.org"), "NXDOMAIN")


async def test_the_soa_is_at_the_apex_only() -> None:
    answer = await answers(WEB, "example.org", "SOA")
    assert answer.answer[0].startswith(SOA)
    denied(await answers(WEB, "web.example.org", "SOA"), "NOERROR")
    denied(await answers(WEB, "nothing.example.org", "SOA"), "NXDOMAIN")


async def test_the_apex_exists_whatever_is_below_it() -> None:
    denied(await answers({}, "example.org"), "NOERROR")
    denied(await answers(WEB, "example.org", "NS"), "NOERROR")


async def test_the_apex_has_the_addresses_of_apex_dns_or_else_all_there_are() -> None:
    assert len((await answers(WEB, "example.org")).answer) == 2
    pairs: Pairs = {**WEB, "org/example/dns/apex/x": {"host": "192.0.2.7"}}
    assert (await answers(pairs, "example.org")).answer == ["example.org. 300 A 192.0.2.7"]
    denied(await answers(pairs, "example.org", "AAAA"), "NOERROR")


async def test_name_servers_with_their_addresses() -> None:
    pairs: Pairs = {
        "org/example/dns/ns/a": {"host": "192.0.2.2"},
        "org/example/dns/ns/b/1": {"host": "192.0.2.3", "targetstrip": 1},
        "org/example/dns/ns/b/2": {"host": "2001:db8::3", "targetstrip": 1},
        "org/example/dns/ns/c": {"host": "ns.example.net"},
    }
    answer = await answers(pairs, "example.org", "NS")
    assert answer.answer == [
        "example.org. 300 NS a.ns.dns.example.org.",
        "example.org. 300 NS b.ns.dns.example.org.",
        "example.org. 300 NS ns.example.net.",
    ]
    assert answer.additional == [
        "a.ns.dns.example.org. 300 A 192.0.2.2",
        "b.ns.dns.example.org. 300 A 192.0.2.3",
        "b.ns.dns.example.org. 300 AAAA 2001:db8::3",
    ]


async def test_name_servers_of_a_crowded_zone_have_their_addresses_too() -> None:
    crowd = {f"org/example/h{number}": {"host": "192.0.2.1"} for number in range(MOST)}
    pairs: Pairs = {**crowd, "org/example/dns/ns/a": {"host": "h7.example.org"}}
    assert (await answers(pairs, "example.org", "NS")).additional == ["h7.example.org. 300 A 192.0.2.1"]


ALIASES: Pairs = {
    **WEB,
    "org/example/www": {"host": "web.example.org", "ttl": 5},
    "org/example/shop/x": {"host": "www.example.org", "targetstrip": 1},
    "org/example/gone": {"host": "nothing.example.org"},
    "org/example/loop/a": {"host": "b.loop.example.org"},
    "org/example/loop/b": {"host": "a.loop.example.org"},
    "org/example/self": {"host": "below.self.example.org"},
    "org/example/old/x": {"host": "web.example.org", "text": '"heritage=external-dns"', "targetstrip": 1},
}


async def test_an_alias_is_followed_in_the_zone() -> None:
    answer = await answers(ALIASES, "shop.example.org", "AAAA")
    assert answer.answer == [
        "shop.example.org. 300 CNAME www.example.org.",
        "www.example.org. 5 CNAME web.example.org.",
        "web.example.org. 300 AAAA 2001:db8::3",
    ]
    assert (await answers(ALIASES, "shop.example.org", "CNAME")).answer == answer.answer[:1]


@pytest.mark.parametrize("name", ["gone", "loop", "a.loop", "self"])
async def test_an_alias_that_leads_nowhere_in_the_zone_is_left_out(name: str) -> None:
    denied(await answers(ALIASES, f"{name}.example.org"), "NOERROR")


async def test_a_host_name_with_a_text_stays_an_alias() -> None:
    answer = await answers(ALIASES, "old.example.org")
    assert answer.answer[0] == "old.example.org. 300 CNAME web.example.org."
    assert len(answer.answer) == 3
    assert (await answers(ALIASES, "old.example.org", "TXT")).answer == [
        r'old.example.org. 300 TXT "\"heritage=external-dns\""'
    ]


@pytest.mark.timeout(30)
@pytest.mark.parametrize("zones", ["example.org", "example.org example.net"])
async def test_aliases_that_fan_out_again_and_again_are_not_followed_for_ever(zones: str) -> None:
    """A hundred keys make ten thousand million ways from the first name to the last."""
    pairs: dict[str, dict[str, object]] = {"org/example/last": {"host": "192.0.2.1"}}
    for level in range(10):
        # Where there are two zones the way leads from one to the other and back.
        here, there = (zones.split() * 2)[level % 2], (zones.split() * 2)[(level + 1) % 2]
        for way in range(10):
            key = "/".join((*reversed(here.split(".")), f"level{level}", str(way)))
            pairs[key] = {"host": f"level{level + 1}.{there}" if level < 9 else "last.example.org"}
    async with serving(pairs, zones=zones) as (dns, _):
        answer = await dns.ask("level0.example.org")
        assert answer.rcode == "NOERROR"
        follower = await dns.ask("last.example.org")
        assert follower.answer == ["last.example.org. 300 A 192.0.2.1"]


async def test_an_alias_is_followed_outside_through_the_server() -> None:
    other = "example.net {\n hosts {\n 192.0.2.99 there.example.net\n }\n}\n"
    pairs: Pairs = {
        "org/example/out": {"host": "there.example.net"},
        "org/example/lost": {"host": "nothing.example.com"},
        "org/example/srv": {"host": "there.example.net", "port": 5},
    }
    async with serving(pairs, more=other) as (dns, _):
        assert (await dns.ask("out.example.org")).answer == [
            "out.example.org. 300 CNAME there.example.net.",
            "there.example.net. 3600 A 192.0.2.99",
        ]
        lost = await dns.ask("lost.example.org")
        assert (lost.rcode, lost.answer) == ("NOERROR", ["lost.example.org. 300 CNAME nothing.example.com."])
        assert (await dns.ask("srv.example.org", "SRV")).additional == ["there.example.net. 3600 A 192.0.2.99"]


async def test_services_share_a_hundred_at_each_priority() -> None:
    pairs: Pairs = {
        "org/example/sip/a": {"host": "192.0.2.1", "port": 5060, "weight": 1},
        "org/example/sip/b": {"host": "192.0.2.2", "port": 5060, "weight": 2},
        "org/example/sip/c/x": {"host": "192.0.2.3", "port": 5061, "priority": 20, "targetstrip": 1},
        "org/example/sip/d": {"host": "web.example.org", "port": 5062, "priority": 30},
        "org/example/sip/e": {"host": "192.0.2.5", "port": -1, "priority": 40},
        "org/example/sip/f": {"text": "no host"},
        "org/example/web": {"host": "192.0.2.80"},
        "org/example/web/six": {"host": "2001:db8::80"},
    }
    answer = await answers(pairs, "sip.example.org", "SRV")
    assert answer.answer == [
        "sip.example.org. 300 SRV 10 33 5060 a.sip.example.org.",
        "sip.example.org. 300 SRV 10 66 5060 b.sip.example.org.",
        "sip.example.org. 300 SRV 20 100 5061 c.sip.example.org.",
        "sip.example.org. 300 SRV 30 100 5062 web.example.org.",
    ]
    assert sorted(answer.additional) == [
        "a.sip.example.org. 300 A 192.0.2.1",
        "b.sip.example.org. 300 A 192.0.2.2",
        "c.sip.example.org. 300 A 192.0.2.3",
        "web.example.org. 300 A 192.0.2.80",
        "web.example.org. 300 AAAA 2001:db8::80",
    ]


async def test_mail_is_what_says_so() -> None:
    pairs: Pairs = {
        "org/example/m/a": {"host": "mx.example.org", "priority": 50, "mail": True, "targetstrip": 1},
        "org/example/m/b": {"host": "192.0.2.25", "mail": True},
        "org/example/m/c": {"host": "192.0.2.26"},
        "org/example/mx": {"host": "192.0.2.27"},
    }
    answer = await answers(pairs, "m.example.org", "MX")
    assert answer.answer == ["m.example.org. 300 MX 50 mx.example.org.", "m.example.org. 300 MX 10 b.m.example.org."]
    assert answer.additional == ["mx.example.org. 300 A 192.0.2.27", "b.m.example.org. 300 A 192.0.2.25"]


async def test_a_long_text_comes_in_strings_of_255() -> None:
    answer = await answers({"org/example/t": {"text": "0" * 300}}, "t.example.org", "TXT")
    assert answer.answer == [f't.example.org. 300 TXT "{"0" * 255}" "{"0" * 45}"']


async def test_a_text_beside_an_address_is_a_record_of_its_own() -> None:
    pairs: Pairs = {"org/example/t/x": {"host": "192.0.2.1", "text": "note"}}
    assert (await answers(pairs, "t.example.org", "TXT")).answer == ['t.example.org. 300 TXT "note"']
    assert (await answers(pairs, "t.example.org")).answer == ["t.example.org. 300 A 192.0.2.1"]


async def test_an_address_points_to_its_name() -> None:
    pairs: Pairs = {
        "arpa/in-addr/192/0/2/1": {"host": "web.example.org"},
        "arpa/in-addr/192/0/2/2": {"host": "192.0.2.1"},
    }
    async with serving(pairs, zones="192.0.2.0/24") as (dns, _):
        assert (await dns.ask("1.2.0.192.in-addr.arpa", "PTR")).answer == [
            "1.2.0.192.in-addr.arpa. 300 PTR web.example.org."
        ]
        assert (await dns.ask("2.2.0.192.in-addr.arpa", "PTR")).rcode == "NOERROR"
        assert (await dns.ask("3.2.0.192.in-addr.arpa", "PTR")).rcode == "NXDOMAIN"
        assert (await dns.ask("2.0.192.in-addr.arpa", "PTR")).rcode == "NOERROR"


@pytest.mark.parametrize(
    ("groups", "shown"),
    [
        (("", "a", "b"), ["1", "2", "3"]),
        (("a", "a", "b"), ["1", "2"]),
        (("a", "", "b"), ["1", "2"]),
        (("b", "a", "b"), ["1", "3"]),
    ],
)
async def test_the_shortest_key_chooses_the_group(groups: tuple[str, ...], shown: list[str]) -> None:
    pairs: Pairs = {
        f"org/example/{key}": {"host": f"192.0.2.{number}", "group": group}
        for number, (key, group) in enumerate(zip(("g", "g/a", "g/b"), groups, strict=True), 1)
    }
    answer = await answers(pairs, "g.example.org")
    assert sorted(line.rpartition(".")[2] for line in answer.answer) == shown


async def test_short_keys_that_disagree_choose_no_group() -> None:
    pairs: Pairs = {
        f"org/example/g/{number}": {"host": f"192.0.2.{number}", "group": group} for number, group in enumerate("aab")
    }
    assert len((await answers(pairs, "g.example.org")).answer) == 3


async def test_an_asterisk_in_a_question_stands_for_any_label() -> None:
    pairs: Pairs = {
        "org/example/east/db/x": {"host": "192.0.2.1"},
        "org/example/west/db/x": {"host": "192.0.2.2"},
        "org/example/west/web/x": {"host": "192.0.2.3"},
    }
    assert len((await answers(pairs, "db.*.example.org")).answer) == 2
    assert len((await answers(pairs, "db.any.example.org")).answer) == 2
    assert len((await answers(pairs, "*.west.example.org")).answer) == 2
    denied(await answers(pairs, "*.db.west.example.org", "TXT"), "NOERROR")
    denied(await answers(pairs, "*.web.east.example.org"), "NXDOMAIN")


async def test_an_asterisk_in_a_question_is_not_for_zones_of_any_size() -> None:
    crowd = {f"org/example/h{number}/x": {"host": "192.0.2.1"} for number in range(MOST)}
    async with serving({**crowd, "org/example/east/db": {"host": "192.0.2.2"}}) as (dns, tree):
        assert (await dns.ask("h7.any.example.org")).rcode == "SERVFAIL"
        assert (await dns.ask("h8.*.example.org")).answer == []
        assert (await dns.ask("*.east.example.org")).answer == ["*.east.example.org. 300 A 192.0.2.2"]
        remove(tree, "org/example/h7/x")
        assert (await dns.ask("db.any.example.org")).answer == ["db.any.example.org. 300 A 192.0.2.2"]
        denied(await dns.ask("h7.any.example.org"), "NXDOMAIN")


async def test_a_label_any_of_the_zone_itself_stands_for_itself() -> None:
    pairs: Pairs = {"org/any/web": {"host": "192.0.2.1"}, "org/other/web": {"host": "192.0.2.2"}}
    async with serving(pairs, zones="any.org other.org") as (dns, _):
        assert (await dns.ask("web.any.org")).answer == ["web.any.org. 300 A 192.0.2.1"]
        assert len((await dns.ask("*.any.org")).answer) == 1


async def test_an_asterisk_in_a_key_stands_for_every_name_that_is_not_there() -> None:
    pairs: Pairs = {
        "org/example/apps/*/x": {"host": "192.0.2.1", "port": 80, "targetstrip": 1},
        "org/example/apps/web/x": {"host": "192.0.2.2", "targetstrip": 1},
    }
    assert (await answers(pairs, "db.apps.example.org")).answer == ["db.apps.example.org. 300 A 192.0.2.1"]
    assert (await answers(pairs, "a.b.apps.example.org")).answer == ["a.b.apps.example.org. 300 A 192.0.2.1"]
    assert (await answers(pairs, "web.apps.example.org")).answer == ["web.apps.example.org. 300 A 192.0.2.2"]
    denied(await answers(pairs, "db.web.apps.example.org"), "NXDOMAIN")
    denied(await answers(pairs, "db.example.org"), "NXDOMAIN")
    services = await answers(pairs, "db.apps.example.org", "SRV")
    assert services.answer == ["db.apps.example.org. 300 SRV 10 100 80 db.apps.example.org."]


async def test_one_bad_value_spoils_nothing_else() -> None:
    pairs: Pairs = {**WEB, "org/example/web/bad": '{"host": "192.0.2.4"', "org/example/bad": "?"}
    assert len((await answers(pairs, "web.example.org")).answer) == 2
    denied(await answers(pairs, "bad.example.org"), "NOERROR")


async def test_a_lease_limits_the_ttl() -> None:
    pairs: Pairs = {"org/example/a": {"host": "192.0.2.1"}, "org/example/b": {"host": "192.0.2.2", "ttl": 45}}
    async with testing.stopped_clock() as clock, serving({}, "min-lease-ttl 30\nmax-lease-ttl 1h") as (dns, tree):
        put(tree, pairs, lease=1)
        put(tree, {"org/example/c": {"host": "192.0.2.3"}}, lease=2)

        async def ttls() -> list[int]:
            lines = [(await dns.ask(f"{name}.example.org")).answer[0] for name in "abc"]
            return [int(line.split()[1]) for line in lines]

        assert await ttls() == [30, 30, 30]
        tree.leases.learn(1, 100)
        tree.leases.learn(2, 7200)
        assert await ttls() == [100, 45, 3600]
        await clock.advance(1)
        assert await ttls() == [99, 45, 3600]
        await clock.advance(59)
        assert await ttls() == [40, 40, 3600]
        await clock.advance(3600)
        assert await ttls() == [30, 30, 3540]
        tree.leases.learn(1, 50)
        assert await ttls() == [50, 45, 3540]


async def test_a_change_is_seen_at_once_and_ends_no_other_answer() -> None:
    async with serving(WEB) as (dns, tree):
        put(tree, {"org/example/db": {"host": "192.0.2.5"}})
        for name in ("web", "db", "nothing"):
            await dns.ask(f"{name}.example.org")
            assert (await dns.ask(f"{name}.example.org")).replayed
        put(tree, {"org/example/web/x1": {"host": "192.0.2.11"}})
        assert (await dns.ask("db.example.org")).replayed
        assert (await dns.ask("nothing.example.org")).replayed
        assert "web.example.org. 300 A 192.0.2.11" in (await dns.ask("web.example.org")).answer
        remove(tree, "org/example/db")
        denied(await dns.ask("db.example.org"), "NXDOMAIN")
        put(tree, {"org/example/nothing/x": {"text": "now"}})
        denied(await dns.ask("nothing.example.org"), "NOERROR")


async def test_before_the_first_list_nothing_is_denied_or_handed_on() -> None:
    async with serving({}, "fallthrough\n}\ncache {") as (dns, tree):
        tree.unknown = Stamp()
        answer = await dns.ask("web.example.org")
        assert answer.rcode == "SERVFAIL"
        tree.complete()
        put(tree, WEB)
        assert len((await dns.ask("web.example.org")).answer) == 2


async def test_what_does_not_exist_falls_through_until_it_does() -> None:
    options = "fallthrough\n }\n whoami\n log {"
    async with serving(WEB, options, zones=".") as (dns, tree):
        assert len((await dns.ask("web.example.org")).answer) == 2
        other = await dns.ask("web.example.net")
        assert (other.rcode, len(other.additional)) == ("NOERROR", 2)
        assert (await dns.ask("example.net", "SOA")).additional, "SOA is at the apex only"
        assert (await dns.ask(".", "NS")).additional, "no name servers of ours"
        assert not (await dns.ask("web.example.org", "MX")).additional, "NODATA falls through"
        put(tree, {"net/example/web": {"host": "192.0.2.4"}})
        assert (await dns.ask("web.example.net")).answer == ["web.example.net. 300 A 192.0.2.4"]


async def test_transfers_are_refused() -> None:
    async with serving(WEB) as (dns, _):
        assert (await dns.ask("example.org", "AXFR", tcp=True)).rcode == "REFUSED"
