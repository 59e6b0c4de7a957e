"""view - lets only some queries into a server block, those of which its expressions are true."""

from __future__ import annotations

import dataclasses
from typing import Self

from pydnsk8s.corefile import CorefileError, Directive, Option
from pydnsk8s.keep import ALWAYS, Keep
from pydnsk8s.message import Labels, Query
from pydnsk8s.plugin import Plugin, ServerBlock

from .expression import decide, parse
from .tokens import ExpressionError
from .values import Asked, Kind, Node

_USAGE = "expr EXPRESSION..."


class Name:
    """The name of a view as a label: it never changes."""

    keep: Keep = ALWAYS

    def __init__(self, name: str) -> None:
        self._name = name

    def __call__(self) -> str:
        return self._name


class View(Plugin):
    """Decides for the server whether a query enters the block."""

    name = "view"
    once = True

    def __init__(self, title: str) -> None:
        self.title = title
        """What metrics and labels call the view."""
        self.expressions: list[Node] = []

    @classmethod
    def setup(cls, directive: Directive, block: ServerBlock) -> Self:
        match directive.args:
            case [title]:
                self = cls(title)
            case _:
                raise directive.arguments("view NAME")
        for option in directive.options:
            self._read(option, block)
        block.filters.append(self.decide)
        return self

    def _read(self, option: Option, block: ServerBlock) -> None:
        match option.words:
            case ["expr", _, *_]:
                self.expressions.append(_compiled(option, block))
            case _:
                raise option.arguments(_USAGE) if option.name == "expr" else option.unknown("expr")

    def decide(self, query: Query) -> tuple[bool, Keep]:
        """Whether all expressions are true of a query, and how long and for whom that holds."""
        asked = Asked(query)
        return all(decide(expression, asked) for expression in self.expressions), asked.keep

    def labels(self, query: Query) -> Labels:
        """The view's name, for whoever writes it down."""
        return {"view/name": Name(self.title)}


def _compiled(option: Option, block: ServerBlock) -> Node:
    source = " ".join(option.args)
    bound = bool(block.hosts) and not {"0.0.0.0", "::"} & set(block.hosts)
    try:
        node = parse(source, bound=bound)
        if not Kind.TRUTH.takes(node.kind):
            raise ExpressionError(f"expected an expression that is {Kind.TRUTH}, found {node.kind}", 0)
    except ExpressionError as error:
        raise _placed(option, error) from None
    if "metadata(" in source and not block.labelled:
        hint = "write metadata, and the plugins whose labels are meant, into this block"
        block.warnings.append(option.tokens[0].problem("metadata() is always empty here", hint, "warning"))
    return node


def _placed(option: Option, error: ExpressionError) -> CorefileError:
    """The error with the place in the Corefile where the expression goes wrong."""
    at, token = error.at, option.tokens[1]
    for token in option.tokens[1:]:
        if at <= len(token.text):
            break
        at -= len(token.text) + 1
    cut_off = error.at >= len(" ".join(option.args)) and " #" in token.place.text
    hint = "a word that begins with # is a comment: put the expression in double quotes" if cut_off else error.hint
    problem = token.problem(f"expr: {error}", hint)
    column = token.place.column + at + (token.quoted and token.width > len(token.text))
    return CorefileError(dataclasses.replace(problem, place=token.place._replace(column=column), width=1))
