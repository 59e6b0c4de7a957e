"""The process log: lines on standard output, ``[INFO] plugin/cache: text``, without a time stamp.

Rule: one record never looks like two. Control characters are escaped and further lines indented.
"""

from __future__ import annotations

import io
import logging
import sys

_ROOT = "pydnsk8s"
_PLUGINS = f"{_ROOT}.plugin."
_ESCAPES = {code: f"\\x{code:02x}" for code in (*range(32), *range(127, 160))}


def setup() -> None:
    """Send the records of the house to standard output, and only there; calling it again changes nothing."""
    logger = logging.getLogger(_ROOT)
    if not any(isinstance(handler, _Stdout) for handler in logger.handlers):
        logger.addHandler(_Stdout())
        logger.setLevel(logging.INFO)
        logger.propagate = False
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A name or path that the locale cannot show must not cost the line.
        sys.stdout.reconfigure(errors="backslashreplace")


def plugin(name: str) -> logging.Logger:
    """The logger of a plugin; its lines begin with ``plugin/NAME:``."""
    return logging.getLogger(_PLUGINS + name)


def show_debug(shown: bool) -> None:
    """Show or hide the lines of level DEBUG, for the whole process."""
    logging.getLogger(_ROOT).setLevel(logging.DEBUG if shown else logging.INFO)


def lines(text: str) -> None:
    """Write finished lines, each with its newline, in one go: the way of the query log."""
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except OSError:
        # Whoever read the log has gone or is too slow; a DNS server goes on answering.
        return


def escape(text: str) -> str:
    """The text with its control characters, line ends among them, made visible."""
    return text.translate(_ESCAPES)


class _Line(logging.Formatter):
    """Turns a record into ``[LEVEL] plugin/NAME: text``."""

    def format(self, record: logging.LogRecord) -> str:
        text = record.getMessage()
        if record.exc_info:
            text += "\n" + self.formatException(record.exc_info)
        text = "\n    ".join(map(escape, text.split("\n")))
        if record.name.startswith(_PLUGINS):
            text = f"plugin/{record.name.removeprefix(_PLUGINS)}: {text}"
        return f"[{record.levelname}] {text}\n"


class _Stdout(logging.Handler):
    """Writes records to whatever standard output is at that moment."""

    def __init__(self) -> None:
        super().__init__()
        self.setFormatter(_Line())

    def emit(self, record: logging.LogRecord) -> None:
        lines(self.format(record))
