"""shed - gives up queries that have waited too long when there are more than can be answered."""

from __future__ import annotations

from typing import Self

from pydnsk8s.corefile import Directive
from pydnsk8s.plugin import Plugin, ServerBlock


class Shed(Plugin):
    """Says what is the case anyway: every UDP socket sheds what it cannot answer in time."""

    name = "shed"
    once = True

    @classmethod
    def setup(cls, directive: Directive, block: ServerBlock) -> Self:
        if directive.args:
            raise directive.arguments("shed")
        directive.no_options()
        return cls()
