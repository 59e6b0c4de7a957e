"""What is answered for a name with several clusters, and how long that holds."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pydnsk8s import codes, testing
from pydnsk8s.message import Query, Reply
from pydnsk8s.plugins.gslb import Gslb
from pydnsk8s.plugins.gslb.cluster import Cluster
from pydnsk8s.plugins.gslb.health import Judgement, State
from pydnsk8s.plugins.gslb.service import Service
from pydnsk8s.plugins.gslb.watch import Terms, Watch
from tests.plugins.blocks import elsewhere, plugin, query, texts

from .test_health import Nothing

NAME = b"\3app\7example\3org\0"
CLUSTERS = """
    cluster eu 192.0.2.1 192.0.2.2 2001:db8::1
    cluster us 192.0.2.3
"""


def gslb(options: str = "", clusters: str = CLUSTERS, more: str = "") -> Gslb:
    """The plugin with every target under a watch that the test moves; it need not be started."""
    found = plugin(Gslb, f"gslb app.example.org {{{clusters}{options}\n}}\n{more}")
    for service in found.services.values():
        for cluster in service.clusters:
            for address in cluster.addresses:
                watched = cluster.targets[address] = Watch(Nothing(), Terms())
                watched._listeners.add(service._changed)
        service._weigh_up()
    return found


def service(found: Gslb) -> Service:
    return found.services[NAME]


def turn(found: Gslb, tag: str, state: State, *which: int) -> None:
    """Say that targets of a cluster, all if none are given, are in this state now."""
    cluster: Cluster = next(held for held in service(found).clusters if held.tag == tag)
    for number, watched in enumerate(cluster.watches):
        if not which or number in which:
            watched.judgement = Judgement(state)
    service(found)._changed()


async def ask(found: Gslb, name: str = "app.example.org", type: str = "A") -> Reply:
    return await found.answer(query(name, type), elsewhere)


async def addresses(found: Gslb, type: str = "A", name: str = "app.example.org") -> set[str]:
    return {text.rpartition(" ")[2] for text in texts((await ask(found, name, type)).answer)}


async def test_round_robin_answers_with_every_healthy_address() -> None:
    found = gslb()
    assert await addresses(found) == {"192.0.2.1", "192.0.2.2", "192.0.2.3"}
    turn(found, "eu", State.DOWN, 1)
    assert await addresses(found) == {"192.0.2.1", "192.0.2.3"}


async def test_addresses_take_turns_in_and_behind_the_gate() -> None:
    found = gslb()
    replies = [await ask(found) for _ in range(6)]
    assert all(reply.keep.turns and reply.keep.live for reply in replies)
    assert Counter(reply.answer[0].data[-1] for reply in replies) == {1: 2, 2: 2, 3: 2}


async def test_both_families_come_from_the_same_targets() -> None:
    found = gslb("strategy failover")
    assert await addresses(found, "AAAA") == {"2001:db8::1"}
    turn(found, "eu", State.DOWN)
    reply = await ask(found, type="AAAA")
    assert (reply.rcode, reply.answer) == (codes.NOERROR, ())  # us has none; it is not asked elsewhere


async def test_failover_goes_to_the_next_and_back_to_the_primary() -> None:
    found = gslb("strategy failover", CLUSTERS + "cluster asia 192.0.2.4 primary\n")
    assert await addresses(found) == {"192.0.2.4"}
    turn(found, "asia", State.DOWN)
    assert await addresses(found) == {"192.0.2.1", "192.0.2.2"}
    turn(found, "eu", State.DOWN)
    assert await addresses(found) == {"192.0.2.3"}
    turn(found, "asia", State.UP)
    assert await addresses(found) == {"192.0.2.4"}


async def test_weights_decide_whose_addresses_a_query_gets() -> None:
    found = gslb("strategy weighted", "\ncluster eu 192.0.2.1 weight 3\ncluster us 192.0.2.3\n")
    drawn = Counter([(await addresses(found)).pop() for _ in range(2000)])
    assert 0.70 < drawn["192.0.2.1"] / 2000 < 0.80
    turn(found, "eu", State.DOWN)
    reply = await ask(found)
    assert texts(reply.answer) == ["app.example.org. 30 A 192.0.2.3"]
    assert reply.keep.live  # with one cluster there is nothing to draw


async def test_weights_hold_behind_a_cache() -> None:
    text = """
    example.org {
        cache
        gslb app.example.org {
            strategy weighted
            cluster eu 192.0.2.1
            cluster us 192.0.2.3
        }
    }
    """
    async with testing.serving(text) as dns:
        drawn = Counter([(await dns.ask("app.example.org")).answer[0] for _ in range(300)])
    assert len(drawn) == 2
    assert min(drawn.values()) > 80


@pytest.mark.parametrize("strategy", ["round_robin", "failover", "weighted"])
async def test_weight_0_drains_a_cluster_whatever_happens(strategy: str) -> None:
    found = gslb(f"strategy {strategy}", "\ncluster eu 192.0.2.1 weight 0\ncluster us 192.0.2.3\n")
    assert await addresses(found) == {"192.0.2.3"}
    turn(found, "us", State.DOWN)
    assert await addresses(found) == {"192.0.2.3"}


async def test_with_nothing_healthy_all_are_answered_as_if_they_were() -> None:
    found = gslb("strategy failover")
    turn(found, "eu", State.DOWN)
    turn(found, "us", State.DOWN)
    assert await addresses(found) == {"192.0.2.1", "192.0.2.2"}


async def test_with_nothing_healthy_nothing_is_answered_if_so_wished() -> None:
    found = gslb("fallback none")
    turn(found, "eu", State.DOWN)
    turn(found, "us", State.DOWN)
    reply = await ask(found)
    assert (reply.rcode, reply.answer, reply.authoritative) == (codes.NOERROR, (), True)
    assert [record.type for record in reply.authority] == [codes.SOA]
    turn(found, "us", State.UP)
    assert not reply.keep.alive
    assert await addresses(found) == {"192.0.2.3"}


async def test_our_own_healthy_addresses_are_told_to_peers_without_any_fallback() -> None:
    found = gslb("local eu")
    assert await addresses(found, name="localtargets-app.example.org") == {"192.0.2.1", "192.0.2.2"}
    assert await addresses(found, "AAAA", "localtargets-app.example.org") == {"2001:db8::1"}
    before = await ask(found, "localtargets-app.example.org")
    turn(found, "eu", State.DOWN)
    assert not before.keep.alive
    reply = await ask(found, "localtargets-app.example.org")
    assert (reply.rcode, reply.answer) == (codes.NOERROR, ())
    assert reply.authority[0].name == b"\x10localtargets-app\7example\3org\0"


@pytest.mark.parametrize(
    ("name", "type", "rcode"),
    [
        ("app.example.org", "MX", codes.NOERROR),
        ("app.example.org", "TYPE12345", codes.NOERROR),
        ("x.app.example.org", "A", codes.NXDOMAIN),
        ("localtargets-app.example.org", "TXT", codes.NOERROR),
    ],
)
async def test_denials_have_an_soa_and_are_ours(name: str, type: str, rcode: int) -> None:
    reply = await ask(gslb("ttl 7\nlocal eu"), name, type)
    assert (reply.rcode, reply.answer, reply.authoritative) == (rcode, (), True)
    (soa,) = reply.authority
    assert (soa.type, soa.ttl, soa.data[-4:]) == (codes.SOA, 7, (7).to_bytes(4, "big"))
    assert query(name).name.endswith(soa.name)
    assert reply.keep.live


@pytest.mark.parametrize("name", ["example.org", "www.example.org", "xapp.example.org", "localtargets-app.example.org"])
async def test_other_names_pass(name: str) -> None:
    assert (await ask(gslb(), name)).plugin == "elsewhere"


ZONE = """
gslb example.org {
    nameserver ns1.example.org 192.0.2.53 2001:db8::53
    nameserver ns.example.net
    ttl 60
}
gslb a.deep.example.org {
    cluster x 192.0.2.9
}
"""


@pytest.mark.parametrize(
    ("name", "type", "rcode", "answer"),
    [
        ("example.org", "NS", codes.NOERROR, ["60 NS ns1.example.org.", "60 NS ns.example.net."]),
        ("example.org", "A", codes.NOERROR, []),
        ("ns1.example.org", "AAAA", codes.NOERROR, ["60 AAAA 2001:db8::53"]),
        ("ns1.example.org", "TXT", codes.NOERROR, []),
        ("a.deep.example.org", "A", codes.NOERROR, ["30 A 192.0.2.9"]),
        ("deep.example.org", "A", codes.NOERROR, []),
        ("no.example.org", "A", codes.NXDOMAIN, []),
        ("no.app.example.org", "A", codes.NXDOMAIN, []),
        ("app.example.org", "NS", codes.NOERROR, []),
    ],
)
async def test_with_name_servers_a_whole_zone_is_answered(name: str, type: str, rcode: int, answer: list[str]) -> None:
    reply = await ask(gslb(more=ZONE), name, type)
    assert reply.rcode == rcode
    assert texts(reply.answer) == [f"{name}. {text}" for text in answer]
    if not answer:
        assert texts(reply.authority) == [
            "example.org. 60 SOA ns1.example.org. hostmaster.example.org. 1 7200 1800 86400 60"
        ]


async def test_the_addresses_of_name_servers_come_along() -> None:
    reply = await ask(gslb(more=ZONE), "example.org", "NS")
    assert texts(reply.additional) == ["ns1.example.org. 60 A 192.0.2.53", "ns1.example.org. 60 AAAA 2001:db8::53"]


CHANGES = st.lists(
    st.tuples(st.sampled_from(["eu", "us"]), st.sampled_from(list(State)), st.integers(0, 2)), max_size=6
)
OPTIONS = st.sampled_from(
    ["", "fallback none", "strategy failover", "strategy weighted", "strategy weighted\nfallback none"]
)


@given(OPTIONS, CHANGES, CHANGES)
def test_no_reply_outlives_what_it_was_made_from(
    options: str, before: list[tuple[str, State, int]], after: list[tuple[str, State, int]]
) -> None:
    found = gslb(f"local eu\n{options}")
    questions = [
        query(name, type)
        for name in ("app.example.org", "localtargets-app.example.org", "x.app.example.org", "www.example.org")
        for type in ("A", "AAAA", "MX", "ANY")
    ]

    def play(changes: list[tuple[str, State, int]]) -> None:
        for tag, state, which in changes:
            turn(found, tag, state, which)

    async def rest(query: Query) -> Reply:
        return await found.answer(query, elsewhere)

    play(before)
    assert asyncio.run(testing.honest(rest, questions, lambda: play(after))) == []


async def test_the_story_of_a_draw_tells_the_odds() -> None:
    found = gslb(
        "strategy weighted", "\ncluster eu 192.0.2.1 weight 3\ncluster us 192.0.2.3\ncluster old 192.0.2.4 weight 0\n"
    )
    assert [" ".join(line.split()) for line in service(found).story(query("app.example.org"))] == [
        "app.example.org. weighted: healthy in eu, us",
        "eu 192.0.2.1 in, drawn 3 in 4 (unknown)",
        "us 192.0.2.3 in, drawn 1 in 4 (unknown)",
        "old 192.0.2.4 out, drained (unknown)",
    ]
    turn(found, "eu", State.DOWN)
    assert [" ".join(line.split()) for line in service(found).story(query("app.example.org"))][1:3] == [
        "eu 192.0.2.1 out (down)",
        "us 192.0.2.3 in, chosen (unknown)",
    ]
