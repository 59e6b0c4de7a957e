"""debug: faults are loud."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from pydnsk8s.plugins.debug import Debug

from .blocks import block, errors, plugin

LOG = logging.getLogger("pydnsk8s")


@pytest.fixture(autouse=True)
def _level() -> Iterator[None]:
    before = LOG.level
    yield
    LOG.setLevel(before)


def test_only_a_block_with_it_lets_an_exception_end_the_process() -> None:
    assert block("debug").debug
    assert not block("whoami").debug


async def test_debug_lines_are_logged_while_any_block_has_it() -> None:
    old, new = plugin(Debug, "debug"), plugin(Debug, "debug")
    await old.start()
    await new.start()
    await old.stop()
    assert LOG.level == logging.DEBUG
    await new.stop()
    assert LOG.level == logging.INFO


def test_setting_up_alone_leaves_the_log_as_it_is() -> None:
    before = LOG.level
    block("debug")
    assert LOG.level == before


def test_it_takes_neither_arguments_nor_options() -> None:
    assert "expected: debug" in errors("debug off")
    assert "takes no options" in errors("debug {\nfoo\n}")
