from __future__ import annotations

import asyncio
import base64
import contextlib
import ssl
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from functools import partial

import pytest
import trustme

from pydnsk8s import codes, names
from pydnsk8s.upstream import Address, Message, Terms, Unanswered, Upstream
from tests.upstream.servers import reply, until

pytest.importorskip("h2")

import h2.config
import h2.connection
import h2.events

from pydnsk8s.upstream.https import Https

QUESTION = Message.ask(names.parse("www.example.org"), codes.A)


class Web:
    """A DNS over HTTPS server, and how it misbehaves."""

    def __init__(self) -> None:
        self.requests: list[tuple[dict[str, str], bytes]] = []
        self.connections = 0
        self.status = "200"
        self.media = "application/dns-message"
        self.body = reply
        self.silent = False
        self.held: list[Callable[[], None]] | None = None
        """The replies that are held back, if any are to be."""
        self.closes_after = 0
        self.writers: list[asyncio.StreamWriter] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.writers.append(writer)
        http = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False, header_encoding="utf-8"))
        http.initiate_connection()
        streams: dict[int, tuple[dict[str, str], bytearray]] = {}
        served = 0
        with contextlib.suppress(OSError):
            writer.write(http.data_to_send())
            while data := await reader.read(65536):
                for event in http.receive_data(data):
                    if isinstance(event, h2.events.RequestReceived):
                        headers = {str(name): str(value) for name, value in event.headers or ()}
                        streams[event.stream_id or 0] = headers, bytearray()
                    elif isinstance(event, h2.events.DataReceived):
                        streams[event.stream_id or 0][1].extend(event.data or b"")
                    elif isinstance(event, h2.events.StreamEnded):
                        number = event.stream_id or 0
                        respond = partial(self._respond, http, number, *streams.pop(number))
                        if self.held is None:
                            respond()
                        else:
                            self.held.append(partial(self._respond_late, respond, http, writer))
                        served += 1
                writer.write(http.data_to_send())
                if self.closes_after and served >= self.closes_after:
                    break
        writer.close()

    def _respond_late(
        self, respond: Callable[[], None], http: h2.connection.H2Connection, writer: asyncio.StreamWriter
    ) -> None:
        respond()
        writer.write(http.data_to_send())

    def _respond(self, http: h2.connection.H2Connection, stream: int, headers: dict[str, str], body: bytearray) -> None:
        self.requests.append((headers, bytes(body)))
        if self.silent:
            return
        if headers[":method"] == "GET":
            coded = headers[":path"].partition("?dns=")[2]
            body = bytearray(base64.urlsafe_b64decode(coded + "=" * (-len(coded) % 4)))
        content = self.body(bytes(body))
        http.send_headers(stream, [(":status", self.status), ("content-type", self.media)])
        http.send_data(stream, content, end_stream=True)


@pytest.fixture
async def scene() -> AsyncIterator[tuple[Web, Upstream]]:
    authority = trustme.CA()
    serving = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("dns.example.org").configure_cert(serving)
    serving.set_alpn_protocols(["h2"])
    asking = ssl.create_default_context()
    authority.configure_trust(asking)
    asking.set_alpn_protocols(["h2"])
    web = Web()
    server = await asyncio.start_server(web.serve, "127.0.0.1", 0, ssl=serving)
    address = Address("https", "127.0.0.1", server.sockets[0].getsockname()[1], "dns.example.org")
    asked = Upstream(address, Terms(read_timeout=5, contexts={"https": asking}))
    yield web, asked
    await asked.stop()
    server.close()
    for writer in web.writers:
        writer.transport.abort()
    await asyncio.sleep(0)


async def test_a_question_is_posted_and_its_reply_comes_back(scene: tuple[Web, Upstream]) -> None:
    web, asked = scene
    assert await asked.ask(QUESTION, 5) == reply(QUESTION.packet)
    headers, body = web.requests[0]
    assert headers[":method"] == "POST"
    assert headers[":path"] == "/dns-query"
    assert headers[":authority"].startswith("dns.example.org")
    assert headers["content-type"] == headers["accept"] == "application/dns-message"
    assert body == QUESTION.packet


async def test_questions_beyond_what_a_connection_takes_go_over_another(scene: tuple[Web, Upstream]) -> None:
    web, asked = scene
    held: list[Callable[[], None]] = []
    web.held = held
    asking = asyncio.gather(*(asked.ask(QUESTION, 5) for _ in range(250)))
    await until(lambda: len(held) == 250)
    for respond in held:
        respond()
    web.held = None
    assert await asking == [reply(QUESTION.packet)] * 250
    assert web.connections == 3
    assert await asked.ask(QUESTION, 5) == reply(QUESTION.packet)


async def test_a_connection_that_opens_when_all_has_been_stopped_is_closed(scene: tuple[Web, Upstream]) -> None:
    web, asked = scene
    asking = asyncio.ensure_future(asked.ask(QUESTION, 5))
    await asyncio.sleep(0)
    await asked.stop()
    with pytest.raises(Unanswered, match="stopping"):
        await asking
    assert web.requests == []


async def test_a_connection_without_numbers_for_further_streams_is_followed_by_another(
    scene: tuple[Web, Upstream],
) -> None:
    web, asked = scene
    await asked.ask(QUESTION, 5)
    streams = asked._streams
    assert isinstance(streams, Https)
    assert streams._current is not None
    streams._current._http.highest_outbound_stream_id = 2**31 - 1
    assert await asked.ask(QUESTION, 5) == reply(QUESTION.packet)
    assert web.connections == 2


async def test_get_carries_the_question_in_the_path(scene: tuple[Web, Upstream]) -> None:
    web, asked = scene
    other = Upstream(asked.address, replace(asked.terms, post=False))
    assert await other.ask(QUESTION, 5) == reply(QUESTION.packet)
    assert web.requests[0][0][":method"] == "GET"
    assert "=" not in web.requests[0][0][":path"].partition("?dns=")[2]
    await other.stop()


async def test_many_questions_share_one_connection(scene: tuple[Web, Upstream]) -> None:
    web, asked = scene
    await asyncio.gather(*(asked.ask(QUESTION, 5) for _ in range(50)))
    assert (web.connections, len(web.requests)) == (1, 50)


async def test_a_connection_closed_between_two_questions_costs_no_answer(scene: tuple[Web, Upstream]) -> None:
    web, asked = scene
    web.closes_after = 1
    for _ in range(3):
        assert await asked.ask(QUESTION, 5)
    assert web.connections == 3


@pytest.mark.parametrize(
    ("attribute", "value", "why"),
    [
        ("status", "503", "HTTP status 503"),
        ("media", "text/html", "HTTP content of type text/html"),
        ("body", lambda packet: b"x" * 5000, "over 1000 octets"),
        ("body", lambda packet: b"", "another question"),
        ("body", lambda packet: reply(packet).replace(b"www", b"xxx"), "another question"),
        ("silent", True, "no reply within"),
    ],
)
async def test_what_is_no_reply_is_a_failure(
    scene: tuple[Web, Upstream], attribute: str, value: object, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    web, asked = scene
    monkeypatch.setattr("pydnsk8s.upstream.https._MAX_BODY", 1000)
    setattr(web, attribute, value)
    with pytest.raises(Unanswered, match=why):
        await asked.ask(QUESTION, 0.3)
    web.__dict__.update(Web().__dict__, connections=web.connections, writers=web.writers)
    assert await asked.ask(QUESTION, 5)
