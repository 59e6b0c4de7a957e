"""local: localhost and the loopback's reverse names."""

from __future__ import annotations

import pytest

from pydnsk8s import codes, testing
from pydnsk8s.keep import ALWAYS
from pydnsk8s.message import Reply
from pydnsk8s.plugins.local import Local

from .blocks import ELSEWHERE, elsewhere, errors, plugin, query, texts

SOA = "604800 SOA localhost. root.localhost. 1 0 0 0 604800"


async def ask(name: str, type: str, text: str = "local") -> Reply:
    return await plugin(Local, text).answer(query(name, type), elsewhere)


@pytest.mark.parametrize(
    ("name", "type", "data"),
    [
        ("localhost.", "A", "A 127.0.0.1"),
        ("localhost.", "AAAA", "AAAA ::1"),
        ("localhost.", "NS", "NS localhost."),
        ("localhost.", "SOA", SOA.removeprefix("604800 ")),
        ("a.localhost.", "A", "A 127.0.0.1"),
        ("b.a.localhost.", "AAAA", "AAAA ::1"),
        ("localhost.example.org.", "A", "A 127.0.0.1"),
        ("1.0.0.127.in-addr.arpa.", "PTR", "PTR localhost."),
        ("0.in-addr.arpa.", "NS", "NS localhost."),
    ],
)
async def test_what_is_known_is_answered(name: str, type: str, data: str) -> None:
    reply = await ask(name, type)
    assert texts(reply.answer) == [f"{name} 604800 {data}"]
    assert reply.authority == ()
    assert reply.rcode == codes.NOERROR
    assert not reply.authoritative
    assert reply.keep == ALWAYS


@pytest.mark.parametrize(
    ("name", "type", "zone"),
    [
        ("localhost.", "MX", "localhost."),
        ("a.localhost.", "MX", "a.localhost."),
        ("127.in-addr.arpa.", "A", "127.in-addr.arpa."),
        ("1.0.0.127.in-addr.arpa.", "MX", "127.in-addr.arpa."),
    ],
)
async def test_another_type_of_a_known_name_is_denied_with_an_soa(name: str, type: str, zone: str) -> None:
    reply = await ask(name, type)
    assert reply.answer == ()
    assert texts(reply.authority) == [f"{zone} {SOA}"]
    assert reply.rcode == codes.NOERROR


@pytest.mark.parametrize("name", ["0.127.in-addr.arpa.", "0.0.127.in-addr.arpa."])
async def test_names_above_the_loopback_reverse_name_exist(name: str) -> None:
    reply = await ask(name, "PTR")
    assert (reply.rcode, reply.answer) == (codes.NOERROR, ())
    assert texts(reply.authority) == [f"127.in-addr.arpa. {SOA}"]


async def test_unknown_reverse_names_do_not_exist() -> None:
    reply = await ask("2.0.0.127.in-addr.arpa.", "PTR")
    assert reply.rcode == codes.NXDOMAIN
    assert texts(reply.authority) == [f"127.in-addr.arpa. {SOA}"]


@pytest.mark.parametrize("name", ["example.org.", "alocalhost.", "localhosts.example.org.", "1.in-addr.arpa.", "."])
async def test_other_names_pass(name: str) -> None:
    assert await ask(name, "A") is ELSEWHERE


async def test_other_classes_pass() -> None:
    assert await plugin(Local, "local").answer(query("localhost", klass=codes.CH), elsewhere) is ELSEWHERE


async def test_names_that_only_start_with_localhost_can_be_let_through() -> None:
    off = "local {\nlocalhost_prefix off\n}"
    assert await ask("localhost.example.org.", "A", off) is ELSEWHERE
    assert texts((await ask("a.localhost.", "A", off)).answer) == ["a.localhost. 604800 A 127.0.0.1"]


async def test_each_serving_of_a_name_around_localhost_is_counted() -> None:
    local = plugin(Local, "local")
    [tally] = (await local.answer(query("localhost.example.org"), elsewhere)).tallies
    before = local.requests.value
    tally.add(3)
    assert local.requests.value == before + 3
    assert (await local.answer(query("localhost"), elsewhere)).tallies == ()


def test_it_takes_no_arguments_and_one_option() -> None:
    assert "expected: local" in errors("local example.org")
    assert "one of on, off, found 'maybe'" in errors("local {\nlocalhost_prefix maybe\n}")
    assert "expected: localhost_prefix on|off" in errors("local {\nlocalhost_prefix\n}")
    assert "unknown option 'foo'" in errors("local {\nfoo\n}")


async def test_over_the_wire_a_replayed_reply_is_the_same() -> None:
    async with testing.serving(". {\nlocal\n}") as dns:
        answers = [await dns.ask("LocalHost", "AAAA") for _ in range(3)]
        assert answers[-1].replayed
        assert {answer.wire for answer in answers} == {answers[0].wire}
        assert "aa" not in answers[0].flags
