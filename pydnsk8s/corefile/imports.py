"""The lines of a Corefile in the order they are read, with snippets and files in the place of ``import``."""

from __future__ import annotations

import glob
import os
import re
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from .problem import CorefileError, Place, Problem, Report, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from .tokens import Lexer, Line, Token

MAX_BYTES = 16 << 20  # of one file
MAX_SNIPPETS = 10_000  # expansions, as CoreDNS
MAX_FILES = 100_000
MAX_LINES = 1_000_000  # imported ones; small snippets that import each other twice grow fast


@dataclass(slots=True)
class _Source:
    """A file or snippet that is being read."""

    name: str
    lines: Iterator[Line]


@dataclass(slots=True)
class Lines:
    """Hands out one line after the other; remembers the snippets and files it came across."""

    lexer: Lexer
    report: Report
    snippets: dict[str, tuple[Line, ...]] = field(default_factory=dict, init=False)
    files: dict[str, tuple[Line, ...]] = field(default_factory=dict, init=False)
    """The lines of each file imported so far, by absolute path."""
    _reading: list[_Source] = field(default_factory=list, init=False)
    _returned: list[Line] = field(default_factory=list, init=False)
    _snippets_used: int = field(default=0, init=False)
    _files_used: int = field(default=0, init=False)
    _imported: int = field(default=0, init=False)

    def begin(self, text: str, file: str) -> None:
        """Read this text first."""
        self._reading.append(_Source(absolute(Path(file)), iter(self.lexer.lines(text, file))))

    def next(self) -> Line | None:
        """The next line that is no import, or None at the end."""
        while (line := self.next_as_written()) is not None:
            if not line[0].is_plain("import"):
                return line
            self._import(line)
        return None

    def next_as_written(self) -> Line | None:
        """The next line, even if it is an import."""
        if self._returned:
            return self._returned.pop()
        while self._reading:
            line = next(self._reading[-1].lines, None)
            if line is not None:
                self._count(line)
                return line
            self._reading.pop()
        return None

    def put_back(self, line: Line) -> None:
        """Make this the next line again."""
        self._returned.append(line)

    def block(self) -> tuple[Line, ...] | None:
        """The lines as written up to the brace that closes the block just opened; None if there is none."""
        lines: list[Line] = []
        depth = 1
        while (line := self.next_as_written()) is not None:
            if line[0].is_plain("}"):
                depth -= 1
            elif line[-1].is_plain("{"):
                depth += 1
            if not depth:
                return tuple(lines)
            lines.append(line)
        return None

    def _count(self, line: Line) -> None:
        self._imported += len(self._reading) > 1
        if self._imported > MAX_LINES:
            self._stop(line[0], f"the imports bring in more than {MAX_LINES} lines")

    def _stop(self, token: Token, message: str, hint: str = "") -> NoReturn:
        # Whatever follows a runaway import would be reported because of it.
        raise CorefileError(*self.report.errors, token.problem(message, hint))

    def _import(self, line: Line) -> None:
        if len(line) != 2 or line[1].is_plain("{"):
            self.report.add(line[-1].problem("import takes one argument: a snippet, a file or a pattern of file names"))
            if line[-1].is_plain("{"):
                self.block()
        elif not line[1].text:
            self.report.add(line[1].problem("import needs the name of a snippet or file"))
        elif line[1].text in self.snippets:
            self._import_snippet(line[1])
        else:
            self._import_files(line[1])

    def _import_snippet(self, name: Token) -> None:
        self._snippets_used += 1
        if self._snippets_used > MAX_SNIPPETS:
            self._stop(name, f"more than {MAX_SNIPPETS} snippets imported")
        self._read(name, f"({name.text})", self.snippets[name.text])

    def _import_files(self, pattern: Token) -> None:
        text, folder = pattern.text, Path(pattern.place.file).parent
        paths = [folder / text]
        if text.count("*") > 1 or text.count("?") > 1 or ("[" in text and "]" in text):
            hint = "one '*' and one '?' are allowed, brackets are not"
            self.report.add(pattern.problem(f"too many wildcards in '{text}'", hint))
            return
        if "*" in text or "?" in text:
            # Hidden files stay out, as Path.glob would not have it: a mounted ConfigMap keeps its ..data there.
            paths = sorted(folder / found for found in glob.glob(text, root_dir=folder))  # noqa: PTH207
            if not paths:
                self.report.add(pattern.problem(f"no file matches '{text}'", severity="warning"))
        lines = [self._file(pattern, path) for path in paths]
        self._read(pattern, absolute(folder / text), chain.from_iterable(lines))

    def _file(self, token: Token, path: Path) -> tuple[Line, ...]:
        self._files_used += 1
        if self._files_used > MAX_FILES:
            self._stop(token, f"more than {MAX_FILES} files imported")
        name = absolute(path)
        if name in self.files:
            return self.files[name]
        try:
            text = read(path)
        except FileNotFoundError:
            hint = did_you_mean(token.text, self.snippets)
            if not hint and "/" not in token.text:
                hint = "no snippet of this name is defined above this line either"
            self.report.add(token.problem(f"file to import not found: {token.text}", hint))
            return ()
        except OSError as error:
            self.report.add(token.problem(f"cannot import {path}: {error.strerror}"))
            return ()
        except CorefileError as error:
            self.report.add(*error.problems)
            return ()
        self.files[name] = self.lexer.lines(text, str(path))
        return self.files[name]

    def _read(self, token: Token, name: str, lines: Iterable[Line]) -> None:
        if any(source.name == name for source in self._reading):
            self._stop(token, f"'{token.text}' imports itself")
        self._reading.append(_Source(name, iter(lines)))


def absolute(path: Path) -> str:
    """The path from the root on; symbolic links stay, for a ConfigMap's update turns them elsewhere."""
    return os.path.abspath(path)  # noqa: PTH100 - Path.resolve follows the links


def read(path: Path) -> str:
    """The text of a file; raises OSError, or CorefileError if it is too big or no text."""
    with path.open("rb") as file:
        raw = file.read(MAX_BYTES + 1)
    if len(raw) > MAX_BYTES:
        raise CorefileError(_too_large(str(path)))
    try:
        text = raw.decode()
    except UnicodeDecodeError as error:
        place = _place(str(path), raw[: error.start].decode(), raw.decode(errors="replace"))
        raise CorefileError(Problem(place, f"not UTF-8 text: found the byte 0x{raw[error.start]:02x}")) from None
    check(text, str(path))
    return text


def check(text: str, file: str) -> None:
    """Raise CorefileError if the text is too long or holds what no text file does."""
    if len(text) > MAX_BYTES:
        raise CorefileError(_too_large(file))
    if odd := re.search("[\0\ud800-\udfff]", text):
        place = _place(file, text[: odd.start()], text)
        raise CorefileError(Problem(place, f"found the character {odd[0]!r}; is this a text file?"))


def _too_large(file: str) -> Problem:
    return Problem(None, f"{file}: larger than {MAX_BYTES >> 20} MiB")


def _place(file: str, before: str, text: str) -> Place:
    row = before.count("\n")
    return Place(file, row + 1, len(before) - before.rfind("\n"), text.split("\n")[row])
