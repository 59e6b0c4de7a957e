"""shed: the directive is understood; what it stands for is always on (see tests/listen/test_udp.py)."""

from __future__ import annotations

from pydnsk8s import testing

from .blocks import block, errors


def test_a_corefile_may_say_it() -> None:
    assert [plugin.name for plugin in block("shed").plugins] == ["shed"]


def test_it_takes_nothing_and_stands_once_in_a_block() -> None:
    assert "expected: shed" in errors("shed 1024")
    assert "takes no options" in errors("shed {\nfoo\n}")
    assert "once per server block" in errors("shed\nshed")


async def test_queries_pass_it_without_stopping() -> None:
    async with testing.serving(". {\nshed\nwhoami\n}") as dns:
        assert (await dns.ask("example.org", "A")).rcode == "NOERROR"
