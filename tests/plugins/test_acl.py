"""acl: the first policy that fits decides, and everybody whose bits decide the same shares the answer."""

from __future__ import annotations

import ipaddress
import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pydnsk8s import codes, metrics, subnet, testing
from pydnsk8s.keep import ALWAYS
from pydnsk8s.message import Client, Edns, Query
from pydnsk8s.plugins.acl import Acl

from .blocks import block, elsewhere, errors, plugin, query

HOSTS = "hosts {\n192.0.2.80 example.org a.example.org\n}"


def client(text: str) -> Client:
    return Client(socket.inet_pton(socket.AF_INET6 if ":" in text else socket.AF_INET, text), 40000)


async def action(acl: Acl, asked: Query) -> str:
    """What is done with a query, by the name of the action."""
    reply = await acl.answer(asked, elsewhere)
    match reply.rcode, reply.plugin:
        case codes.DROP, _:
            return "drop"
        case codes.REFUSED, "acl":
            return "block"
        case codes.NOERROR, "acl":
            return "filter"
    return "allow"


RULES = """
acl a.example.org {
    allow type TXT net 192.0.2.0/28
    block type A net 192.0.2.0/24 2001:db8::/32
}
acl {
    filter type AAAA
    drop net 198.51.100.7
    block type ANY net *
    allow net 203.0.113.128/25
    block type * net 203.0.113.0/24
}
"""


@pytest.mark.parametrize(
    ("name", "type", "sender", "expected"),
    [
        ("a.example.org", "A", "192.0.2.1", "block"),
        ("x.a.example.org", "A", "192.0.2.255", "block"),
        ("a.example.org", "A", "2001:db8::1", "block"),
        ("a.example.org", "A", "2001:db9::1", "allow"),
        ("a.example.org", "MX", "192.0.2.1", "allow"),
        ("example.org", "A", "192.0.2.1", "allow"),
        ("a.example.org", "AAAA", "192.0.2.1", "filter"),
        ("example.org", "AAAA", "2001:db8::1", "filter"),
        ("example.org", "A", "198.51.100.7", "drop"),
        ("example.org", "A", "198.51.100.8", "allow"),
        ("example.org", "ANY", "198.51.100.8", "block"),
        ("example.org", "A", "203.0.113.127", "block"),
        ("example.org", "A", "203.0.113.128", "allow"),
    ],
)
async def test_the_first_policy_that_fits_decides(name: str, type: str, sender: str, expected: str) -> None:
    assert await action(plugin(Acl, RULES), query(name, type, client=client(sender))) == expected


async def test_what_is_allowed_by_one_directive_is_not_looked_at_by_the_next() -> None:
    acl = plugin(Acl, "acl a.example.org {\nallow net 192.0.2.0/28\n}\nacl {\nblock\n}")
    assert await action(acl, query("a.example.org", client=client("192.0.2.1"))) == "allow"
    assert await action(acl, query("a.example.org", client=client("192.0.2.16"))) == "block"


async def test_why_is_only_told_to_clients_with_edns() -> None:
    async with testing.serving(f"example.org {{\nacl {{\nblock type A\nfilter type TXT\n}}\n{HOSTS}\n}}") as dns:
        for type, rcode, why in (("A", "REFUSED", b"\0\x0f"), ("TXT", "NOERROR", b"\0\x11")):
            told = await dns.ask("example.org", type, edns=Edns())
            assert (told.rcode, told.options, told.answer) == (rcode, ((codes.OPTION_ERROR, why),), [])
            plain = await dns.ask("example.org", type)
            assert (plain.rcode, plain.edns, plain.options) == (rcode, False, ())


async def test_who_is_dropped_hears_nothing_as_often_as_he_asks() -> None:
    async with testing.serving(f"example.org {{\nacl {{\ndrop net 192.0.2.1\n}}\n{HOSTS}\n}}") as dns:
        for _ in range(2):
            with pytest.raises(TimeoutError):
                await dns.ask("example.org", client="192.0.2.1")
            assert (await dns.ask("example.org", client="192.0.2.2")).rcode == "NOERROR"


async def test_a_lookup_by_a_plugin_is_refused_rather_than_left_waiting() -> None:
    asked = query("example.org", client=client("192.0.2.1")).with_(depth=1)
    assert await action(plugin(Acl, "acl {\ndrop\n}"), asked) == "block"


async def test_a_client_subnet_is_no_passport() -> None:
    asked = query("example.org", client=client("192.0.2.1"))
    trusted = subnet.Subnet(1, 32, b"\xc6\x33\x64\x01").data()
    asked = asked.with_(edns=Edns(options=((codes.OPTION_SUBNET, trusted),)))
    assert await action(plugin(Acl, "acl {\nallow net 198.51.100.0/24\nblock\n}"), asked) == "block"


async def test_neighbours_share_what_the_gate_remembers_and_nobody_else_does() -> None:
    text = f"example.org {{\nacl {{\nblock net 192.0.2.0/26\nallow\n}}\n{HOSTS}\n}}"
    async with testing.serving(text) as dns:
        seen = [await dns.ask("example.org", client=f"192.0.2.{last}") for last in (1, 63, 64, 127, 2, 65)]
        assert [answer.rcode for answer in seen] == ["REFUSED", "REFUSED", "NOERROR", "NOERROR", "REFUSED", "NOERROR"]
        assert [answer.replayed for answer in seen] == [False, True, False, True, True, True]


prefixes = st.builds(lambda address, bits: ipaddress.ip_network((address, bits), strict=False),
    st.binary(min_size=4, max_size=4), st.integers(0, 32))  # fmt: skip


@given(st.lists(st.tuples(st.sampled_from(["allow", "block", "filter"]), prefixes), max_size=8), st.data())
async def test_whoever_shares_the_bits_gets_the_same_decision(
    policies: list[tuple[str, ipaddress.IPv4Network]], data: st.DataObject
) -> None:
    lines = "".join(f"\n{action} net {net}" for action, net in policies)
    acl = plugin(Acl, f"acl {{{lines}\n}}" if lines else "acl")
    near = data.draw(st.sampled_from([int(net[0]) for _, net in policies] or [0]))
    number = near ^ data.draw(st.integers(0, 3)) << data.draw(st.integers(0, 30))
    asked = query("example.org", client=Client(number.to_bytes(4, "big"), 1))
    bits = (await acl.answer(asked, elsewhere)).keep.prefix4
    host = data.draw(st.integers(0, (1 << 32 - bits) - 1))
    other = (number >> 32 - bits << 32 - bits | host).to_bytes(4, "big")
    neighbour = query("example.org", client=Client(other, 1))
    expected = next((name for name, net in policies if ipaddress.ip_address(other) in net), "allow")
    assert await action(acl, asked) == await action(acl, neighbour) == expected


async def test_what_no_network_decided_is_for_all() -> None:
    acl = plugin(Acl, "acl {\nblock type TXT net 192.0.2.0/24\nfilter type AAAA\n}")
    for type in ("A", "AAAA"):
        assert (await acl.answer(query("example.org", type), elsewhere)).keep == ALWAYS


async def test_every_decision_is_counted_also_those_of_the_gate() -> None:
    text = f"example.org {{\nacl {{\nblock type A net 192.0.2.0/24\nfilter type MX\ndrop type TXT\n}}\n{HOSTS}\n}}"
    before = counts()
    async with testing.serving(text) as dns:
        for _ in range(3):
            await dns.ask("example.org", "A", client="192.0.2.1")
            await dns.ask("example.org", "A")
            await dns.ask("example.org", "MX")
            with pytest.raises(TimeoutError):
                await dns.ask("example.org", "TXT")
        for port in dns.ports.values():
            port.settle()
    after = counts()
    zoned = '{server="dns://:53",view="",zone="example.org."}'
    for name in (f"blocked_requests_total{zoned}", f"filtered_requests_total{zoned}", f"dropped_requests_total{zoned}",
        'allowed_requests_total{server="dns://:53",view=""}'):  # fmt: skip
        assert after[name] - before.get(name, 0) == 3


def counts() -> dict[str, float]:
    _, text = metrics.exposition()
    lines = (line.split(" ") for line in text.decode().splitlines() if line.startswith("coredns_acl_"))
    return {line[0].removeprefix("coredns_acl_"): float(line[1]) for line in lines}


@pytest.mark.parametrize(
    ("policy", "wrong"),
    [
        ("block A net 192.168.0.0/16", "expected 'type' or 'net', found 'A'"),
        ("block type net 192.168.0.0/16", "nothing stands behind 'type'"),
        ("block type A net", "nothing stands behind 'net'"),
        ("block type ABC net 192.168.0.0/16", "not a record type: 'ABC'"),
        ("blck type A net 192.168.0.0/16", "unknown option 'blck'"),
        ("block type A net 192.168.0/16", "found '192.168.0/16'"),
        ("block type A net 192.168.0.0/33", "found '192.168.0.0/33'"),
        ("block net 2001::85a3::8a2e:370:7334", "found '2001::85a3"),
        ("block net 2001:db8:85a3:::8a2e:370:7334", "found '2001:db8:85a3:::"),
    ],
)
def test_a_wrong_policy_is_an_error_that_says_where(policy: str, wrong: str) -> None:
    assert wrong in errors(f"acl {{\n{policy}\n}}")


@pytest.mark.parametrize(
    "policy",
    [
        "block", "block type A", "allow net 2001:0db8:85a3:0000:0000:8a2e:0370:7334", "block net 192.0.2.1/24",
        "filter TYPE A AAAA TYPE65280 NET 192.0.2.0/24 2001:db8::/32", "drop net 192.0.2.0/24 type MX",
        "block type * net *",
    ],
)  # fmt: skip
def test_a_policy_may_leave_out_what_it_does_not_care_for(policy: str) -> None:
    assert errors(f"acl {{\n{policy}\n}}") == ""


def test_a_directive_without_policies_is_worth_a_warning() -> None:
    made = block("acl\nwhoami")
    assert [warning.message for warning in made.warnings] == ["acl has no effect: it has no policy"]
