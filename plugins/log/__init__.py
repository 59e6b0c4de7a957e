"""log - writes a line for every query answered."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Self

from pydnsk8s import log, names
from pydnsk8s.plugin import Plugin, ServerBlock
from pydnsk8s.plugins.log.line import COMMON, Line
from pydnsk8s.response import CLASSES, classify, kind

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pydnsk8s.corefile import Directive, Option
    from pydnsk8s.message import Seen


class Rule(NamedTuple):
    """How the queries under one zone are written, and which of them."""

    zone: bytes
    line: Line
    classes: frozenset[str]
    """Empty means all."""


class Log(Plugin):
    """Writes queries after they were answered, a batch at a time; the first rule with the name's zone decides."""

    name = "log"

    def __init__(self) -> None:
        self.rules: list[Rule] = []

    @classmethod
    def setup(cls, directive: Directive, block: ServerBlock) -> Self:
        classes: set[str] = set()
        for option in directive.options:
            match option.words:
                case ["class", *chosen] if chosen:
                    classes.update(_classes(option, chosen))
                case ["class"]:
                    raise option.arguments("class CLASSES...")
                case _:
                    raise option.unknown("class")
        zones: Sequence[str] = directive.args
        line = Line(COMMON)
        if zones and "{" in zones[-1]:
            *zones, form = zones
            line = Line(form)
        several = block.find(cls) or cls()
        several.rules += [Rule(zone, line, frozenset(classes)) for zone in directive.zones(zones or ["."])]
        return several

    def seen(self, batch: Sequence[Seen]) -> None:
        lines = []
        for seen in batch:
            rule = self._rule(seen.query.name)
            if rule is not None and (not rule.classes or classify(kind(seen.query, seen.reply)) in rule.classes):
                lines.append(f"[INFO] {rule.line.write(seen)}\n")
        if lines:
            log.lines("".join(lines))

    def _rule(self, name: bytes) -> Rule | None:
        for rule in self.rules:
            if rule.zone == names.ROOT or names.is_under(name, rule.zone):
                return rule
        return None


def _classes(option: Option, words: list[str]) -> set[str]:
    chosen = {option.switch(word, "all", *CLASSES) for word in words}
    return set(CLASSES) if "all" in chosen else chosen
