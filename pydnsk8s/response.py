"""What a reply says: an answer, a denial, a delegation or a failure (RFC 2308 section 2)."""

from __future__ import annotations

import time
from enum import StrEnum
from typing import TYPE_CHECKING

from pydnsk8s import codes

if TYPE_CHECKING:
    from pydnsk8s.message import Query, Reply


class Kind(StrEnum):
    """The kinds of reply, by CoreDNS's names for them."""

    NO_ERROR = "NoError"
    NAME_ERROR = "NameError"
    NO_DATA = "NoData"
    DELEGATION = "Delegation"
    SERVER_ERROR = "ServerError"
    META = "Meta"
    UPDATE = "Update"
    OTHER_ERROR = "OtherError"


CLASSES = ("success", "denial", "error")
"""The three classes the kinds fall into."""


def kind(query: Query, reply: Reply) -> Kind:
    """The kind of a reply to this query."""
    if query.opcode == codes.OPCODE_UPDATE:
        return Kind.UPDATE
    if query.opcode == codes.OPCODE_NOTIFY or query.type in (codes.AXFR, codes.IXFR):
        return Kind.META
    if query.do and _has_expired_signature(reply, int(time.time())):
        return Kind.OTHER_ERROR
    match reply.rcode:
        case codes.NOERROR:
            return _without_error(reply)
        case codes.NXDOMAIN:
            # A CNAME chain may stand before the name that does not exist (RFC 2308 section 2.1).
            return Kind.NAME_ERROR
        case codes.SERVFAIL | codes.NOTIMP:
            return Kind.SERVER_ERROR
        case _:
            return Kind.OTHER_ERROR


def _without_error(reply: Reply) -> Kind:
    answer, authority, _ = reply.types
    if answer:
        return Kind.NO_ERROR
    if codes.SOA in authority:
        return Kind.NO_DATA
    return Kind.DELEGATION if codes.NS in authority else Kind.NO_ERROR


def _has_expired_signature(reply: Reply, now: int) -> bool:
    for record in reply.records:
        if record.type == codes.RRSIG and len(record.data) > 12:
            expiration = int.from_bytes(record.data[8:12], "big")
            # RFC 4034 section 3.1.5: these times wrap around and compare as RFC 1982 serial numbers.
            if 0 < (now - expiration) % 2**32 < 2**31:
                return True
    return False


def classify(kind: Kind) -> str:
    """The class of a kind: ``success``, ``denial`` or ``error``."""
    match kind:
        case Kind.NO_ERROR | Kind.DELEGATION:
            return "success"
        case Kind.NAME_ERROR | Kind.NO_DATA:
            return "denial"
        case _:
            return "error"
