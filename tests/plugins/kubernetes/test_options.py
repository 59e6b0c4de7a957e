"""kubernetes: what its directive may say."""

from __future__ import annotations

from pathlib import Path

import pytest

from pydnsk8s import names
from pydnsk8s.kube.objects import EndpointSlice, Kind, Namespace, Pod, Service, ServiceImport
from pydnsk8s.plugins.kubernetes import Kubernetes
from pydnsk8s.plugins.kubernetes.options import Options
from tests.plugins.blocks import block, errors, plugin


def options(*lines: str, zones: str = "cluster.local") -> Options:
    return plugin(Kubernetes, f"kubernetes {zones} {{\n" + "\n".join(lines) + "\n}").options


def wrong(*lines: str, zones: str = "cluster.local") -> str:
    return errors(f"kubernetes {zones} {{\n" + "\n".join(lines) + "\n}")


def warned(*lines: str) -> list[str]:
    return [problem.message for problem in block("kubernetes cluster.local {\n" + "\n".join(lines) + "\n}").warnings]


def test_the_zones_are_those_given_or_those_of_the_block() -> None:
    assert options(zones="cluster.local example.org").zones == (
        names.parse("cluster.local"),
        names.parse("example.org"),
    )
    assert plugin(Kubernetes, "kubernetes", "cluster.local:0").options.zones == (names.parse("cluster.local"),)
    assert names.parse("96.10.in-addr.arpa") in options(zones="cluster.local 10.96.0.0/16").zones


def test_addresses_point_into_the_first_zone_of_names_in_this_cluster() -> None:
    zones = "in-addr.arpa clusterset.local cluster.local example.org"
    assert options("multicluster clusterset.local", zones=zones).primary == names.parse("cluster.local")
    assert options("multicluster", zones=zones).primary == names.parse("clusterset.local")


def test_defaults() -> None:
    assert options() == Options(zones=(names.parse("cluster.local"),))
    found = options()
    assert (found.ttl, found.pods, found.startup_timeout, found.endpoints) == (5, "disabled", 5.0, True)


@pytest.mark.parametrize(
    ("line", "attribute", "value"),
    [
        ("endpoint http://127.0.0.1:8001", "endpoint", "http://127.0.0.1:8001"),
        ("kubeconfig config", "kubeconfig", Path("config")),
        ("kubeconfig config blue", "context", "blue"),
        ("endpoint https://a\ntls a.crt a.key ca.crt", "certificates", (Path("a.crt"), Path("a.key"), Path("ca.crt"))),
        ("manifests one.yaml two", "manifests", (Path("one.yaml"), Path("two"))),
        ("manifests one.yaml\nmanifests two", "manifests", (Path("one.yaml"), Path("two"))),
        ("startup_timeout 1m", "startup_timeout", 60.0),
        ("startup_timeout 0s", "startup_timeout", 0.0),
        ("namespaces Shop\nnamespaces default", "namespaces", {"shop", "default"}),
        ("namespace_labels env=prod", "namespace_labels", "env=prod"),
        ("labels env in (prod, test),!old, tier != db", "labels", "env in (prod, test),!old, tier != db"),
        ("labels example.org/app", "labels", "example.org/app"),
        ("labels age > 3", "labels", "age > 3"),
        ("pods verified", "pods", "verified"),
        ("endpoint_pod_names", "pod_names", True),
        ("noendpoints", "endpoints", False),
        ("ignore empty_service", "ignore_empty", True),
        ("ttl 0", "ttl", 0),
        ("ttl 3600", "ttl", 3600),
        ("fallthrough", "fall.zones", (names.ROOT,)),
        ("fallthrough example.org 192.0.2.0/24", "fall.zones", (
            names.parse("example.org"), names.parse("2.0.192.in-addr.arpa")
        )),
        ("multicluster cluster.local", "multicluster", {names.parse("cluster.local")}),
        ("multicluster", "multicluster", set()),
        ("zonal", "zonal", True),
    ],
)  # fmt: skip
def test_an_option_that_is_taken(line: str, attribute: str, value: object) -> None:
    found: object = options(line)
    for part in attribute.split("."):
        found = getattr(found, part)
    assert found == value
    assert warned(line) == []


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("endpoint", "expected: endpoint URL"),
        ("tls a.crt a.key", "expected: tls CERT KEY CACERT"),
        ("kubeconfig", "expected: kubeconfig FILE [CONTEXT]"),
        ("kubeconfig file context more", "expected: kubeconfig FILE [CONTEXT]"),
        ("manifests", "expected: manifests PATH..."),
        ("startup_timeout", "expected: startup_timeout DURATION"),
        ("startup_timeout 5", "expected a duration"),
        ("startup_timeout -1s", "startup_timeout: expected at least"),
        ("namespaces", "expected: namespaces NAMESPACE..."),
        ("namespace_labels", "expected: namespace_labels EXPRESSION"),
        ("labels", "expected: labels EXPRESSION"),
        ("labels environment in (production, qa", "not a label selector"),
        ("labels env=prod,", "not a label selector"),
        ("labels a b", "not a label selector"),
        ("pods", "expected: pods disabled|insecure|verified"),
        ("pods verifeid", "expected one of disabled, insecure, verified"),
        ("endpoint_pod_names yes", "expected: endpoint_pod_names"),
        ("noendpoints at all", "expected: noendpoints"),
        ("ignore", "expected: ignore empty_service"),
        ("ignore everything", "expected: ignore empty_service"),
        ("ttl", "expected: ttl SECONDS"),
        ("ttl -1", "ttl: expected 0 to 3600, found -1"),
        ("ttl 3601", "ttl: expected 0 to 3600, found 3601"),
        ("ttl soon", "ttl: expected a whole number"),
        ("fallthrough a..b", "an empty label"),
        ("multicluster example.org", "not among the zones of this directive: example.org."),
        ("zonal north", "expected: zonal"),
        ("apiserver_qps -10", "apiserver_qps: expected a number from 0"),
        ("apiserver_qps", "expected: apiserver_qps RATE"),
        ("apiserver_burst -5", "apiserver_burst: expected 0 to"),
        ("apiserver_max_inflight -1", "apiserver_max_inflight: expected 0 to"),
        ("transfer to *", "unknown option 'transfer'"),
    ],
)
def test_an_option_that_is_an_error(line: str, message: str) -> None:
    assert message in wrong(line)
    assert wrong(line).startswith("Corefile:3:")


def test_a_misspelt_option_is_told_what_was_meant() -> None:
    assert "did you mean 'noendpoints'?" in wrong("noendpoint")


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["namespaces a", "namespace_labels b=c"], "exclude each other"),
        (["zonal", "noendpoints"], "zonal needs the endpoints"),
        (["manifests a", "endpoint http://127.0.0.1"], "give only one of them"),
        (["manifests a", "kubeconfig b"], "give only one of them"),
        (["manifests a", "labels b=c"], "labels: it is the API server that selects"),
        (["manifests a", "namespace_labels b=c"], "namespace_labels: it is the API server that selects"),
    ],
)
def test_options_that_exclude_each_other(lines: list[str], message: str) -> None:
    assert message in wrong(*lines)
    assert message in wrong(*reversed(lines))


def test_reverse_zones_alone_hold_no_names() -> None:
    assert "only reverse zones" in wrong(zones="in-addr.arpa 2001:db8::/32")
    assert "only reverse zones" in errors("kubernetes", "10.in-addr.arpa:0")


def test_it_is_used_once() -> None:
    assert "can only be used once" in errors("kubernetes cluster.local\nkubernetes example.org")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("endpoint http://127.0.0.1 http://192.0.2.1", "http://192.0.2.1: is not used"),
        ("endpoint http://127.0.0.1 http://127.0.0.1", "http://127.0.0.1: is not used"),
        ("ignore empty_service or not", "or: is not read"),
        ("apiserver_qps 50.0", "apiserver_qps: has no effect"),
        ("apiserver_burst 100", "apiserver_burst: has no effect"),
        ("apiserver_max_inflight 25", "apiserver_max_inflight: has no effect"),
        ("upstream", "upstream: has no effect"),
        ("upstream 192.0.2.53", "upstream: has no effect"),
    ],
)
def test_what_has_no_effect_is_warned_of(line: str, message: str) -> None:
    [found] = warned(line)
    assert message in found


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["tls a.crt a.key ca.crt"], "tls: has no effect: it belongs to endpoint"),
        (["manifests a", "tls a.crt a.key ca.crt"], "tls: has no effect: it belongs to endpoint"),
        (["kubeconfig a", "endpoint http://127.0.0.1"], "endpoint: has no effect: kubeconfig says"),
        (["noendpoints", "ignore empty_service"], "ignore: without endpoints every service is empty"),
    ],
)
def test_what_does_not_go_together_is_warned_of(lines: list[str], message: str) -> None:
    for each in (lines, lines[::-1]):
        [found] = warned(*each)
        assert message in found
    assert not warned("endpoint http://127.0.0.1", "tls a.crt a.key ca.crt")


@pytest.mark.parametrize(
    ("line", "kinds"),
    [
        ("", (Namespace, Service, EndpointSlice)),
        ("noendpoints", (Namespace, Service)),
        ("pods insecure", (Namespace, Service, EndpointSlice)),
        ("pods verified", (Namespace, Service, EndpointSlice, Pod)),
        ("multicluster cluster.local", (Namespace, Service, EndpointSlice, ServiceImport)),
    ],
)
def test_only_the_objects_that_are_needed_are_watched(line: str, kinds: tuple[Kind, ...]) -> None:
    assert options(line).kinds == kinds
