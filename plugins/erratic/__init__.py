"""erratic - a back end for tests that drops, delays and truncates some of its replies."""

from __future__ import annotations

import asyncio
from typing import Self

from pydnsk8s import codes
from pydnsk8s.corefile import Directive
from pydnsk8s.keep import NEVER
from pydnsk8s.message import Query, Record, Reply
from pydnsk8s.plugin import Plugin, Rest, ServerBlock

_ADDRESSES = {
    codes.A: bytes((192, 0, 2, 53)),
    codes.AAAA: bytes.fromhex("20010db8000000000000000000000053"),
}
_EVERY = 2
_DELAY = 0.1  # seconds
_MOST = 2**31 - 1
_USAGE = {"drop": "drop [AMOUNT]", "truncate": "truncate [AMOUNT]", "delay": "delay [AMOUNT [DURATION]]"}


class Erratic(Plugin):
    """Answers A and AAAA with constant addresses, and misbehaves at every n-th query; 0 for never."""

    name = "erratic"

    def __init__(self) -> None:
        self.drop = 0
        self.truncate = 0
        self.delay = 0
        self.seconds = _DELAY
        self.queries = 0

    @classmethod
    def setup(cls, directive: Directive, block: ServerBlock) -> Self:
        if directive.args:
            raise directive.arguments("erratic")
        erratic = cls()
        if not directive.options:
            erratic.drop = _EVERY
        for option in directive.options:
            match option.words:
                case ["drop", *amount] if len(amount) < 2:
                    erratic.drop = option.number(amount[0], 0, _MOST) if amount else _EVERY
                case ["truncate", *amount] if len(amount) < 2:
                    erratic.truncate = option.number(amount[0], 0, _MOST) if amount else _EVERY
                case ["delay"]:
                    erratic.delay = _EVERY
                case ["delay", amount]:
                    erratic.delay = option.number(amount, 0, _MOST)
                case ["delay", amount, duration]:
                    erratic.delay = option.number(amount, 0, _MOST)
                    erratic.seconds = option.duration(duration, low=0)
                case _:
                    raise option.arguments(_USAGE[option.name]) if option.name in _USAGE else option.unknown(*_USAGE)
        return erratic

    def ready(self) -> bool:
        # As CoreDNS does: ready for a moment only, to try out what watches readiness.
        return self.queries in (3, 4)

    async def answer(self, query: Query, rest: Rest) -> Reply:
        turn, self.queries = self.queries, self.queries + 1
        if _falls_on(turn, self.drop):
            return Reply(codes.DROP, plugin=self.name)
        if _falls_on(turn, self.delay):
            await asyncio.sleep(self.seconds)
        if query.type not in _ADDRESSES:
            return Reply(codes.SERVFAIL, authoritative=False, plugin=self.name)
        record = Record(query.name, query.type, 0, _ADDRESSES[query.type])
        return Reply(answer=(record,), truncated=_falls_on(turn, self.truncate), keep=NEVER, plugin=self.name)


def _falls_on(turn: int, every: int) -> bool:
    return every > 0 and turn % every == 0
