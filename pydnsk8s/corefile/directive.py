"""One directive of a server block and its options, and readers for their words."""

from __future__ import annotations

import ipaddress
import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pydnsk8s import names

from . import durations
from .problem import CorefileError, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .tokens import Token

_WHOLE = re.compile(r"[-+]?[0-9]{1,30}")
_DECIMAL = re.compile(r"[-+]?([0-9]{1,30}(\.[0-9]{0,30})?|\.[0-9]{1,30})")


@dataclass(frozen=True, slots=True)
class Option:
    """One line inside a directive's block; its readers raise CorefileError at the word they are given."""

    tokens: tuple[Token, ...]

    @property
    def words(self) -> tuple[str, ...]:
        """The option's name and its arguments."""
        return tuple(token.text for token in self.tokens)

    @property
    def name(self) -> str:
        """The first word."""
        return self.tokens[0].text

    @property
    def args(self) -> tuple[str, ...]:
        """The words after the name."""
        return self.words[1:]

    def number(self, text: str, low: int, high: int) -> int:
        """The whole number the text is, from ``low`` to ``high``."""
        if not _WHOLE.fullmatch(text):
            raise self._expected(f"a whole number from {low} to {high}", text)
        if not low <= int(text) <= high:
            raise self.error(f"{self.name}: expected {low} to {high}, found {int(text)}", text)
        return int(text)

    def decimal(self, text: str, low: float, high: float) -> float:
        """The number the text is, with or without decimals, from ``low`` to ``high``."""
        if not _DECIMAL.fullmatch(text) or not low <= float(text) <= high:
            limit = "" if math.isinf(high) else f" to {high:g}"
            raise self._expected(f"a number from {low:g}{limit}", text)
        return float(text)

    def duration(self, text: str, *, low: float | None = None, high: float | None = None, plain: bool = False) -> float:
        """The seconds that a span such as ``1m30s`` means; a bare number is taken as seconds only if ``plain``."""
        bare = _WHOLE.fullmatch(text) is not None
        try:
            seconds = durations.parse(f"{text}s" if bare and plain else text)
        except ValueError:
            hint = f"write {text}s for seconds" if bare else ""
            raise self._expected("a duration such as 30s, 1m30s or 500ms", text, hint) from None
        if (low is not None and seconds < low) or (high is not None and seconds > high):
            bounds = [
                f"at {word} {durations.text(limit)}"
                for word, limit in (("least", low), ("most", high))
                if limit is not None
            ]
            raise self.error(f"{self.name}: expected {' and '.join(bounds)}, found {text}", text)
        return seconds

    def switch(self, text: str, *choices: str, fold: bool = False) -> str:
        """The one of the choices that the text is; with ``fold``, in any letter case."""
        for choice in choices:
            if text == choice or (fold and text.lower() == choice.lower()):
                return choice
        expected = choices[0] if len(choices) == 1 else f"one of {', '.join(choices)}"
        raise self._expected(expected, text, did_you_mean(text, choices))

    def zones(self, texts: Iterable[str]) -> tuple[bytes, ...]:
        """The zones the texts name, in wire form; an address prefix means its reverse zones."""
        found: list[bytes] = []
        for text in texts:
            try:
                found += names.zones(text)
            except ValueError as error:
                raise self.error(f"{self.name}: {error}", text) from None
        return tuple(found)

    def domain(self, text: str) -> bytes:
        """The domain name in wire form and lower case."""
        try:
            return names.parse(text)
        except ValueError as error:
            raise self.error(f"{self.name}: {error}", text) from None

    def address(self, text: str) -> bytes:
        """The packed IPv4 or IPv6 address."""
        try:
            address = ipaddress.ip_address(text)
        except ValueError:
            raise self._expected("an IP address", text) from None
        if isinstance(address, ipaddress.IPv6Address) and address.scope_id is not None:
            raise self._expected("an IP address without a zone", text)
        return address.packed

    def error(self, message: str, word: str | None = None, hint: str = "") -> CorefileError:
        """The error to raise; its caret points at the word, or else at the first of the line."""
        token = next((token for token in self.tokens if token.text == word), self.tokens[0])
        return CorefileError(token.problem(message, hint))

    def unknown(self, *valid: str) -> CorefileError:
        """The error to raise for an option that does not exist."""
        valid_here = f"; valid here: {', '.join(valid)}" if valid else ""
        return self.error(f"unknown option '{self.name}'{valid_here}", hint=did_you_mean(self.name, valid))

    def arguments(self, usage: str) -> CorefileError:
        """The error to raise for too many or too few words."""
        return self.error(f"wrong number of arguments; expected: {usage}")

    def _expected(self, expected: str, found: str, hint: str = "") -> CorefileError:
        return self.error(f"{self.name}: expected {expected}, found {found!r}", found, hint)


@dataclass(frozen=True, slots=True)
class Directive(Option):
    """One directive of a server block: its words, and the options of its block if it has one."""

    options: tuple[Option, ...] = ()
    has_block: bool = False

    def no_options(self) -> None:
        """Raise if its block has any option."""
        if self.options:
            raise self.options[0].error(f"{self.name} takes no options, found '{self.options[0].name}'")

    def twice(self, first: Directive | None = None) -> CorefileError:
        """The error to raise for a directive that may be used only once; ``first`` is the other one."""
        hint = f"it is already used at {first.tokens[0].place}" if first else ""
        return self.error(f"{self.name} can only be used once per server block", hint=hint)
