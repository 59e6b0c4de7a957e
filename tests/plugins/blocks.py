"""Server blocks made from a Corefile's text, and the questions and answers to try their plugins with."""

from __future__ import annotations

from typing import TypeVar

from pydnsk8s import codes, names
from pydnsk8s.configuration import configure
from pydnsk8s.corefile import CorefileError, parse
from pydnsk8s.keep import ALWAYS
from pydnsk8s.message import NOBODY, Client, Query, Record, Reply
from pydnsk8s.plugin import Plugin, Rest, ServerBlock
from pydnsk8s.testing import text

P = TypeVar("P", bound=Plugin)


def block(directives: str, keys: str = ".:0") -> ServerBlock:
    """The one server block with these directives, set up but not started."""
    return configure(parse(f"{keys} {{\n{directives}\n}}\n")).blocks[0]


def plugin(kind: type[P], directives: str, keys: str = ".:0") -> P:
    """The plugin of this class in such a block."""
    found = block(directives, keys).find(kind)
    assert found is not None
    return found


def errors(directives: str, keys: str = ".:0") -> str:
    """What is wrong with such a block; empty if nothing is."""
    try:
        block(directives, keys)
    except CorefileError as error:
        return str(error)
    return ""


def query(name: str, type: str = "A", *, client: Client = NOBODY, klass: int = codes.IN) -> Query:
    return Query(names.parse(name), codes.parse_type(type), klass, client=client)


def replying(reply: Reply) -> Rest:
    """A rest of the chain that gives this reply to everything."""

    async def rest(query: Query) -> Reply:
        return reply

    return rest


ELSEWHERE = Reply(codes.NXDOMAIN, keep=ALWAYS, plugin="elsewhere")
"""The reply of :data:`elsewhere`, to see that a query was handed on."""
elsewhere = replying(ELSEWHERE)


class Alone:
    """A plugin as if it were all of a server, so that it can follow aliases: what is not its own is elsewhere."""

    _DEEPEST = 8

    def __init__(self, plugin: Plugin) -> None:
        self._plugin = plugin

    async def ask(self, query: Query) -> Reply:
        reply = self.ask_at_once(query)
        return await self._plugin.answer(query.with_(asker=self), elsewhere) if reply is None else reply

    def ask_at_once(self, query: Query) -> Reply | None:
        if query.depth > self._DEEPEST:
            return Reply(codes.SERVFAIL)
        turn = self._plugin.at_once(query.with_(asker=self))
        return turn if isinstance(turn, Reply) else None


def texts(records: tuple[Record, ...]) -> list[str]:
    """Records as ``name ttl TYPE data``."""
    return [text(record) for record in records]
