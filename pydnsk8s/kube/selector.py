"""Label selectors in Kubernetes' syntax, for sources that do not select by themselves."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple

_KEY = r"(?P<key>[\w./-]+)"
_SHAPES = tuple(
    re.compile(shape)
    for shape in (
        rf"(?P<operator>!?)\s*{_KEY}",
        rf"{_KEY}\s*(?P<operator>==?|!=)\s*(?P<value>[\w.-]*)",
        rf"{_KEY}\s*(?P<operator>[<>])\s*(?P<value>-?\d{{1,18}})",
        rf"{_KEY}\s+(?P<operator>in|notin)\s*\(\s*(?P<value>[\w.-]*(\s*,\s*[\w.-]*)*)\s*\)",
    )
)
_COMMA = re.compile(r",(?![^(]*\))")  # one that does not stand in a list of values
_WHOLE = re.compile(r"-?\d{1,18}")


class _Requirement(NamedTuple):
    key: str
    operator: str
    values: frozenset[str]

    def met_by(self, labels: Mapping[str, str]) -> bool:
        value = labels.get(self.key)
        match self.operator:
            case "":
                return value is not None
            case "!":
                return value is None
            case "=" | "==" | "in":
                return value in self.values
            case "!=" | "notin":
                return value not in self.values
        if value is None or not _WHOLE.fullmatch(value):
            return False
        bound = int(next(iter(self.values)))
        return int(value) < bound if self.operator == "<" else int(value) > bound


class Selector:
    """Requirements such as ``tier=web,env in (a, b)``, of which all must be met; ValueError for what is none."""

    def __init__(self, text: str) -> None:
        self._requirements = tuple(_requirement(part.strip()) for part in _COMMA.split(text))

    def picks(self, labels: Iterable[tuple[str, str]]) -> bool:
        """Whether an object with these labels is meant."""
        held = dict(labels)
        return all(requirement.met_by(held) for requirement in self._requirements)


def _requirement(text: str) -> _Requirement:
    for shape in _SHAPES:
        if match := shape.fullmatch(text):
            found = match.groupdict("")
            values = frozenset(value.strip() for value in found.get("value", "").split(","))
            return _Requirement(found["key"], found["operator"], values)
    raise ValueError(f"not a label selector: {text!r}")
