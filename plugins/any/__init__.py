"""any - gives queries of type ANY one short record instead of everything there is (RFC 8482)."""

from __future__ import annotations

from typing import Self

from pydnsk8s import codes, rdata
from pydnsk8s.corefile import Directive
from pydnsk8s.keep import ALWAYS, Keep
from pydnsk8s.message import Query, Record, Reply
from pydnsk8s.plugin import HAND_ON, Plugin, ServerBlock, Turn

_TTL = 8482
_HINFO = rdata.hinfo(b"ANY obsoleted", b"See RFC 8482")


class Any(Plugin):
    """Answers ANY with a made-up HINFO record (RFC 8482 section 4.2); other types pass."""

    name = "any"

    @classmethod
    def setup(cls, directive: Directive, block: ServerBlock) -> Self:
        if directive.args:
            raise directive.arguments("any")
        directive.no_options()
        return cls()

    def passes(self, zone: bytes) -> Keep:
        return HAND_ON

    def at_once(self, query: Query) -> Turn:
        if query.type != codes.ANY:
            return HAND_ON
        record = Record(query.name, codes.HINFO, _TTL, _HINFO, query.klass)
        return Reply(answer=(record,), authoritative=False, keep=ALWAYS, plugin=self.name)
