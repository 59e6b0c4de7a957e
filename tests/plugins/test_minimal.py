"""minimal: only what was asked for."""

from __future__ import annotations

import pytest

from pydnsk8s import codes, names
from pydnsk8s.keep import ALWAYS
from pydnsk8s.message import Record, Reply
from pydnsk8s.plugins.minimal import Minimal

from .blocks import errors, plugin, query, replying

ADDRESS = Record(names.parse("example.org"), codes.A, 60, bytes((192, 0, 2, 1)))
SERVER = Record(names.parse("example.org"), codes.NS, 60, names.parse("ns.example.org"))


async def test_a_positive_answer_loses_its_other_sections() -> None:
    whole = Reply(answer=(ADDRESS,), authority=(SERVER,), additional=(ADDRESS,), keep=ALWAYS)
    reply = await plugin(Minimal, "minimal").answer(query("example.org"), replying(whole))
    assert reply.answer == (ADDRESS,)
    assert reply.authority == reply.additional == ()
    assert reply.keep == ALWAYS


@pytest.mark.parametrize(
    "whole",
    [
        Reply(authority=(SERVER,), additional=(ADDRESS,)),
        Reply(codes.NXDOMAIN, authority=(SERVER,)),
        Reply(codes.SERVFAIL, answer=(ADDRESS,), authority=(SERVER,)),
        Reply(answer=(ADDRESS,)),
    ],
    ids=["delegation", "denial", "error", "minimal already"],
)
async def test_other_replies_stay_whole(whole: Reply) -> None:
    assert await plugin(Minimal, "minimal").answer(query("example.org"), replying(whole)) is whole


def test_it_takes_neither_arguments_nor_options() -> None:
    assert "expected: minimal" in errors("minimal example.org")
    assert "takes no options" in errors("minimal {\nfoo\n}")
