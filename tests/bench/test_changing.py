"""The cluster that changes stays as large as it is."""

from __future__ import annotations

import json

from tests.bench.changing import Changing
from tests.bench.tiers import TIERS, Cluster
from tests.kube.api_store import Json, target

_ROUNDS = 300


def test_a_slice_that_changes_has_another_last_pod_and_as_many_as_it_was_listed_with() -> None:
    drawn = Cluster(TIERS["S"])
    api = Changing(drawn)
    try:
        found = target("/apis/discovery.k8s.io/v1/endpointslices")
        assert found is not None
        held = {_key(each): each for each in api.snapshot(found, {})[1]}
        changes = [json.loads(api._change())["object"] for _ in range(_ROUNDS)]
    finally:
        api.close()
    asked = {str(pod.address) for service in drawn.services for pod in service.endpoints}
    for changed in changes:
        before, after = (_addresses(each) for each in (held[_key(changed)], changed))
        assert before[:-1] == after[:-1]
        assert before[-1] != after[-1]
        assert asked.isdisjoint((before[-1], after[-1]))


def _key(each: Json) -> tuple[str, str]:
    return each["metadata"]["namespace"], each["metadata"]["name"]


def _addresses(each: Json) -> list[str]:
    return [pod["addresses"][0] for pod in each["endpoints"]]
