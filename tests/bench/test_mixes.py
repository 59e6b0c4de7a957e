"""The mixes: the same seed draws the same, and every response code they expect is the one our server gives."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from pydnsk8s import testing
from tests import scripted
from tests.bench import outside
from tests.bench.mixes import MIXES, mix, once
from tests.bench.question import NXDOMAIN, Question, Sheet
from tests.bench.tiers import TIERS, VENDORS, Cluster, Tier, vendor

_COREFILE = """
. {{
    kubernetes cluster.local in-addr.arpa ip6.arpa {{
        manifests {manifests}
        pods insecure
        fallthrough in-addr.arpa ip6.arpa
    }}
    scripted
}}
"""


def _drawn(name: str, lookups: int = 2000, seed: int = 53) -> list[Question]:
    cluster = Cluster(TIERS["S"], seed=seed)
    return once(cluster, seed=seed) if name == "once" else mix(cluster, name, lookups, seed=seed)


@pytest.mark.parametrize("name", [*MIXES, "once"])
async def test_every_query_is_answered_as_expected(name: str, tmp_path: Path) -> None:
    manifests = tmp_path / "cluster.json"
    manifests.write_text(Cluster(TIERS["S"]).manifest())
    with scripted.offered():
        corefile = _COREFILE.format(manifests=manifests)
        async with testing.serving(corefile) as dns:
            upstream = next(plugin for plugin in dns.plugins if isinstance(plugin, scripted.Scripted))
            upstream.records = [testing.record(f"{vendor(number)}. 60 A 192.0.2.1") for number in range(VENDORS)]
            for question in dict.fromkeys(_drawn(name)):
                answer = await dns.ask(question.name, question.type)
                assert answer.rcode == question.rcode, question


@pytest.mark.parametrize("name", [*MIXES, "once"])
def test_the_same_seed_draws_the_same_queries(name: str) -> None:
    assert _drawn(name) == _drawn(name)
    assert _drawn(name) != _drawn(name, seed=54)


def test_the_same_seed_draws_the_same_cluster() -> None:
    one, other = (Cluster(TIERS["S"], seed=7) for _ in range(2))
    assert (one.manifest(), one.zones()) == (other.manifest(), other.zones())
    assert one.zones() != Cluster(TIERS["S"], seed=8).zones()


@pytest.mark.parametrize("tier", TIERS.values(), ids=TIERS)
def test_a_tier_is_as_large_as_it_says(tier: Tier) -> None:
    groups = tier.groups()
    assert len(groups) == tier.services
    assert sum(groups) == pytest.approx(tier.endpoints, rel=0.1)


def test_a_few_are_aliases_and_some_are_headless() -> None:
    kinds = Counter(service.kind for service in Cluster(TIERS["M"]).services)
    assert kinds["external"] / 5000 == pytest.approx(0.03, rel=0.2)
    assert kinds["headless"] / 5000 == pytest.approx(0.15, rel=0.2)


def test_an_endpoint_slice_holds_at_most_a_hundred() -> None:
    slices = [each for each in Cluster(TIERS["S"]).objects() if each["kind"] == "EndpointSlice"]
    assert max(len(each["endpoints"]) for each in slices if isinstance(each["endpoints"], list)) == 100


def test_a_host_outside_is_searched_for_inside_first() -> None:
    questions = _drawn("external")
    first = next(number for number, (name, *_) in enumerate(questions) if name.endswith("vendor.example") and number)
    asked = [question.name.removeprefix(questions[first].name) for question in questions[first - 8 : first + 2 : 2]]
    assert asked[0].endswith(".svc.cluster.local")
    assert asked[1:] == [".svc.cluster.local", ".cluster.local", f".{outside.NODES}", ""]
    assert [question.type for question in questions[first : first + 2]] == ["A", "AAAA"]


def test_no_name_of_a_cold_sheet_is_asked_twice() -> None:
    questions = _drawn("once")
    assert len(set(questions)) == len(questions)


def test_a_sheet_knows_what_has_to_come_back(tmp_path: Path) -> None:
    sheet = Sheet(tmp_path / "questions", [Question("a", "A"), Question("b", "A", NXDOMAIN), Question("c", "A")])
    assert sheet.path.read_text() == "a A\nb A\nc A\n"
    assert sheet.expected(7) == {"NOERROR": 5, "NXDOMAIN": 2}
    assert sheet.wrong(Counter(NOERROR=5, NXDOMAIN=2), 7) == ""
    # One was lost.
    assert sheet.wrong(Counter(NOERROR=4, NXDOMAIN=2), 7) == ""
    assert sheet.wrong(Counter(NOERROR=4, NXDOMAIN=2, SERVFAIL=1), 7) == "1 times SERVFAIL too often"
