"""k8s_crd: whatever the names and their changes, no kept reply lies and no name is denied above one that exists."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pydnsk8s import codes, names, testing
from pydnsk8s.kube.objects import DNSEndpoint
from pydnsk8s.message import Query
from tests.plugins.blocks import Alone

from .endpoints import ZONE, Json, endpoint, entry, serving_of

HELD = [
    ZONE,
    *(f"{below}.{ZONE}" for below in ("a", "b", "a.b", "x.a.b", "ns1.dns", "x.dns")),
    "external-dns.kube-system",
]
ASKED = [*HELD, *(f"{below}.{ZONE}" for below in ("dns", "c", "x.a", "a.x.a.b", "y.x.a.b", "a.a")), "example.org"]
TARGETS = {
    "A": ["192.0.2.1", "192.0.2.2", "2001:db8::1"],
    "CNAME": [f"a.{ZONE}", f"b.{ZONE}", "www.example.net"],
    "NS": [f"a.{ZONE}", f"ns1.dns.{ZONE}", "ns.example.net"],
    "TXT": ["x", "y"],
    "MX": ["10 mx.example.net"],
}
STRATEGIES = ("", "roundRobin", "geoip")
WEIGHTS: tuple[dict[str, str], ...] = (
    {},
    {"weight-eu-0-1": "192.0.2.1", "weight-us-0-0": "192.0.2.2", "weight-us-1-3": "2001:db8::1"},
)
OPTIONS = ("", "loadbalance weight\nttl 5", "fallthrough", f"fallthrough a.b.{ZONE}\nedns-subnet none")
TYPES = (codes.A, codes.AAAA, codes.CNAME, codes.NS, codes.TXT, codes.DS)


@st.composite
def entries(draw: st.DrawFn) -> Json:
    type = draw(st.sampled_from(sorted(TARGETS)))
    targets = draw(st.lists(st.sampled_from(TARGETS[type]), max_size=3, unique=True))
    return entry(
        draw(st.sampled_from(HELD)),
        *targets,
        type=type,
        ttl=draw(st.sampled_from([0, 30])),
        strategy=draw(st.sampled_from(STRATEGIES)),
        weights=draw(st.sampled_from(WEIGHTS)),
    )


@st.composite
def drawn_objects(draw: st.DrawFn) -> DNSEndpoint:
    return endpoint(*draw(st.lists(entries(), max_size=3)), name=draw(st.sampled_from(["x", "y", "z"])))


objects = drawn_objects()
QUESTIONS = tuple(Query(names.parse(name), type) for name in ASKED for type in TYPES)


def some(seed: int) -> list[Query]:
    return random.Random(seed).sample(QUESTIONS, 40)


@pytest.mark.parametrize("options", OPTIONS)
@settings(max_examples=50)
@given(
    held=st.lists(objects, max_size=4),
    changed=st.lists(st.tuples(st.booleans(), objects), min_size=1, max_size=3),
    seed=st.integers(0, 9999),
)
async def test_no_kept_reply_lies(
    options: str, held: list[DNSEndpoint], changed: list[tuple[bool, DNSEndpoint]], seed: int
) -> None:
    found, sink = serving_of(*held, options=options)

    def change() -> None:
        for puts, obj in changed:
            if puts:
                sink.put(obj)
            else:
                sink.remove(DNSEndpoint, obj.namespace, obj.name)

    assert await testing.honest(Alone(found).ask, some(seed), change) == []


@settings(max_examples=50)
@given(held=st.lists(objects, max_size=4))
async def test_no_name_is_denied_above_one_that_exists(held: list[DNSEndpoint]) -> None:
    # RFC 8020 section 2.
    ask = Alone(serving_of(*held)[0]).ask
    for question in QUESTIONS:
        if (await ask(question)).rcode == codes.NOERROR and names.is_under(question.name, names.parse(ZONE)):
            for above in within(names.parent(question.name)):
                assert (await ask(question.with_(name=above))).rcode == codes.NOERROR, (question, above)


def within(name: bytes) -> Iterator[bytes]:
    """The name and those above it in the zone."""
    return (above for above in names.suffixes(name) if names.is_under(above, names.parse(ZONE)))


@settings(max_examples=50)
@given(held=st.lists(objects, max_size=4), seed=st.integers(0, 9999))
async def test_the_type_asked_for_has_no_say_in_whether_a_name_exists(held: list[DNSEndpoint], seed: int) -> None:
    ask = Alone(serving_of(*held)[0]).ask
    for question in some(seed):
        rcodes = {(await ask(question.with_(type=type))).rcode for type in (*TYPES, codes.SOA)}
        assert len(rcodes) == 1, question
