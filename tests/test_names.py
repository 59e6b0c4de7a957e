"""Names in wire form: what is written can be read, and suffixes end at the borders of labels."""

from __future__ import annotations

import ipaddress

import dns.exception
import dns.name
import dns.reversename
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pydnsk8s import names
from tests import strategies as draw


@given(draw.wire_names)
def test_what_is_written_can_be_read(name: bytes) -> None:
    assert names.parse(names.text(name)) == name
    assert names.parse(names.text(name).removesuffix(".") or ".") == name


@given(draw.wire_names)
def test_dnspython_reads_the_same(name: bytes) -> None:
    assert dns.name.from_text(names.text(name)).to_wire() == name
    assert names.parse(dns.name.from_wire(name, 0)[0].to_text()) == name


@given(st.text(max_size=40))
def test_any_text_is_a_name_or_a_value_error(text: str) -> None:
    try:
        name = names.parse(text)
    except ValueError:
        return
    assert len(name) <= 255
    assert dns.name.from_wire(name, 0)[1] == len(name)


@pytest.mark.parametrize(
    "text", ["", "..", "a..b", ".a", "a" * 64, ".".join(["a" * 60] * 5), "a\\", "a\\999", "ü.example.org", "a\\12"]
)
def test_what_is_no_name_says_why(text: str) -> None:
    with pytest.raises(ValueError, match="domain name"):
        names.parse(text)


@given(draw.wire_names.flatmap(draw.recased))
def test_letter_case_is_all_that_parse_takes_away(name: bytes) -> None:
    assert names.parse_keeping_case(names.text(name)) == name
    assert names.parse(names.text(name)) == name.lower()


@given(draw.wire_names, draw.wire_names)
def test_is_under_is_what_dnspython_calls_a_subdomain(one: bytes, two: bytes) -> None:
    assert names.is_under(one, two) == dns.name.from_wire(one, 0)[0].is_subdomain(dns.name.from_wire(two, 0)[0])


@given(st.lists(draw.labels, max_size=3), draw.wire_names)
def test_every_suffix_is_a_zone_of_the_name(front: list[bytes], zone: bytes) -> None:
    try:
        name = names.join(*front, to=zone)
    except ValueError:
        return
    assert names.is_under(name, zone)
    suffixes = list(names.suffixes(name))
    assert suffixes[0] == name
    assert suffixes[-1] == names.ROOT
    assert zone in suffixes
    assert len(suffixes) == len(names.labels(name)) + 1
    assert [names.parent(suffix) for suffix in suffixes] == [*suffixes[1:], names.ROOT]
    assert names.closest(name, (names.ROOT, zone)) == zone


def test_a_border_in_mid_label_is_none() -> None:
    assert not names.is_under(names.parse("notexample.org"), names.parse("example.org"))
    # The octets of the zone stand in the label of this one, length octet and all.
    assert not names.is_under(names.join(b"x\7example", b"org"), names.parse("example.org"))


@given(st.one_of(st.binary(min_size=4, max_size=4), st.binary(min_size=16, max_size=16)))
def test_reverse_names_lead_back(address: bytes) -> None:
    name = names.reverse(address)
    assert names.address(name) == address
    assert names.text(name) == dns.reversename.from_address(str(ipaddress.ip_address(address))).to_text()
    assert names.address(names.parent(name)) is None
    assert names.address(names.join(b"a", to=name)) is None


@given(draw.wire_names)
def test_other_names_are_no_addresses(name: bytes) -> None:
    for zone in (names.IN_ADDR, names.IP6):
        try:
            name = names.join(*names.labels(name), to=zone)
        except ValueError:
            continue
        address = names.address(name)
        assert address is None or names.reverse(address) == name


@pytest.mark.parametrize(
    ("text", "zones"),
    [
        ("example.org", ["example.org."]),
        ("10.0.0.0/8", ["10.in-addr.arpa."]),
        ("192.0.2.77/24", ["2.0.192.in-addr.arpa."]),
        ("10.0.0.0/7", ["10.in-addr.arpa.", "11.in-addr.arpa."]),
        ("192.0.2.0/31", ["0.2.0.192.in-addr.arpa.", "1.2.0.192.in-addr.arpa."]),
        ("0.0.0.0/0", ["in-addr.arpa."]),
        ("2001:db8::/32", ["8.b.d.0.1.0.0.2.ip6.arpa."]),
        ("2001:db8::/31", ["8.b.d.0.1.0.0.2.ip6.arpa.", "9.b.d.0.1.0.0.2.ip6.arpa."]),
    ],
)
def test_a_prefix_stands_for_its_reverse_zones(text: str, zones: list[str]) -> None:
    assert [names.text(zone) for zone in names.zones(text)] == zones


@given(st.ip_addresses(v=4), st.integers(0, 32))
def test_the_zones_of_a_prefix_hold_its_addresses_and_no_others(address: ipaddress.IPv4Address, bits: int) -> None:
    zones = names.zones(f"{address}/{bits}")
    network = ipaddress.ip_network(f"{address}/{bits}", strict=False)
    assert any(names.is_under(names.reverse(address.packed), zone) for zone in zones)
    if bits:
        outside = ipaddress.ip_address(int(network.broadcast_address) + 1 & 0xFFFFFFFF)
        assert not any(names.is_under(names.reverse(outside.packed), zone) for zone in zones)


@pytest.mark.parametrize("text", ["10.0.0.0/33", "10.0.0/8", "2001:db8::/129"])
def test_what_looks_like_a_prefix_and_is_none_is_an_error(text: str) -> None:
    with pytest.raises(ValueError, match="address prefix"):
        names.zones(text)
