"""errors: what went wrong, in a line."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import pytest

from pydnsk8s import codes, corefile, log, names, testing
from pydnsk8s.keep import ALWAYS
from pydnsk8s.message import Query, Reply
from pydnsk8s.plugins.errors import Errors

if TYPE_CHECKING:
    from collections.abc import Callable

    from pydnsk8s.plugin import ServerBlock

QUERY = Query(names.parse("www.example.org"), codes.A)


def configured(text: str) -> tuple[Errors, ServerBlock]:
    block = testing.block(f". {{\n{text}\n}}")
    plugin = block.find(Errors)
    assert plugin is not None
    return plugin, block


def consolidating(*lines: str) -> Errors:
    return configured("errors {\n" + "\n".join(f"consolidate {line}" for line in lines) + "\n}")[0]


async def fail(plugin: Errors, *errors: str) -> None:
    for error in errors:

        async def rest(_: Query, error: str = error) -> Reply:
            return Reply(codes.SERVFAIL, error=error)

        await plugin.answer(QUERY, rest)


@pytest.fixture
def logged(caplog: pytest.LogCaptureFixture) -> Callable[[], list[str]]:
    caplog.set_level(logging.DEBUG, logger="pydnsk8s")
    return lambda: [f"{record.levelname} {record.getMessage()}" for record in caplog.records]


@pytest.mark.parametrize(
    "text",
    [
        "errors",
        "errors stdout",
        "errors {\nstacktrace\n}",
        "errors {\nstacktrace\nconsolidate 1m ^exact$\n}",
        'errors {\nconsolidate 1m "format error"\n}',
        "errors {\nconsolidate 1m error1\nconsolidate 5s error2\n}",
        "errors {\nconsolidate 1m .* show_first\n}",
        "errors {\nconsolidate 1m .* debug\n}",
        "errors {\nconsolidate 1m .* warning show_first\n}",
    ],
)
def test_what_a_corefile_may_say(text: str) -> None:
    configured(text)


@pytest.mark.parametrize(
    "text",
    [
        "errors errors.txt",
        "errors a b",
        "errors\nerrors",
        "errors {\nlog visible\n}",
        "errors {\nstacktrace now\n}",
        "errors {\nconsolidate\n}",
        "errors {\nconsolidate 1m\n}",
        "errors {\nconsolidate 1 .*\n}",
        "errors {\nconsolidate abc .*\n}",
        "errors {\nconsolidate 1m ())\n}",
        "errors {\nconsolidate 1m [[:alpha:]]\n}",
        "errors {\nconsolidate 1m .* extra\n}",
        "errors {\nconsolidate 1m .* show_first warning\n}",
        "errors {\nconsolidate 1m .* warning error\n}",
        f"errors {{\nconsolidate 1m {'a' * 10_001}\n}}",
    ],
)
def test_what_a_corefile_may_not_say(text: str) -> None:
    with pytest.raises(corefile.CorefileError):
        configured(text)


def test_stacktrace_is_a_setting_of_the_block() -> None:
    assert configured("errors {\nstacktrace\n}")[1].stacktrace
    assert not configured("errors")[1].stacktrace


async def test_an_error_is_logged_with_code_name_and_type(capsys: pytest.CaptureFixture[str]) -> None:
    logger = logging.getLogger("pydnsk8s")
    before = logger.handlers[:], logger.propagate
    log.setup()
    await fail(configured("errors")[0], "192.0.2.1:53 did not answer")
    logger.handlers[:], logger.propagate = before
    assert capsys.readouterr().out == ("[ERROR] plugin/errors: 2 www.example.org. A: 192.0.2.1:53 did not answer\n")


async def test_the_reply_passes_unchanged_and_one_without_error_unlogged(logged: Callable[[], list[str]]) -> None:
    reply = Reply(keep=ALWAYS)

    async def rest(_: Query) -> Reply:
        return reply

    assert await configured("errors")[0].answer(QUERY, rest) is reply
    assert logged() == []


async def test_errors_alike_are_told_of_in_one_line_after_a_while(logged: Callable[[], list[str]]) -> None:
    plugin = consolidating("1m timeout$ warning")
    async with testing.stopped_clock() as clock:
        await fail(plugin, "a timeout", "another timeout", "refused", "third timeout")
        await clock.advance(59)
        assert logged() == ["ERROR 2 www.example.org. A: refused"]
        await clock.advance(1)
    assert logged() == [
        "ERROR 2 www.example.org. A: refused",
        "WARNING 3 errors like 'timeout$' occurred in last 1m",
    ]


async def test_the_first_pattern_that_matches_takes_the_error(logged: Callable[[], list[str]]) -> None:
    plugin = consolidating("1m one", "1m .* info")
    await fail(plugin, "one", "two")
    await plugin.stop()
    assert logged() == [
        "ERROR 1 errors like 'one' occurred in last 1m",
        "INFO 1 errors like '.*' occurred in last 1m",
    ]


async def test_the_first_of_them_can_be_shown_at_once(logged: Callable[[], list[str]]) -> None:
    plugin = consolidating("1m timeout info show_first")
    await fail(plugin, "timeout")
    assert logged() == ["INFO 2 www.example.org. A: timeout"]
    await plugin.stop()
    assert logged() == ["INFO 2 www.example.org. A: timeout"]
    await fail(plugin, "timeout", "timeout")
    await plugin.stop()
    assert logged() == ["INFO 2 www.example.org. A: timeout"] * 2 + ["INFO 2 errors like 'timeout' occurred in last 1m"]


async def test_patterns_of_go_mean_the_same_here(logged: Callable[[], list[str]]) -> None:
    plugin = consolidating(r"1m (?i)^TIME(?P<x>out)\z")
    await fail(plugin, "Timeout")
    await plugin.stop()
    assert logged() == [r"ERROR 1 errors like '(?i)^TIME(?P<x>out)\z' occurred in last 1m"]


async def test_a_chain_that_ends_without_an_answer_is_an_error_every_time(logged: Callable[[], list[str]]) -> None:
    async with testing.serving(". {\n errors\n hosts {\n fallthrough\n }\n}") as dns:
        for _ in range(2):
            assert (await dns.ask("www.example.org")).rcode == "SERVFAIL"
    assert [line.partition(": ")[0] for line in logged()] == ["ERROR 2 www.example.org. A"] * 2
