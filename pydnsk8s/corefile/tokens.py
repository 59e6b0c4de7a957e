"""The words of a Corefile: split at white space, unquoted, environment variables filled in.

Rule: a brace that is a word of its own ends its line, and ``}`` begins one as well.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, TypeAlias

from .problem import Place, Problem, Report

if TYPE_CHECKING:
    from collections.abc import Mapping

# Unicode's White_Space, at which CoreDNS splits; Python's \s has four control characters more.
_BLANK = "\t\v\f\r \x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"
SPACE = "\n" + _BLANK
_TOKEN = re.compile(
    rf"""
    (?P<newline>\n)
    | (?P<blank>[{_BLANK}]+)
    | (?P<comment>\#[^\n]*)
    | "(?P<quoted>[^"\\]*+(?:\\.[^"\\]*+)*+)"
    | (?P<unclosed>"[^\n]*)
    | (?P<word>[^{SPACE}]+)
    """,
    re.VERBOSE | re.DOTALL,
)
# A word such as "health{", whose brace should be a word of its own; "{{" and "{$" are none.
GLUED = re.compile(r'[^{}"]+\{')
_ROUNDS = 100  # replacements in one word; more means variables that refer to each other
_LONGEST = 1 << 20  # characters of one word after filling in


@dataclass(frozen=True, slots=True)
class Token:
    """One word; two are equal when their texts are, wherever they stand."""

    text: str
    place: Place = field(compare=False)
    quoted: bool = field(default=False, compare=False)
    """Written in quotes or filled in from the environment: never a brace and never ``import``."""
    width: int = field(default=1, compare=False)
    """Columns it takes up in its source line."""

    def is_plain(self, text: str) -> bool:
        """Whether it is this very word, with its meaning in the grammar."""
        return self.text == text and not self.quoted

    def problem(self, message: str, hint: str = "", severity: Literal["error", "warning"] = "error") -> Problem:
        """A problem whose caret points at this word."""
        return Problem(self.place, message, hint, self.width, severity)


Line: TypeAlias = tuple[Token, ...]
"""The words of one line, at least one; a brace is the last of its line, a closing one stands alone."""


class Lexer:
    """Splits texts into lines of words, and reports what it stumbles over."""

    def __init__(self, environ: Mapping[str, str], report: Report) -> None:
        self._environ = environ
        self._report = report

    def lines(self, text: str, file: str) -> tuple[Line, ...]:
        """The lines of the text that have words in them; ``file`` is the name to report."""
        text = text.removeprefix("\ufeff").replace("\r\n", "\n")
        rows = text.split("\n")
        lines: list[Line] = []
        line: list[Token] = []
        row, row_start = 0, 0
        for match in _TOKEN.finditer(text):
            if match["word"] or match["quoted"] is not None or match["unclosed"]:
                place = Place(file, row + 1, match.start() - row_start + 1, rows[row])
                token = self._token(match, place)
                if line and token.is_plain("}"):
                    lines.append(tuple(line))
                    line = []
                line.append(token)
            ended = match["newline"] or (line and (line[-1].is_plain("{") or line[-1].is_plain("}")))
            if line and ended:
                lines.append(tuple(line))
                line = []
            if breaks := match[0].count("\n"):
                row += breaks
                row_start = match.start() + match[0].rindex("\n") + 1
        return (*lines, tuple(line)) if line else tuple(lines)

    def _token(self, match: re.Match[str], place: Place) -> Token:
        written = match["word"] or match["unclosed"] or unescape(match["quoted"])
        token = Token(written, place, not match["word"], len(match[0].partition("\n")[0]))
        if match["unclosed"]:
            self._report.add(token.problem("this quote is never closed", 'write \\" for a quote inside of quotes'))
        if match["word"] and "#" in written:
            cut = written.partition("#")[0]
            hint = f"quote the word, or put a space before '#' to begin a comment; CoreDNS would read '{cut}'"
            self._report.add(token.problem("'#' inside a word does not begin a comment", hint, "warning"))
        text = self._filled(token)
        return token if text == written else Token(text, place, True, token.width)

    def _filled(self, token: Token) -> str:
        """The text with ``{%NAME%}`` and ``{$NAME}`` replaced until none is left; values may hold some as well."""
        text = token.text
        for _ in range(_ROUNDS):
            name, written = _reference(text)
            if not name:
                return text
            if name not in self._environ:
                self._report.add(token.problem(f"the environment has no variable {name!r}", severity="warning"))
            value = self._environ.get(name, "")
            if len(text) + text.count(written) * len(value) > _LONGEST:
                break
            text = text.replace(written, value)
        hint = "do their values refer to each other?"
        self._report.add(token.problem("the environment variables in this word do not come to an end", hint))
        return ""


def _reference(text: str) -> tuple[str, str]:
    """The name in the first reference to the environment, and the whole reference; empty if there is none."""
    for opening, closing in (("{%", "%}"), ("{$", "}")):
        start = text.find(opening)
        end = text.find(closing, start)
        name = text[start + len(opening) : end]
        # An empty reference ends the replacing, as CoreDNS does.
        if start >= 0 and end >= 0 and name:
            return name, text[start : end + len(closing)]
    return "", ""


def unescape(text: str) -> str:
    r"""What a quoted word says: ``\"`` is a quote, every other backslash stays."""
    return re.sub(r"\\(.)", lambda match: '"' if match[1] == '"' else match[0], text, flags=re.DOTALL)


def escape(text: str) -> str:
    """The reverse of :func:`unescape`."""
    return re.sub(r'\\[^"]|"', lambda match: '\\"' if match[0] == '"' else match[0], text)
