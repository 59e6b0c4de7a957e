"""whoami - tells the client its own address, port and transport."""

from __future__ import annotations

from typing import Self

from pydnsk8s import codes, names, rdata
from pydnsk8s.corefile import Directive
from pydnsk8s.keep import NEVER
from pydnsk8s.message import Query, Record, Reply
from pydnsk8s.plugin import Plugin, ServerBlock, Turn

_DATAGRAMS = ("udp", "quic", "https3")


class Whoami(Plugin):
    """Replies to every query with the client's own address and port, so no reply is ever kept."""

    name = "whoami"

    @classmethod
    def setup(cls, directive: Directive, block: ServerBlock) -> Self:
        if directive.args:
            raise directive.arguments("whoami")
        directive.no_options()
        return cls()

    def at_once(self, query: Query) -> Turn:
        client = query.client
        type = codes.A if client.family == 1 else codes.AAAA
        records = [Record(query.name, type, 0, client.address, query.klass)]
        try:
            owner = names.join(b"_udp" if client.transport in _DATAGRAMS else b"_tcp", to=query.name)
        except ValueError:
            pass  # no room for another label: the address alone must do
        else:
            records.append(Record(owner, codes.SRV, 0, rdata.srv(0, 0, client.port, names.ROOT), query.klass))
        return Reply(additional=records, keep=NEVER, plugin=self.name)
