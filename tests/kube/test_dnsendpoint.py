"""DNSEndpoint objects, from JSON and from YAML's mappings."""

from __future__ import annotations

import json
import logging
import socket
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pydnsk8s import codes, names, rdata
from pydnsk8s.kube.decode import read
from pydnsk8s.kube.objects import DNSEndpoint, RecordSet, Weight


def decoded(*entries: object, **metadata: Any) -> DNSEndpoint:
    document = {"metadata": {"name": "App", "namespace": "Web", **metadata}, "spec": {"endpoints": list(entries)}}
    found = read(DNSEndpoint, json.dumps(document).encode())
    assert isinstance(found, DNSEndpoint)
    assert read(DNSEndpoint, document) == found
    return found


def records(*targets: str | None, type: str | None = "A", **entry: Any) -> tuple[RecordSet, ...]:
    return decoded({"dnsName": "app.example.org", "recordType": type, "targets": list(targets), **entry}).records


def ip(text: str) -> bytes:
    return socket.inet_pton(socket.AF_INET6 if ":" in text else socket.AF_INET, text)


def test_an_object_keeps_its_labels_and_records_under_lower_case_names() -> None:
    labels = {"k8gb.io/dnstype": "local", "a": "B"}
    entry = {"dnsName": "App.Example.ORG.", "recordType": "A", "recordTTL": 30, "targets": ["192.0.2.1"]}
    found = decoded(entry, labels=labels)
    assert (found.namespace, found.name) == ("web", "app")
    assert found.labels == (("a", "B"), ("k8gb.io/dnstype", "local"))
    assert found.records == (RecordSet(names.parse("app.example.org"), codes.A, 30, (ip("192.0.2.1"),)),)


def test_an_address_is_of_the_family_it_is_written_in_and_counts_once() -> None:
    targets = ("192.0.2.1", "2001:db8::1", "2001:DB8::1", "192.0.2.1")
    for type in ("A", "AAAA", "a", None):
        a, aaaa = records(*targets, type=type)
        assert (a.type, a.data) == (codes.A, (ip("192.0.2.1"),))
        assert (aaaa.type, aaaa.data) == (codes.AAAA, (ip("2001:db8::1"),))


@pytest.mark.parametrize(
    ("type", "target", "data"),
    [
        ("CNAME", "www.example.net", names.parse("www.example.net")),
        ("NS", "ns.example.net.", names.parse("ns.example.net")),
        ("PTR", "www.example.net", names.parse("www.example.net")),
        ("MX", "10 mail.example.net", rdata.mx(10, names.parse("mail.example.net"))),
        ("SRV", "0 5 5060 sip.example.net", rdata.srv(0, 5, 5060, names.parse("sip.example.net"))),
        ("TXT", 'v=spf1 "-all', rdata.txt(b'v=spf1 "-all')),
        ("TXT", "x" * 300, rdata.txt(b"x" * 300)),
    ],
)
def test_every_type_has_its_data(type: str, target: str, data: bytes) -> None:
    assert records(target, type=type) == (
        RecordSet(names.parse("app.example.org"), codes.parse_type(type), None, (data,)),
    )


def test_texts_are_the_strings_of_one_record() -> None:
    assert records("a", "b", type="TXT")[0].data == (rdata.txt(b"a", b"b"),)


@pytest.mark.parametrize(("written", "ttl"), [(0, None), (None, None), (-1, None), (30, 30), (1 << 40, 0x7FFFFFFF)])
def test_a_ttl_of_nothing_is_none(written: int | None, ttl: int | None) -> None:
    assert records("192.0.2.1", recordTTL=written)[0].ttl == ttl


def test_labels_name_the_strategy_and_the_weights_of_tags_with_dashes() -> None:
    labels = {
        "strategy": "roundRobin",
        "weight-us-east-1-0-75": "192.0.2.1",
        "weight-eu-0-0": "192.0.2.2",
        "weight-eu-1-0": "2001:db8::2",
    }
    a, aaaa = records("192.0.2.1", "192.0.2.2", "2001:db8::2", labels=labels)
    assert (a.strategy, aaaa.strategy) == ("roundrobin", "roundrobin")
    assert a.weights == (Weight("eu", 0, ip("192.0.2.2")), Weight("us-east-1", 75, ip("192.0.2.1")))
    assert aaaa.weights == (Weight("eu", 0, ip("2001:db8::2")),)


@pytest.mark.parametrize(
    ("entry", "told"),
    [
        ({"dnsName": "app..example.org", "targets": ["192.0.2.1"]}, "an empty label"),
        ({"recordType": "B", "dnsName": "b.example.org", "targets": ["192.0.2.1"]}, "not a record type: 'B'"),
        ({"recordType": "SOA", "dnsName": "b.example.org", "targets": ["x"]}, "of type SOA cannot be served"),
        ({"dnsName": "b.example.org", "targets": ["1.2.3.4.5"]}, "'1.2.3.4.5' is not an IP address"),
        ({"dnsName": "b.example.org", "targets": [""]}, "'' is not an IP address"),
        ({"recordType": "MX", "dnsName": "b.example.org", "targets": ["mail"]}, "not MX data"),
        ({"recordType": "TXT", "dnsName": "b.example.org", "targets": ["x" * 70_000]}, "a text of"),
    ],
)
def test_a_broken_entry_is_told_and_takes_no_other_away(
    entry: dict[str, Any], told: str, caplog: pytest.LogCaptureFixture
) -> None:
    good = {"dnsName": "app.example.org", "recordType": "A", "targets": ["192.0.2.9"]}
    with caplog.at_level(logging.WARNING, "pydnsk8s"):
        assert [names.text(each.name) for each in decoded(entry, good).records] == ["app.example.org."]
    assert told in caplog.text
    assert "'Web/App'" in caplog.text


def test_a_broken_target_or_weight_takes_no_other_away(caplog: pytest.LogCaptureFixture) -> None:
    labels = {"weight-eu-5": "192.0.2.1", "weight-us-0-x": "192.0.2.1", "weight-za-0-5": "here"}
    labels |= {"weight-cn-0-7": "192.0.2.1"}
    with caplog.at_level(logging.WARNING, "pydnsk8s"):
        found = records("192.0.2.1", "nowhere", None, labels=labels)
    assert found[0].data == (ip("192.0.2.1"),)
    assert found[0].weights == (Weight("cn", 7, ip("192.0.2.1")),)
    for label in labels.keys() - {"weight-cn-0-7"}:
        assert f"ignoring the label '{label}' in DNSEndpoint 'Web/App'" in caplog.text
    assert "'nowhere' is not an IP address" in caplog.text


def test_an_entry_without_targets_asks_for_nothing() -> None:
    assert records() == ()
    assert records(targets=None) == ()
    assert records(type="TXT") == ()
    assert decoded().records == ()


VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.integers(-1, 70000) | st.sampled_from(["", "A", "TXT", "x.example.org", "192.0.2.1", "::1", "é\n"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from("dnsName recordType recordTTL targets labels strategy weight-a-0-1 weight-".split()),
            inner,
            max_size=6,
        )
    ),
    max_leaves=20,
)


@given(VALUES, VALUES)
def test_any_document_is_read_or_passed_over_the_same_from_json_and_yaml(endpoints: object, labels: object) -> None:
    document = {"metadata": {"name": "app", "namespace": "web", "labels": labels}, "spec": {"endpoints": endpoints}}
    assert read(DNSEndpoint, document) == read(DNSEndpoint, json.dumps(document).encode())


@given(st.binary())
def test_any_bytes_are_read_or_passed_over(data: bytes) -> None:
    read(DNSEndpoint, data)
