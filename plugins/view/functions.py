"""The functions of expressions: what a query is, and what can be done with strings, numbers and lists."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

from pydnsk8s import codes, names, subnet
from pydnsk8s.keep import ALWAYS, Keep
from pydnsk8s.message import Client, Query

from .values import Asked, Kind, Node, UndecidedError, Value, elements, number, text, truth, whole

HERE_ONLY = Keep(0, prefix4=32, prefix6=128)
"""For this query and no other: what was looked at tells more than the gate tells queries apart by."""

Look = Callable[[Query], Value]


def _question(_: Query) -> Keep:
    """For what is part of every question: nobody is served the reply to another one."""
    return ALWAYS


def _packet(query: Query) -> Keep:
    """For what the gate tells packets apart by; a lookup on the way of a query has no packet of its own."""
    return HERE_ONLY if query.depth else ALWAYS


def _client(query: Query) -> Keep:
    return subnet.sharing(query.client.address, len(query.client.address) * 8)


def _here(_: Query) -> Keep:
    return HERE_ONLY


def _bufsize(query: Query) -> int:
    if query.client.transport != "udp":
        return 65535
    return max(query.edns.size, 512) if query.edns is not None else 512


def _server(query: Query) -> str:
    return Client(query.client.local, 0).text


@dataclass(frozen=True, slots=True)
class Property:
    """A function without arguments: one property of the query, and how long and for whom it is the same."""

    kind: Kind
    look: Look
    keep: Callable[[Query], Keep]


PROPERTIES: dict[str, Property] = {
    "bufsize": Property(Kind.INTEGER, _bufsize, _packet),
    "class": Property(Kind.TEXT, lambda query: codes.class_name(query.klass), _question),
    "client_ip": Property(Kind.TEXT, lambda query: query.client.text, _client),
    "do": Property(Kind.TRUTH, lambda query: query.do, _question),
    "id": Property(Kind.INTEGER, lambda query: query.id, _here),
    "name": Property(Kind.TEXT, lambda query: names.text(query.name), _question),
    "opcode": Property(Kind.INTEGER, lambda query: query.opcode, _packet),
    "port": Property(Kind.TEXT, lambda query: str(query.client.port), _here),
    "proto": Property(Kind.TEXT, lambda query: "udp" if query.client.transport == "udp" else "tcp", _packet),
    "server_ip": Property(Kind.TEXT, _server, _here),
    "server_port": Property(Kind.TEXT, lambda query: str(query.client.local_port), _packet),
    "size": Property(Kind.INTEGER, lambda query: query.size, _packet),
    "type": Property(Kind.TEXT, lambda query: codes.type_name(query.type), _question),
}


def property_of(name: str, *, bound: bool) -> Node:
    """The call of a function without arguments; ``bound`` if the block is only served on single addresses."""
    held = PROPERTIES[name]
    # A socket of one address has a gate of its own.
    keep = _packet if bound and name == "server_ip" else held.keep

    def run(asked: Asked) -> Value:
        asked.keep &= keep(asked.query)
        return held.look(asked.query)

    return Node(held.kind, run, function=name)


@lru_cache(1024)
def networks(prefix: str) -> subnet.Networks:
    """The network of an address prefix; UndecidedError if it is none."""
    if "/" not in prefix:
        raise UndecidedError(f"expected a prefix such as 192.0.2.0/24, found {prefix!r}")
    try:
        return subnet.Networks((subnet.network(prefix),))
    except ValueError as error:
        raise UndecidedError(str(error)) from None


def incidr(address: Node, prefix: Node) -> Node:
    """Whether an address is in a network; of the client's no more counts than the bits that decide it."""
    if prefix.constant:
        networks(text(prefix.value))

    def run(asked: Asked) -> Value:
        held = networks(text(prefix.run(asked)))
        if address.function == "client_ip":
            inside, bits = held.find(asked.query.client.address)
            asked.keep &= subnet.sharing(asked.query.client.address, bits)
            return inside
        found = text(address.run(asked))
        try:
            return held.find(ipaddress.ip_address(found).packed)[0]
        except ValueError:
            raise UndecidedError(f"expected an IP address, found {found!r}") from None

    return Node(Kind.TRUTH, run)


def metadata(label: Node) -> Node:
    """The value of a label, empty if there is none; it holds for as long as the label itself says, if it does."""

    def run(asked: Asked) -> Value:
        found = asked.query.labels.get(text(label.run(asked)))
        # Of a label that is not there nobody says whether it will be there for the next who asks.
        keep: Keep = getattr(found, "keep", HERE_ONLY)
        asked.keep &= keep
        return found() if found is not None else ""

    return Node(Kind.TEXT, run)


@dataclass(frozen=True, slots=True)
class Function:
    """A function of values alone."""

    takes: tuple[Kind, ...]
    gives: Kind
    run: Callable[[Sequence[Value]], Value]
    optional: int = 0
    """How many of its last arguments may be left out."""


def _length(given: Sequence[Value]) -> Value:
    value = given[0]
    if isinstance(value, str | list):
        return len(value)
    raise UndecidedError(f"expected a string or a list, found {value!r}")


def _integer(given: Sequence[Value]) -> Value:
    value = given[0]
    try:
        return int(value) if isinstance(value, str) else int(number(value))
    except (ValueError, OverflowError):
        raise UndecidedError(f"expected {Kind.NUMBER}, found {value!r}") from None


def _decimal(given: Sequence[Value]) -> Value:
    value = given[0]
    try:
        return float(value) if isinstance(value, str) else float(number(value))
    except (ValueError, OverflowError):
        raise UndecidedError(f"expected {Kind.NUMBER}, found {value!r}") from None


def _string(given: Sequence[Value]) -> Value:
    value = given[0]
    return str(value).lower() if isinstance(value, bool) else "nil" if value is None else str(value)


def _split(given: Sequence[Value]) -> Value:
    separator = text(given[1])
    return [*text(given[0]).split(separator)] if separator else [*text(given[0])]


def _end(position: int) -> Callable[[Sequence[Value]], Value]:
    return lambda given: elements(given[0])[position] if elements(given[0]) else None


def _chars(given: Sequence[Value]) -> str | None:
    return text(given[1]) if len(given) > 1 else None


_S, _L, _A, _I = Kind.TEXT, Kind.LIST, Kind.ANY, Kind.INTEGER
FUNCTIONS: dict[str, Function] = {
    "len": Function((_A,), _I, _length),
    "lower": Function((_S,), _S, lambda given: text(given[0]).lower()),
    "upper": Function((_S,), _S, lambda given: text(given[0]).upper()),
    "trim": Function((_S, _S), _S, lambda given: text(given[0]).strip(_chars(given)), 1),
    "trimPrefix": Function((_S, _S), _S, lambda given: text(given[0]).removeprefix(text(given[1]))),
    "trimSuffix": Function((_S, _S), _S, lambda given: text(given[0]).removesuffix(text(given[1]))),
    "hasPrefix": Function((_S, _S), Kind.TRUTH, lambda given: text(given[0]).startswith(text(given[1]))),
    "hasSuffix": Function((_S, _S), Kind.TRUTH, lambda given: text(given[0]).endswith(text(given[1]))),
    "indexOf": Function((_S, _S), _I, lambda given: text(given[0]).find(text(given[1]))),
    "replace": Function((_S, _S, _S), _S, lambda given: text(given[0]).replace(text(given[1]), text(given[2]))),
    "split": Function((_S, _S), _L, _split),
    "join": Function((_L, _S), _S, lambda given: (_chars(given) or "").join(map(text, elements(given[0]))), 1),
    "int": Function((_A,), _I, _integer),
    "float": Function((_A,), Kind.NUMBER, _decimal),
    "string": Function((_A,), _S, _string),
    "abs": Function((Kind.NUMBER,), Kind.NUMBER, lambda given: abs(number(given[0]))),
    "first": Function((_L,), _A, _end(0)),
    "last": Function((_L,), _A, _end(-1)),
}


def _each(asked: Asked, held: Value, predicate: Node) -> list[Value]:
    """What the predicate gives for each element of a list."""
    found = []
    for one in elements(held):
        asked.elements.append(one)
        found.append(predicate.run(asked))
        asked.elements.pop()
    return found


Verdict = Callable[[list[Value], list[Value]], Value]
PREDICATES: dict[str, tuple[Kind, Verdict]] = {
    "all": (Kind.TRUTH, lambda _, said: all(map(truth, said))),
    "any": (Kind.TRUTH, lambda _, said: any(map(truth, said))),
    "none": (Kind.TRUTH, lambda _, said: not any(map(truth, said))),
    "one": (Kind.TRUTH, lambda _, said: sum(map(truth, said)) == 1),
    "count": (Kind.INTEGER, lambda _, said: sum(map(truth, said))),
    "filter": (Kind.LIST, lambda held, said: [one for one, yes in zip(held, said, strict=True) if truth(yes)]),
    "map": (Kind.LIST, lambda _, said: said),
}
"""Functions of a list and an expression about each of its elements: what they give, and how."""


def predicate(name: str, held: Node, said: Node) -> Node:
    """The call of one of the PREDICATES."""
    kind, verdict = PREDICATES[name]

    def run(asked: Asked) -> Value:
        value = held.run(asked)
        return verdict(elements(value), _each(asked, value, said))

    return Node(kind, run, {"filter": held.element, "map": said.kind}.get(name, Kind.ANY))


def denied(node: Node) -> Node:
    """The opposite of a node that is true or false."""
    return Node(Kind.TRUTH, lambda asked: not truth(node.run(asked)))


def element(node: Node, position: Node) -> Node:
    """One element of a list, counted from 0, or from the end if negative."""

    def run(asked: Asked) -> Value:
        held, at = elements(node.run(asked)), whole(position.run(asked))
        if not -len(held) <= at < len(held):
            raise UndecidedError(f"there is no element {at}")
        return held[at]

    return Node(node.element, run)


def part(node: Node, first: Node, last: Node) -> Node:
    """The part of a list or string from the first position up to, but not with, the last."""

    def run(asked: Asked) -> Value:
        held = node.run(asked)
        start, end = first.run(asked), last.run(asked)
        span = slice(None if start is None else whole(start), None if end is None else whole(end))
        return held[span] if isinstance(held, str) else elements(held)[span]

    return Node(node.kind, run, node.element)
