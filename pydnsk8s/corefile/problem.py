"""What is wrong with a Corefile, where, and what to do about it."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Collection

_SHOWN = 120  # columns of a source line worth printing
_ENOUGH = 100  # problems; more of them tell nobody anything
_GUESSABLE = 40  # letters; comparing longer words costs time and finds nothing


class Place(NamedTuple):
    """Where a word stands: file, line and column (both from 1), and the text of that line."""

    file: str
    line: int
    column: int
    text: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


@dataclass(frozen=True, slots=True)
class Problem:
    """One error or warning, printed with its place, the line it is about and a caret."""

    place: Place | None
    message: str
    hint: str = ""
    width: int = 1
    severity: Literal["error", "warning"] = "error"

    def __str__(self) -> str:
        lines = [f"{self.severity}: {self.message}"]
        if self.place is not None:
            lines = [f"{self.place}: {lines[0]}", *_quoted(self.place, self.width)]
        if self.hint:
            lines.append(f"  {self.hint}")
        return "\n".join(lines)


def _quoted(place: Place, width: int) -> list[str]:
    """The source line, and carets under ``width`` columns of it."""
    indent = min(len(place.text) - len(place.text.lstrip()), place.column - 1)
    # One column a character, so that a tab does not shift the caret.
    shown = "".join(c if c.isprintable() else " " for c in place.text[indent:]).rstrip()
    at = place.column - 1 - indent
    start = max(0, at - _SHOWN // 2) if len(shown) > _SHOWN else 0
    shown, at = shown[start : start + _SHOWN], at - start
    return [f"    {shown}", "    " + " " * at + "^" * max(1, min(width, len(shown) - at))]


class CorefileError(Exception):
    """Everything found wrong with a Corefile, in the order of its lines."""

    def __init__(self, *problems: Problem) -> None:
        super().__init__(*problems)
        files = list(dict.fromkeys(problem.place.file for problem in problems if problem.place))
        self.problems = tuple(sorted(problems, key=lambda problem: _position(problem.place, files)))

    def __str__(self) -> str:
        return "\n".join(map(str, self.problems))


def _position(place: Place | None, files: list[str]) -> tuple[int, int, int]:
    return (files.index(place.file), place.line, place.column) if place else (-1, 0, 0)


class Report:
    """The problems found so far in one reading of a Corefile."""

    def __init__(self) -> None:
        self.errors: list[Problem] = []
        self.warnings: list[Problem] = []

    def add(self, *problems: Problem) -> None:
        """Take note of the problems; raises CorefileError once there are enough of them."""
        for problem in problems:
            if problem.severity == "error":
                self.errors.append(problem)
            elif len(self.warnings) < _ENOUGH:
                self.warnings.append(problem)
            if len(self.errors) >= _ENOUGH:
                self.errors.append(Problem(None, f"stopped reading after {_ENOUGH} errors"))
                self.raise_errors()

    def raise_errors(self) -> None:
        """Raise CorefileError if there is any error."""
        if self.errors:
            raise CorefileError(*self.errors)


def did_you_mean(word: str, known: Collection[str]) -> str:
    """A hint naming the known word that is nearest, or nothing."""
    near = difflib.get_close_matches(word, known, 1) if len(word) <= _GUESSABLE else []
    return f"did you mean '{near[0]}'?" if near else ""
