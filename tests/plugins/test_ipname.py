"""ipname: an address in a name is found by the rules chosen, and nothing else is."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pydnsk8s import codes, names, testing
from pydnsk8s.listen import interfaces
from pydnsk8s.message import Query, Reply
from pydnsk8s.plugins.ipname import IpName
from pydnsk8s.plugins.ipname.address import Addresses, label, nip, sslip

from .blocks import ELSEWHERE, elsewhere, errors, plugin, query, texts


@pytest.fixture(scope="module", autouse=True)
def addresses() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(interfaces, "addresses", lambda: {"eth0": ("192.0.2.53", "2001:db8::53")})
        yield


def shown(found: Addresses) -> tuple[str, str]:
    families = (socket.AF_INET, socket.AF_INET6)
    v4, v6 = (socket.inet_ntop(family, held) if held else "" for family, held in zip(families, found, strict=True))
    return v4, v6


@pytest.mark.parametrize(
    ("text", "v4"),
    [
        ("10.0.0.1", "10.0.0.1"),
        ("app.10.8.0.1", "10.8.0.1"),
        ("customer1.app.10.0.0.1", "10.0.0.1"),
        ("192-168-1-250", "192.168.1.250"),
        ("app-116-203-255-68", "116.203.255.68"),
        ("0a000803", "10.0.8.3"),
        ("app-c0a801fc", "192.168.1.252"),
        ("app.c0a801fc", "192.168.1.252"),
        ("10.0-0.1", "10.0.0.1"),
        ("1-2-3-4-5", "2.3.4.5"),
        ("1-2-3-4.5-6-7-8", "5.6.7.8"),
        ("10.0.0.1.app", ""),
        ("10.0.0.256", ""),
        ("10.0.0.01", ""),
        ("10.0.0", ""),
        ("x10.0.0.1", ""),
        ("0a00080", ""),
        ("0a0008031", ""),
        ("xc0a801fc", ""),
        ("--1", ""),
        ("2001-db8--1", ""),
        ("", ""),
    ],
)
def test_the_rules_of_nip(text: str, v4: str) -> None:
    assert shown(nip(text)) == (v4, "")


@pytest.mark.parametrize(
    ("text", "v4", "v6"),
    [
        ("10.0.0.1", "10.0.0.1", ""),
        ("www.10-0-0-1.app", "10.0.0.1", ""),
        ("www-10-0-0-1-app", "10.0.0.1", ""),
        ("www-10.0.0.1-app", "10.0.0.1", ""),
        ("1-2-3-4.5-6-7-8", "1.2.3.4", ""),
        ("1.2.3.4.5-6-7-8", "5.6.7.8", ""),  # dashed goes before dotted
        ("0a000001.1.2.3.4", "1.2.3.4", ""),  # and dotted before hexadecimal
        ("1-2-3-4-5", "1.2.3.4", ""),
        ("01.23.45.67.89", "23.45.67.89", ""),
        ("192.0-2.3", "", ""),
        ("256-0-0-1", "", ""),
        ("x10-0-0-1", "", ""),
        ("app.0a000001.x", "10.0.0.1", ""),
        ("app-0a000001-x", "10.0.0.1", ""),
        ("0a0000011", "", ""),
        ("--1", "", "::1"),
        ("2600--", "", "2600::"),
        ("www.2001-db8--1", "", "2001:db8::1"),
        ("www-2001-db8--1", "", "2001:db8::1"),
        ("2001-db8-1-2-3-4-5-6", "1.2.3.4", "2001:db8:1:2:3:4:5:6"),
        ("fe80--1.2001-db8--2", "", "fe80::1"),
        ("20010db8000000000000000000000001", "", "2001:db8::1"),
        ("a.20010db8000000000000000000000001.b", "", "2001:db8::1"),
        ("a-20010db8000000000000000000000001", "", ""),
        ("20010db8000000000000000000000001.--2", "", "::2"),
        ("xn--bcher-kva", "", ""),
        ("1--2--3", "", "1::2"),
        ("2001-db8-1-2-3-4-5--6-7-8", "1.2.3.4", "db8:1:2:3:4:5:0:6"),
        ("", "", ""),
    ],
)
def test_the_rules_of_sslip(text: str, v4: str, v6: str) -> None:
    assert shown(sslip(text)) == (v4, v6)


@given(st.ip_addresses())
def test_every_address_is_found_under_its_label(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> None:
    found = sslip(f"www.{label(address.packed)}.app")
    if address.version == 4:
        assert found.v4 == nip(f"www.{label(address.packed)}").v4 == address.packed
    elif address.ipv4_mapped is None and "." not in str(address):
        assert found.v6 == address.packed


TEXTS = st.lists(
    st.sampled_from([*"0123.-", "--", "x", "10", "256", "01", "2001", "db8", "0a000001"]), max_size=24
).map("".join)


@given(TEXTS)
def test_what_is_found_is_what_a_search_by_hand_finds(text: str) -> None:
    pieces = list(between_borders(text))
    dashed = [piece.replace("-", ".") for piece in pieces if "." not in piece]
    dotted = [piece for piece in pieces if "-" not in piece]
    hexed = [piece for piece in pieces if len(piece) == 8 and set(piece) <= set("0123456789abcdef")]
    v4 = [
        *filter(is_v4, dashed),
        *filter(is_v4, dotted),
        *(str(ipaddress.IPv4Address(bytes.fromhex(held))) for held in hexed),
    ]
    v6 = [str(ipaddress.IPv6Address(held)) for held in (piece.replace("-", ":") for piece in pieces) if is_v6(held)]
    if not v6:
        whole = [part for part in text.split(".") if len(part) == 32 and set(part) <= set("0123456789abcdef")]
        v6 = [str(ipaddress.IPv6Address(bytes.fromhex(part))) for part in whole]
    found = shown(sslip(text))
    assert found[0] == (v4[0] if v4 else "")
    assert (not found[1] and not v6) or str(ipaddress.IPv6Address(found[1])) in v6


def between_borders(text: str) -> Iterator[str]:
    """Every piece that stands alone or between dots and dashes, from left to right."""
    for start in range(len(text)):
        for end in range(start + 1, len(text) + 1):
            if (not start or text[start - 1] in ".-") and (end == len(text) or text[end] in ".-"):
                yield text[start:end]


def is_v4(text: str) -> bool:
    try:
        ipaddress.IPv4Address(text)
    except ValueError:
        return False
    return True


def is_v6(text: str) -> bool:
    try:
        ipaddress.IPv6Address(text)
    except ValueError:
        return False
    return "." not in text


async def made(options: str = "", zones: str = "example.org 192.0.2.0/24 ip6.arpa") -> IpName:
    found = plugin(IpName, f"ipname {zones} {{\n{options}\n}}")
    await found.start()
    return found


async def said(found: IpName, name: str, type: str = "A") -> list[str] | str:
    reply = await found.answer(query(name, type), elsewhere)
    if reply is ELSEWHERE:
        return "elsewhere"
    assert reply.rcode == codes.NOERROR
    assert reply.keep.alive
    assert reply.keep.live
    if reply.answer:
        assert reply.authoritative
        return [line.split(" ", 3)[3] for line in texts(reply.answer)]
    return "NODATA" if reply.authority[0].type == codes.SOA else "referral"


@pytest.mark.parametrize(
    ("name", "type", "expected"),
    [
        ("www.10-0-0-1.example.org", "A", ["10.0.0.1"]),
        ("WWW.10-0-0-1.example.ORG", "A", ["10.0.0.1"]),
        ("www.10-0-0-1.example.org", "AAAA", "NODATA"),
        ("2001-DB8--1.example.org", "AAAA", ["2001:db8::1"]),
        ("10-0-0-1.--1.example.org", "AAAA", ["::1"]),
        ("10-0-0-1.--1.example.org", "A", ["10.0.0.1"]),
        ("www.example.org", "A", "NODATA"),
        ("10-0-0-1.example.org", "TXT", "NODATA"),
        ("example.org", "A", "NODATA"),
        ("example.org", "NS", ["ns.example.org."]),
        ("example.org", "SOA", ["ns.example.org. hostmaster.example.org. 1 7200 1800 86400 300"]),
        ("ns.example.org", "A", ["192.0.2.53"]),
        ("ns.example.org", "AAAA", ["2001:db8::53"]),
        ("1.2.0.192.in-addr.arpa", "PTR", ["192-0-2-1.example.org."]),
        ("1.2.0.192.in-addr.arpa", "A", "NODATA"),
        ("2.0.192.in-addr.arpa", "NS", ["ns.example.org."]),
        ("x.2.0.192.in-addr.arpa", "PTR", "NODATA"),
        (names.text(names.reverse(ipaddress.ip_address("2001:db8::1").packed)), "PTR", ["2001-db8--1.example.org."]),
        (names.text(names.reverse(ipaddress.ip_address("::ffff:192.0.2.1").packed)), "PTR", "NODATA"),
        ("10-0-0-1.example.net", "A", "elsewhere"),
    ],
)
async def test_a_question(name: str, type: str, expected: list[str] | str) -> None:
    assert await said(await made(), name, type) == expected


async def test_the_rules_can_be_chosen() -> None:
    name = "10-0-0-1.app.example.org"
    assert await said(await made("rules sslip"), name) == ["10.0.0.1"]
    assert await said(await made("rules nip"), name) == "NODATA"
    assert await said(await made("rules nip"), "app.10-0.0-1.example.org") == ["10.0.0.1"]
    assert await said(await made("rules nip"), "1.2.0.192.in-addr.arpa", "PTR") == ["192-0-2-1.example.org."]


async def test_only_addresses_that_are_allowed_are_given_out() -> None:
    found = await made("allow private 2001:db8::/32\nallow 192.0.2.0/28")
    for name in ("10-0-0-1", "172-31-0-1", "192-0-2-15", "127-0-0-1"):
        assert await said(found, f"{name}.example.org") == [name.replace("-", ".")]
    for name in ("172-32-0-1", "192-0-2-16", "8-8-8-8"):
        assert await said(found, f"{name}.example.org") == "NODATA"
    assert await said(found, "2001-db8--1.example.org", "AAAA") == ["2001:db8::1"]
    assert await said(found, "2001-db9--1.example.org", "AAAA") == "NODATA"
    assert await said(found, "16.2.0.192.in-addr.arpa", "PTR") == "NODATA"


async def test_name_servers_can_be_named() -> None:
    found = await made(
        "nameserver ns1.example.org 192.0.2.1 2001:db8::1\nnameserver 192-0-2-2.example.org\nnameserver ns.example.net"
    )
    reply = await found.answer(query("example.org", "NS"), elsewhere)
    assert [line.split()[-1] for line in texts(reply.answer)] == [
        "ns1.example.org.",
        "192-0-2-2.example.org.",
        "ns.example.net.",
    ]
    assert texts(reply.additional) == [
        "ns1.example.org. 3600 A 192.0.2.1",
        "ns1.example.org. 3600 AAAA 2001:db8::1",
        "192-0-2-2.example.org. 3600 A 192.0.2.2",
    ]
    assert await said(found, "ns1.example.org") == ["192.0.2.1"]
    assert await said(found, "ns.example.org") == "NODATA"


async def test_the_ttl_can_be_chosen() -> None:
    reply = await (await made("ttl 60")).answer(query("10-0-0-1.example.org"), elsewhere)
    assert texts(reply.answer) == ["10-0-0-1.example.org. 60 A 10.0.0.1"]


@pytest.mark.parametrize("name", ["_acme-challenge.10-0-0-1.example.org", "a.b._acme-challenge.10-0-0-1.example.org"])
async def test_a_challenge_is_delegated_to_the_address_it_is_about(name: str) -> None:
    reply = await (await made("acme")).answer(query(name, "TXT"), elsewhere)
    assert not reply.authoritative
    assert texts(reply.authority) == ["_acme-challenge.10-0-0-1.example.org. 3600 NS 10-0-0-1.example.org."]
    assert texts(reply.additional) == ["10-0-0-1.example.org. 3600 A 10.0.0.1"]


async def test_a_challenge_is_delegated_before_anything_falls_through() -> None:
    found = await made("acme\nfallthrough\nnameserver ns1.example.org 192.0.2.1\nallow private")
    for name in ("_acme-challenge.ns1.example.org", "8-8-8-8._acme-challenge.10-0-0-1.example.org"):
        assert await said(found, name, "TXT") == "referral"
    assert await said(found, "_acme-challenge.www.example.org", "TXT") == "elsewhere"


async def test_a_denial_is_believed_for_five_minutes_at_most() -> None:
    for ttl, believed in (("3600", 300), ("60", 60)):
        reply = await (await made(f"ttl {ttl}")).answer(query("www.example.org"), elsewhere)
        assert [record.ttl for record in reply.authority] == [believed]


async def test_a_challenge_without_an_address_or_without_the_option_is_a_name_like_others() -> None:
    for name in ("_acme-challenge.example.org", "_acme-challenge.www.example.org"):
        assert await said(await made("acme"), name, "TXT") == "NODATA"
    assert await said(await made("acme"), "_acme-challenge.10-0-0-1.example.org", "DS") == "NODATA"
    assert await said(await made("acme\nallow private"), "_acme-challenge.8-8-8-8.example.org", "TXT") == "NODATA"
    assert await said(await made(), "_acme-challenge.10-0-0-1.example.org", "TXT") == "NODATA"


async def test_names_without_an_address_are_passed_on_if_so_wished() -> None:
    for options, passed in (
        ("fallthrough", True),
        ("fallthrough example.org", True),
        ("fallthrough example.net", False),
    ):
        found = await made(options)
        assert await said(found, "www.example.org") == ("elsewhere" if passed else "NODATA")
        assert await said(found, "10-0-0-1.example.org", "MX") == "NODATA"
        assert await said(found, "example.org", "MX") == "NODATA"


async def test_other_classes_are_not_its_business() -> None:
    assert await (await made()).answer(query("10-0-0-1.example.org", klass=codes.CH), elsewhere) is ELSEWHERE


async def test_hosts_can_name_exceptions_and_all_is_replayed() -> None:
    text = "example.org {\nhosts {\n192.0.2.80 www.example.org\nfallthrough\n}\nipname\n}"
    async with testing.serving(text) as dns:
        for _ in range(3):
            exception = await dns.ask("www.example.org")
            answer = await dns.ask("10-0-0-1.example.org")
        assert exception.answer == ["www.example.org. 3600 A 192.0.2.80"]
        assert answer.answer == ["10-0-0-1.example.org. 3600 A 10.0.0.1"]
        assert answer.replayed


@given(st.binary(min_size=1, max_size=63), st.sampled_from(["", "rules nip", "acme\nfallthrough"]))
async def test_any_label_gets_an_answer(first: bytes, options: str) -> None:
    found = await made(options)
    name = names.join(first.lower(), to=names.parse("example.org"))
    reply: Reply = await found.answer(Query(name, codes.A), elsewhere)
    assert reply.rcode in (codes.NOERROR, ELSEWHERE.rcode)


@pytest.mark.parametrize(
    ("directive", "message"),
    [
        ("ipname 10.0.0.0/8", "a zone that holds names is needed"),
        ("ipname {\nrules xip\n}", "xip"),
        ("ipname {\nrules\n}", "expected: rules sslip|nip"),
        ("ipname {\nttl -1\n}", "ttl"),
        ("ipname {\nallow\n}", "expected: allow private|PREFIX..."),
        ("ipname {\nallow public\n}", "expected private or an address prefix, found 'public'"),
        ("ipname {\nallow 192.0.2.1/24\n}", "has host bits set"),
        ("ipname {\nnameserver\n}", "expected: nameserver NAME [ADDRESS...]"),
        ("ipname {\nnameserver a..b\n}", "not a domain name"),
        ("ipname {\nnameserver ns.example.org 192.0.2\n}", "192.0.2"),
        ("ipname {\nacme yes\n}", "expected: acme"),
        ("ipname {\nrule nip\n}", "did you mean 'rules'"),
    ],
)
def test_what_cannot_be_is_an_error(directive: str, message: str) -> None:
    assert message in errors(directive)
