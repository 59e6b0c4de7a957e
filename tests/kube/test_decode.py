"""Kubernetes objects, from JSON and from YAML's mappings."""

from __future__ import annotations

import json
import logging
import socket
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pydnsk8s.kube.decode import Document, read
from pydnsk8s.kube.objects import (
    KINDS,
    Endpoint,
    EndpointSlice,
    Kind,
    Namespace,
    Pod,
    Port,
    Service,
    ServiceImport,
)


def ip(text: str) -> bytes:
    return socket.inet_pton(socket.AF_INET6 if ":" in text else socket.AF_INET, text)


def service(**spec: Any) -> Service:
    found = read(Service, {"metadata": {"name": "Web", "namespace": "Shop"}, "spec": spec})
    assert isinstance(found, Service)
    return found


def slice_of(*endpoints: dict[str, Any], **more: Any) -> EndpointSlice:
    labels = {"kubernetes.io/service-name": "web"}
    metadata = {"name": "web-x1", "namespace": "shop", "labels": labels, **more.pop("metadata", {})}
    document = {"metadata": metadata, "addressType": "IPv4", "endpoints": list(endpoints), **more}
    found = read(EndpointSlice, json.dumps(document).encode())
    assert isinstance(found, EndpointSlice)
    return found


def test_a_service_keeps_its_addresses_and_ports_under_lower_case_names() -> None:
    found = service(
        clusterIPs=["192.0.2.10", "2001:db8::10"],
        ports=[{"name": "DNS", "port": 53, "protocol": "UDP"}, {"port": 80}],
        externalName="ignored.example.org",
    )
    assert (found.namespace, found.name, found.type, found.headless) == ("shop", "web", "ClusterIP", False)
    assert found.cluster_ips == (ip("192.0.2.10"), ip("2001:db8::10"))
    assert found.ports == (Port("dns", 53, "udp"), Port("", 80, "tcp"))
    assert found.external_name == ""


@pytest.mark.parametrize("spec", [{"clusterIP": "None"}, {"clusterIP": "None", "clusterIPs": ["None"]}])
def test_a_service_without_a_cluster_ip_is_headless(spec: dict[str, Any]) -> None:
    assert service(**spec).headless
    assert service(**spec).cluster_ips == ()


def test_an_ipv4_address_written_as_an_ipv6_one_is_an_ipv4_address() -> None:
    assert service(clusterIP="::ffff:192.0.2.10").cluster_ips == (ip("192.0.2.10"),)
    assert [each.address for each in slice_of({"addresses": ["::FFFF:c000:20b"]}).endpoints] == [ip("192.0.2.11")]


def test_a_service_still_waiting_for_its_address_has_none() -> None:
    assert service(clusterIP="", clusterIPs=None).cluster_ips == ()
    assert not service(clusterIP="").headless


def test_a_service_that_stands_for_another_name_is_not_headless() -> None:
    found = service(type="ExternalName", externalName="www.example.org", clusterIP="None")
    assert (found.headless, found.external_name) == (False, "www.example.org")


def test_an_external_name_has_no_address_of_its_own() -> None:
    found = service(type="ExternalName", externalName="Www.Example.org", clusterIP="192.0.2.1")
    assert (found.external_name, found.cluster_ips) == ("Www.Example.org", ())


def test_a_load_balancer_is_reached_at_its_external_addresses_and_host_names() -> None:
    document = {
        "metadata": {"name": "web", "namespace": "shop"},
        "spec": {"type": "LoadBalancer", "clusterIP": "192.0.2.1", "externalIPs": ["198.51.100.1"]},
        "status": {"loadBalancer": {"ingress": [{"ip": "198.51.100.2"}, {"hostname": "lb.example.net"}]}},
    }
    found = read(Service, document)
    assert isinstance(found, Service)
    assert found.external_ips == (ip("198.51.100.1"), ip("198.51.100.2"))
    assert found.external_hosts == ("lb.example.net",)


@pytest.mark.parametrize(
    ("conditions", "ready"),
    [({"ready": True}, True), ({"ready": False}, False), ({"ready": None}, True), ({}, True), (None, True)],
)
def test_an_endpoint_counts_unless_it_says_that_it_is_not_ready(conditions: object, ready: bool) -> None:
    found = slice_of({"addresses": ["192.0.2.1"], "conditions": conditions})
    assert bool(found.endpoints) is ready


def test_an_endpoint_keeps_host_name_pod_and_zone() -> None:
    endpoint = {
        "addresses": ["192.0.2.1"],
        "hostname": "Db-0",
        "zone": "Europe.West",
        "targetRef": {"kind": "Pod", "name": "db-0-abc"},
    }
    assert slice_of(endpoint).endpoints == (Endpoint(ip("192.0.2.1"), "db-0", "db-0-abc", "europe.west"),)


@pytest.mark.parametrize("pod", ["a" * 64, "not.a.label", "sch\u00f6n"])
def test_a_pod_name_that_cannot_be_a_label_is_no_name_for_an_endpoint(pod: str) -> None:
    assert slice_of({"addresses": ["192.0.2.1"], "targetRef": {"name": pod}}).endpoints[0].pod == ""


def test_every_list_and_string_of_a_slice_may_be_null() -> None:
    assert slice_of(endpoints=None, ports=None).endpoints == ()
    nulls = {"addresses": None, "hostname": None, "zone": None, "targetRef": None, "conditions": None}
    assert slice_of(nulls, ports=[{"name": None, "port": None, "protocol": None}]).ports == (Port("", 0, "tcp"),)


def test_addresses_that_are_names_are_no_endpoints() -> None:
    assert slice_of({"addresses": ["www.example.org"]}, addressType="FQDN").endpoints == ()


def test_the_same_endpoints_in_another_order_are_the_same_slice() -> None:
    one, two = {"addresses": ["192.0.2.1"]}, {"addresses": ["192.0.2.2"]}
    assert slice_of(one, two) == slice_of(two, one)


def test_what_dns_does_not_need_makes_no_difference() -> None:
    plain = slice_of({"addresses": ["192.0.2.1"]})
    noise = {"annotations": {"a": "b"}, "resourceVersion": "77", "managedFields": [{"manager": "x"}]}
    assert slice_of({"addresses": ["192.0.2.1"], "nodeName": "n1"}, metadata=noise) == plain


def test_an_imported_slice_tells_its_service_and_its_cluster() -> None:
    labels = {"multicluster.kubernetes.io/service-name": "web", "multicluster.kubernetes.io/source-cluster": "East"}
    found = slice_of({"addresses": ["192.0.2.1"]}, metadata={"labels": labels})
    assert (found.service, found.imported, found.cluster) == ("", "web", "east")


@pytest.mark.parametrize("version", ["v1alpha1", "v1beta1"])
def test_a_service_import_is_read_in_either_version(version: str) -> None:
    document = {
        "apiVersion": f"multicluster.x-k8s.io/{version}",
        "metadata": {"name": "web", "namespace": "shop"},
        "spec": {"type": "ClusterSetIP", "ips": ["192.0.2.1"], "ports": [{"port": 80}]},
    }
    assert read(ServiceImport, document) == ServiceImport(
        "shop", "web", False, (ip("192.0.2.1"),), (Port("", 80, "tcp"),)
    )


@pytest.mark.parametrize(
    ("change", "addresses"),
    [
        ({}, 2),
        ({"status": {"phase": "Succeeded", "podIP": "192.0.2.1"}}, 0),
        ({"metadata": {"name": "p", "namespace": "shop", "deletionTimestamp": "2026-01-01T00:00:00Z"}}, 0),
        ({"status": None}, 0),
    ],
)
def test_a_pod_has_addresses_only_while_it_runs(change: dict[str, Any], addresses: int) -> None:
    document = {
        "metadata": {"name": "p", "namespace": "shop"},
        "status": {"phase": "Running", "podIP": "192.0.2.1", "podIPs": [{"ip": "192.0.2.1"}, {"ip": "2001:db8::1"}]},
        **change,
    }
    found = read(Pod, document)
    assert isinstance(found, Pod)
    assert len(found.ips) == addresses


@pytest.mark.parametrize(
    ("kind", "document", "said"),
    [
        (
            Service,
            {"metadata": {"name": "web", "namespace": "shop"}, "spec": {"clusterIP": "192.0.2.300"}},
            "192.0.2.300",
        ),
        (Service, {"metadata": {"name": "web", "namespace": "shop"}, "spec": {"ports": "http"}}, "$.spec.ports"),
        (Service, {"metadata": {"name": "web", "namespace": "shop"}, "spec": {"ports": [{"port": -1}]}}, "-1"),
        (Service, {"metadata": {"name": "w.b", "namespace": "shop"}, "spec": {}}, "DNS label"),
        (Namespace, {"metadata": {"name": "shop\nERROR all is lost"}}, r"'shop\nERROR all is lost'"),
        (
            Service,
            b'{"metadata": {"name": "web", "namespace": "shop"}, "spec": {}, "x": ' + b"[" * 100_000,
            "too deeply",
        ),
        (Namespace, {"metadata": None}, "without a name"),
    ],
)
def test_an_object_that_dns_cannot_use_is_named_in_the_log_and_passed_over(
    kind: Kind, document: Document, said: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "pydnsk8s.kube"):
        assert read(kind, document) is None
    (record,) = caplog.records
    assert kind.__name__ in record.getMessage()
    assert said in record.getMessage()
    assert "\n" not in record.getMessage()


KEYS = (
    "metadata name namespace labels spec status type clusterIP clusterIPs ports port endpoints addresses "
    "conditions ready hostname podIPs ip externalIPs loadBalancer ingress deletionTimestamp ips"
).split()
VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(-1, 70000) | st.sampled_from(["", "web", "None", "192.0.2.1", "::1"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=6),
    max_leaves=20,
)


@given(st.sampled_from(KINDS), VALUES, VALUES, VALUES)
def test_any_document_is_read_or_passed_over_the_same_from_json_and_yaml(
    kind: Kind, spec: object, status: object, endpoints: object
) -> None:
    document = {
        "metadata": {"name": "web", "namespace": "shop", "labels": {"kubernetes.io/service-name": "web"}},
        "spec": spec,
        "status": status,
        "endpoints": endpoints,
    }
    assert read(kind, document) == read(kind, json.dumps(document).encode())


@given(st.sampled_from(KINDS), st.binary())
def test_any_bytes_are_read_or_passed_over(kind: Kind, data: bytes) -> None:
    read(kind, data)
