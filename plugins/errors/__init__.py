"""errors - logs what went wrong while a query was answered."""

from __future__ import annotations

import logging
import re
import warnings
from typing import TYPE_CHECKING, Self

from pydnsk8s import codes, log, names
from pydnsk8s.keep import Keep
from pydnsk8s.plugin import HAND_ON, Plugin, ServerBlock
from pydnsk8s.plugins.errors.flood import Flood

if TYPE_CHECKING:
    from pydnsk8s.corefile import Directive, Option
    from pydnsk8s.message import Query, Reply

_log = log.plugin("errors")
_LONGEST_PATTERN = 10_000
_LEVELS = {"warning": logging.WARNING, "error": logging.ERROR, "info": logging.INFO, "debug": logging.DEBUG}


class Errors(Plugin):
    """Writes a line for each reply that tells of an error, or one line for many alike."""

    name = "errors"
    once = True

    def __init__(self) -> None:
        self.floods: list[Flood] = []

    @classmethod
    def setup(cls, directive: Directive, block: ServerBlock) -> Self:
        match directive.args:
            case [] | ["stdout"]:
                pass
            case [other]:
                raise directive.error(f"errors: expected stdout or nothing, found {other!r}", other)
            case _:
                raise directive.arguments("errors [stdout]")
        errors = cls()
        for option in directive.options:
            match option.words:
                case ["stacktrace"]:
                    block.stacktrace = True
                case ["consolidate", duration, regexp]:
                    errors.floods.append(_flood(option, duration, regexp))
                case ["consolidate", duration, regexp, "show_first"]:
                    errors.floods.append(_flood(option, duration, regexp, show_first=True))
                case ["consolidate", duration, regexp, level]:
                    errors.floods.append(_flood(option, duration, regexp, level))
                case ["consolidate", duration, regexp, level, "show_first"]:
                    errors.floods.append(_flood(option, duration, regexp, level, show_first=True))
                case ["consolidate", *_]:
                    raise option.arguments("consolidate DURATION REGEXP [LEVEL] [show_first]")
                case ["stacktrace", *_]:
                    raise option.arguments("stacktrace")
                case _:
                    raise option.unknown("stacktrace", "consolidate")
        return errors

    def passes(self, zone: bytes) -> Keep:
        return HAND_ON

    def amend(self, query: Query, reply: Reply) -> Reply:
        if reply.error:
            self._note(query, reply)
        return reply

    async def stop(self) -> None:
        for flood in self.floods:
            flood.end()

    def _note(self, query: Query, reply: Reply) -> None:
        line = f"{reply.rcode} {names.text(query.name)} {codes.type_name(query.type)}: {reply.error}"
        for flood in self.floods:
            if flood.pattern.search(reply.error):
                flood.note(line)
                return
        _log.error("%s", line)


def _flood(option: Option, duration: str, regexp: str, level: str = "error", *, show_first: bool = False) -> Flood:
    seconds = option.duration(duration, low=0)
    if len(regexp) > _LONGEST_PATTERN:
        raise option.error(f"consolidate: expected a pattern of at most {_LONGEST_PATTERN} characters", regexp)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", FutureWarning)  # [[:alpha:]] means something else in Python
            # CoreDNS's \z, the very end, is Python's \Z.
            pattern = re.compile(re.sub(r"(?<!\\)((?:\\\\)*)\\z", r"\1\\Z", regexp))
    except (re.error, FutureWarning) as error:
        raise option.error(f"consolidate: not a regular expression: {error}", regexp) from None
    number = _LEVELS[option.switch(level, *_LEVELS)]
    summary = f"errors like '{regexp}' occurred in last {duration}"
    return Flood(pattern, seconds, summary, number, show_first=show_first)
