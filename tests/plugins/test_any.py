"""any: one short record instead of everything."""

from __future__ import annotations

import pytest

from pydnsk8s import codes
from pydnsk8s.keep import ALWAYS
from pydnsk8s.plugins.any import Any

from .blocks import ELSEWHERE, elsewhere, errors, plugin, query, texts


async def test_any_gets_one_hinfo_record_that_may_be_kept_for_ever() -> None:
    reply = await plugin(Any, "any").answer(query("example.org", "ANY"), elsewhere)
    assert texts(reply.answer) == ['example.org. 8482 HINFO "ANY obsoleted" "See RFC 8482"']
    assert reply.rcode == codes.NOERROR
    assert not reply.authoritative
    assert reply.keep == ALWAYS


@pytest.mark.parametrize("type", ["A", "AAAA", "MX", "TXT", "CNAME", "HINFO"])
async def test_other_types_pass(type: str) -> None:
    assert await plugin(Any, "any").answer(query("example.org", type), elsewhere) is ELSEWHERE


def test_it_takes_neither_arguments_nor_options() -> None:
    assert "expected: any" in errors("any example.org")
    assert "takes no options" in errors("any {\nfoo\n}")
