"""The words of an expression: names, numbers, strings and signs."""

from __future__ import annotations

import re
from typing import NamedTuple

_TOKEN = re.compile(
    r"""
    (?P<space>\s+)
    | (?P<number>0[xX][0-9a-fA-F_]+ | (?:\d[\d_]*(?:\.\d[\d_]*)?|\.\d[\d_]*)(?:[eE][+-]?\d+)?)
    | (?P<string>'(?:[^'\\]|\\.)*' | "(?:[^"\\]|\\.)*" | `[^`]*`)
    | (?P<word>[A-Za-z_$][\w$]*)
    | (?P<sign>\*\*|\.\.|==|!=|<=|>=|&&|\|\||\?\?|[-+*/%^<>!?:|.,()\[\]{}#])
    """,
    re.VERBOSE | re.DOTALL | re.ASCII,
)
_ESCAPE = re.compile(r"\\(?:x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|([0-7]{3})|(.))", re.DOTALL)
_ESCAPED = dict(zip("abfnrtv\\'\"", "\a\b\f\n\r\t\v\\'\"", strict=True))
_SAME = {"&&": "and", "||": "or"}


class ExpressionError(Exception):
    """What is wrong with an expression, and how many characters into it."""

    def __init__(self, message: str, at: int, hint: str = "") -> None:
        super().__init__(message)
        self.at = at
        self.hint = hint


class Token(NamedTuple):
    """One word and where it stands; ``kind`` is number, string, word, sign or end."""

    kind: str
    text: str
    at: int

    @property
    def shown(self) -> str:
        """The word as an error message names it."""
        return repr(self.text) if self.text else "the end"


def tokens(source: str) -> list[Token]:
    """The words of an expression, the end last; ExpressionError for what is none."""
    found, at = [], 0
    while at < len(source):
        match = _TOKEN.match(source, at)
        if match is None or match.end() == at:
            what = "a string without an end" if source[at] in "'\"`" else f"{source[at]!r} has no meaning here"
            raise ExpressionError(what, at)
        if match.lastgroup != "space":
            word = match[0] if match.lastgroup == "string" else _SAME.get(match[0], match[0])
            found.append(Token(match.lastgroup or "", word, at))
        at = match.end()
    return [*found, Token("end", "", len(source))]


def unquoted(token: Token) -> str:
    """What a string says, its escapes resolved."""
    if token.text[0] == "`":
        return token.text[1:-1]

    def meant(match: re.Match[str]) -> str:
        if match[5] is None:
            code = int(match[1] or match[2] or match[3], 16) if match[4] is None else int(match[4], 8)
            if code <= 0x10FFFF:
                return chr(code)
        elif match[5] in _ESCAPED:
            return _ESCAPED[match[5]]
        hint = "write \\\\ for a backslash, or quote with backquotes (`)"
        raise ExpressionError(f"{match[0]!r} is no escape", token.at + 1 + match.start(), hint)

    return _ESCAPE.sub(meant, token.text[1:-1])
