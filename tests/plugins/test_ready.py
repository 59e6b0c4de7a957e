"""ready: whether everything that must be there is there."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from pydnsk8s import corefile, testing
from pydnsk8s.abilities import Lingerer
from pydnsk8s.plugin import Plugin, StartError
from pydnsk8s.plugins.ready import Ready
from tests.listen.test_http import free_address, get

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


class Waiting(Plugin):
    """Ready when told so."""

    def __init__(self, name: str, ready: bool = False) -> None:
        self.name = name  # type: ignore[misc]  # each has a name of its own here
        self.is_ready = ready

    def ready(self) -> bool:
        return self.is_ready


def configured(text: str = "ready 127.0.0.1:0", *others: Plugin) -> Ready:
    block = testing.block(f". {{\n{text}\n}}")
    block.plugins += others
    plugin = block.find(Ready)
    assert plugin is not None
    return plugin


@asynccontextmanager
async def running(*plugins: Ready) -> AsyncIterator[None]:
    for plugin in plugins:
        await plugin.start()
    try:
        yield
    finally:
        for plugin in plugins:
            await plugin.stop()


async def asked(ready: Ready) -> tuple[int, str]:
    assert ready.page is not None
    return await get(ready.page.address, "/ready")


@pytest.mark.parametrize(
    ("text", "address", "continuously"),
    [
        ("ready", ":8181", False),
        ("ready localhost:1234", "localhost:1234", False),
        ("ready {\nmonitor until-ready\n}", ":8181", False),
        ("ready localhost:1234 {\nmonitor continuously\n}", "localhost:1234", True),
    ],
)
def test_what_a_corefile_may_say(text: str, address: str, continuously: bool) -> None:
    plugin = configured(text)
    assert (str(plugin.address), plugin.continuously) == (address, continuously)


@pytest.mark.parametrize(
    "text",
    [
        "ready bla",
        "ready bla bla",
        "ready localhost:1234 b",
        "ready {\nmonitor 404\n}",
        "ready {\nmonitor\n}",
        "ready {\nmonitro continuously\n}",
        "ready\nready",
    ],
)
def test_what_a_corefile_may_not_say(text: str) -> None:
    with pytest.raises(corefile.CorefileError):
        configured(text)


async def test_it_is_ready_when_every_plugin_is_and_names_those_that_are_not() -> None:
    etcd, kubernetes, hosts = Waiting("etcd"), Waiting("kubernetes"), Waiting("hosts", ready=True)
    ready = configured("ready 127.0.0.1:0", kubernetes, hosts, etcd)
    async with running(ready):
        assert await asked(ready) == (503, "etcd,kubernetes")
        etcd.is_ready = True
        assert await asked(ready) == (503, "kubernetes")
        kubernetes.is_ready = True
        assert await asked(ready) == (200, "OK")


@pytest.mark.parametrize(("monitor", "after"), [("until-ready", 200), ("continuously", 503)])
async def test_a_plugin_that_was_ready_is_asked_again_only_if_told_to(monitor: str, after: int) -> None:
    kubernetes = Waiting("kubernetes", ready=True)
    ready = configured(f"ready 127.0.0.1:0 {{\nmonitor {monitor}\n}}", kubernetes)
    async with running(ready):
        assert (await asked(ready))[0] == 200
        kubernetes.is_ready = False
        assert (await asked(ready))[0] == after


async def test_each_address_speaks_for_every_block_that_has_ready() -> None:
    one = configured("ready 127.0.0.1:0", Waiting("kubernetes"))
    two = configured("ready 127.0.0.1:0", Waiting("kubernetes"), Waiting("etcd"))
    async with running(one, two):
        assert await asked(one) == await asked(two) == (503, "etcd,kubernetes")


async def test_it_is_unready_as_soon_as_the_server_begins_to_leave() -> None:
    ready = configured()
    assert isinstance(ready, Lingerer)
    async with running(ready):
        await ready.linger()
        assert await asked(ready) == (503, "shutting down")


async def test_a_reload_keeps_the_page_and_forgets_the_old_blocks() -> None:
    address = await free_address()
    old, new = configured(f"ready {address}", Waiting("kubernetes")), configured(f"ready {address}")
    await old.start()
    await new.start()
    assert await get(address, "/ready") == (503, "kubernetes")
    await old.stop()
    assert await get(address, "/ready") == (200, "OK")
    await new.stop()


async def test_a_start_that_fails_leaves_nothing_behind() -> None:
    async with running(configured()) as _:
        address = await free_address()
        first = configured(f"ready {address}")
        async with running(first):
            failing = configured("ready 203.0.113.1:8181", Waiting("kubernetes"))
            with pytest.raises(StartError):
                await failing.start()
            await failing.stop()
            assert await get(address, "/ready") == (200, "OK")
