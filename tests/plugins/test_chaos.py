"""chaos: version, authors and host name in class CH."""

from __future__ import annotations

import os
import socket

import pytest

from pydnsk8s import codes, testing
from pydnsk8s.message import Reply
from pydnsk8s.plugins.chaos import Chaos
from pydnsk8s.version import VERSION

from .blocks import ELSEWHERE, block, elsewhere, errors, plugin, query, texts


async def ask(chaos: Chaos, name: str, type: str = "TXT") -> Reply:
    return await chaos.answer(query(name, type, klass=codes.CH), elsewhere)


@pytest.mark.parametrize("name", ["version.bind", "version.server"])
async def test_it_tells_the_version(name: str) -> None:
    reply = await ask(plugin(Chaos, 'chaos "v1 of 2"'), name)
    assert texts(reply.answer) == [f'{name}. 0 CH TXT "v1 of 2"']
    assert [record.klass for record in reply.answer] == [codes.CH]
    assert not reply.authoritative
    assert reply.keep.live


async def test_the_version_is_our_own_unless_another_is_given() -> None:
    reply = await ask(plugin(Chaos, "chaos"), "version.bind")
    assert texts(reply.answer) == [f'version.bind. 0 CH TXT "pydnsk8s-{VERSION}"']


async def test_octets_from_the_environment_need_not_be_utf_8(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(os.environb, b"VERSION", b"v\xe9")
    reply = await ask(plugin(Chaos, "chaos {$VERSION}"), "version.bind")
    assert texts(reply.answer) == ['version.bind. 0 CH TXT "v\\233"']


@pytest.mark.parametrize("name", ["hostname.bind", "id.server"])
async def test_it_tells_the_host_name(name: str) -> None:
    reply = await ask(plugin(Chaos, "chaos"), name)
    assert texts(reply.answer) == [f'{name}. 0 CH TXT "{socket.gethostname()}"']


async def test_the_authors_come_in_any_order_so_the_reply_is_never_kept() -> None:
    reply = await ask(plugin(Chaos, 'chaos v1 "A. Author" B'), "authors.bind")
    assert set(texts(reply.answer)) == {'authors.bind. 0 CH TXT "A. Author"', 'authors.bind. 0 CH TXT "B"'}
    assert not reply.keep.alive


async def test_a_text_is_cut_to_what_one_string_holds() -> None:
    [record] = (await ask(plugin(Chaos, f"chaos {'v' * 300}"), "version.bind")).answer
    assert record.data == b"\xff" + b"v" * 255


async def test_everything_else_passes() -> None:
    chaos = plugin(Chaos, "chaos")
    assert await chaos.answer(query("version.bind", "TXT"), elsewhere) is ELSEWHERE
    assert await ask(chaos, "version.bind", "A") is ELSEWHERE
    assert await ask(chaos, "version.example.org") is ELSEWHERE


def test_it_lets_other_classes_into_the_chain_and_takes_no_options() -> None:
    assert block("chaos").any_class
    assert not block("whoami").any_class
    assert "takes no options" in errors("chaos v2 {\nunknown\n}")


async def test_over_the_wire_other_classes_are_refused_without_it() -> None:
    async with testing.serving(". {\nchaos v1\n}") as dns:
        assert (await dns.ask("version.bind", "TXT", klass="CH")).answer == ['version.bind. 0 CH TXT "v1"']
    async with testing.serving(". {\nwhoami\n}") as dns:
        assert (await dns.ask("version.bind", "TXT", klass="CH")).rcode == "REFUSED"
