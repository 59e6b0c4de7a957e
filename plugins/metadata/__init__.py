"""metadata - has labels collected for the queries of some zones, for log, view, rewrite and others to read."""

from __future__ import annotations

from typing import Self

from pydnsk8s.corefile import Directive
from pydnsk8s.plugin import Plugin, ServerBlock


class Metadata(Plugin):
    """Tells the server in which zones to ask the block's plugins for labels."""

    name = "metadata"
    once = True

    @classmethod
    def setup(cls, directive: Directive, block: ServerBlock) -> Self:
        directive.no_options()
        block.labelled = directive.zones(directive.args) or block.zones
        return cls()
