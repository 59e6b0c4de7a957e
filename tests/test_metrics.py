"""What Prometheus reads."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from pydnsk8s import codes, metrics

_zones = (f"zone{number}.example.org." for number in itertools.count())


def samples() -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    text = metrics.exposition()[1].decode()
    families = text_string_to_metric_families(text)
    return {(s.name, frozenset(s.labels.items())): s.value for family in families for s in family.samples}


def sample(name: str, /, **labels: str) -> float | None:
    return samples().get((name, frozenset(labels.items())))


@pytest.fixture
def zone() -> str:
    return next(_zones)


def shape(type: int = codes.A, do: bool = False, request: int = 40, response: int = 60) -> metrics.Shape:
    return metrics.Shape("udp", 1, type, do, codes.NOERROR, "whoami", request, response)


def test_a_query_appears_in_every_family_under_the_labels_coredns_uses(zone: str) -> None:
    metrics.traffic("dns://:53", zone, "inside").count(shape(do=True), 3, 0.003)
    block = {"server": "dns://:53", "zone": zone, "view": "inside"}
    assert sample("coredns_dns_requests_total", **block, proto="udp", family="1", type="A") == 3
    assert sample("coredns_dns_responses_total", **block, rcode="NOERROR", plugin="whoami") == 3
    assert sample("coredns_dns_do_requests_total", **block) == 3
    assert sample("coredns_dns_request_size_bytes_sum", **block, proto="udp") == 120
    assert sample("coredns_dns_response_size_bytes_count", **block, proto="udp") == 3
    assert sample("coredns_dns_request_duration_seconds_sum", **block) == pytest.approx(0.003)


def test_without_the_do_bit_no_do_request_is_counted(zone: str) -> None:
    metrics.traffic("dns://:53", zone).count(shape(), 1, 0.001)
    assert sample("coredns_dns_do_requests_total", server="dns://:53", zone=zone, view="") is None


def test_histograms_have_the_bounds_dashboards_name() -> None:
    metrics.traffic("dns://:53", "bounds.").count(shape(), 1, 0.001)
    bounds: dict[str, set[str]] = {}
    for (name, labels), _ in samples().items():
        if name.endswith("_bucket") and ("zone", "bounds.") in labels:
            bounds.setdefault(name, set()).add(dict(labels)["le"])
    sizes = "0 100 200 300 400 511 1023 2047 4095 8291 16000 32000 48000 64000 +Inf"
    times = "0.00025 0.0005 0.001 0.002 0.004 0.008 0.016 0.032 0.064 0.128 0.256 0.512 1.024 2.048 4.096 8.192 +Inf"
    assert bounds["coredns_dns_response_size_bytes_bucket"] == set(sizes.split())
    assert bounds["coredns_dns_request_size_bytes_bucket"] == set(sizes.split())
    assert bounds["coredns_dns_request_duration_seconds_bucket"] == set(times.split())


def test_a_value_on_a_bound_counts_under_it(zone: str) -> None:
    metrics.traffic("dns://:53", zone).count(shape(response=511), 1, 0.0)
    labels = {"server": "dns://:53", "zone": zone, "view": "", "proto": "udp"}
    assert sample("coredns_dns_response_size_bytes_bucket", **labels, le="511") == 1
    assert sample("coredns_dns_response_size_bytes_bucket", **labels, le="400") == 0


@given(st.lists(st.tuples(st.integers(1, 5), st.integers(12, 65535)), max_size=30), st.booleans())
def test_no_serving_is_lost_however_often_the_numbers_are_settled(counts: list[tuple[int, int]], often: bool) -> None:
    zone = next(_zones)
    traffic = metrics.traffic("dns://:53", zone)
    for servings, size in counts:
        traffic.count(shape(response=size), servings, 0.0)
        if often:
            traffic.settle()
    traffic.settle()
    block = ("dns://:53", zone, "")
    requests, sizes = metrics._REQUESTS.labels(*block, "udp", "1", "A"), metrics._RESPONSE_SIZES.labels(*block, "udp")
    assert requests.value == sum(sizes.counts) == sum(servings for servings, _ in counts)
    assert sizes.sum == sum(servings * size for servings, size in counts)
    for family in (metrics._REQUESTS, metrics._RESPONSES, metrics._RESPONSE_SIZES, metrics._REQUEST_SIZES):
        family.clear()
    metrics._traffic.clear()


def test_many_shapes_are_settled_before_they_fill_the_memory(zone: str) -> None:
    traffic = metrics.traffic("dns://:53", zone)
    for size in range(10_000):
        traffic.count(shape(request=size), 1, 0.0)
    assert len(traffic._shapes) <= 4096
    labels = {"server": "dns://:53", "zone": zone, "view": ""}
    assert sample("coredns_dns_requests_total", **labels, proto="udp", family="1", type="A") == 10_000


def test_the_count_of_a_zone_goes_on_after_a_reload(zone: str) -> None:
    assert metrics.traffic("dns://:53", zone) is metrics.traffic("dns://:53", zone)
    assert metrics.traffic("dns://:53", zone) is not metrics.traffic("dns://:53", zone, "inside")


def test_only_common_types_have_a_label_of_their_own() -> None:
    assert metrics.type_label(codes.AAAA) == "AAAA"
    assert metrics.type_label(codes.HTTPS) == "HTTPS"
    assert metrics.type_label(codes.NAPTR) == "other"
    assert metrics.type_label(65280) == "other"


def test_hooks_run_before_the_numbers_are_read() -> None:
    gauge = metrics.gauge("coredns_test_hook", "Set by a hook.").labels()
    hook = lambda: gauge.set(7)  # noqa: E731
    metrics.before_scrape.append(hook)
    try:
        assert sample("coredns_test_hook") == 7
    finally:
        metrics.before_scrape.remove(hook)


async def test_others_have_their_turn_while_many_numbers_are_handed_in() -> None:
    gauge = metrics.gauge("coredns_test_turns", "How often others had their turn.").labels()

    def hook() -> Iterator[None]:
        for _ in range(3):
            asyncio.get_running_loop().call_soon(gauge.add)
            yield

    metrics.before_scrape.append(hook)
    try:
        _, text = await metrics.exposition_in_turns()
        assert b"coredns_test_turns 3.0" in text
        assert sample("coredns_test_turns") == 3
    finally:
        metrics.before_scrape.remove(hook)


def test_a_family_without_labels_is_shown_from_the_start_and_one_with_labels_when_used() -> None:
    metrics.counter("coredns_test_plain_total", "Without labels.")
    family = metrics.counter("coredns_test_labelled_total", "With labels.", "name")
    assert sample("coredns_test_plain_total") == 0
    assert b"coredns_test_labelled_total" not in metrics.exposition()[1]
    family.labels("a").add(2)
    assert sample("coredns_test_labelled_total", name="a") == 2
    family.remove("a")
    assert sample("coredns_test_labelled_total", name="a") is None


def test_a_zone_nobody_asks_for_is_not_shown(zone: str) -> None:
    metrics.traffic("dns://:53", zone)
    assert zone.encode() not in metrics.exposition()[1]


def test_a_name_is_given_out_once_and_labels_are_counted() -> None:
    family = metrics.gauge("coredns_test_once", "Once.", "name")
    with pytest.raises(ValueError, match="exists already"):
        metrics.gauge("coredns_test_once", "Twice.")
    with pytest.raises(ValueError, match="has the labels"):
        family.labels("a", "b")


def test_label_values_cannot_break_out_of_their_line() -> None:
    hostile = 'x"} 1\ncoredns_forged_total 1'
    metrics.gauge("coredns_test_hostile", "Hostile.", "name").labels(hostile).set(1)
    assert sample("coredns_test_hostile", name=hostile) == 1
    assert sample("coredns_forged_total") is None


def test_the_text_is_the_classic_format() -> None:
    type, text = metrics.exposition()
    assert type.startswith("text/plain; version=0.0.4")
    assert b"# TYPE coredns_panics_total counter\n" in text
