"""What all tests share: Hypothesis without a stop-watch, and peers that CI must not do without."""

from __future__ import annotations

import gc
import logging
import os
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

# A busy machine is no counterexample. On CI the examples are the same each time: a change is not blamed for luck.
settings.register_profile(
    "house",
    deadline=None,
    max_examples=100,
    derandomize="CI" in os.environ,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("house")


@pytest.fixture(autouse=True)
def _thawed() -> Iterator[None]:
    """A server freezes what is loaded; the garbage of one test must not hide its leaks from the collector."""
    yield
    gc.unfreeze()


@pytest.fixture(autouse=True)
def _log_as_it_was() -> Iterator[None]:
    """The command line sets the log up for the whole process; the next test wants to read it again."""
    logger = logging.getLogger("pydnsk8s")
    before = logger.level, logger.propagate, list(logger.handlers)
    yield
    logger.setLevel(before[0])
    logger.propagate = before[1]
    logger.handlers[:] = before[2]
