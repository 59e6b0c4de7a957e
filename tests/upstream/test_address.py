from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pydnsk8s.upstream import Address, Host, nameservers, parse


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("192.0.2.1", Address("dns", "192.0.2.1", 53)),
        ("192.0.2.1:5300", Address("dns", "192.0.2.1", 5300)),
        ("dns://192.0.2.1", Address("dns", "192.0.2.1", 53)),
        ("2001:db8::1", Address("dns", "2001:db8::1", 53)),
        ("[2001:db8::1]", Address("dns", "2001:db8::1", 53)),
        ("[2001:DB8:0::1]:5300", Address("dns", "2001:db8::1", 5300)),
        ("fe80::1%eth0", Address("dns", "fe80::1%eth0", 53)),
        ("2001:db8::1%eth0", Address("dns", "2001:db8::1", 53)),
        ("tls://192.0.2.1", Address("tls", "192.0.2.1", 853)),
        ("tls://192.0.2.1%example.net:854", Address("tls", "192.0.2.1", 854, "example.net")),
        ("tls://fe80::1%example.com", Address("tls", "fe80::1", 853, "example.com")),
        ("tls://[2001:db8::1%dns.example.org]:853", Address("tls", "2001:db8::1", 853, "dns.example.org")),
        ("https://192.0.2.1", Address("https", "192.0.2.1", 443)),
        ("dns.example.org", Host("dns", "dns.example.org", 53)),
        ("tls://dns.example.org:8853", Host("tls", "dns.example.org", 8853)),
        ("tls://dns.example.org%other.example.org", Host("tls", "dns.example.org", 853, "other.example.org")),
    ],
)
def test_every_way_to_write_an_upstream_is_understood(text: str, expected: Address | Host) -> None:
    assert parse(text) == expected


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("https://192.0.2.1/", "without a path"),
        ("https://192.0.2.1/dns-query", "without a path"),
        ("grpc://192.0.2.1", "grpc:// cannot be asked"),
        ("192.0.2.1:0", "a port from 1 to 65535, found '0'"),
        ("192.0.2.1:65536", "a port from 1 to 65535"),
        ("192.0.2.1:", "a port from 1 to 65535, found ''"),
        ("[2001:db8::1", "expected [IPV6]:PORT"),
        ("[2001:db8::1]53", "expected [IPV6]:PORT"),
        ("192.0.2.256", "neither an IP address"),
        ("192.0.2", "neither an IP address"),
        ("a192.0.2.1", "neither an IP address"),
        ("192.0.2.1%eth0", None),
        ("tls://192.0.2.1%", "a name is missing"),
        ("bücher.example", "neither an IP address"),
        ("a..example.org", "empty label"),
        ("", "neither an IP address"),
    ],
)
def test_what_is_no_upstream_is_refused_with_a_reason(text: str, why: str | None) -> None:
    if why is None:
        assert parse(text) == Address("dns", "192.0.2.1", 53)
        return
    with pytest.raises(ValueError) as refused:
        parse(text)
    assert why in str(refused.value)


@given(st.text() | st.from_regex(r"(tls://)?\[?[0-9a-f:.%]{1,40}\]?(:[0-9]{1,6})?", fullmatch=True))
@example("[::1]]:53")
@example("fe80::1%\0")
def test_any_text_is_an_upstream_or_a_value_error(text: str) -> None:
    try:
        found = parse(text)
    except ValueError:
        return
    assert 1 <= found.port <= 65535


@given(st.ip_addresses(), st.integers(1, 65535))
def test_an_address_reads_back_what_it_prints(ip: object, port: int) -> None:
    text = f"[{ip}]:{port}" if ":" in str(ip) else f"{ip}:{port}"
    assert parse(str(parse(text))) == parse(text)


def test_a_host_given_by_name_must_prove_that_name() -> None:
    assert Host("tls", "dns.example.org", 853).at("192.0.2.1") == Address("tls", "192.0.2.1", 853, "dns.example.org")
    assert Host("dns", "dns.example.org", 53).at("192.0.2.1").servername == ""


def _resolv_conf(folder: Path, content: bytes) -> Path:
    path = folder / "resolv.conf"
    path.write_bytes(content)
    return path


def test_the_name_servers_of_a_resolv_conf_are_found_among_everything_else(tmp_path: Path) -> None:
    path = _resolv_conf(
        tmp_path,
        b"# nameserver 192.0.2.9\n; comment\nsearch example.org\nnameserver 192.0.2.1\n"
        b"  nameserver\t2001:db8::1%eth0  # trailing\nnameserver fe80::1%eth0\r\noptions ndots:5\n\xff\xfe junk\n",
    )
    assert nameservers(path) == [
        Address("dns", "192.0.2.1", 53),
        Address("dns", "2001:db8::1", 53),
        Address("dns", "fe80::1%eth0", 53),
    ]


def test_a_resolv_conf_without_name_servers_gives_none(tmp_path: Path) -> None:
    assert nameservers(_resolv_conf(tmp_path, b"search example.org\n")) == []


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (
            b"search x\nnameserver dns.example.org\n",
            "resolv.conf:2: expected an IP address behind nameserver, found 'dns.example.org'",
        ),
        (b"nameserver\n", "resolv.conf:1: nameserver without an address"),
        (b"nameserver \xff\n", "resolv.conf:1: expected an IP address"),
        (b"\n" * 70000, "over 65536 octets"),
    ],
)
def test_an_unusable_name_server_line_is_reported_with_its_place(tmp_path: Path, content: bytes, why: str) -> None:
    with pytest.raises(ValueError) as refused:
        nameservers(_resolv_conf(tmp_path, content))
    assert why in str(refused.value)
