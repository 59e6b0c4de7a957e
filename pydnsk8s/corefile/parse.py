"""From the text of a Corefile to its server blocks, with every error of the text at once."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING

from . import imports, keys
from .blocks import Block, Corefile
from .directive import Directive, Option
from .problem import CorefileError, Problem, Report, did_you_mean
from .tokens import GLUED, Lexer, Line, Token

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from pathlib import Path

DEFAULT = """\
. {
    whoami
    log
}
"""
"""What a Corefile without blocks stands for, as in CoreDNS."""


def load(path: Path, *, known: Collection[str] | None = None, environ: Mapping[str, str] | None = None) -> Corefile:
    """Read the Corefile at this path; otherwise as :func:`parse`."""
    try:
        text = imports.read(path)
    except OSError as error:
        raise CorefileError(Problem(None, f"cannot read {path}: {error.strerror}")) from error
    corefile = parse(text, str(path), known=known, environ=environ)
    return replace(corefile, files=(imports.absolute(path), *corefile.files))


def parse(
    text: str,
    file: str = "Corefile",
    *,
    known: Collection[str] | None = None,
    environ: Mapping[str, str] | None = None,
) -> Corefile:
    """Read the text of a Corefile; ``known`` names the directives there are, None takes any.

    ``file`` is the name to report, and imports are relative to its folder. Raises CorefileError
    with all that is wrong. A text without server blocks stands for :data:`DEFAULT`.
    """
    imports.check(text, file)
    report = Report()
    lines = imports.Lines(Lexer(os.environ if environ is None else environ, report), report)
    lines.begin(text, file)
    blocks = _Parser(lines, known, report).blocks()
    report.raise_errors()
    default = not blocks
    if default:
        blocks = parse(DEFAULT, "the default Corefile").blocks
    return Corefile(blocks, tuple(lines.files), tuple(report.warnings), default)


_COREDNS_ONLY = frozenset((
    "auto", "autopath", "azure", "clouddns", "dns64", "dnssec", "dnstap", "file", "grpc", "grpc_server",
    "https", "https3", "multisocket", "nomad", "on", "pprof", "proxyproto", "quic", "rewrite", "route53",
    "secondary", "sign", "template", "tls", "trace", "tsig",
))  # fmt: skip
"""The directives of CoreDNS that no plugin here understands yet."""


def _unknown(name: Token, known: Collection[str]) -> Problem:
    if name.text == "multisocket":
        hint = "one process uses one core: run more replicas instead"
        return name.problem("CoreDNS's directive 'multisocket' does not exist here", hint)
    if name.text in _COREDNS_ONLY:
        return name.problem(f"CoreDNS's directive '{name.text}' does not exist here yet")
    hint = did_you_mean(name.text, known)
    if not hint and ("." in name.text or ":" in name.text):
        hint = "if a new server block begins here, the '}' of the one above is missing"
    return name.problem(f"unknown directive '{name.text}'", hint)


class _Parser:
    def __init__(self, lines: imports.Lines, known: Collection[str] | None, report: Report) -> None:
        self._lines = lines
        self._known = known
        self._report = report
        self._unbalanced = False  # one brace too many or too few leads to others; report the first only

    def blocks(self) -> tuple[Block, ...]:
        blocks = []
        while (line := self._lines.next()) is not None:
            if line[0].is_plain("}"):
                self._stray(line[0])
            elif (name := _snippet(line)) is not None:
                self._define(name, line)
            else:
                blocks.append(self._block(line))
        return tuple(blocks)

    def _block(self, line: Line) -> Block:
        tokens, opening = self._key_line(line)
        # An unset variable leaves an empty word behind; that is how an optional zone is written.
        named = [token for token in tokens if token.text.removesuffix(",")]
        if not named:
            self._report.add(line[0].problem("a server block needs a zone", "write '. {' to serve every name"))
        found = [key for token in named if (key := self._key(token)) is not None]
        return Block(tuple(found), self._directives(opening), line[0].place)

    def _key_line(self, line: Line) -> tuple[list[Token], Token | None]:
        """The keys, which go on in the next line after a comma, and the brace behind them."""
        tokens = list(line)
        while tokens[-1].text.endswith(","):
            following = self._lines.next()
            if following is None:
                self._report.add(tokens[-1].problem("expected another zone after the comma, found the end of the file"))
                return tokens, None
            tokens += following
        if _is_glued(tokens[-1]):
            return tokens, tokens[-1]
        if not tokens[-1].is_plain("{"):
            return tokens, self._brace_below()
        opening = tokens.pop()
        if tokens and tokens[-1].text.endswith(","):
            self._report.add(tokens[-1].problem("expected another zone after the comma, found '{'", "remove the comma"))
        return tokens, opening

    def _brace_below(self) -> Token | None:
        """The opening brace if the next line holds nothing else, which CoreDNS takes as well."""
        line = self._lines.next()
        if line is None:
            return None
        if line[0].is_plain("{"):
            return line[0]
        self._lines.put_back(line)
        return None

    def _key(self, token: Token) -> keys.Key | None:
        text = token.text.removesuffix(",")
        if self._known and text in self._known:
            hint = "a server block begins with its zones, as in '. {'"
            self._report.add(token.problem(f"'{text}' is a zone here, not the directive", hint, "warning"))
        try:
            return keys.read(text, token)
        except CorefileError as error:
            self._report.add(*error.problems)
            return None

    def _define(self, name: str, line: Line) -> None:
        """Put away the lines of a snippet."""
        opening = line[-1] if len(line) == 2 else self._brace_below()
        if opening is None:
            self._report.add(line[0].problem(f"expected '{{' after '({name})'"))
            return
        lines = self._lines.block()
        if lines is None:
            self._unclosed(opening)
        elif name in self._lines.snippets:
            self._report.add(line[0].problem(f"the snippet '{name}' is already defined"))
        else:
            self._lines.snippets[name] = lines

    def _directives(self, opening: Token | None) -> tuple[Directive, ...]:
        """The directives up to the closing brace, or without an opening one, up to the end of the file."""
        directives: list[Directive] = []
        while (line := self._lines.next()) is not None:
            if line[0].is_plain("}"):
                if opening is None:
                    self._stray(line[0])
                return tuple(directives)
            if line[0].is_plain("{"):
                self._misplaced(line[0], "'{' must stand on the line of its directive")
            else:
                directives.append(self._directive(line))
        if opening is not None:
            self._unclosed(opening)
        return tuple(directives)

    def _directive(self, line: Line) -> Directive:
        name, last = line[0], line[-1]
        if _is_glued(last):
            self._report.add(last.problem(f"'{last.text}' begins no block", "put a space before '{'"))
            return Directive(line, self._options(last, name), has_block=True)
        if self._known is not None and name.text not in self._known:
            self._report.add(_unknown(name, self._known))
        if not last.is_plain("{"):
            return Directive(line)
        return Directive(line[:-1], self._options(last, name), has_block=True)

    def _options(self, opening: Token, directive: Token) -> tuple[Option, ...]:
        options: list[Option] = []
        while (line := self._lines.next()) is not None:
            if line[0].is_plain("}"):
                return tuple(options)
            if line[-1].is_plain("{"):
                message = f"a block cannot stand inside the block of '{directive.text}'"
                self._misplaced(line[-1], message, "is a '}' missing above?")
            else:
                options.append(Option(line))
        self._unclosed(opening)
        return tuple(options)

    def _misplaced(self, opening: Token, message: str, hint: str = "") -> None:
        """Report an opening brace that should not be here, and pass over its block."""
        self._report.add(opening.problem(message, hint))
        self._unbalanced = True
        self._lines.block()

    def _stray(self, closing: Token) -> None:
        if not self._unbalanced:
            self._report.add(
                closing.problem("this '}' closes nothing", "is it one too many, or is a '{' missing above?")
            )
        self._unbalanced = True

    def _unclosed(self, opening: Token) -> None:
        if not self._unbalanced:
            self._report.add(opening.problem("this '{' is never closed", "the file ends before its '}'"))
        self._unbalanced = True


def _is_glued(token: Token) -> bool:
    """Whether the word ends in an opening brace that should be a word of its own, as in ``health{``."""
    return not token.quoted and GLUED.fullmatch(token.text) is not None


def _snippet(line: Line) -> str | None:
    """The name if this line begins a snippet, ``(name) {``."""
    alone = len(line) == 1 or (len(line) == 2 and line[1].is_plain("{"))
    text = line[0].text
    return text[1:-1] if alone and len(text) > 1 and text[0] == "(" and text[-1] == ")" else None
