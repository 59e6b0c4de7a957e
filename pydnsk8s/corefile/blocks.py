"""What a Corefile says: its server blocks, printed back in one layout whatever layout they had."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from .tokens import GLUED, SPACE, escape

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .directive import Directive, Option
    from .keys import Key
    from .problem import Place, Problem

# Words that would mean something else without quotes.
_QUOTE = re.compile(rf'[{SPACE}]|^["#]|^(?:\{{|\}}|import|{GLUED.pattern}|)$')


@dataclass(frozen=True, slots=True)
class Block:
    """One server block: the zones it serves, and its directives in the order of the file."""

    keys: tuple[Key, ...]
    directives: tuple[Directive, ...]
    place: Place = field(compare=False)


@dataclass(frozen=True, slots=True)
class Corefile:
    """All server blocks; two are equal when they say the same, whichever files that is written in."""

    blocks: tuple[Block, ...]
    files: tuple[str, ...] = field(default=(), compare=False)
    """The absolute paths of all files it was read from."""
    warnings: tuple[Problem, ...] = field(default=(), compare=False)
    default: bool = field(default=False, compare=False)
    """Whether the text has no server blocks, and stands for the default ones."""

    @property
    def digest(self) -> str:
        """SHA-512 over what it says, imports and environment filled in; layout and comments do not count."""
        return hashlib.sha512(dump(self).encode(errors="surrogateescape")).hexdigest()


def dump(corefile: Corefile) -> str:
    r"""The Corefile in its normal layout, which reads back as an equal one.

    Only the environment can fill in a word that no quotes can hold, such as ``a b\``; that one does not.
    """
    return "\n".join("\n".join(_block(block)) + "\n" for block in corefile.blocks)


def _block(block: Block) -> Iterator[str]:
    yield " ".join(_word(key.text) for key in block.keys) + " {"
    for directive in block.directives:
        yield "    " + _words(directive) + (" {" if directive.has_block else "")
        for option in directive.options:
            yield "        " + _words(option)
        if directive.has_block:
            yield "    }"
    yield "}"


def _words(option: Option) -> str:
    return " ".join(map(_word, option.words))


def _word(text: str) -> str:
    return f'"{escape(text)}"' if _QUOTE.search(text) else text
