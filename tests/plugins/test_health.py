"""health: alive, and in no hurry to leave."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from pydnsk8s import corefile, metrics, testing
from pydnsk8s.abilities import Lingerer
from pydnsk8s.plugins import health as module
from pydnsk8s.plugins.health import Health
from tests.listen.test_http import free_address, get

if TYPE_CHECKING:
    from collections.abc import Callable


def configured(text: str) -> Health:
    block = testing.block(f". {{\n{text}\n}}")
    plugin = block.find(Health)
    assert plugin is not None
    return plugin


@pytest.mark.parametrize(
    ("text", "address", "lameduck"),
    [
        ("health", ":8080", 0),
        ("health localhost:1234", "localhost:1234", 0),
        ("health [::1]:1234 {\nlameduck 4s\n}", "[::1]:1234", 4),
        ("health {\nlameduck 1m30s\n}", ":8080", 90),
        ("health :1111\nhealth :2222", ":2222", 0),
    ],
)
def test_what_a_corefile_may_say(text: str, address: str, lameduck: float) -> None:
    plugin = configured(text)
    assert (str(plugin.address), plugin.lameduck) == (address, lameduck)


@pytest.mark.parametrize(
    "text",
    [
        "health bla",
        "health bla:a",
        "health :8080 :8081",
        "health {\nlameduck a\n}",
        "health {\nlameduck -1s\n}",
        "health {\nlameduck\n}",
        "health {\nlamedudk 4s\n}",
    ],
)
def test_what_a_corefile_may_not_say(text: str) -> None:
    with pytest.raises(corefile.CorefileError):
        configured(text)


async def test_the_page_says_ok_from_start_to_stop() -> None:
    plugin = configured("health 127.0.0.1:0")
    await plugin.start()
    assert plugin.page is not None
    address = plugin.page.address
    assert await get(address, "/health") == (200, "OK")
    await plugin.stop()
    with pytest.raises(OSError):
        await get(address, "/health")


async def test_the_page_survives_a_reload_of_the_same_address() -> None:
    address = await free_address()
    old, new = configured(f"health {address}"), configured(f"health {address}")
    await old.start()
    await new.start()
    await old.stop()
    assert await get(address, "/health") == (200, "OK")
    await new.stop()


async def test_during_lameduck_the_page_goes_on_answering() -> None:
    plugin = configured("health 127.0.0.1:0 {\nlameduck 5s\n}")
    assert isinstance(plugin, Lingerer)
    async with testing.stopped_clock() as clock:
        await plugin.start()
        assert plugin.page is not None
        lingering = asyncio.create_task(plugin.linger())
        await clock.advance(0)
        await clock.advance(4.9)
        assert await get(plugin.page.address, "/health") == (200, "OK")
        assert not lingering.done()
        await clock.advance(0.2)
        await lingering
        await plugin.stop()


async def test_without_lameduck_leaving_takes_no_time() -> None:
    await asyncio.wait_for(configured("health").linger(), 0.1)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - what is waited for is a number, which tells nobody
            await asyncio.sleep(0.01)


async def test_the_server_asks_its_own_page_and_counts_failures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_EVERY", 0.02)
    plugin = configured("health :0")
    await plugin.start()
    assert plugin.page is not None
    before, failures = sum(module._DURATION.counts), module._FAILURES.value
    await until(lambda: sum(module._DURATION.counts) > before)
    assert module._FAILURES.value == failures
    await plugin.page.withdraw()
    plugin.page = None
    await until(lambda: module._FAILURES.value > failures)
    await plugin.stop()
    assert b"coredns_health_request_duration_seconds_count" in metrics.exposition()[1]
