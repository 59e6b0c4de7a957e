"""What a Corefile may say of gslb, and what it may not."""

from __future__ import annotations

from pathlib import Path

import pytest
import trustme

from pydnsk8s.plugins.gslb import Gslb
from pydnsk8s.plugins.gslb.checks import Dns, Http, Tcp
from pydnsk8s.plugins.gslb.origins import Named, Peer
from pydnsk8s.plugins.gslb.service import Service
from pydnsk8s.upstream import Address
from tests import databases
from tests.plugins.blocks import block, errors, plugin

NAME = b"\3app\7example\3org\0"


def written(*options: str) -> str:
    return "gslb app.example.org {\n" + "\n".join(options) + "\n}"


def service(*options: str) -> Service:
    return plugin(Gslb, written(*options)).services[NAME]


EU = "cluster eu 192.0.2.1"


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ([], "at least one cluster"),
        (["cluster"], "wrong number of arguments"),
        (["cluster eu"], "wrong number of arguments"),
        (["cluster eu 192.0.2.300"], "expected an IP address, found '192.0.2.300'"),
        (["cluster eu weight 5"], "expected an IP address, found 'weight'"),
        ([EU, EU], "there is a cluster 'eu' already"),
        (["cluster eu 192.0.2.1 weight"], "found 'weight'"),
        (["cluster eu 192.0.2.1 weight -1"], "expected 0 to 65535, found -1"),
        (["cluster eu 192.0.2.1 weight 0"], "every cluster is drained"),
        (["cluster eu 192.0.2.1 location 91 0"], "a number from -90 to 90, found '91'"),
        (["cluster eu 192.0.2.1 location 1"], "found 'location'"),
        (["cluster eu 192.0.2.1 name lb.example.net"], "found 'name'"),
        (["cluster eu name"], "expected an IP address, found 'name'"),
        (["cluster eu name x..y"], "not a domain name"),
        (["cluster eu peer"], "expected the IP address of a DNS server behind peer"),
        (["cluster eu peer 192.0.2.1:0"], "expected a port from 1 to 65535"),
        (["cluster eu peer 192.0.2.1 host"], "found 'host'"),
        (["cluster eu 192.0.2.1 primary", "cluster us 192.0.2.2 primary"], "only one cluster can be the primary"),
        ([EU, "strategy best"], "expected one of round_robin, failover, weighted, geoip, combined, found 'best'"),
        ([EU, "strategy geoip"], "the strategy geoip needs a geodb"),
        ([EU, "ttl -1"], "expected 0 to 2147483647, found -1"),
        ([EU, "check"], "wrong number of arguments"),
        ([EU, "check udp 53"], "wrong number of arguments; expected: check tcp PORT"),
        ([EU, "check tcp 0"], "expected 1 to 65535, found 0"),
        ([EU, "check http healthz"], "expected a path such as /healthz, found 'healthz'"),
        ([EU, "check http / insecure"], "found 'insecure'"),
        ([EU, "check http / status 399-200"], "expected 399 to 599, found 200"),
        ([EU, "check http / status ok"], "expected a whole number from 100 to 599"),
        ([EU, "check http / body ("], "not a regular expression"),
        ([EU, "check https / ca /nonexistent"], "cannot use /nonexistent"),
        ([EU, "check dns example.org NOTYPE"], "not a record type: 'NOTYPE'"),
        ([EU, "interval 0s"], "expected at least 100ms"),
        ([EU, "interval 10"], "write 10s for seconds"),
        ([EU, "interval 10s jitter 95%"], "expected 0 to 90, found 95"),
        ([EU, "interval 1s"], "the timeout of a check must not be longer than the interval"),
        ([EU, "rise 0"], "expected 1 to 100, found 0"),
        ([EU, "fallback some"], "expected one of all, none"),
        ([EU, "local us"], "there is no cluster 'us' above"),
        (["cluster eu peer 192.0.2.1", "local eu"], "eu is a peer, which tells its addresses itself"),
        ([EU, "geodb /nonexistent.mmdb"], "cannot read /nonexistent.mmdb: no such file or directory"),
        ([EU, "near -1"], "a number from 0 to 20100"),
        ([EU, "edns-subnet here"], "expected an IP address or a prefix"),
        ([EU, "nameserver ns.app.example.org"], "inside of the zone and needs an address"),
        ([EU, "stratgy failover"], "unknown option 'stratgy'"),
    ],
)
def test_what_is_wrong_is_told_at_its_word(options: list[str], complaint: str) -> None:
    assert complaint in errors(written(*options))


@pytest.mark.parametrize("directive", ["gslb", "gslb a.example.org b.example.org {\ncluster eu 192.0.2.1\n}"])
def test_a_directive_is_for_one_name(directive: str) -> None:
    assert "expected: gslb NAME" in errors(directive)


def test_a_name_is_defined_once_in_a_block() -> None:
    assert "defined in this block already" in errors(f"{written(EU)}\n{written(EU)}")


def test_a_name_that_no_query_for_can_reach_us_is_an_error() -> None:
    assert "in none of the zones served here" in errors(written(EU), "example.net")
    assert "localtargets-app.example.org. is in none" in errors(written(EU, "local eu"), "app.example.org")


def test_a_label_too_long_for_the_prefix_is_an_error() -> None:
    long = "a" * 51
    assert errors(f"gslb {long}.example.org {{\n{EU}\n}}") == ""
    assert "too long for 'localtargets-'" in errors(f"gslb {long}.example.org {{\n{EU}\nlocal eu\n}}")


def test_clusters_are_read_with_all_their_properties() -> None:
    read = service(
        "cluster eu 192.0.2.1 2001:db8::1 weight 50 location 50.1 -8.6 region DE,fr primary",
        "cluster us name lb.example.net weight 0",
        "cluster asia peer 198.51.100.7 [2001:db8::53]:5353 host app.example.net region JP",
        "resolver 192.0.2.53",
    )
    eu, us, asia = read.clusters
    assert eu.addresses == (bytes((192, 0, 2, 1)), bytes.fromhex("20010db8" + "0" * 23 + "1"))
    assert (eu.weight, eu.location, eu.primary) == (50, (50.1, -8.6), True)
    assert eu.regions == {"de", "fr"}
    assert us.origin == Named("lb.example.net", (Address("dns", "192.0.2.53", 53),))
    servers = Address("dns", "198.51.100.7", 53), Address("dns", "2001:db8::53", 5353)
    assert asia.origin == Peer(servers, b"\3app\7example\3net\0")
    assert asia.regions == {"jp"}


def test_failover_puts_the_primary_first_and_keeps_the_order_of_the_rest() -> None:
    clusters = [f"cluster {tag} 192.0.2.1" for tag in ("a", "b", "c", "d")]
    clusters[2] += " primary"
    assert [cluster.tag for cluster in service("strategy failover", *clusters).clusters] == ["c", "a", "b", "d"]


def test_checks_are_read_with_all_their_conditions(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_bytes(trustme.CA().cert_pem.bytes())
    read = service(
        EU,
        "check tcp 443",
        "check http /healthz",
        f'check https /a?b=c port 8443 host www.example.org status 200-299 body "is (up|well)" ca {tmp_path}/ca.pem',
        "check https / insecure",
        "check dns example.org SOA",
        "check dns example.org AAAA port 5353",
    )
    tcp, http, https, insecure, soa, aaaa = read.checks
    assert tcp == Tcp(443)
    assert http == Http("http", "/healthz", 80, "app.example.org")
    assert isinstance(https, Http)
    assert (https.port, https.host, https.least, https.most) == (8443, "www.example.org", 200, 299)
    assert https.body is not None
    assert https.body.search(b"all is well")
    assert https.authorities.startswith("-----BEGIN CERTIFICATE")
    assert isinstance(insecure, Http)
    assert not insecure.proven
    assert (soa, aaaa) == (Dns(b"\7example\3org\0", 6), Dns(b"\7example\3org\0", 28, 5353))


def test_a_file_without_certificates_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("nothing")
    assert "ca.pem" in errors(written(EU, f"check https / ca {tmp_path}/ca.pem"))


def test_geography_needs_to_know_where_each_cluster_is(tmp_path: Path) -> None:
    path = databases.write(tmp_path / "world.mmdb", databases.countries(DE="192.0.2.0/24"))
    geo = "strategy geoip", f"geodb {path}", "cluster eu 192.0.2.1 location 50 8", "cluster us 192.0.2.2"
    assert "where is us? Give a location, or fields to geodb" in errors(written(*geo))
    geo = geo[0], f"geodb {path} country.iso_code", *geo[2:]
    assert errors(written(*geo)) == ""


def test_a_database_that_decides_nothing_is_warned_of(tmp_path: Path) -> None:
    path = databases.write(tmp_path / "world.mmdb", databases.countries(DE="192.0.2.0/24"))
    found = block(written(EU, f"geodb {path}"))
    assert "geodb has no effect with the strategy round_robin" in found.warnings[0].message


@pytest.mark.parametrize("option", ["near 50", "edns-subnet", "edns-subnet 192.0.2.0/24"])
def test_what_is_about_places_is_warned_of_where_places_do_not_count(option: str) -> None:
    found = block(written(EU, option))
    message = f"{option.split()[0]} has no effect with the strategy round_robin"
    assert [message in warning.message for warning in found.warnings] == [True]


@pytest.mark.parametrize("values", ["US,", ",", "US,,CA"])
def test_a_region_without_a_name_is_an_error(values: str) -> None:
    # It would stand for all clients of whom the database knows no region.
    assert "region: expected VALUE[,VALUE...]" in errors(written(f"{EU} region {values}"))
