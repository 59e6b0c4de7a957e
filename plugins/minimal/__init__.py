"""minimal - leaves out of an answer what the client did not ask for."""

from __future__ import annotations

from typing import Self

from pydnsk8s import codes
from pydnsk8s.corefile import Directive
from pydnsk8s.keep import Keep
from pydnsk8s.message import Query, Reply
from pydnsk8s.plugin import HAND_ON, Plugin, ServerBlock


class Minimal(Plugin):
    """Empties the authority and additional sections of positive answers; others need theirs."""

    name = "minimal"

    @classmethod
    def setup(cls, directive: Directive, block: ServerBlock) -> Self:
        if directive.args:
            raise directive.arguments("minimal")
        directive.no_options()
        return cls()

    def passes(self, zone: bytes) -> Keep:
        return HAND_ON

    def amend(self, query: Query, reply: Reply) -> Reply:
        if reply.rcode != codes.NOERROR or not reply.answer or not (reply.authority or reply.additional):
            return reply
        return reply.with_(authority=(), additional=())
