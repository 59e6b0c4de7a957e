"""The small HTTP server, over real sockets."""

from __future__ import annotations

import asyncio
import ssl
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest
import trustme
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pydnsk8s.listen import http
from pydnsk8s.plugin import StartError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

ANY_PORT = http.Address("127.0.0.1", 0)


def saying(text: str) -> Callable[[], http.Response]:
    return lambda: http.Response(200, text.encode())


@asynccontextmanager
async def shown(text: str = "OK", address: http.Address = ANY_PORT, path: str = "/page") -> AsyncIterator[http.Page]:
    page = await http.serve(address, path, saying(text))
    try:
        yield page
    finally:
        await page.withdraw()


async def talk(address: http.Address, sent: bytes, context: ssl.SSLContext | None = None) -> bytes:
    """What comes back until the server closes the connection."""
    name = "localhost" if context else None
    reader, writer = await asyncio.open_connection(*address, ssl=context, server_hostname=name)
    try:
        writer.write(sent)
        return await asyncio.wait_for(reader.read(), 10)
    except ConnectionResetError:
        return b""
    finally:
        writer.close()


async def get(address: http.Address, path: str = "/page", context: ssl.SSLContext | None = None) -> tuple[int, str]:
    sent = f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    head, _, body = (await talk(address, sent.encode(), context)).partition(b"\r\n\r\n")
    return int(head.split()[1]), body.decode()


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        (":9153", "", 9153),
        ("localhost:9153", "localhost", 9153),
        ("192.0.2.1:80", "192.0.2.1", 80),
        ("[2001:db8::1]:8080", "2001:db8::1", 8080),
        (":0", "", 0),
    ],
)
def test_an_address_is_read_and_written_alike(text: str, host: str, port: int) -> None:
    assert http.parse_address(text) == (host, port)
    assert str(http.parse_address(text)) == text


@pytest.mark.parametrize(
    "text", ["", "/foo", "bla", "bla:a", ":65536", ":-1", "2001:db8::1:80", "[::1]", "a b:1", "{}"]
)
def test_what_is_no_address_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match=r"expected HOST:PORT such as :9153.* found"):
        http.parse_address(text)


async def test_a_page_is_served_with_length_type_and_date() -> None:
    async with shown() as page:
        reply = await talk(page.address, b"GET /page?x=1 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
    head, body = reply.split(b"\r\n\r\n")
    first, *fields = head.split(b"\r\n")
    assert first.startswith(b"HTTP/1.1 200")
    assert body == b"OK"
    assert {b"Content-Length: 2", b"Content-Type: text/plain; charset=utf-8"} <= set(fields)
    assert any(field.startswith(b"Date: ") for field in fields)


async def test_another_path_is_not_found_and_another_method_not_allowed() -> None:
    async with shown() as page:
        assert (await get(page.address, "/"))[0] == 404
        reply = await talk(page.address, b"POST /page HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc")
        assert reply.startswith(b"HTTP/1.1 405")
        assert b"Allow: GET, HEAD\r\n" in reply


async def test_head_tells_the_length_without_the_body() -> None:
    async with shown() as page:
        reply = await talk(page.address, b"HEAD /page HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
    assert b"Content-Length: 2\r\n" in reply
    assert reply.endswith(b"\r\n\r\n")


async def test_a_connection_answers_several_requests_pipelined_or_not() -> None:
    async with shown() as page:
        one = b"GET /page HTTP/1.1\r\nHost: a\r\n\r\n"
        last = b"GET /page HTTP/1.0\r\n\r\n"
        assert (await talk(page.address, one + one + last)).count(b"\r\n\r\nOK") == 3


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"hello\r\n\r\n", 400),
        (b"GET /page HTTP/1.1\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400),
        (b"GET /page HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n", 400),
        (b"GET /page HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 70_000, 431),
    ],
)
async def test_a_malformed_request_gets_its_error_and_the_connection_ends(sent: bytes, status: int) -> None:
    async with shown() as page:
        reply = await talk(page.address, sent)
        # A client that still sends while we close may see the reset before the reply.
        assert not reply or reply.startswith(f"HTTP/1.1 {status}".encode())
        assert await get(page.address) == (200, "OK")


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.one_of(st.binary(max_size=300), st.binary(max_size=60).map(lambda noise: b"GET /page HTTP/1.1\r\n" + noise)))
def test_any_bytes_leave_the_server_standing(noise: bytes) -> None:
    async def scene() -> None:
        async with shown() as page:
            reader, writer = await asyncio.open_connection(*page.address)
            writer.write(noise)
            writer.write_eof()
            try:
                reply = await asyncio.wait_for(reader.read(), 10)
            except ConnectionResetError:
                reply = b""
            assert reply == b"" or reply.startswith(b"HTTP/1.1 ")
            writer.close()
            assert await get(page.address) == (200, "OK")

    asyncio.run(scene())


async def test_a_slow_client_is_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "_PATIENCE", 0.05)
    async with shown() as page:
        assert await talk(page.address, b"GET /page HTT") == b""
        assert await talk(page.address, b"") == b""


async def page_is_idle(page: http.Page) -> None:
    """Return when a conversation has begun and none is left."""
    conversations = page._listener._conversations
    while not conversations:  # noqa: ASYNC110 - a dictionary tells nobody of its entries
        await asyncio.sleep(0.01)
    await asyncio.gather(*conversations)


async def test_a_client_that_does_not_read_is_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "_PATIENCE", 0.2)
    async with shown("x" * 10_000_000) as page:
        _, writer = await asyncio.open_connection(*page.address, limit=1024)
        writer.write(b"GET /page HTTP/1.1\r\nHost: a\r\n\r\n")
        await asyncio.wait_for(page_is_idle(page), 10)
        writer.close()


async def test_a_large_page_arrives_whole() -> None:
    async with shown("x" * 1_000_000) as page:
        assert await get(page.address) == (200, "x" * 1_000_000)


async def test_idle_connections_do_not_keep_a_probe_out() -> None:
    async with shown() as page:
        idle = [await asyncio.open_connection(*page.address) for _ in range(80)]
        assert await get(page.address) == (200, "OK")
        assert len(page._listener._conversations) <= 64
        for _, writer in idle:
            writer.close()


async def free_address() -> http.Address:
    async with shown() as page:
        return page.address


async def test_a_new_page_takes_the_place_of_the_old_one_without_closing_the_socket() -> None:
    address = await free_address()
    old = await http.serve(address, "/page", saying("old"))
    reader, writer = await asyncio.open_connection(*address)  # waits in the same socket through the change
    new = await http.serve(address, "/page", saying("new"))
    assert await get(address) == (200, "new")
    await old.withdraw()
    assert await get(address) == (200, "new")
    writer.write(b"GET /page HTTP/1.0\r\n\r\n")
    assert (await reader.read()).endswith(b"new")
    writer.close()
    await new.withdraw()


async def test_the_old_page_comes_back_when_the_new_one_fails() -> None:
    address = await free_address()
    async with shown("old", address):
        new = await http.serve(address, "/page", saying("new"))
        await new.withdraw()
        assert await get(address) == (200, "old")


async def test_several_paths_share_an_address_which_closes_with_the_last() -> None:
    address = await free_address()
    async with shown("one", address, "/one"):
        async with shown("two", address, "/two"):
            assert await get(address, "/one") == (200, "one")
            assert await get(address, "/two") == (200, "two")
        assert (await get(address, "/two"))[0] == 404
    with pytest.raises(OSError):
        await get(address, "/one")


async def test_an_address_in_use_is_an_error_that_names_it() -> None:
    listening = http._open("127.0.0.1", 0)
    address = http.Address("127.0.0.1", listening.getsockname()[1])
    with listening, pytest.raises(StartError) as error:
        await http.serve(address, "/page", saying("OK"))
    assert str(error.value) == f"cannot serve /page at {address}: Address already in use"


async def test_a_host_that_does_not_exist_is_an_error_that_names_it() -> None:
    with pytest.raises(StartError, match=r"cannot serve /page at none\.invalid:8080: \w+"):
        await http.serve(http.Address("none.invalid", 8080), "/page", saying("OK"))


async def test_no_host_means_every_address() -> None:
    async with shown(address=http.Address("", 0)) as page:
        assert await get(http.Address("127.0.0.1", page.address.port)) == (200, "OK")


async def test_a_name_is_listened_on_at_its_ipv4_address() -> None:
    async with shown(address=http.Address("localhost", 0)) as page:
        assert page.address.host == "127.0.0.1"
        assert await get(page.address) == (200, "OK")


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


def contexts(authority: trustme.CA) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    server, client = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.create_default_context()
    authority.issue_cert("localhost").configure_cert(server)
    authority.configure_trust(client)
    return server, client


async def test_tls_can_come_and_go_at_an_address(authority: trustme.CA) -> None:
    server, client = contexts(authority)
    address = await free_address()
    plain = await http.serve(address, "/page", saying("plain"))
    secure = await http.serve(address, "/page", saying("secure"), server)
    assert await get(address, context=client) == (200, "secure")
    await secure.withdraw()
    assert await get(address) == (200, "plain")
    await plain.withdraw()


async def test_two_pages_cannot_share_an_address_with_and_without_tls(authority: trustme.CA) -> None:
    address = await free_address()
    async with shown("plain", address, "/one"):
        with pytest.raises(StartError, match="both with and without TLS"):
            await http.serve(address, "/two", saying("secure"), contexts(authority)[0])
