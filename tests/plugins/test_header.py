"""header: flags set and cleared on the way."""

from __future__ import annotations

import pytest

from pydnsk8s import codes, testing
from pydnsk8s.message import Query, Reply
from pydnsk8s.plugins.header import Header

from .blocks import ELSEWHERE, block, elsewhere, errors, plugin, query, replying


async def flags_seen(text: str, flags: int) -> int:
    """The flags of a query as the rest of the chain gets it."""
    seen = []

    async def rest(query: Query) -> Reply:
        seen.append(query.flags)
        return ELSEWHERE

    await plugin(Header, text).answer(query("example.org").with_(flags=flags), rest)
    return seen[0]


async def test_the_flags_of_a_query_change_on_the_way_in() -> None:
    assert await flags_seen("header {\nquery clear rd\n}", codes.RD | codes.CD) == codes.CD
    assert await flags_seen("header {\nquery set rd ra\n}", 0) == codes.RD | codes.RA


async def test_the_flags_of_a_reply_change_on_the_way_out() -> None:
    reply = await plugin(Header, "header {\nresponse set ra\nresponse clear aa\n}").answer(query("a"), elsewhere)
    assert reply.recursive
    assert not reply.authoritative
    assert reply.keep == ELSEWHERE.keep


async def test_flags_not_named_stay_as_they_are() -> None:
    header = plugin(Header, "header {\nresponse set aa\n}")
    for recursive in (True, False):
        reply = await header.answer(query("a"), replying(ELSEWHERE.with_(recursive=recursive)))
        assert reply.recursive == recursive


async def test_changes_of_one_flag_happen_in_their_order_over_all_uses() -> None:
    text = "header {\nresponse set aa\n}\nheader {\nresponse clear aa\n}"
    assert not (await plugin(Header, text).answer(query("a"), elsewhere)).authoritative
    assert len(block(text).plugins) == 1


async def test_letter_case_does_not_matter() -> None:
    assert await flags_seen("header {\nquery CLEAR Rd\n}", codes.RD) == 0


def test_rd_in_a_response_is_warned_of_because_it_repeats_the_querys() -> None:
    [warning] = block("header {\nresponse set aa rd\n}").warnings
    assert "rd has no effect" in warning.message


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("foo set aa", "unknown option 'foo'"),
        ("response set", "expected: response set|clear FLAG..."),
        ("query foo", "expected: query set|clear FLAG..."),
        ("query foo rd", "one of set, clear, found 'foo'"),
        ("query set xx", "one of aa, ra, rd, found 'xx'"),
    ],
)
def test_a_rule_that_cannot_be_is_an_error(option: str, message: str) -> None:
    assert message in errors(f"header {{\n{option}\n}}")


def test_it_takes_no_arguments() -> None:
    assert "expected: header { ... }" in errors("header aa")


async def test_over_the_wire_a_reply_has_the_flags_it_was_given() -> None:
    async with testing.serving(". {\nheader {\nresponse set ra\nresponse clear aa\n}\nwhoami\n}") as dns:
        assert (await dns.ask("example.org")).flags == {"qr", "rd", "ra"}
        assert (await dns.ask("example.org", flags=0)).flags == {"qr", "ra"}
