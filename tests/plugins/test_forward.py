from __future__ import annotations

import asyncio
import ssl
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest
import trustme
from hypothesis import given
from hypothesis import strategies as st

from pydnsk8s import codes, metrics, names, testing
from pydnsk8s.keep import NEVER
from pydnsk8s.message import Client, Edns, Query, Reply
from pydnsk8s.plugin import StartError
from pydnsk8s.plugins.forward import Forward
from tests.plugins.blocks import ELSEWHERE, block, elsewhere, errors, plugin, query
from tests.upstream.servers import Behaviour, Replies, Server, question_end, reply, until

UDP = Client(b"\x7f\0\0\1", 40000)
TCP = Client(b"\x7f\0\0\1", 40000, "tcp")


@asynccontextmanager
async def forwarding(directives: str) -> AsyncIterator[Forward]:
    """The first forward plugin of such a block, all of them started."""
    made = block(directives)
    for each in made.plugins:
        await each.start()
    try:
        found = made.find(Forward)
        assert found is not None
        yield found
    finally:
        for each in made.plugins:
            await each.stop()


@asynccontextmanager
async def servers(*addresses: str) -> AsyncIterator[list[Server]]:
    """Servers that answer with these addresses, or with an rcode."""
    async with AsyncExitStack() as stack:
        made = []
        for text in addresses:
            made.append(await stack.enter_async_context(Server(_answers(text))))
        yield made


def _answers(text: str) -> Behaviour:
    rcode = codes.RCODES.get(text)
    if rcode is not None:
        return lambda packet, transport: reply(packet, rcode=rcode, empty=True)
    return lambda packet, transport: reply(packet, text)


def silence(packet: bytes, transport: str) -> Replies:
    return None


def addresses(found: Reply) -> list[str]:
    return [testing.text(record).split()[-1] for record in found.answer]


def count(family: str, *labels: str) -> float:
    child = metrics._families[family].labels(*labels)
    assert isinstance(child, metrics.Counter)
    return child.value


@pytest.mark.parametrize(
    "directive",
    [
        "forward . 192.0.2.1",
        "forward . 192.0.2.1:8080 [2001:db8::1]:53 2001:db8::2 dns://192.0.2.3",
        "forward . 192.0.2.1 {\n}",
        "forward . 192.0.2.1\nforward example.com 192.0.2.2",
        "forward . tls://[2001:db8::1%dns.example.org]:853 {\ntls\n}",
        "forward . tls://192.0.2.1%example.net:854 tls://192.0.2.2%example.net tls://fe80::1%example.com",
        "forward . tls://192.0.2.1 {\ntls_servername dns.example.org\n}",
        "forward . 192.0.2.1 {\nexcept example.org example.net\nexcept 10.0.0.0/8\n}",
        "forward . 192.0.2.1 {\nforce_tcp\nprefer_udp\n}",
        "forward . 192.0.2.1 {\nmax_fails 0\nmax_connect_attempts 0\nmax_concurrent 1000\nmax_idle_conns 10\n}",
        "forward . 192.0.2.1 {\nexpire 10s\nmax_age 10s\nread_timeout 500ms\n}",
        "forward . 192.0.2.1 {\nmax_age 0s\n}",
        "forward . 192.0.2.1 {\npolicy random\n}",
        "forward . 192.0.2.1 {\npolicy round_robin\n}",
        "forward . 192.0.2.1 {\npolicy sequential\n}",
        "forward . 192.0.2.1 {\nhealth_check 0.5s\n}",
        "forward . 192.0.2.1 {\nhealth_check 0.5s no_rec domain example.org\n}",
        "forward . 192.0.2.1 {\nhealth_check 0.5s domain . no_rec\n}",
        "forward . 192.0.2.1 {\nnext NXDOMAIN SERVFAIL REFUSED\nnext_on_nodata\nfailover ServFail\n}",
        "forward . 192.0.2.1 {\nfailfast_all_unhealthy_upstreams\ndoh_method get\n}",
        "forward . 192.0.2.1 {\nsource_address 192.0.2.9\n}",
        "forward . 192.0.2.1 {\nsource_address 2001:db8::9\n}",
        "forward . 192.0.2.1 {\nresolver 192.0.2.8 192.0.2.9:5300 ::1\n}",
        "forward . dns.example.org",
    ],
)
def test_what_coredns_accepts_is_accepted(directive: str) -> None:
    assert errors(directive) == ""


@pytest.mark.parametrize(
    ("directive", "why"),
    [
        ("forward", "forward FROM TO..."),
        ("forward .", "forward FROM TO..."),
        (f"forward {'x' * 64} 192.0.2.1", "a label over 63 octets"),
        ("forward . 192.0.2.256", "neither an IP address, a file nor a host name"),
        ("forward . https://192.0.2.1/", "without a path"),
        ("forward . /no/such/resolv.conf", "there is no file /no/such/resolv.conf"),
        ("forward . " + "192.0.2.1 " * 16, "at most 15 upstreams, found 16"),
        ("forward . 192.0.2.1 {\nblaatl\n}", "unknown option 'blaatl'"),
        ("forward . 192.0.2.1 {\nforce_tcp yes\n}", "expected: force_tcp"),
        ("forward . 192.0.2.1 {\nexcept\n}", "expected: except NAME..."),
        ("forward . 192.0.2.1 {\nhealth_check\n}", "health_check DURATION"),
        ("forward . 192.0.2.1 {\nhealth_check no_rec\n}", "a duration"),
        ("forward . 192.0.2.1 {\nhealth_check 0.5s rec\n}", "expected [no_rec] [domain NAME], found 'rec'"),
        ("forward . 192.0.2.1 {\nhealth_check 0.5s domain\n}", "found 'domain'"),
        ("forward . 192.0.2.1 {\nhealth_check 0.5s domain example..org\n}", "empty label"),
        ("forward . 192.0.2.1 {\nread_timeout 0s\n}", "at least"),
        ("forward . 192.0.2.1 {\nread_timeout\n}", "read_timeout DURATION"),
        ("forward . 192.0.2.1 {\nmax_age -1s\n}", "at least"),
        ("forward . 192.0.2.1 {\nexpire 30s\nmax_age 10s\n}", "at least expire, 30s"),
        ("forward . 192.0.2.1 {\nmax_concurrent -4\n}", "max_concurrent"),
        ("forward . 192.0.2.1 {\nmax_connect_attempts many\n}", "a whole number"),
        ("forward . 192.0.2.1 {\nmax_idle_conns -1\n}", "max_idle_conns"),
        ("forward . 192.0.2.1 {\npolicy random2\n}", "one of random, round_robin, sequential"),
        ("forward . 192.0.2.1 {\nnext NO_SUCH\n}", "not a response code"),
        ("forward . 192.0.2.1 {\nfailover NOERROR\n}", "cannot be a failure"),
        ("forward . 192.0.2.1 {\nfailfast_all_unhealthy_upstreams false\n}", "wrong number"),
        ("forward . 192.0.2.1 {\nsource_address not-an-ip\n}", "an IP address"),
        ("forward . 192.0.2.1 {\nsource_address\n}", "source_address IP"),
        ("forward . 192.0.2.1 {\nresolver dns.example.com\n}", "IP[:PORT]"),
        ("forward . 192.0.2.1 {\nresolver\n}", "resolver IP[:PORT]..."),
        ("forward . 192.0.2.1 {\ndoh_method PUT\n}", "one of POST, GET"),
        ("forward . 192.0.2.1 {\ntls a b c d\n}", "tls [CERT KEY] [CA]"),
        ("forward . tls://192.0.2.1 {\ntls /no/such/ca.pem\n}", "cannot load the certificates"),
        ("forward . tls://192.0.2.1%example.net {\ntls_servername example.org\n}", "a server name of its own"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_the_reason(directive: str, why: str) -> None:
    assert why in errors(directive)


def test_an_address_prefix_off_a_border_forwards_its_first_zone_and_warns() -> None:
    made = block("forward 10.9.3.0/18 192.0.2.1")
    found = made.find(Forward)
    assert found is not None
    assert found.rules.zone == names.parse("0.9.10.in-addr.arpa")
    assert "64 zones" in str(made.warnings[0])


def test_tls_without_an_encrypted_upstream_warns() -> None:
    assert "no effect" in str(block("forward . 192.0.2.1 {\ntls_servername dns\n}").warnings[0])


def test_upstreams_come_from_a_resolv_conf_below_root(tmp_path: Path) -> None:
    (tmp_path / "resolv.conf").write_text("nameserver 192.0.2.1\nnameserver 2001:db8::1\n")
    found = plugin(Forward, f"root {tmp_path}\nforward . resolv.conf 192.0.2.2")
    assert [str(target) for target in found.rules.targets] == ["192.0.2.1:53", "[2001:db8::1]:53", "192.0.2.2:53"]


def test_a_resolv_conf_that_names_no_server_is_an_error_unless_others_are_given(tmp_path: Path) -> None:
    (tmp_path / "empty.conf").write_text("search example.org\n")
    assert "nowhere to forward" in errors(f"forward . {tmp_path}/empty.conf")
    assert errors(f"forward . {tmp_path}/empty.conf 192.0.2.1") == ""


def test_an_unusable_line_of_a_resolv_conf_is_named(tmp_path: Path) -> None:
    (tmp_path / "bad.conf").write_text("\nnameserver example.org\n")
    assert "bad.conf:2: expected an IP address" in errors(f"forward . {tmp_path}/bad.conf")


async def test_a_reply_is_passed_on_as_the_upstream_gave_it() -> None:
    async with servers("192.0.2.1") as [server], forwarding(f"forward . {server.address}") as forward:
        found = await forward.answer(query("www.example.org"), elsewhere)
        assert (addresses(found), found.recursive, found.authoritative) == (["192.0.2.1"], True, False)
        assert (found.keep, found.plugin, found.error) == (NEVER, "forward", "")


@given(
    name=st.sampled_from(["wWw.eXample.org", ".", "a.b.c.example.net"]),
    type=st.integers(1, 65535),
    klass=st.sampled_from([codes.IN, codes.CH]),
    flags=st.sampled_from([0, codes.RD, codes.RD | codes.CD, codes.AD]),
    size=st.integers(0, 65535),
    do=st.booleans(),
)
def test_the_question_goes_out_as_the_client_asked_it(
    name: str, type: int, klass: int, flags: int, size: int, do: bool
) -> None:
    async def scene() -> None:
        subnet = (codes.OPTION_SUBNET, b"\0\1\x18\0\xc0\0\2")
        hop_by_hop = ((codes.OPTION_COOKIE, b"12345678"), (codes.OPTION_KEEPALIVE, b""))
        spelled = names.parse_keeping_case(name)
        asked = Query(
            spelled.lower(), type, klass, flags=flags, edns=Edns(size, do, 0, (*hop_by_hop, subnet)), question=spelled
        )
        async with Server() as server, forwarding(f"forward . {server.address}") as forward:
            await forward.answer(asked, elsewhere)
            packet = server.asked[0].packet
            end = question_end(packet)
            assert int.from_bytes(packet[2:4], "big") == flags
            assert packet[12:end] == spelled + type.to_bytes(2, "big") + klass.to_bytes(2, "big")
            sent = max(512, min(size, 1232))
            assert packet[end : end + 5] == b"\0\0\x29" + sent.to_bytes(2, "big")
            assert packet[end + 7] >> 7 == do
            assert packet[end + 11 :] == b"\0\x08\0\7" + subnet[1]

    asyncio.run(scene())


async def test_names_outside_from_and_below_except_go_to_the_rest_of_the_chain() -> None:
    async with servers("192.0.2.1") as [server]:
        directive = f"forward example.org {server.address} {{\nexcept internal.example.org example.org\n}}"
        async with forwarding(directive) as forward:
            for name in ("example.net", "www.internal.example.org", "www.example.org", "notexample.org"):
                assert await forward.answer(query(name), elsewhere) is ELSEWHERE
            assert addresses(await forward.answer(query("example.org"), elsewhere)) == ["192.0.2.1"]


async def test_of_several_directives_the_first_that_matches_in_file_order_answers() -> None:
    async with servers("192.0.2.1", "192.0.2.2", "192.0.2.3") as [one, two, three]:
        corefile = (
            f".:0 {{\nforward example.org {one.address} {{\nexcept deep.example.org\n}}\n"
            f"forward . {two.address}\nforward www.example.net {three.address}\n}}"
        )
        async with testing.serving(corefile) as dns:
            for name, address in (("a.example.org", 1), ("deep.example.org", 2), ("www.example.net", 2)):
                answer = await dns.ask(name)
                assert answer.answer == [f"{name}. 300 A 192.0.2.{address}"]
                assert answer.flags == {"qr", "rd", "ra"}


async def test_the_transport_follows_the_client_unless_the_directive_says_otherwise() -> None:
    async with Server() as server:
        for options, client, transport in (
            ("", UDP, "udp"),
            ("", TCP, "tcp"),
            ("force_tcp", UDP, "tcp"),
            ("prefer_udp", TCP, "udp"),
            ("force_tcp\nprefer_udp", UDP, "tcp"),
        ):
            async with forwarding(f"forward . {server.address} {{\n{options}\n}}") as forward:
                await forward.answer(query("example.org", client=client), elsewhere)
                assert server.asked[-1].transport == transport


async def test_a_truncated_reply_reaches_a_udp_client_and_leads_prefer_udp_to_tcp() -> None:
    def truncate(packet: bytes, transport: str) -> Replies:
        return reply(packet, truncated=transport == "udp")

    async with Server(truncate) as server:
        async with forwarding(f"forward . {server.address}") as forward:
            assert (await forward.answer(query("example.org"), elsewhere)).truncated
        async with forwarding(f"forward . {server.address} {{\nprefer_udp\n}}") as forward:
            found = await forward.answer(query("example.org"), elsewhere)
            assert (found.truncated, len(found.answer)) == (False, 1)


async def test_the_next_upstream_answers_when_one_does_not() -> None:
    async with servers("192.0.2.2") as [good], Server(silence) as mute:
        async with Server() as gone:
            pass
        directive = (
            f"forward . {gone.address} {mute.address} {good.address} {{\npolicy sequential\nread_timeout 100ms\n}}"
        )
        async with forwarding(directive) as forward:
            asked = query("example.org")
            assert addresses(await forward.answer(asked, elsewhere)) == ["192.0.2.2"]
            assert asked.labels["forward/upstream"]() == good.address


async def test_an_upstream_that_failed_is_tried_last_until_it_answers_a_check() -> None:
    async with servers("192.0.2.1", "192.0.2.2") as [flaky, good]:
        directive = (
            f"forward . {flaky.address} {good.address} {{\npolicy sequential\nread_timeout 100ms\nhealth_check 20ms\n}}"
        )
        async with forwarding(directive) as forward:
            flaky.behave = silence
            await forward.answer(query("example.org"), elsewhere)
            before = len(flaky.asked)
            for _ in range(5):
                assert addresses(await forward.answer(query("example.org"), elsewhere)) == ["192.0.2.2"]
            assert len(flaky.asked) - before <= 1  # nothing but a check
            assert forward.upstreams[0].health.doubtful


async def test_a_malformed_reply_leads_to_the_next_upstream() -> None:
    async with servers("192.0.2.2") as [good], Server(lambda packet, transport: reply(packet) + b"x") as bad:
        async with forwarding(f"forward . {bad.address} {good.address} {{\npolicy sequential\n}}") as forward:
            assert addresses(await forward.answer(query("example.org"), elsewhere)) == ["192.0.2.2"]


async def test_when_nobody_answers_the_reply_is_servfail_with_the_last_reason() -> None:
    async with Server(silence) as mute:
        async with forwarding(f"forward . {mute.address} {{\nread_timeout 50ms\nmax_fails 0\n}}") as forward:
            found = await forward.answer(query("example.org"), elsewhere)
            assert found.rcode == codes.SERVFAIL
            assert found.error == f"{mute.address}: no reply within 0.05 s"
            assert len(mute.asked) == 2


async def test_max_connect_attempts_limits_how_often_a_query_is_sent() -> None:
    async with Server(silence) as mute:
        directive = f"forward . {mute.address} {{\nread_timeout 20ms\nmax_fails 0\nmax_connect_attempts 3\n}}"
        async with forwarding(directive) as forward:
            await forward.answer(query("example.org"), elsewhere)
            assert len(mute.asked) == 3


async def _all_down(forward: Forward) -> None:
    await forward.answer(query("example.org"), elsewhere)
    await until(lambda: all(upstream.health.down for upstream in forward.upstreams))


DOWN = "max_fails 1\nhealth_check 10ms\nmax_connect_attempts 2"


async def test_when_all_upstreams_are_down_they_are_tried_all_the_same() -> None:
    async with Server() as gone:
        pass
    async with forwarding(f"forward . {gone.address} {{\n{DOWN}\n}}") as forward:
        await _all_down(forward)
        broken = count("coredns_forward_healthcheck_broken_total")
        found = await forward.answer(query("example.org"), elsewhere)
        assert "connection refused" in found.error
        assert count("coredns_forward_healthcheck_broken_total") > broken
        assert count("coredns_proxy_healthcheck_failures_total", "forward", gone.address) >= 2


async def test_when_all_upstreams_are_down_failfast_fails_at_once() -> None:
    async with Server() as gone:
        pass
    async with forwarding(f"forward . {gone.address} {{\n{DOWN}\nfailfast_all_unhealthy_upstreams\n}}") as forward:
        await _all_down(forward)
        found = await forward.answer(query("example.org"), elsewhere)
        assert (found.rcode, found.error) == (codes.SERVFAIL, "every upstream is down")


async def test_an_upstream_that_comes_back_is_used_again() -> None:
    async with Server(silence) as server:
        directive = f"forward . {server.address} {{\nread_timeout 20ms\nmax_fails 1\nhealth_check 10ms\n}}"
        async with forwarding(directive) as forward:
            await forward.answer(query("example.org"), elsewhere)
            server.behave = lambda packet, transport: reply(packet)
            await until(lambda: not forward.upstreams[0].health.doubtful)
            assert addresses(await forward.answer(query("example.org"), elsewhere)) == ["192.0.2.1"]


async def test_policies_order_the_upstreams_as_they_say() -> None:
    async with servers("192.0.2.1", "192.0.2.2", "192.0.2.3") as made:
        to = " ".join(server.address for server in made)
        seen = {}
        for policy in ("random", "round_robin", "sequential"):
            async with forwarding(f"forward . {to} {{\npolicy {policy}\n}}") as forward:
                seen[policy] = [
                    addresses(await forward.answer(query("example.org"), elsewhere))[0][-1] for _ in range(90)
                ]
        assert "".join(seen["sequential"]) == "1" * 90
        assert "".join(seen["round_robin"]) == "123" * 30
        assert min(Counter(seen["random"]).values()) > 10
        assert "".join(seen["random"]) not in {"123" * 30, "231" * 30, "312" * 30}


async def test_failover_tries_the_next_upstream_and_the_last_reply_stands() -> None:
    async with servers("SERVFAIL", "REFUSED", "192.0.2.3") as [failing, refusing, good]:
        both = f"{failing.address} {refusing.address}"
        options = "{\npolicy sequential\nfailover ServFail Refused\n}"
        async with forwarding(f"forward . {both} {good.address} {options}") as forward:
            assert addresses(await forward.answer(query("example.org"), elsewhere)) == ["192.0.2.3"]
        async with forwarding(f"forward . {both} {options}") as forward:
            assert (await forward.answer(query("example.org"), elsewhere)).rcode == codes.REFUSED
            assert len(refusing.asked) == 2
        async with forwarding(f"forward . {both} {{\npolicy sequential\n}}") as forward:
            assert (await forward.answer(query("example.org"), elsewhere)).rcode == codes.SERVFAIL


async def test_next_hands_such_replies_to_the_next_forward_that_takes_the_name() -> None:
    async with servers("NXDOMAIN", "192.0.2.2") as [denying, good]:
        for second, expected in ((".", "NOERROR"), ("example.net", "NXDOMAIN")):
            corefile = f".:0 {{\nforward . {denying.address} {{\nnext NXDOMAIN\n}}\nforward {second} {good.address}\n}}"
            async with testing.serving(corefile) as dns:
                assert (await dns.ask("example.org")).rcode == expected


async def test_next_without_another_forward_changes_nothing() -> None:
    async with servers("NXDOMAIN") as [denying]:
        corefile = f".:0 {{\nforward . {denying.address} {{\nnext NXDOMAIN\n}}\nwhoami\n}}"
        async with testing.serving(corefile) as dns:
            assert (await dns.ask("example.org")).rcode == "NXDOMAIN"


async def test_next_on_nodata_hands_on_replies_without_answers() -> None:
    async with servers("NOERROR", "192.0.2.2") as [empty, good]:
        corefile = f".:0 {{\nforward . {empty.address} {{\nnext_on_nodata\n}}\nforward . {good.address}\n}}"
        async with testing.serving(corefile) as dns:
            assert (await dns.ask("example.org")).answer == ["example.org. 300 A 192.0.2.2"]


async def test_more_queries_than_max_concurrent_are_refused() -> None:
    async with Server() as server:
        server.delay = 0.1
        async with forwarding(f"forward . {server.address} {{\nmax_concurrent 3\n}}") as forward:
            rejected = count("coredns_forward_max_concurrent_rejects_total")
            replies = await asyncio.gather(*(forward.answer(query("example.org"), elsewhere) for _ in range(5)))
            assert Counter(found.rcode for found in replies) == {codes.NOERROR: 3, codes.REFUSED: 2}
            assert "max_concurrent" in replies[-1].error
            assert count("coredns_forward_max_concurrent_rejects_total") == rejected + 2
            assert (await forward.answer(query("example.org"), elsewhere)).rcode == codes.NOERROR


async def test_a_client_that_goes_away_frees_its_place() -> None:
    async with Server(silence) as server, forwarding(f"forward . {server.address} {{\nmax_concurrent 1\n}}") as forward:
        waiting = asyncio.ensure_future(forward.answer(query("example.org"), elsewhere))
        await asyncio.sleep(0.01)
        waiting.cancel()
        await asyncio.wait([waiting])
        server.behave = lambda packet, transport: reply(packet)
        assert (await forward.answer(query("example.org"), elsewhere)).rcode == codes.NOERROR


async def test_a_bare_error_is_passed_on() -> None:
    async with Server(lambda packet, transport: packet[:2] + b"\x80\1" + bytes(8)) as server:
        async with testing.serving(f".:0 {{\nforward . {server.address}\n}}") as dns:
            answer = await dns.ask("example.org")
            assert (answer.rcode, answer.answer) == ("FORMERR", [])


async def test_other_classes_than_in_are_forwarded() -> None:
    async with Server(lambda packet, transport: reply(packet, empty=True)) as server:
        async with testing.serving(f".:0 {{\nforward . {server.address}\n}}") as dns:
            assert (await dns.ask("version.bind", "TXT", klass="CH")).rcode == "NOERROR"


async def test_an_upstream_is_asked_over_tls_with_the_certificates_named(tmp_path: Path) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    mine = authority.issue_cert("client.example.org")
    mine.private_key_pem.write_to_path(str(tmp_path / "key.pem"))
    mine.cert_chain_pems[0].write_to_path(str(tmp_path / "cert.pem"))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("dns.example.org").configure_cert(context)
    authority.configure_trust(context)
    context.verify_mode = ssl.CERT_REQUIRED
    async with Server(context=context) as server:
        for to in (f"tls://127.0.0.1%dns.example.org:{server.port}", f"tls://127.0.0.1:{server.port}"):
            name = "" if "%" in to else "tls_servername dns.example.org"
            directive = f"root {tmp_path}\nforward . {to} {{\ntls cert.pem key.pem ca.pem\n{name}\n}}"
            async with forwarding(directive) as forward:
                assert addresses(await forward.answer(query("example.org"), elsewhere)) == ["192.0.2.1"]
        async with forwarding(f"forward . tls://127.0.0.1:{server.port} {{\nmax_fails 0\n}}") as forward:
            found = await forward.answer(query("example.org"), elsewhere)
            assert "no connection: tls" in found.error


async def test_an_upstream_given_by_name_is_looked_up_at_the_start() -> None:
    def only_four(packet: bytes, transport: str) -> Replies:
        end = question_end(packet)
        return reply(packet, "127.0.0.1", empty=packet[end - 3] != codes.A)

    async with Server(only_four) as server:
        directive = f"forward . dns.example.org:{server.port} {{\nresolver {server.address}\n}}"
        async with forwarding(directive) as forward:
            assert [str(upstream) for upstream in forward.upstreams] == [server.address]


async def test_an_upstream_nobody_can_look_up_keeps_the_server_from_starting() -> None:
    async with servers("NXDOMAIN") as [server]:
        with pytest.raises(StartError, match=r"cannot look up dns\.example\.org: .*NXDOMAIN"):
            async with forwarding(f"forward . dns.example.org {{\nresolver {server.address}\n}}"):
                pass


async def test_an_unchanged_directive_keeps_its_upstreams_over_a_reload(tmp_path: Path) -> None:
    resolv_conf = tmp_path / "resolv.conf"
    async with Server() as server:
        resolv_conf.write_text("nameserver 192.0.2.1\n")
        text = f"forward . {resolv_conf} {server.address}"
        old = plugin(Forward, text)
        await old.start()
        heir, rival = plugin(Forward, text), plugin(Forward, text)
        assert heir.inherit(old)
        assert not rival.inherit(old)
        await heir.start()
        assert heir.upstreams is old.upstreams
        resolv_conf.write_text("nameserver 192.0.2.2\n")
        assert not plugin(Forward, text).inherit(heir)
        await heir.stop()


async def test_the_time_an_upstream_took_is_counted_by_rcode() -> None:
    async with servers("NXDOMAIN") as [server], forwarding(f"forward . {server.address}") as forward:

        def counted() -> tuple[int, float]:
            hits = count("coredns_proxy_conn_cache_hits_total", "forward", server.address, "udp")
            misses = count("coredns_proxy_conn_cache_misses_total", "forward", server.address, "udp")
            assert isinstance(child, metrics.Histogram)
            return sum(child.counts), hits + misses

        child = metrics._families["coredns_proxy_request_duration_seconds"].labels(
            "forward", server.address, "NXDOMAIN"
        )
        before = counted()  # by a server of another test that had the same port
        await forward.answer(query("example.org"), elsewhere)
        await forward.answer(query("example.org"), elsewhere)
        assert counted() == (before[0] + 2, before[1] + 2)


async def test_source_address_is_where_questions_come_from() -> None:
    async with Server() as server:
        async with forwarding(f"forward . {server.address} {{\nsource_address 127.0.0.5\n}}") as forward:
            for client in (UDP, TCP):
                assert (await forward.answer(query("example.org", client=client), elsewhere)).rcode == codes.NOERROR
            assert server.sources == {"127.0.0.5"}


async def test_a_source_address_of_the_other_family_is_not_used() -> None:
    async with Server() as server:
        async with forwarding(f"forward . {server.address} {{\nsource_address 2001:db8::1\n}}") as forward:
            assert (await forward.answer(query("example.org"), elsewhere)).rcode == codes.NOERROR
