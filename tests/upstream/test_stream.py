from __future__ import annotations

import asyncio
import ssl
from pathlib import Path

import pytest
import trustme

from pydnsk8s import codes, names
from pydnsk8s.upstream import Address, Certificates, Message, Terms, Unanswered, Upstream
from pydnsk8s.upstream.stream import Stream, Streams
from tests.upstream.servers import Replies, Server, question_end, reply
from tests.upstream.test_udp import QUICK, ask, collector_at_rest, held, upstream


async def test_questions_on_one_connection_may_be_answered_in_any_order() -> None:
    held: list[bytes] = []

    def backwards(packet: bytes, transport: str) -> Replies:
        held.append(packet)
        return [reply(each, f"192.0.2.{each[13]}") for each in reversed(held)] if len(held) == 4 else None

    async with Server(backwards) as server, upstream(server) as asked:
        messages = [Message.ask(bytes((1, number)) + names.parse("example.org"), codes.A) for number in (1, 2, 3, 4)]
        replies = await asyncio.gather(*(asked.ask(message, 1, stream=True) for message in messages))
        assert [packet[-1] for packet in replies] == [1, 2, 3, 4]
        assert server.connections == 1


async def test_a_connection_is_used_again() -> None:
    async with Server() as server, upstream(server) as asked:
        for _ in range(5):
            await ask(asked, stream=True)
        assert server.connections == 1


async def test_many_questions_spread_over_a_bounded_number_of_connections() -> None:
    async with Server() as server, upstream(server, Terms(read_timeout=5)) as asked:
        await asyncio.gather(*(ask(asked, stream=True) for _ in range(300)))
        assert 1 < server.connections <= Streams.LIMIT


async def test_a_connection_closed_between_two_questions_costs_no_answer() -> None:
    async with Server() as server, upstream(server) as asked:
        server.hang_up_after = 1
        for _ in range(4):
            assert await ask(asked, stream=True)
        assert server.connections >= 4


async def test_questions_that_wait_on_a_connection_closed_after_one_answer_are_asked_again() -> None:
    async with Server() as server, upstream(server, Terms(read_timeout=5)) as asked:
        server.hang_up_after = 1
        server.delay = 0.01
        replies = await asyncio.gather(*(ask(asked, stream=True) for _ in range(32)))
        assert len(replies) == 32


@pytest.mark.usefixtures(collector_at_rest.__name__)
async def test_a_connection_that_has_ended_is_gone_before_the_garbage_collector_comes() -> None:
    async with Server() as server, upstream(server) as asked:
        server.hang_up_after = 1
        for _ in range(8):
            assert await ask(asked, stream=True)
        await asyncio.sleep(0.05)
        assert server.connections >= 8
        assert held(Stream) <= 1


async def test_a_connection_reset_in_the_middle_is_tried_once_more() -> None:
    async with Server() as server, upstream(server, Terms(read_timeout=2)) as asked:
        await ask(asked, stream=True)

        def hang_up(packet: bytes, transport: str) -> Replies:
            server.behave = lambda packet, transport: reply(packet)
            server.hang_up()
            return None

        server.behave = hang_up
        assert await ask(asked, stream=True)
        assert server.connections == 2


async def test_a_server_that_closes_new_connections_is_a_failure() -> None:
    async with Server() as server, upstream(server, Terms(read_timeout=2)) as asked:
        server.hang_up_after = 0
        with pytest.raises(Unanswered, match="connection"):
            await ask(asked, stream=True)


async def test_a_server_that_does_not_listen_fails_at_once() -> None:
    async with Server() as server:
        pass
    async with upstream(server, Terms(read_timeout=60)) as asked:
        with pytest.raises(Unanswered, match="no connection"):
            await asyncio.wait_for(ask(asked, stream=True), 5)


async def test_questions_do_not_wait_behind_one_that_was_swallowed() -> None:
    async with Server(lambda packet, transport: None) as server, upstream(server) as asked:
        with pytest.raises(Unanswered, match="no reply within"):
            await ask(asked, stream=True)
        server.behave = lambda packet, transport: reply(packet)
        assert await ask(asked, stream=True)
        assert server.connections == 2


async def test_garbage_on_the_connection_answers_nothing() -> None:
    def garbage(packet: bytes, transport: str) -> Replies:
        return [b"", b"\0", b"\xff" * 60000, packet, reply(packet).replace(b"wWw", b"www"), reply(packet)]

    async with Server(garbage) as server, upstream(server) as asked:
        assert (await ask(asked, stream=True)) == reply(server.asked[0].packet)


async def test_an_idle_connection_is_closed_after_expire() -> None:
    async with Server() as server, upstream(server, Terms(read_timeout=1, expire=0.05)) as asked:
        await ask(asked, stream=True)
        await asyncio.sleep(0.15)
        await ask(asked, stream=True)
        assert server.connections == 2


async def test_a_connection_gets_no_questions_after_max_age() -> None:
    async with Server() as server, upstream(server, Terms(read_timeout=1, expire=0.05, max_age=0.05)) as asked:
        for _ in range(4):
            await ask(asked, stream=True)
            await asyncio.sleep(0.03)
        assert server.connections > 1


async def test_no_more_idle_connections_stay_than_max_idle_conns() -> None:
    async with Server() as server, upstream(server, Terms(read_timeout=5, max_idle=1)) as asked:
        server.delay = 0.01
        await asyncio.gather(*(ask(asked, stream=True) for _ in range(8)))
        opened = server.connections
        assert opened > 1
        await asyncio.gather(*(ask(asked, stream=True) for _ in range(8)))
        assert server.connections > opened


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


def _tls(authority: trustme.CA, *names: str) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert(*names).configure_cert(context)
    return context


def _terms(authority: trustme.CA | None) -> Terms:
    context = ssl.create_default_context()
    if authority is not None:
        authority.configure_trust(context)
    return Terms(read_timeout=5, contexts={"tls": context})


@pytest.mark.parametrize("servername", ["dns.example.org", ""])
async def test_tls_works_with_the_name_or_the_address_in_the_certificate(
    authority: trustme.CA, servername: str
) -> None:
    async with Server(context=_tls(authority, servername or "127.0.0.1")) as server:
        asked = Upstream(Address("tls", "127.0.0.1", server.port, servername), _terms(authority))
        assert await ask(asked) == reply(server.asked[0].packet)
        await asked.stop()


@pytest.mark.parametrize(("servername", "trusted"), [("other.example.org", True), ("dns.example.org", False)])
async def test_tls_refuses_a_certificate_that_proves_nothing(
    authority: trustme.CA, servername: str, trusted: bool
) -> None:
    async with Server(context=_tls(authority, "dns.example.org")) as server:
        asked = Upstream(Address("tls", "127.0.0.1", server.port, servername), _terms(authority if trusted else None))
        with pytest.raises(Unanswered, match="no connection: tls"):
            await ask(asked)
        await asked.stop()


def _write(authority: trustme.CA, folder: Path) -> None:
    """A certificate for us, its key, and the authority to trust."""
    issued = authority.issue_cert("resolver@example.org")
    issued.cert_chain_pems[0].write_to_path(folder / "cert.pem")
    issued.private_key_pem.write_to_path(folder / "key.pem")
    authority.cert_pem.write_to_path(folder / "ca.pem")


async def test_certificates_that_are_replaced_count_from_the_next_connection_on(
    authority: trustme.CA, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    _write(authority, tmp_path)
    contexts = Certificates(["tls"], *(tmp_path / name for name in ("cert.pem", "key.pem", "ca.pem")))

    async def passes(vouching: trustme.CA) -> bool:
        """Whether a server that this authority vouches for, and that trusts it alone, is asked."""
        tls = _tls(vouching, "127.0.0.1")
        vouching.configure_trust(tls)
        tls.verify_mode = ssl.CERT_REQUIRED
        async with Server(context=tls) as server:
            asked = Upstream(Address("tls", "127.0.0.1", server.port), Terms(read_timeout=5, contexts=contexts))
            try:
                return await ask(asked) == reply(server.asked[0].packet)
            except Unanswered:
                return False
            finally:
                await asked.stop()

    other = trustme.CA()
    assert (await passes(authority), await passes(other)) == (True, False)
    (tmp_path / "ca.pem").write_text("half of a certifica")
    assert await passes(authority)
    assert "cannot load the new certificates" in caplog.text
    _write(other, tmp_path)
    assert (await passes(authority), await passes(other)) == (False, True)


async def test_a_server_that_accepts_and_says_nothing_does_not_hold_us_up(authority: trustme.CA) -> None:
    async with Server() as server:  # it speaks no TLS, so the handshake never ends
        asked = Upstream(
            Address("tls", "127.0.0.1", server.port), Terms(read_timeout=0.1, contexts=_terms(authority).contexts)
        )
        with pytest.raises(Unanswered):
            await ask(asked)
        await asked.stop()


async def test_a_question_is_framed_once_and_whole() -> None:
    async with Server() as server, upstream(server, QUICK) as asked:
        await ask(asked, stream=True)
        packet = server.asked[0].packet
        assert len(packet) == question_end(packet)
