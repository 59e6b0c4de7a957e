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


def texts(records: tuple[Record, ...]) -> list[str]:
    """Records as ``name ttl TYPE data``."""
    return [text(record) for record in records]
