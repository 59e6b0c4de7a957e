"""cancel: no query takes longer than it may."""

from __future__ import annotations

import asyncio

import pytest

from pydnsk8s import codes, testing
from pydnsk8s.message import Query, Reply
from pydnsk8s.plugins.cancel import Cancel

from .blocks import ELSEWHERE, elsewhere, errors, plugin, query


async def test_a_query_that_takes_too_long_fails_and_says_so() -> None:
    cancelled = asyncio.Event()

    async def slow(query: Query) -> Reply:
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()
        return ELSEWHERE

    reply = await plugin(Cancel, "cancel 10ms").answer(query("example.org"), slow)
    assert reply.rcode == codes.SERVFAIL
    assert reply.error == "cancelled after 0.01 s"
    assert not reply.keep.alive
    assert cancelled.is_set()


async def test_errors_logs_a_cancelled_query(caplog: pytest.LogCaptureFixture) -> None:
    text = "example.org {\ncancel 10ms\nerrors\nerratic {\ndrop 0\ndelay 1 10s\n}\n}"
    async with testing.serving(text) as dns:
        assert (await dns.ask("example.org")).rcode == "SERVFAIL"
    assert [record.getMessage() for record in caplog.records] == ["2 example.org. A: cancelled after 0.01 s"]


async def test_a_query_in_time_is_answered_as_without_it() -> None:
    assert await plugin(Cancel, "cancel").answer(query("example.org"), elsewhere) is ELSEWHERE


async def test_somebody_elses_timeout_stays_his_own() -> None:
    async def timed_out(query: Query) -> Reply:
        raise TimeoutError

    with pytest.raises(TimeoutError):
        await plugin(Cancel, "cancel").answer(query("example.org"), timed_out)


def test_the_limit_is_a_positive_duration_with_its_unit() -> None:
    assert plugin(Cancel, "cancel").seconds == 5.001
    assert plugin(Cancel, "cancel 1m30s").seconds == 90
    assert "write 5s" in errors("cancel 5")
    assert "at least 1ms" in errors("cancel -1s")
    assert "at least 1ms" in errors("cancel 0")
    assert "expected: cancel [DURATION]" in errors("cancel 1s 2s")
    assert "takes no options" in errors("cancel {\nfoo\n}")
