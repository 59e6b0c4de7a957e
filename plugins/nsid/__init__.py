"""nsid - names the server that answered, to clients who ask for it (RFC 5001)."""

from __future__ import annotations

import socket
from typing import Self

from pydnsk8s import codes
from pydnsk8s.corefile import Directive
from pydnsk8s.keep import Keep
from pydnsk8s.message import Query, Reply
from pydnsk8s.plugin import HAND_ON, Plugin, ServerBlock

_LONGEST = 255  # octets; a longer name would crowd out the answer


class Nsid(Plugin):
    """Adds the NSID option to replies whose query had one."""

    name = "nsid"
    once = True

    def __init__(self, identifier: bytes) -> None:
        self.identifier = identifier

    @classmethod
    def setup(cls, directive: Directive, block: ServerBlock) -> Self:
        directive.no_options()
        # What is no UTF-8 in the environment stays what it is.
        identifier = " ".join(directive.args or (socket.gethostname(),)).encode(errors="surrogateescape")
        if len(identifier) > _LONGEST:
            raise directive.error(
                f"nsid: expected at most {_LONGEST} octets, found {len(identifier)}", directive.args[0]
            )
        return cls(identifier)

    def passes(self, zone: bytes) -> Keep:
        return HAND_ON

    def amend(self, query: Query, reply: Reply) -> Reply:
        # RFC 5001 section 2.2: only a query that carries the option gets it back.
        if query.edns is None or all(code != codes.OPTION_NSID for code, _ in query.edns.options):
            return reply
        others = tuple(option for option in reply.options if option[0] != codes.OPTION_NSID)
        return reply.with_(options=(*others, (codes.OPTION_NSID, self.identifier)))
