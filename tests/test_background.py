"""Work in the background goes on after a fault, and ends when it is told to."""

from __future__ import annotations

import asyncio
import logging

import pytest

from pydnsk8s import background

LOG = logging.getLogger("pydnsk8s.plugin.test")


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(background, "_PAUSE", 0.0)


async def test_after_a_fault_it_begins_anew_and_says_so(caplog: pytest.LogCaptureFixture) -> None:
    faults: list[Exception] = [KeyError("a"), RecursionError("b")]
    told: list[str] = []

    async def work() -> None:
        if faults:
            raise faults.pop(0)

    await background.start(work, LOG, "looking at the file", told.append)
    assert told == ["interrupted by a fault: KeyError('a')", "interrupted by a fault: RecursionError('b')"]
    assert caplog.text.count("looking at the file was interrupted by a fault") == 2


async def test_it_ends_when_it_is_cancelled() -> None:
    async def work() -> None:
        await asyncio.sleep(1000)

    task = background.start(work, LOG, "waiting")
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()
