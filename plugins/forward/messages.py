"""What an upstream is sent for a query, and what its reply says of the client's network."""

from __future__ import annotations

from pydnsk8s import codes, subnet, wire
from pydnsk8s.keep import Keep
from pydnsk8s.message import Edns, Query, Reply
from pydnsk8s.upstream import Message

_SMALLEST = 512  # RFC 6891 section 6.2.3: octets, the least that EDNS can offer
_FLAGS = 0x7800 | codes.RD | codes.AD | codes.CD
# RFC 7873 section 5.4 and RFC 7828 section 3.2.1: these belong to the connection between client and us.
_HOP_BY_HOP = frozenset((codes.OPTION_COOKIE, codes.OPTION_KEEPALIVE))


def message_for(query: Query, limit: int) -> Message:
    """What is sent for a query: its question as the client spelled it, its flags and its EDNS."""
    edns = query.edns
    flags = query.flags & _FLAGS
    if query.packet and query.plain and (edns is None or _SMALLEST <= edns.size <= limit):
        # The client's own packet says just that.
        packet = query.packet
        return Message(flags.to_bytes(2, "big") + packet[4:], packet[12 : 16 + len(query.question)])
    if edns is not None:
        options = edns.options and tuple(option for option in edns.options if option[0] not in _HOP_BY_HOP)
        edns = Edns(max(_SMALLEST, min(edns.size, limit)), edns.do, 0, options)
    return Message.ask(query.question, query.type, klass=query.klass, flags=flags, edns=edns)


def without_subnet(query: Query) -> Query:
    """The same query, saying nothing of the network of whoever asks."""
    if (edns := query.edns) is None or not edns.options:
        return query
    options = tuple(option for option in edns.options if option[0] != codes.OPTION_SUBNET)
    return query.with_(edns=edns._replace(options=options))


def scoped(reply: Reply, asked: subnet.Subnet) -> Reply:
    """The reply with how much of the client subnet it depends on; FormError if it is about another one."""
    told = [data for code, data in reply.options if code == codes.OPTION_SUBNET]
    if not told:
        # RFC 7871 section 7.3: the same as a scope of 0.
        return reply
    try:
        found = subnet.read(told[0])
    except ValueError as error:
        raise wire.FormError(str(error)) from None
    # RFC 7871 section 7.3: such a reply must be dropped, for it may be forged.
    if asked.family and found[:3] != asked[:3]:
        raise wire.FormError("its client subnet is not the one asked about")
    return reply.with_(keep=Keep(0, scope=found.scope))
