"""nsid: which server answered."""

from __future__ import annotations

import os
import socket

import pytest

from pydnsk8s import codes, testing
from pydnsk8s.message import Edns
from pydnsk8s.plugins.nsid import Nsid

from .blocks import ELSEWHERE, elsewhere, errors, plugin, query, replying

ASKING = query("example.org").with_(edns=Edns(options=((codes.OPTION_NSID, b""),)))


@pytest.mark.parametrize(
    ("text", "identifier"),
    [("nsid ns1", b"ns1"), ('nsid "rack 2"', b"rack 2"), ("nsid rack 2", b"rack 2")],
)
async def test_who_asks_for_it_gets_the_identifier(text: str, identifier: bytes) -> None:
    reply = await plugin(Nsid, text).answer(ASKING, elsewhere)
    assert reply.options == ((codes.OPTION_NSID, identifier),)
    assert reply.rcode == ELSEWHERE.rcode
    assert reply.keep == ELSEWHERE.keep


async def test_octets_from_the_environment_need_not_be_utf_8(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(os.environb, b"NAME", b"n\xe9")
    reply = await plugin(Nsid, "nsid {$NAME}").answer(ASKING, elsewhere)
    assert reply.options == ((codes.OPTION_NSID, b"n\xe9"),)


async def test_the_host_name_identifies_a_server_without_another_name() -> None:
    reply = await plugin(Nsid, "nsid").answer(ASKING, elsewhere)
    assert reply.options == ((codes.OPTION_NSID, socket.gethostname().encode()),)


async def test_who_does_not_ask_gets_the_reply_unchanged() -> None:
    nsid = plugin(Nsid, "nsid ns1")
    assert await nsid.answer(query("example.org"), elsewhere) is ELSEWHERE
    assert await nsid.answer(query("example.org").with_(edns=Edns()), elsewhere) is ELSEWHERE


async def test_the_identifier_replaces_another_servers_and_leaves_other_options() -> None:
    upstream = ELSEWHERE.with_(options=((codes.OPTION_NSID, b"theirs"), (codes.OPTION_ERROR, b"\0\x16")))
    reply = await plugin(Nsid, "nsid ours").answer(ASKING, replying(upstream))
    assert reply.options == ((codes.OPTION_ERROR, b"\0\x16"), (codes.OPTION_NSID, b"ours"))


def test_it_is_used_once_and_short() -> None:
    assert "only be used once" in errors("nsid a\nnsid b")
    assert "at most 255 octets, found 256" in errors(f"nsid {'a' * 256}")
    assert "takes no options" in errors("nsid a {\nfoo\n}")


async def test_over_the_wire_only_who_asks_gets_it_before_and_after_replies_are_kept() -> None:
    asking = Edns(options=((codes.OPTION_NSID, b""),))
    async with testing.serving(". {\nnsid ns1\nlocal\n}") as dns:
        for _ in range(3):
            assert (await dns.ask("localhost", edns=asking)).options == ((codes.OPTION_NSID, b"ns1"),)
            assert (await dns.ask("localhost", edns=Edns())).options == ()
            assert not (await dns.ask("localhost")).edns
