"""etcd behind the gate: names asked for the first time get from there what the whole chain would say."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pydnsk8s import codes, names
from pydnsk8s.message import Edns
from pydnsk8s.plugins.etcd import Etcd, surveys
from pydnsk8s.wire import query
from tests import strategies as draw
from tests.plugins.etcd.test_honest import OPTIONS, change_all, changes, leases
from tests.plugins.etcd.zones import Pairs, put, remove
from tests.plugins.gated import Gated

BLOCK = """. {{
    errors
    prometheus 127.0.0.1:0
    etcd example.org 192.0.2.0/24 {{
{options}
    }}
    cache 30
    {more}
}}
"""
FORMS: tuple[dict[str, Any], ...] = ({}, {"edns": Edns(1232)}, {"edns": Edns(4096, do=True)}, {"flags": 0})
MODES = ("mode subtree", "mode strict")


class Asked(Gated):
    """A server block with these values in etcd."""

    def __init__(self, pairs: Pairs, options: str = "", more: str = "loadbalance") -> None:
        super().__init__(BLOCK.format(options=options, more=more))
        found = next(plugin for plugin in self.configuration.plugins if isinstance(plugin, Etcd))
        self.tree = found.tree
        self.tree.complete()
        put(self.tree, pairs)


def hosts(number: int, **more: object) -> Pairs:
    """So many hosts as ExternalDNS writes them: host-0, host-1 and so on."""
    return {
        f"org/example/host-{each}/{each:08x}": {"host": f"192.0.2.{each}", "targetstrip": 1, **more}
        for each in range(number)
    }


EXAMPLES: Pairs = {
    **hosts(3),
    "org/example/v6": {"host": "2001:db8::6"},
    "org/example/two/a": {"host": "192.0.2.1", "targetstrip": 1},
    "org/example/two/b": {"host": "192.0.2.2", "targetstrip": 1},
}


def some_names() -> Iterator[str]:
    labels = ("a", "b", "q", "*", "any", "c/d")
    for label in labels:
        yield f"{label}.example.org"
        for other in labels:
            yield f"{other}.{label}.example.org"
            yield from (f"{third}.{other}.{label}.example.org" for third in labels)
    yield from ("example.org", "ns.dns.example.org", "apex.dns.example.org", "1.2.0.192.in-addr.arpa")


ALL_NAMES = tuple(some_names())


@pytest.mark.parametrize("options", OPTIONS)
@settings(max_examples=60)
@given(first=changes, second=changes, lease=leases, seed=st.integers(0, 9999))
def test_what_the_gate_makes_is_what_the_chain_says(
    options: str, first: list[tuple[str, str | None]], second: list[tuple[str, str | None]], lease: int, seed: int
) -> None:
    drawn = random.Random(seed)
    asked = Asked(EXAMPLES, options, more=drawn.choice(("", "loadbalance")))
    for name in ("host-0", "v6", "two", "gone"):
        for type in (codes.A, codes.AAAA):
            asked.is_made(f"{name}.example.org", type)
    for pairs in (first, second):
        change_all(asked.tree, pairs, lease)
        asked.tree.leases.learn(lease, 100)
        for name in drawn.sample(ALL_NAMES, 40):
            spelled = names.parse_keeping_case(drawn.choice((name, name, name.title())))
            packet = query(spelled, drawn.choice((codes.A, codes.AAAA)), id=drawn.randrange(65536))
            asked.check(packet)


@pytest.mark.parametrize("form", FORMS)
def test_packets_of_all_forms_get_what_the_chain_says(form: dict[str, Any]) -> None:
    asked = Asked(EXAMPLES)
    for type in (codes.A, codes.AAAA, codes.SRV, codes.TXT):
        for name in ("host-0", "HOST-1", "v6", "two", "gone", "Gone.Gone", "*", "any"):
            asked.check(query(names.parse_keeping_case(f"{name}.example.org"), type, id=7, **form))


@pytest.mark.parametrize("mode", MODES)
def test_one_reply_of_a_kind_is_enough_for_a_zone(mode: str) -> None:
    asked = Asked(hosts(6, ttl=60), mode)
    assert [asked.is_made(f"host-{number}.example.org") for number in range(6)] == [False] + [True] * 5
    assert [asked.is_made(f"gone-{number}.example.org") for number in range(6)] == [False] + [True] * 5
    assert [asked.is_made(f"host-{number}.example.org", codes.AAAA) for number in range(3)] == [False, True, True]
    assert not asked.is_made("host-1.example.org", codes.TXT)


@pytest.mark.parametrize("mode", MODES)
def test_values_that_say_more_than_an_address_are_left_to_the_chain(mode: str) -> None:
    asked = Asked(EXAMPLES, mode)
    for name in ("host-0", "two", "gone"):
        asked.is_made(f"{name}.example.org")
    one, other = ({"host": f"192.0.2.{number}", "targetstrip": 1} for number in (1, 2))
    put(
        asked.tree, {"org/example/grouped/a": {**one, "group": "g"}, "org/example/grouped/b/c": {**other, "group": "h"}}
    )
    put(asked.tree, {"org/example/alias": {"host": "host-1.example.org"}, "org/example/leased/a": one})
    put(asked.tree, {"org/example/leased/a": one}, lease=7)
    asked.tree.leases.learn(7, 100)
    assert not any(asked.is_made(f"{name}.example.org") for name in ("grouped", "alias", "leased"))
    put(asked.tree, {"org/example/same/a": one, "org/example/same/b": one})
    assert asked.is_made("same.example.org")


@pytest.mark.parametrize("mode", MODES)
def test_a_change_counts_at_once(mode: str) -> None:
    asked = Asked(hosts(4), mode)
    asked.is_made("host-0.example.org")
    asked.is_made("gone.example.org")
    put(asked.tree, {"org/example/gone-1": {"host": "192.0.2.77"}, "org/example/gone-2/x/y": {"host": "192.0.2.78"}})
    remove(asked.tree, "org/example/host-2/00000002")
    put(asked.tree, {"org/example/wild/*": {"host": "192.0.2.79"}})
    for name in ("gone-1", "x.gone-2", "host-2", "any-1.wild", "any-2.wild", "wild"):
        asked.is_made(f"{name}.example.org")


def test_names_with_another_ttl_are_asked_for_until_that_is_the_usual_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(surveys, "_STRANGE", 3)
    asked = Asked(hosts(12))
    assert [asked.is_made(f"host-{number}.example.org") for number in range(2)] == [False, True]
    put(asked.tree, {"org/example/host-2/00000002": {"host": "192.0.2.2", "targetstrip": 1, "ttl": 60}})
    assert [asked.is_made(f"host-{number}.example.org") for number in range(2, 4)] == [False, True]
    put(asked.tree, hosts(12, ttl=60))
    made = [asked.is_made(f"host-{number}.example.org") for number in range(4, 12)]
    assert made[0] is False
    assert made[-1] is True


@pytest.mark.parametrize("more", ["hosts {\n192.0.2.9 host-1.example.org\nfallthrough\n}", "log"])
def test_a_plugin_that_looks_at_names_is_asked_for_each(more: str) -> None:
    asked = Asked(hosts(4), more=more)
    assert not any(asked.is_made(f"host-{number}.example.org") for number in range(4))


@pytest.mark.parametrize("options", ["fallthrough", "fallthrough down.example.org", "fallthrough org"])
def test_where_names_fall_through_each_is_asked_for(options: str) -> None:
    asked = Asked(hosts(4), options)
    assert not any(asked.is_made(f"host-{number}.example.org") for number in range(4))


KNOWN = Asked(EXAMPLES)
LEARNED = ["host-1.example.org", "gone.example.org", "two.example.org", "a.two.example.org"]


@given(draw.damaged(st.sampled_from([query(names.parse(name), codes.A, id=1) for name in LEARNED])))
def test_a_damaged_packet_gets_what_it_would_get_from_the_chain(packet: bytes) -> None:
    for name in LEARNED:
        KNOWN.is_made(name)
    KNOWN.check_gate(packet)
