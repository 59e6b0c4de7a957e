"""The kinds of values an expression knows, and what its operators do with them."""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import TypeAlias

from pydnsk8s.keep import ALWAYS, Keep
from pydnsk8s.message import Query

Value: TypeAlias = "bool | int | float | str | list[Value] | None"
_LONGEST = 10_000  # elements of a range


class Kind(StrEnum):
    """What is known of a value before there is a query."""

    TRUTH = "true or false"
    INTEGER = "a whole number"
    NUMBER = "a number"
    TEXT = "a string"
    LIST = "a list"
    NOTHING = "nil"
    ANY = "anything"

    def takes(self, other: Kind) -> bool:
        """Whether a value of the other kind will do where this one is wanted."""
        return self is other or Kind.ANY in (self, other) or (self is Kind.NUMBER and other is Kind.INTEGER)


class UndecidedError(Exception):
    """An expression has no value for this query, such as one that divides by zero."""


class Asked:
    """One query as an expression looks at it, and what it has looked at so far."""

    def __init__(self, query: Query) -> None:
        self.query = query
        self.keep: Keep = ALWAYS
        """How long and for whom all that was looked at holds."""
        self.elements: list[Value] = []
        """The elements that ``#`` stands for, innermost last."""


@dataclass(frozen=True, slots=True)
class Node:
    """A part of an expression: its kind, and how to work its value out."""

    kind: Kind
    run: Callable[[Asked], Value]
    element: Kind = Kind.ANY
    """The kind of a list's elements."""
    constant: bool = False
    function: str = ""
    """The function of the query that it is a mere call of."""

    @property
    def value(self) -> Value:
        """The value of a constant."""
        return self.run(_NOTHING_ASKED)


_NOTHING_ASKED = Asked(Query(b"\0", 1))


def constant(kind: Kind, value: Value, element: Kind = Kind.ANY) -> Node:
    """The node of a value that is written down."""
    return Node(kind, lambda _: value, element, constant=True)


def truth(value: Value) -> bool:
    """The value, which has to be true or false."""
    if isinstance(value, bool):
        return value
    raise UndecidedError(f"expected {Kind.TRUTH}, found {value!r}")


def number(value: Value) -> int | float:
    """The value, which has to be a number."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return value
    raise UndecidedError(f"expected {Kind.NUMBER}, found {value!r}")


def whole(value: Value) -> int:
    """The value, which has to be a whole number."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    raise UndecidedError(f"expected {Kind.INTEGER}, found {value!r}")


def text(value: Value) -> str:
    """The value, which has to be a string."""
    if isinstance(value, str):
        return value
    raise UndecidedError(f"expected {Kind.TEXT}, found {value!r}")


def elements(value: Value) -> list[Value]:
    """The value, which has to be a list."""
    if isinstance(value, list):
        return value
    raise UndecidedError(f"expected {Kind.LIST}, found {value!r}")


def same(left: Value, right: Value) -> bool:
    """Whether two values are equal; true is not 1."""
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(same, left, right))
    return isinstance(left, bool) == isinstance(right, bool) and left == right


@lru_cache(256)
def pattern(source: str) -> re.Pattern[str]:
    """The compiled regular expression; UndecidedError if it is none."""
    try:
        return re.compile(source)
    except (re.error, OverflowError, RecursionError) as error:
        raise UndecidedError(f"not a regular expression: {error}") from None


def _order(compare: Callable[[int | float | str, int | float | str], bool]) -> Callable[[Value, Value], Value]:
    def ordered(left: Value, right: Value) -> Value:
        if isinstance(left, str):
            return compare(left, text(right))
        return compare(number(left), number(right))

    return ordered


def _add(left: Value, right: Value) -> Value:
    if isinstance(left, str):
        return left + text(right)
    return number(left) + number(right)


def _divide(left: Value, right: Value) -> Value:
    if not number(right):
        raise UndecidedError("division by zero")
    return number(left) / number(right)


def _remainder(left: Value, right: Value) -> Value:
    if not whole(right):
        raise UndecidedError("division by zero")
    # The sign of the left side, as in Go.
    rest = abs(whole(left)) % abs(whole(right))
    return rest if whole(left) >= 0 else -rest


def _power(left: Value, right: Value) -> Value:
    try:
        return math.pow(number(left), number(right))
    except (OverflowError, ValueError) as error:
        raise UndecidedError(str(error)) from None


def _range(left: Value, right: Value) -> Value:
    first, last = whole(left), whole(right)
    if last - first >= _LONGEST:
        raise UndecidedError(f"a range of more than {_LONGEST} numbers")
    return list(range(first, last + 1))


@dataclass(frozen=True, slots=True)
class Operator:
    """An operator between two values: how tightly it binds, what it takes and gives, and what it does."""

    binds: int
    left: Kind
    right: Kind
    gives: Kind
    run: Callable[[Value, Value], Value]
    rightward: bool = False
    """Whether of several in a row the last is worked out first."""


_T, _I, _N, _S, _L, _A = Kind.TRUTH, Kind.INTEGER, Kind.NUMBER, Kind.TEXT, Kind.LIST, Kind.ANY
OPERATORS: dict[str, Operator] = {
    "==": Operator(20, _A, _A, _T, same),
    "!=": Operator(20, _A, _A, _T, lambda left, right: not same(left, right)),
    "<": Operator(20, _A, _A, _T, _order(operator.lt)),
    ">": Operator(20, _A, _A, _T, _order(operator.gt)),
    "<=": Operator(20, _A, _A, _T, _order(operator.le)),
    ">=": Operator(20, _A, _A, _T, _order(operator.ge)),
    "in": Operator(20, _A, _L, _T, lambda left, right: any(same(left, one) for one in elements(right))),
    "matches": Operator(20, _S, _S, _T, lambda left, right: pattern(text(right)).search(text(left)) is not None),
    "contains": Operator(20, _S, _S, _T, lambda left, right: text(right) in text(left)),
    "startsWith": Operator(20, _S, _S, _T, lambda left, right: text(left).startswith(text(right))),
    "endsWith": Operator(20, _S, _S, _T, lambda left, right: text(left).endswith(text(right))),
    "..": Operator(25, _I, _I, _L, _range),
    "+": Operator(30, _A, _A, _A, _add),
    "-": Operator(30, _N, _N, _N, lambda left, right: number(left) - number(right)),
    "*": Operator(60, _N, _N, _N, lambda left, right: number(left) * number(right)),
    "/": Operator(60, _N, _N, _N, _divide),
    "%": Operator(60, _I, _I, _I, _remainder),
    "**": Operator(100, _N, _N, _N, _power, rightward=True),
    "^": Operator(100, _N, _N, _N, _power, rightward=True),
    "??": Operator(500, _A, _A, _A, lambda left, right: right if left is None else left),
}
"""As binding and meaning go, expr-lang's. ``and``, ``or`` and ``|`` are not among them: they do not take two values."""
DENIABLE = frozenset(("in", "matches", "contains", "startsWith", "endsWith"))
"""Those that may have ``not`` in front."""
_COMPARABLE = ("==", "!=", "<", ">", "<=", ">=")


def mismatch(symbol: str, left: Node, right: Node) -> str:
    """What is wrong with an operator between these two; empty if nothing is."""
    op = OPERATORS[symbol]
    for side, wanted, found in (("left", op.left, left.kind), ("right", op.right, right.kind)):
        if not wanted.takes(found):
            return f"'{symbol}' wants {wanted} on its {side}, found {found}"
    if symbol == "in" and not (right.element.takes(left.kind) or left.kind.takes(right.element)):
        return f"a list of {right.element} cannot hold {left.kind}"
    alike = left.kind.takes(right.kind) or right.kind.takes(left.kind)
    if symbol in _COMPARABLE and not (alike or Kind.NOTHING in (left.kind, right.kind)):
        return f"'{symbol}' compares {left.kind} with {right.kind}"
    ordered = (Kind.NUMBER, Kind.TEXT)
    if symbol in ("<", ">", "<=", ">=", "+") and not any(
        kind.takes(left.kind) and kind.takes(right.kind) for kind in ordered
    ):
        return f"'{symbol}' wants two numbers or two strings, found {left.kind} and {right.kind}"
    return ""


def result(symbol: str, left: Node, right: Node) -> Kind:
    """The kind of value an operator gives between these two."""
    op = OPERATORS[symbol]
    if symbol == "+":
        kinds = {left.kind, right.kind}
        return Kind.TEXT if Kind.TEXT in kinds else Kind.NUMBER if kinds <= {Kind.INTEGER, Kind.NUMBER} else Kind.ANY
    return op.gives
