"""erratic: a back end that misbehaves on purpose."""

from __future__ import annotations

import pytest

from pydnsk8s import codes, testing
from pydnsk8s.message import Reply
from pydnsk8s.plugins.erratic import Erratic

from .blocks import elsewhere, errors, plugin, query, texts


async def asked(erratic: Erratic, times: int) -> list[Reply]:
    return [await erratic.answer(query("example.org"), elsewhere) for _ in range(times)]


async def test_addresses_are_constant_and_other_types_fail() -> None:
    erratic = plugin(Erratic, "erratic {\ndrop 0\n}")
    four = await erratic.answer(query("example.org"), elsewhere)
    six = await erratic.answer(query("example.org", "AAAA"), elsewhere)
    assert texts(four.answer) == ["example.org. 0 A 192.0.2.53"]
    assert texts(six.answer) == ["example.org. 0 AAAA 2001:db8::53"]
    assert four.authoritative
    assert not four.truncated
    assert (await erratic.answer(query("example.org", "MX"), elsewhere)).rcode == codes.SERVFAIL


async def test_without_options_every_other_query_is_dropped_from_the_first_on() -> None:
    replies = await asked(plugin(Erratic, "erratic"), 4)
    assert [reply.rcode for reply in replies] == [codes.DROP, codes.NOERROR, codes.DROP, codes.NOERROR]


async def test_every_nth_reply_is_truncated_exactly() -> None:
    replies = await asked(plugin(Erratic, "erratic {\ntruncate 3\n}"), 7)
    assert [reply.truncated for reply in replies] == [True, False, False, True, False, False, True]


async def test_a_delayed_reply_is_still_a_reply() -> None:
    [reply] = await asked(plugin(Erratic, "erratic {\ndelay 1 1ms\n}"), 1)
    assert texts(reply.answer) == ["example.org. 0 A 192.0.2.53"]


async def test_no_reply_is_kept_since_the_next_may_misbehave() -> None:
    assert not any(reply.keep.alive for reply in await asked(plugin(Erratic, "erratic"), 4))


async def test_it_is_ready_for_a_moment_only() -> None:
    erratic = plugin(Erratic, "erratic {\ndrop 0\n}")
    seen = []
    for _ in range(6):
        seen.append(erratic.ready())
        await asked(erratic, 1)
    assert seen == [False, False, False, True, True, False]


def test_amounts_have_defaults_and_bounds() -> None:
    erratic = plugin(Erratic, "erratic {\ndrop\ntruncate 5\ndelay 3 20ms\n}")
    assert (erratic.drop, erratic.truncate, erratic.delay, erratic.seconds) == (2, 5, 3, 0.02)
    erratic = plugin(Erratic, "erratic {\ntruncate\ndelay\n}")
    assert (erratic.drop, erratic.truncate, erratic.delay, erratic.seconds) == (0, 2, 2, 0.1)
    for option in ("drop -1", "delay -1", "delay 15.a", "delay 3 bla", "truncate 15.a"):
        assert "expected" in errors(f"erratic {{\n{option}\n}}")
    assert "expected: delay [AMOUNT [DURATION]]" in errors("erratic {\ndelay 1 2s 4\n}")
    assert "expected: drop [AMOUNT]" in errors("erratic {\ndrop 1 2\n}")
    assert "unknown option 'dorp'" in errors("erratic {\ndorp 2\n}")
    assert "expected: erratic" in errors("erratic 2")


async def test_over_the_wire_a_dropped_query_gets_nothing_and_a_truncated_reply_says_so() -> None:
    async with testing.serving(". {\nerratic {\ndrop 2\ntruncate 3\n}\n}") as dns:
        for turn in range(6):
            if turn % 2 == 0:
                with pytest.raises(TimeoutError):
                    await dns.ask("example.org")
            else:
                assert ("tc" in (await dns.ask("example.org")).flags) == (turn % 3 == 0)
