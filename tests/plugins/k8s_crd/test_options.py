"""k8s_crd: what its directive may say."""

from __future__ import annotations

from pathlib import Path

import pytest

from pydnsk8s import names
from pydnsk8s.plugin import ServerBlock
from pydnsk8s.plugins.k8s_crd import K8sCrd
from pydnsk8s.plugins.k8s_crd.options import Options
from pydnsk8s.subnet import network
from tests.plugins.blocks import block, errors


def written(*options: str, zones: str = "") -> tuple[Options, ServerBlock]:
    found = block(f"k8s_crd {zones} {{\n" + "\n".join(options) + "\n}", "cloud.example.org:0")
    crd = found.find(K8sCrd)
    assert crd is not None
    return crd.options, found


def read(*options: str, zones: str = "") -> Options:
    return written(*options, zones=zones)[0]


def test_without_options_it_is_what_k8gb_has() -> None:
    options = read()
    assert options.zones == (names.parse("cloud.example.org"),)
    assert (options.ttl, options.negative_ttl, options.apex, options.filters) == (60, 3600, b"dns", ())
    assert (options.database, options.field, options.fields) == (Path("/geoip.mmdb"), ("datacenter",), ())
    assert not options.weighted
    assert not options.local


def test_the_corefile_of_k8gb_is_understood() -> None:
    options, found = written(
        "filter k8gb.absa.oss/dnstype=local",
        "filter k8gb.io/dnstype in (local, extdns)",
        "annotation k8gb.absa.oss/dnstype",
        "apex Gslb",
        "ttl 30",
        "negttl 300",
        "kubecontroller local",
        "loadbalance weight",
        "geodatafilepath geo.mmdb",
        "geodatafield country.iso_code",
        zones="a.example.org b.example.org",
    )
    assert options.zones == (names.parse("a.example.org"), names.parse("b.example.org"))
    assert options.filters == ("k8gb.absa.oss/dnstype=local", "k8gb.io/dnstype in (local, extdns)")
    assert (options.apex, options.ttl, options.negative_ttl) == (b"gslb", 30, 300)
    assert (options.local, options.weighted, options.field) == (True, True, ("country", "iso_code"))
    assert options.database == found.path("geo.mmdb")
    assert ["annotation: has no effect" in str(warning) for warning in found.warnings] == [True]


@pytest.mark.parametrize("option", ["ttl invalid", "negttl invalid", "ttl 3601", "negttl -1"])
def test_a_ttl_that_is_none_is_warned_of(option: str) -> None:
    options, found = written(option)
    assert (options.ttl, options.negative_ttl) == (60, 3600)
    (warning,) = found.warnings
    assert warning.severity == "warning"
    assert "is used instead" in warning.hint


def test_several_fields_take_the_place_of_the_one() -> None:
    for order in (1, -1):
        options, found = written(*["geodatafield a.b", "geodatafields c.d e"][::order])
        assert options.fields == (("c", "d"), ("e",))
        assert "geodatafield: has no effect beside geodatafields" in str(found.warnings[0])


def test_whose_subnet_is_believed_is_said_by_network() -> None:
    everybody = (network("0.0.0.0/0"), network("::/0"))
    assert read().believed == everybody
    assert read("edns-subnet").believed == everybody
    assert read("edns-subnet none").believed is None
    assert read("edns-subnet 192.0.2.0/24 2001:db8::53").believed == (network("192.0.2.0/24"), network("2001:db8::53"))


@pytest.mark.parametrize(
    ("option", "told"),
    [
        ("unrecognised invalid", "unknown option 'unrecognised'"),
        ("filter", "expected: filter SELECTOR"),
        ("filter =local", "not a label selector: '=local'"),
        ("annotation", "expected: annotation NAME"),
        ("ttl", "expected: ttl SECONDS"),
        ("negttl 1 2", "expected: negttl SECONDS"),
        ("apex a.b", "expected one label, found 'a.b'"),
        ("kubecontroller remote", "expected one of inCluster, local, found 'remote'"),
        ("loadbalance round_robin", "expected weight, found 'round_robin'"),
        ("geodatafields", "expected: geodatafields FIELDS..."),
        ("edns-subnet everybody", "expected an IP address or a prefix"),
        ("manifests", "expected: manifests PATH..."),
        ("manifests x\nendpoint http://127.0.0.1:1", "give only one of them"),
        ("kubecontroller local\nendpoint http://127.0.0.1:1", "exclude each other"),
        ("fallthrough a..b", "an empty label"),
    ],
)
def test_a_fault_is_told_at_its_place(option: str, told: str) -> None:
    text = errors(f"k8s_crd {{\n{option}\n}}")
    assert told in text
    assert "Corefile:" in text


def test_a_zone_too_long_for_a_name_server_is_no_zone() -> None:
    long = ".".join(["x" * 60] * 4)
    assert "it would be too long" in errors(f"k8s_crd {long}")


def test_the_external_service_must_be_a_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EXTERNAL_SVC", "a..b")
    assert "EXTERNAL_SVC" in errors("k8s_crd")


def test_it_stands_before_kubernetes() -> None:
    found = block("kubernetes cluster.local {\nmanifests x\n}\nk8s_crd\nhosts {\n192.0.2.1 a.example.org\n}")
    assert [plugin.name for plugin in found.plugins] == ["hosts", "k8s_crd", "kubernetes"]
