"""timeouts - limits how long a TCP or TLS connection may take, and how much it may ask."""

from __future__ import annotations

from typing import Self

from pydnsk8s.corefile import Directive, Option
from pydnsk8s.plugin import Plugin, ServerBlock

_SHORTEST = 1.0  # seconds
_LONGEST = 24 * 3600.0
_MOST = 2**31 - 1
_USAGE = {
    "read": "read DURATION",
    "write": "write DURATION",
    "idle": "idle DURATION",
    "maxtcpqueries": "maxtcpqueries NUMBER",
}


class Timeouts(Plugin):
    """Sets the limits of the block's stream connections."""

    name = "timeouts"

    @classmethod
    def setup(cls, directive: Directive, block: ServerBlock) -> Self:
        if directive.args:
            raise directive.arguments("timeouts { ... }")
        if not directive.options:
            raise directive.error(f"timeouts: expected a block with at least one of {', '.join(_USAGE)}")
        limits = block.timeouts
        for option in directive.options:
            match option.words:
                case ["read", duration]:
                    limits.read = _limit(option, duration)
                case ["write", duration]:
                    limits.write = _limit(option, duration)
                case ["idle", duration]:
                    limits.idle = _limit(option, duration)
                case ["maxtcpqueries", number]:
                    limits.queries = option.number(number, -1, _MOST)
                    if limits.queries == 0:
                        raise option.error("maxtcpqueries: expected -1 (no limit) or at least 1, found 0", number)
                case _:
                    raise option.arguments(_USAGE[option.name]) if option.name in _USAGE else option.unknown(*_USAGE)
        return cls()


def _limit(option: Option, text: str) -> float:
    return option.duration(text, low=_SHORTEST, high=_LONGEST, plain=True)
