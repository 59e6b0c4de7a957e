"""kubernetes: whatever the cluster and its changes, no kept reply lies and no name is denied above one that exists."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pydnsk8s import codes, names, testing
from pydnsk8s.kube.objects import (
    Object,
    Service,
)
from pydnsk8s.listen import interfaces
from pydnsk8s.message import Query
from pydnsk8s.plugins.kubernetes import Kubernetes
from tests.kube.drawn import Drawn
from tests.plugins.blocks import Alone

from .clusters import cluster, packed

NAMESPACES = ("blue", "red")
NAMES = ("db", "web")
ADDRESSES = packed("10.0.0.1", "10.0.1.1", "10.1.0.1", "2001:db8::1", "2001:db8:1::1")
ZONES = ("cluster.local", "clusterset.local", "10.in-addr.arpa", "ip6.arpa")
OPTIONS = (
    "",
    "namespaces blue",
    "ignore empty_service\npods insecure",
    "pods verified\nendpoint_pod_names",
    "multicluster clusterset.local\nzonal",
    "noendpoints\nfallthrough 10.in-addr.arpa",
)

drawn = Drawn(NAMESPACES, NAMES, ADDRESSES)


@st.composite
def drawn_services(draw: st.DrawFn) -> Service:
    type = draw(st.sampled_from(["ClusterIP", "ClusterIP", "ExternalName"]))
    headless = type == "ClusterIP" and draw(st.booleans())
    return Service(
        namespace=draw(drawn.namespace),
        name=draw(drawn.name),
        type=type,
        headless=headless,
        cluster_ips=() if headless or type == "ExternalName" else draw(drawn.addresses),
        ports=draw(drawn.ports),
        external_name=draw(drawn.name) + ".red.svc.cluster.local" if type == "ExternalName" else "",
        external_ips=draw(drawn.addresses),
        external_hosts=(),
    )


drawn.of_kind[Service] = drawn_services()
objects = drawn.objects
clusters = st.lists(objects, max_size=12)


def questions() -> Iterator[Query]:
    """Everything there may be a reply to, with others in between."""
    below = ["", "db.", "web.", "_tcp.", "_db._tcp.", "_._udp.", "db.web.", "_zone.", "pin._zone.", "db.prefer._zone."]
    held = [f"{left}{name}.{namespace}.svc" for left in below for name in NAMES for namespace in NAMESPACES]
    held += [f"10-0-0-1.{name}.blue.svc" for name in NAMES]
    held += [f"{name}.pod" for namespace in NAMESPACES for name in (namespace, f"10-0-0-1.{namespace}")]
    held += ["svc", "blue.svc", "pod", "dns", "ns.dns", "dns-version", "x"]
    whole = [f"{name}.{zone}" for name in held for zone in ZONES[:2]] + list(ZONES)
    wire = [names.parse(name) for name in whole]
    for address in ADDRESSES:
        wire += [suffix for suffix in names.suffixes(names.reverse(address)) if suffix != names.ROOT]
    for name in dict.fromkeys(wire):
        for type in (codes.A, codes.AAAA, codes.SRV, codes.PTR, codes.NS):
            yield Query(name, type)


QUESTIONS = tuple(questions())


@pytest.fixture(scope="module", autouse=True)
def addresses() -> Iterator[None]:
    """The machine's address is one that services have, too."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(interfaces, "addresses", lambda: {"eth0": ("10.0.0.1",)})
        yield


def made(held: list[Object], options: str) -> Kubernetes:
    return cluster(*held, zones=" ".join(ZONES), options=options)


def some(seed: int) -> list[Query]:
    return random.Random(seed).sample(QUESTIONS, 100)


@pytest.mark.parametrize("options", OPTIONS)
@settings(max_examples=30)
@given(held=clusters, changed=st.lists(objects, min_size=1, max_size=3), seed=st.integers(0, 9999), data=st.data())
async def test_no_kept_reply_lies(
    options: str, held: list[Object], changed: list[Object], seed: int, data: st.DataObject
) -> None:
    found = made(held, options)

    def change() -> None:
        for obj in changed:
            if data.draw(st.booleans()):
                found.index.put(obj)
            else:
                found.index.remove(type(obj), obj.namespace, obj.name)

    assert await testing.honest(Alone(found).ask, some(seed), change) == []


@pytest.mark.parametrize("options", OPTIONS)
@settings(max_examples=30)
@given(held=clusters, seed=st.integers(0, 9999))
async def test_no_name_is_denied_above_one_that_exists(options: str, held: list[Object], seed: int) -> None:
    # RFC 8020 section 2.
    found = made(held, options)
    ask = Alone(found).ask
    for question in some(seed):
        if (await ask(question)).rcode == codes.NOERROR:
            zone = names.closest(question.name, found.options.zones)
            above = question.with_(name=names.parent(question.name))
            if question.name != zone:
                assert (await ask(above)).rcode == codes.NOERROR, (question, above)


@pytest.mark.parametrize("options", OPTIONS)
@settings(max_examples=30)
@given(held=clusters, seed=st.integers(0, 9999))
async def test_the_type_asked_for_has_no_say_in_whether_a_name_exists(
    options: str, held: list[Object], seed: int
) -> None:
    ask = Alone(made(held, options)).ask
    for question in some(seed)[:30]:
        replies = [await ask(question.with_(type=type)) for type in (codes.A, codes.SRV, codes.TXT, codes.SOA)]
        assert len({reply.rcode for reply in replies}) == 1, question


@pytest.mark.parametrize("options", OPTIONS)
@settings(max_examples=30)
@given(held=clusters, seed=st.integers(0, 9999))
async def test_every_name_shown_can_be_asked_for(options: str, held: list[Object], seed: int) -> None:
    found = made(held, options)
    ask = Alone(found).ask
    for question in some(seed):
        reply = await ask(question)
        for record in reply.answer + reply.additional:
            if record.type == codes.SRV:
                again = Query(record.data[6:], codes.A)
                assert (await ask(again)).rcode == codes.NOERROR, (question, again)
            elif record.type in (codes.A, codes.AAAA):
                assert record in (await ask(Query(record.name, record.type))).answer, (question, record)
