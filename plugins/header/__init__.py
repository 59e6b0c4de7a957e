"""header - sets and clears flags in the header of queries and replies."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Self

from pydnsk8s import codes
from pydnsk8s.corefile import Directive, Option
from pydnsk8s.message import Query, Reply
from pydnsk8s.plugin import Plugin, Rest, ServerBlock

_FLAGS = {"aa": codes.AA, "ra": codes.RA, "rd": codes.RD}
_USAGE = {selector: f"{selector} set|clear FLAG..." for selector in ("query", "response")}


class Change(NamedTuple):
    """One flag and what it becomes."""

    flag: str
    on: bool


class Header(Plugin):
    """Changes flags on the way in and on the way out, in the order of the Corefile."""

    name = "header"

    def __init__(self) -> None:
        self.query: list[Change] = []
        self.response: list[Change] = []

    @classmethod
    def setup(cls, directive: Directive, block: ServerBlock) -> Self:
        if directive.args:
            raise directive.arguments("header { ... }")
        header = block.find(cls) or cls()
        for option in directive.options:
            match option.words:
                case ["query", action, flag, *flags]:
                    header.query += _changes(option, action, [flag, *flags])
                case ["response", action, flag, *flags]:
                    header.response += _changes(option, action, [flag, *flags])
                    _warn_of_rd(option, block)
                case _:
                    raise option.arguments(_USAGE[option.name]) if option.name in _USAGE else option.unknown(*_USAGE)
        return header

    async def answer(self, query: Query, rest: Rest) -> Reply:
        if self.query:
            query = query.with_(flags=_changed(query.flags, self.query))
        reply = await rest(query)
        if not self.response:
            return reply
        before = codes.AA * reply.authoritative | codes.RA * reply.recursive
        after = _changed(before, self.response)
        return reply.with_(authoritative=bool(after & codes.AA), recursive=bool(after & codes.RA))


def _changes(option: Option, action: str, flags: Sequence[str]) -> list[Change]:
    on = option.switch(action, "set", "clear", fold=True) == "set"
    return [Change(option.switch(flag, *_FLAGS, fold=True), on) for flag in flags]


def _changed(flags: int, changes: Sequence[Change]) -> int:
    for flag, on in changes:
        flags = flags | _FLAGS[flag] if on else flags & ~_FLAGS[flag]
    return flags


def _warn_of_rd(option: Option, block: ServerBlock) -> None:
    for token in option.tokens[2:]:
        if token.text.lower() == "rd":
            # RFC 1035 section 4.1.1: RD is copied from the query into the reply.
            message = "header: rd has no effect in a response, which repeats the query's"
            block.warnings.append(token.problem(message, severity="warning"))
