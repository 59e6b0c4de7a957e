"""k8s_external: whatever the cluster and its changes, no kept reply lies, and a copy of the zone says the same."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pydnsk8s import codes, names, testing
from pydnsk8s.kube.objects import EndpointSlice, Namespace, Object, Service
from pydnsk8s.listen import interfaces
from pydnsk8s.message import Query
from tests.kube.drawn import Drawn

from .blocks import Alone
from .kubernetes.clusters import packed
from .test_k8s_external import ZONE, copied, made

NAMESPACES = ("blue", "dns")
NAMES = ("db", "web")
ADDRESSES = packed("10.0.0.1", "10.1.0.1", "192.0.2.1", "2001:db8::1")
OPTIONS = ("", "headless", "headless\nfallthrough", "apex web\nfallthrough in-addr.arpa")

HOSTS = ("lb.example.com", "web.blue.example.org")
drawn = Drawn(NAMESPACES, NAMES, ADDRESSES)
drawn.of_kind[Service] = st.builds(
    lambda headless, ips, **fields: Service(headless=headless, cluster_ips=() if headless else ips, **fields),
    headless=st.booleans(),
    ips=drawn.addresses,
    namespace=drawn.namespace,
    name=drawn.name,
    type=st.sampled_from(["ClusterIP", "LoadBalancer"]),
    ports=drawn.ports,
    external_name=st.just(""),
    external_ips=st.just(()) | drawn.addresses,
    external_hosts=st.sampled_from([(), (), *((host,) for host in HOSTS)]),
)
# Nothing else can be reached from outside.
objects = st.one_of([drawn.of_kind[kind] for kind in (Namespace, Service, EndpointSlice)])
clusters = st.lists(objects, max_size=12)


def questions() -> Iterator[Query]:
    left = ["", "db.", "web.", "_tcp.", "_db._tcp.", "_._udp.", "10-1-0-1.", "a.b.c."]
    held = [f"{each}{name}.{namespace}." for each in left for name in NAMES for namespace in NAMESPACES]
    held += ["", "dns.", "ns1.dns.", "ns1.web.", "blue.", "nowhere."]
    for name in held:
        for type in (codes.A, codes.AAAA, codes.SRV, codes.NS, codes.CNAME):
            yield Query(names.parse(f"{name}example.org"), type)
    for address in ADDRESSES:
        whole, network, *above = names.suffixes(names.reverse(address))
        for each in (whole, whole, network, above[0]):  # most of what can go wrong is at whole addresses
            yield Query(each, codes.PTR)


QUESTIONS = tuple(questions())


@pytest.fixture(scope="module", autouse=True)
def addresses() -> Iterator[None]:
    """The machine's address is one that services have, too."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(interfaces, "addresses", lambda: {"eth0": ("10.0.0.1",)})
        yield


def some(seed: int) -> list[Query]:
    return random.Random(seed).sample(QUESTIONS, 120)


@pytest.mark.parametrize("options", OPTIONS)
@settings(max_examples=60)
@given(held=clusters, changed=st.lists(objects, min_size=1, max_size=3), seed=st.integers(0, 9999), data=st.data())
async def test_no_kept_reply_lies(
    options: str, held: list[Object], changed: list[Object], seed: int, data: st.DataObject
) -> None:
    found = await made(*held, options=options)

    def change() -> None:
        for obj in changed:
            if data.draw(st.booleans()):
                found._index.put(obj)
            else:
                found._index.remove(type(obj), obj.namespace, obj.name)

    assert await testing.honest(Alone(found).ask, some(seed), change) == []


@pytest.mark.parametrize("options", OPTIONS)
@settings(max_examples=30)
@given(held=clusters, seed=st.integers(0, 9999))
async def test_no_name_is_denied_above_one_that_exists(options: str, held: list[Object], seed: int) -> None:
    # RFC 8020 section 2.
    found = await made(*held, options=options)
    ask = Alone(found).ask
    for question in some(seed):
        reply = await ask(question)
        if reply.rcode == codes.NOERROR and question.name not in found.zones:
            above = question.with_(name=names.parent(question.name))
            assert (await ask(above)).rcode == codes.NOERROR, (question, above)


@pytest.mark.parametrize("options", OPTIONS)
@settings(max_examples=30)
@given(held=clusters, seed=st.integers(0, 9999))
async def test_every_name_shown_can_be_asked_for(options: str, held: list[Object], seed: int) -> None:
    found = await made(*held, options=options)
    ask = Alone(found).ask
    for question in some(seed):
        reply = await ask(question)
        for shown in reply.answer + reply.additional:
            target = {codes.SRV: shown.data[6:], codes.PTR: shown.data}.get(shown.type)
            # Where a load balancer says it is, is for itself to know.
            if target is not None and names.is_under(target, ZONE) and target not in map(names.parse, HOSTS):
                assert (await ask(Query(target, codes.A))).rcode == codes.NOERROR, (question, shown)


@pytest.mark.parametrize("options", OPTIONS)
@settings(max_examples=30)
@given(held=clusters)
async def test_a_copy_says_what_is_answered(options: str, held: list[Object]) -> None:
    found = await made(*held, options=options)
    ask, copy = Alone(found).ask, copied(found)
    assert len(copy) == len(set(copy))
    sets = {(record.name, record.type) for record in copy}
    for name, type in sets:
        records = {record for record in copy if (record.name, record.type) == (name, type)}
        assert set((await ask(Query(name, type))).answer[: len(records)]) == records
        # RFC 1034 section 3.6.2: an alias stands alone.
        assert type == codes.CNAME or (name, codes.CNAME) not in sets
    for service_ in found._index.services():
        name = names.join(service_.name.encode(), service_.namespace.encode(), to=ZONE)
        types = (codes.CNAME,) if (name, codes.CNAME) in sets else (codes.A, codes.AAAA, codes.SRV)
        for type in types:
            answer = {record for record in (await ask(Query(name, type))).answer if record.name == name}
            assert answer <= set(copy)
