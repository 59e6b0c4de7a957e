"""bufsize - limits the size of replies over UDP."""

from __future__ import annotations

from typing import Self

from pydnsk8s.corefile import Directive
from pydnsk8s.plugin import Plugin, ServerBlock

_DEFAULT = 1232  # RFC 9715 section 3.2 recommends at most 1400; 1232 fits the smallest IPv6 link


class Bufsize(Plugin):
    """Sets the block's limit: the largest UDP reply, and the EDNS size that it advertises."""

    name = "bufsize"

    @classmethod
    def setup(cls, directive: Directive, block: ServerBlock) -> Self:
        directive.no_options()
        match directive.args:
            case []:
                block.limit = _DEFAULT
            case [size]:
                block.limit = directive.number(size, 512, 4096)
            case _:
                raise directive.arguments("bufsize [SIZE]")
        return cls()
