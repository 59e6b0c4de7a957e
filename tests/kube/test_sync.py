"""Waiting for the first full list ends when it comes, or after the time that was given."""

from __future__ import annotations

import asyncio

from pydnsk8s.kube import sync
from pydnsk8s.kube.index import Index
from pydnsk8s.kube.objects import Service


async def test_what_is_known_already_is_not_waited_for() -> None:
    index = Index((Service,))
    index.complete(Service)
    assert await sync.first(index, 0)


async def test_the_wait_ends_when_all_is_known() -> None:
    index, told = Index((Service,)), list[str]()
    waiting = asyncio.create_task(sync.first(index, 1000, lambda: told.append("waiting")))
    await asyncio.sleep(0)
    index.complete(Service)
    assert await waiting
    assert told == ["waiting"]


async def test_the_wait_ends_when_its_time_is_up() -> None:
    assert not await sync.first(Index((Service,)), 0.01)
