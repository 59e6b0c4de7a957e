"""whoami: the client's own address, port and transport."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pydnsk8s import codes, names, testing
from pydnsk8s.message import Client
from pydnsk8s.plugins.whoami import Whoami

from .blocks import elsewhere, errors, plugin, query, texts

FOUR = Client(ipaddress.ip_address("192.0.2.1").packed, 5353)
SIX = Client(ipaddress.ip_address("2001:db8::1").packed, 5353, "tcp")


@pytest.mark.parametrize(
    ("client", "address", "owner"),
    [(FOUR, "A 192.0.2.1", "_udp.example.org."), (SIX, "AAAA 2001:db8::1", "_tcp.example.org.")],
)
async def test_a_client_learns_where_its_query_came_from(client: Client, address: str, owner: str) -> None:
    reply = await plugin(Whoami, "whoami").answer(query("example.org", "MX", client=client), elsewhere)
    assert reply.answer == ()
    assert texts(reply.additional) == [f"example.org. 0 {address}", f"{owner} 0 SRV 0 0 5353 ."]
    assert reply.rcode == codes.NOERROR
    assert reply.authoritative


async def test_the_root_has_an_answer_too() -> None:
    reply = await plugin(Whoami, "whoami").answer(query("."), elsewhere)
    assert names.text(reply.additional[1].name) == "_udp."


@given(st.integers(200, 249))
async def test_a_name_without_room_for_another_label_gets_the_address_alone(length: int) -> None:
    name = names.parse(".".join(["a" * 49] * 4 + ["a" * (length - 200 + 1)]))
    reply = await Whoami().answer(query("example.org").with_(name=name), elsewhere)
    assert len(reply.additional) == (2 if len(name) + 5 <= 255 else 1)


async def test_nothing_is_kept_since_the_next_client_is_another() -> None:
    assert not (await plugin(Whoami, "whoami").answer(query("example.org"), elsewhere)).keep.alive


def test_it_takes_neither_arguments_nor_options() -> None:
    assert "expected: whoami" in errors("whoami example.org")
    assert "takes no options" in errors("whoami {\nfoo\n}")


async def test_over_the_wire_each_client_learns_its_own_address() -> None:
    async with testing.serving(". {\nwhoami\n}") as dns:
        for client, transport in (("192.0.2.1", False), ("192.0.2.2", True)):
            answer = await dns.ask("Example.ORG", client=client, tcp=transport)
            protocol = "tcp" if transport else "udp"
            assert answer.additional[0].lower() == f"example.org. 0 a {client}"
            assert answer.additional[1].startswith(f"_{protocol}.")
            assert b"\7Example\3ORG" in answer.wire
