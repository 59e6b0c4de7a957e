"""k8s_crd: which addresses lead, which are left out, and how long and for whom that holds."""

from __future__ import annotations

from collections import Counter
from math import sqrt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pydnsk8s import codes
from pydnsk8s.kube.objects import DNSEndpoint
from pydnsk8s.message import Reply
from pydnsk8s.plugins.k8s_crd import K8sCrd
from tests.plugins.blocks import elsewhere, query

from .endpoints import APP, endpoint, entry, serving, serving_of

DRAWS = 4000


def weighted(*weights: int, each: int = 2, more: str = "", strategy: str = "roundRobin") -> DNSEndpoint:
    """A name with so many addresses for each weight, those of the first in 192.0.2.10/28, of the second in .20..."""
    labels = {
        f"weight-us-east-{tag}-{index}-{weight}": address(tag, index)
        for tag, weight in enumerate(weights, 1)
        for index in range(each)
    }
    return endpoint(entry(APP, *labels.values(), *filter(None, [more]), strategy=strategy, weights=labels))


def address(tag: int, index: int) -> str:
    return f"192.0.2.{tag * 10 + index}"


async def drawn(found: K8sCrd, name: str = APP) -> tuple[int, ...]:
    """The last octets of the addresses in their order."""
    return octets(await found.answer(query(name), elsewhere))


def octets(reply: Reply) -> tuple[int, ...]:
    return tuple(record.data[3] for record in reply.answer)


@pytest.mark.parametrize("weights", [(5, 5), (1, 4), (75, 20, 5), (1, 1, 1, 1)])
async def test_each_tag_leads_as_often_as_its_weight_says(weights: tuple[int, ...]) -> None:
    found, _ = serving_of(weighted(*weights), options="loadbalance weight")
    answers = [await drawn(found) for _ in range(DRAWS)]
    assert {frozenset(answer) for answer in answers} == {
        frozenset(tag * 10 + index for tag in range(1, len(weights) + 1) for index in (0, 1))
    }
    leads, firsts = Counter(answer[0] // 10 for answer in answers), Counter(answer[0] for answer in answers)
    for tag, weight in enumerate(weights, 1):
        share = weight / sum(weights)
        # Six standard deviations: one run in five hundred million would fail by chance.
        assert abs(leads[tag] - DRAWS * share) < 6 * sqrt(DRAWS * share * (1 - share))
        half = leads[tag] / 2
        assert abs(firsts[tag * 10] - half) < 6 * sqrt(leads[tag]) / 2, "the addresses of a tag are equals"


@given(st.lists(st.integers(1, 9), min_size=2, max_size=4), st.integers(1, 3))
async def test_the_addresses_of_a_tag_stand_together_and_none_is_lost(weights: list[int], each: int) -> None:
    found, _ = serving_of(weighted(*weights, each=each), options="loadbalance weight")
    answer = await drawn(found)
    assert len(set(answer)) == len(answer) == len(weights) * each
    tags = [octet // 10 for octet in answer]
    assert len([tag for before, tag in zip([0, *tags], tags, strict=False) if tag != before]) == len(weights)


async def test_who_weighs_nothing_gets_nothing_unless_nobody_weighs_anything() -> None:
    for weights, left in (
        ((0, 5), {20, 21}),
        ((5, 0, 5), {10, 11, 30, 31}),
        ((0, 0), {10, 11, 20, 21}),
        ((0,), {10, 11}),
    ):
        found, _ = serving_of(weighted(*weights), options="loadbalance weight")
        assert all([set(await drawn(found)) == left for _ in range(20)])


@pytest.mark.parametrize("strategy", ["roundRobin", "", "somethingElse"])
async def test_a_strategy_nobody_knows_takes_no_weights_away(strategy: str) -> None:
    found, _ = serving_of(weighted(1, 9, strategy=strategy), options="loadbalance weight")
    assert len({(await drawn(found))[0] for _ in range(200)}) == 4


@pytest.mark.parametrize(
    ("objects", "options"),
    [
        (weighted(0, 5, more="192.0.2.99", strategy=""), "loadbalance weight"),
        (endpoint(entry(APP, "192.0.2.1", "192.0.2.2", weights={"weight-eu-0-5": "192.0.2.1"})), "loadbalance weight"),
        (endpoint(entry(APP, "192.0.2.1", "192.0.2.2", weights={"weight-eu-5": "192.0.2.1"})), "loadbalance weight"),
        (weighted(0, 5, strategy=""), ""),
        (endpoint(entry(APP, "192.0.2.1", "192.0.2.2", strategy="failover")), "loadbalance weight"),
        (endpoint(entry(APP, "192.0.2.1", "192.0.2.2")), "loadbalance weight"),
    ],
    ids=["more targets", "fewer labels", "no weight", "not asked for", "failover", "no labels"],
)
async def test_without_weights_that_fit_the_addresses_are_as_they_were_written(
    objects: DNSEndpoint, options: str
) -> None:
    found, _ = serving_of(objects, options=options)
    written = tuple(data[3] for data in objects.records[0].data)
    assert {await drawn(found) for _ in range(20)} == {written}
    reply = await found.answer(query(APP), elsewhere)
    assert (reply.keep.live, reply.keep.alive, reply.keep.turns) == (True, True, False)


async def test_weights_of_both_families_are_drawn_each_for_itself() -> None:
    labels = {"weight-eu-0-5": "192.0.2.1", "weight-eu-1-5": "2001:db8::1", "weight-us-0-0": "192.0.2.2"}
    found, _ = serving_of(endpoint(entry(APP, *labels.values(), weights=labels)), options="loadbalance weight")
    assert await drawn(found) == (1,)
    assert len((await found.answer(query(APP, "AAAA"), elsewhere)).answer) == 1


async def test_weights_of_several_objects_go_together() -> None:
    one = endpoint(entry(APP, "192.0.2.1", weights={"weight-eu-0-1": "192.0.2.1"}), name="one")
    two = endpoint(entry(APP, "192.0.2.2", weights={"weight-us-0-1": "192.0.2.2"}), name="two")
    found, _ = serving_of(one, two, options="loadbalance weight")
    assert {await drawn(found) for _ in range(100)} == {(1, 2), (2, 1)}


async def test_what_is_drawn_is_never_kept_not_even_by_a_cache() -> None:
    async with serving(weighted(5, 5), options="loadbalance weight", more="cache 3600") as dns:
        answers = [await dns.ask(APP) for _ in range(200)]
        assert not any(answer.replayed for answer in answers)
        assert {answer.answer[0].rpartition(".")[2] for answer in answers} == {"10", "11", "20", "21"}


async def test_round_robin_takes_turns_also_when_replayed() -> None:
    for options in ("", "loadbalance weight"):
        held = endpoint(entry(APP, "192.0.2.1", "192.0.2.2", "192.0.2.3", strategy="RoundRobin"))
        async with serving(held, options=options) as dns:
            answers = [await dns.ask(APP) for _ in range(31)]
            assert [answer.replayed for answer in answers] == [False] + [True] * 30
            leads = Counter(answer.answer[0].rpartition(".")[2] for answer in answers[1:])
            assert leads == {"1": 10, "2": 10, "3": 10}


async def test_one_address_is_no_matter_of_choice() -> None:
    for strategy in ("roundRobin", "geoip", "failover"):
        found, _ = serving_of(endpoint(entry(APP, "192.0.2.1", strategy=strategy)), options="loadbalance weight")
        reply = await found.answer(query(APP), elsewhere)
        assert (reply.rcode, reply.keep.live, reply.keep.turns) == (codes.NOERROR, True, False)
        assert (reply.keep.prefix4, reply.keep.scope) == (0, 0)
