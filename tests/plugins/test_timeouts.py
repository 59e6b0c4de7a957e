"""timeouts: limits of stream connections."""

from __future__ import annotations

import pytest

from pydnsk8s import testing
from pydnsk8s.plugin import Timeouts
from tests.listen.dns_clients import connected, framed, question

from .blocks import block, errors


def test_limits_not_named_keep_their_defaults() -> None:
    assert block("timeouts {\nread 30s\n}").timeouts == Timeouts(read=30)
    assert block("whoami").timeouts == Timeouts()


def test_all_limits_can_be_set_and_bare_numbers_are_seconds() -> None:
    found = block("timeouts {\nread 10\nwrite 2m\nidle 24h\nmaxtcpqueries 128\n}").timeouts
    assert found == Timeouts(read=10, write=120, idle=86400, queries=128)


def test_minus_one_means_any_number_of_queries() -> None:
    assert block("timeouts {\nmaxtcpqueries -1\n}").timeouts.queries == -1


async def test_limits_of_any_block_are_those_of_the_connections_to_its_address() -> None:
    limits = "timeouts {\nmaxtcpqueries 1\n}"
    text = f"example.com {{\nwhoami\n}}\nexample.org {{\n{limits}\nwhoami\n}}\nexample.net {{\nwhoami\n}}"
    async with testing.listening(text) as server, connected(server) as stream:
        stream.send(framed(question()))
        assert await stream.receive()
        assert await stream.closed()


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("idle 0s", "at least 1s and at most 24h, found 0s"),
        ("read 48h", "at least 1s and at most 24h, found 48h"),
        ("write snake", "expected a duration"),
        ("read 10s 20s", "expected: read DURATION"),
        ("maxtcpqueries 0", "expected -1 (no limit) or at least 1, found 0"),
        ("maxtcpqueries -2", "found -2"),
        ("maxtcpqueries", "expected: maxtcpqueries NUMBER"),
        ("giraffe 30s", "unknown option 'giraffe'"),
    ],
)
def test_a_limit_that_cannot_be_is_an_error(option: str, message: str) -> None:
    assert message in errors(f"timeouts {{\n{option}\n}}")


def test_at_least_one_limit_must_be_given() -> None:
    assert "at least one of read, write, idle, maxtcpqueries" in errors("timeouts")
    assert "at least one of" in errors("timeouts {\n}")
    assert "expected: timeouts { ... }" in errors("timeouts 5s")
