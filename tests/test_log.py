"""The process log on standard output."""

from __future__ import annotations

import io
import logging
import sys
from typing import TYPE_CHECKING

import pytest

from pydnsk8s import log

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    logger = logging.getLogger("pydnsk8s")
    before = logger.handlers[:], logger.level, logger.propagate
    log.setup()
    yield
    logger.handlers[:], logger.level, logger.propagate = before


def test_lines_carry_their_level_and_no_time(capsys: pytest.CaptureFixture[str]) -> None:
    logger = logging.getLogger("pydnsk8s.server")
    logger.info("Reloading")
    logger.warning("%d zones", 3)
    assert capsys.readouterr().out == "[INFO] Reloading\n[WARNING] 3 zones\n"


def test_a_plugin_says_its_name(capsys: pytest.CaptureFixture[str]) -> None:
    log.plugin("cache").error("full")
    assert capsys.readouterr().out == "[ERROR] plugin/cache: full\n"


def test_setting_up_twice_writes_every_line_once(capsys: pytest.CaptureFixture[str]) -> None:
    log.setup()
    log.plugin("cache").info("once")
    assert capsys.readouterr().out == "[INFO] plugin/cache: once\n"


def test_debug_lines_show_only_when_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    log.plugin("forward").debug("hidden")
    log.show_debug(True)
    log.plugin("forward").debug("shown")
    log.show_debug(False)
    log.plugin("forward").debug("hidden")
    assert capsys.readouterr().out == "[DEBUG] plugin/forward: shown\n"


def test_a_record_cannot_be_forged_inside_another(capsys: pytest.CaptureFixture[str]) -> None:
    log.plugin("errors").error("%s", "bad\n[ERROR] plugin/acl: forged\x1b[2J\r\x9b")
    out = capsys.readouterr().out
    assert out == "[ERROR] plugin/errors: bad\n    [ERROR] plugin/acl: forged\\x1b[2J\\x0d\\x9b\n"


def test_a_traceback_stays_under_its_line(capsys: pytest.CaptureFixture[str]) -> None:
    try:
        raise LookupError("gone")
    except LookupError:
        logging.getLogger("pydnsk8s").exception("failed")
    first, *others = capsys.readouterr().out.splitlines()
    assert first == "[ERROR] failed"
    assert others[0] == "    Traceback (most recent call last):"
    assert others[-1] == "    LookupError: gone"


def test_no_line_is_written_a_second_time_by_an_embedder_s_own_log() -> None:
    elsewhere = logging.StreamHandler(io.StringIO())
    logging.getLogger().addHandler(elsewhere)
    log.plugin("cache").error("only here")
    logging.getLogger().removeHandler(elsewhere)
    assert elsewhere.stream.getvalue() == ""


def test_a_log_that_nobody_reads_any_more_does_not_stop_the_server(monkeypatch: pytest.MonkeyPatch) -> None:
    class Closed(io.StringIO):
        def write(self, text: str) -> int:
            raise BrokenPipeError

    monkeypatch.setattr(sys, "stdout", Closed())
    log.lines("[INFO] nobody reads this\n")
    log.plugin("cache").info("nor this")


def test_text_the_locale_cannot_show_costs_no_line(monkeypatch: pytest.MonkeyPatch) -> None:
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding="ascii"))
    log.setup()
    log.plugin("root").info("no folder caf\u00e9")
    assert raw.getvalue() == b"[INFO] plugin/root: no folder caf\\xe9\n"
