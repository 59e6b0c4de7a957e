"""Client subnets as RFC 7871 wants them read and answered, and how much of an address decides."""

from __future__ import annotations

import ipaddress
import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pydnsk8s import codes, names, subnet, testing, wire
from pydnsk8s.keep import EACH_CLIENT, Keep
from pydnsk8s.message import Client, Edns, Query
from pydnsk8s.subnet import EVERYBODY, Networks, Subnet
from tests import strategies as draw

addresses = st.binary(min_size=4, max_size=4) | st.binary(min_size=16, max_size=16)


@st.composite
def prefixes(draw: st.DrawFn) -> tuple[bytes, int]:
    """A network: its address without the bits behind the prefix, and the prefix's length."""
    address = draw(addresses)
    bits = draw(st.integers(0, len(address) * 8))
    return subnet.leading(address, bits).ljust(len(address), b"\0"), bits


subnets = prefixes().map(lambda held: Subnet(1 if len(held[0]) == 4 else 2, held[1], held[0]))


def option(text: str, scope: int = 0) -> tuple[int, bytes]:
    network = ipaddress.ip_network(text)
    data = Subnet(1 if network.version == 4 else 2, network.prefixlen, network.network_address.packed).data(scope)
    return codes.OPTION_SUBNET, data


@given(subnets, st.integers(0, 128))
def test_what_was_written_is_what_is_read(told: Subnet, scope: int) -> None:
    scope = min(scope, len(told.address) * 8)
    assert subnet.read(told.data(scope)) == told._replace(scope=scope)
    assert len(told.data()) == 4 + (told.bits + 7) // 8


@given(st.binary(max_size=24))
def test_any_octets_are_a_subnet_or_an_error(data: bytes) -> None:
    try:
        told = subnet.read(data)
    except ValueError:
        return
    assert told.data(told.scope) == data


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        ("", "ends early"),
        ("000118", "ends early"),
        ("00031000c000", "unknown family 3"),
        ("00001000c000", "unknown family 0"),
        ("00012100c000020100", "prefix of 33 bits"),
        ("00021000c0", "1 octets for 16 bits"),
        ("00011800c00002ff", "4 octets for 24 bits"),
        ("00011800c000", "2 octets for 24 bits"),
        ("00011700c00003", "bits set behind its prefix"),
        ("00010000c0", "1 octets for 0 bits"),
        ("00028100" + "00" * 17, "prefix of 129 bits"),
        ("00011821c00002", "prefix of 33 bits"),
        ("00011810c00002", "scope in a query"),
    ],
)
async def test_a_malformed_one_is_a_format_error_from_a_server_with_edns(data: str, reason: str) -> None:
    packet = wire.query(
        names.parse("example.org"), codes.A, id=7, edns=Edns(options=((codes.OPTION_SUBNET, bytes.fromhex(data)),))
    )
    with pytest.raises(wire.FormError, match=reason):
        wire.parse(packet, Client(b"\x7f\0\0\1", 1))
    async with testing.serving("example.org {\nwhoami\n}") as dns:
        answer = await dns.send(packet)
        assert (answer.rcode, answer.edns, answer.options) == ("FORMERR", True, ())
        assert answer.wire[12 : 12 + 17] == packet[12 : 12 + 17]


async def test_two_of_them_are_a_format_error() -> None:
    async with testing.serving("example.org {\nwhoami\n}") as dns:
        both = option("192.0.2.0/24"), option("192.0.2.0/24")
        assert (await dns.ask("example.org", edns=Edns(options=both))).rcode == "FORMERR"


async def test_an_edns_version_of_the_future_may_have_other_subnets() -> None:
    async with testing.serving("example.org {\nwhoami\n}") as dns:
        edns = Edns(options=((codes.OPTION_SUBNET, b"?"),))
        packet = bytearray(wire.query(names.parse("example.org"), codes.A, id=7, edns=edns))
        packet[-10] = 1
        assert (await dns.send(bytes(packet))).rcode == "BADVERS"


@pytest.mark.parametrize("text", ["192.0.2.0/24", "192.0.2.128/25", "0.0.0.0/0", "2001:db8::/33", "192.0.2.1/32"])
async def test_a_subnet_comes_back_with_scope_0_if_nothing_depends_on_it_also_from_memory(text: str) -> None:
    async with testing.serving("example.org {\nhosts {\n192.0.2.1 example.org\n}\n}") as dns:
        for replayed in (False, True):
            answer = await dns.ask("example.org", edns=Edns(options=(option(text),)))
            assert (answer.options, answer.replayed) == ((option(text),), replayed)
        assert (await dns.ask("nowhere.example.net", edns=Edns(options=(option(text),)))).options == (option(text),)
        assert (await dns.ask("example.org", edns=Edns())).options == ()


async def test_who_tells_nothing_is_answered_whatever_the_family() -> None:
    async with testing.serving("example.org {\nwhoami\n}") as dns:
        for data in (b"\0\0\0\0", b"\0\1\0\0", b"\0\2\0\0"):
            answer = await dns.ask("example.org", edns=Edns(options=((codes.OPTION_SUBNET, data),)))
            assert (answer.rcode, answer.options) == ("NOERROR", ((codes.OPTION_SUBNET, data),))


@given(subnets, st.integers(0, 128))
def test_the_scope_answered_fits_the_family_and_is_0_for_who_tells_nothing(told: Subnet, scope: int) -> None:
    back = subnet.read(told.answered(scope))
    assert back[:3] == told[:3]
    assert back.scope == (min(scope, len(told.address) * 8) if told.bits else 0)


@given(prefixes(), st.integers(0, 128))
def test_the_leading_bits_are_those_of_the_network(held: tuple[bytes, int], bits: int) -> None:
    address, _ = held
    bits = min(bits, len(address) * 8)
    network = ipaddress.ip_network((address, bits), strict=False)
    assert subnet.leading(address, bits).ljust(len(address), b"\0") == network.network_address.packed


@given(st.lists(prefixes(), max_size=6), addresses, st.data())
def test_a_set_of_networks_knows_what_is_in_it_and_which_bits_decide(
    held: list[tuple[bytes, int]], address: bytes, data: st.DataObject
) -> None:
    nets = [ipaddress.ip_network(one) for one in held]
    if held:
        # Mostly somewhere near a border, where it matters.
        near, bits = data.draw(st.sampled_from(held))
        noise = data.draw(st.integers(0, 3))
        address = (int.from_bytes(near, "big") ^ noise << max(len(near) * 8 - bits - 1, 0)).to_bytes(17, "big")[
            -len(near) :
        ]
    networks = Networks(nets)

    def holds(address: bytes) -> bool:
        return any(ipaddress.ip_address(address) in net for net in nets)

    inside, bits = networks.find(address)
    width = len(address) * 8
    assert inside == holds(address)
    host = data.draw(st.integers(0, (1 << width - bits) - 1))
    neighbour = (int.from_bytes(address, "big") >> width - bits << width - bits | host).to_bytes(len(address), "big")
    assert holds(neighbour) == inside
    if bits:
        # One bit fewer, and there is an address that is not like this one: the border itself shows it.
        size = 1 << width - bits
        other = int.from_bytes(address, "big") >> width - bits << width - bits ^ size
        edges = {other, other + size - 1}
        inner = {int(net[0]) for net in nets if net.version == (4 if width == 32 else 6)}
        inner |= {int(net[-1]) for net in nets if net.version == (4 if width == 32 else 6)}
        edges |= {near for edge in inner for near in (edge - 1, edge, edge + 1) if other <= near < other + size}
        assert any(holds(edge.to_bytes(len(address), "big")) != inside for edge in edges)


@pytest.mark.parametrize(
    "text", ["192.168.0/16", "192.0.2.0/33", "192.0.2.0/", "192.0.2.0/255.255.255.0", "fe80::1%eth0", "example.org", ""]
)
def test_what_is_no_network_is_named_in_the_error(text: str) -> None:
    with pytest.raises(ValueError, match="expected an IP address or a prefix") as error:
        subnet.network(text)
    assert repr(text) in str(error.value)


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("192.0.2.7", "192.0.2.7/32"),
        ("192.0.2.7/24", "192.0.2.0/24"),
        ("2001:db8::7/32", "2001:db8::/32"),
        ("::ffff:192.0.2.7", "192.0.2.7/32"),
        ("::ffff:10.1.2.3/104", "10.0.0.0/8"),
        ("::ffff:0:0/96", "0.0.0.0/0"),
        ("::ffff:0:0/95", "::fffe:0:0/95"),
    ],
)
def test_a_network_is_that_of_the_addresses_as_they_are_known_here(text: str, meant: str) -> None:
    assert str(subnet.network(text)) == meant


def asking(client: str, *options: tuple[int, bytes]) -> Query:
    family = socket.AF_INET6 if ":" in client else socket.AF_INET
    return Query(b"\0", codes.A, client=Client(socket.inet_pton(family, client), 1), edns=Edns(options=options))


RESOLVERS = Networks([ipaddress.ip_network("192.0.2.0/24")])


@pytest.mark.parametrize(
    ("believed", "sender", "address", "keep"),
    [
        (None, "192.0.2.1", "192.0.2.1", Keep(prefix4=20, prefix6=128)),
        (EVERYBODY, "198.51.100.1", "203.0.113.0", Keep(scope=20)),
        (RESOLVERS, "192.0.2.1", "203.0.113.0", Keep(scope=20, prefix4=24, prefix6=128)),
        (RESOLVERS, "198.51.100.1", "198.51.100.1", Keep(prefix4=20, prefix6=128)),
        (RESOLVERS, "2001:db8::1", "2001:db8::1", Keep(prefix4=32, prefix6=20)),
    ],
)
def test_a_subnet_stands_for_the_client_only_if_its_sender_is_believed(
    believed: Networks | None, sender: str, address: str, keep: Keep
) -> None:
    asker = subnet.asker(asking(sender, option("203.0.113.0/24")), believed)
    assert asker.text == address
    assert asker.keep(20) == keep


def test_who_tells_nothing_and_who_has_no_subnet_is_known_by_the_address() -> None:
    for options in ((), (option("0.0.0.0/0"),)):
        asker = subnet.asker(asking("192.0.2.1", *options), EVERYBODY)
        assert (asker.text, asker.keep(32)) == ("192.0.2.1", Keep(prefix4=32, prefix6=128))
    assert EACH_CLIENT & asker.keep(8) == EACH_CLIENT


@given(draw.queries())
def test_a_query_without_one_has_none(query: Query) -> None:
    assert subnet.of(query) is None
