"""Whether a reply may be kept, as what and for how long."""

from __future__ import annotations

import math
from typing import Literal, NamedTuple

from pydnsk8s import codes, names
from pydnsk8s.message import Query, Reply
from pydnsk8s.response import Kind, kind
from pydnsk8s.wire import aged

from .policy import Limits, Policy


class Terms(NamedTuple):
    """On which terms a reply is kept."""

    sort: Literal["success", "denial", "failure"]
    seconds: float
    least: int
    """TTLs below are raised to it,"""
    most: int
    """and those above lowered to it."""

    def apply(self, reply: Reply) -> Reply:
        """The reply with its TTLs between the two."""
        if any(record.ttl < self.least for record in reply.records):
            sections = (reply.answer, reply.authority, reply.additional)
            answer, authority, additional = (
                tuple(record._replace(ttl=max(record.ttl, self.least)) for record in section) for section in sections
            )
            reply = reply.with_(answer=answer, authority=authority, additional=additional)
        if any(record.ttl > self.most for record in reply.records):
            reply = aged(reply, 0, self.most)
        return reply


def judge(policy: Policy, query: Query, reply: Reply) -> Terms | None:
    """The terms under which the policy keeps a reply; None if it may not be kept.

    Raises FormError for another server's reply that does not decode.
    """
    if reply.truncated:
        return None
    match kind(query, reply):
        case Kind.SERVER_ERROR:
            return Terms("failure", policy.failure, 0, math.ceil(policy.failure)) if policy.failure else None
        case Kind.DELEGATION:
            return _success(policy.success, query, reply)
        case Kind.NO_ERROR if _reaches(query, reply):
            return _success(policy.success, query, reply)
        case Kind.NO_ERROR | Kind.NO_DATA | Kind.NAME_ERROR:
            return _denial(policy.denial, query, reply)
        case _:
            return None


def _success(limits: Limits, query: Query, reply: Reply) -> Terms | None:
    seconds = _within(limits, min(record.ttl for record in reply.records))
    if not seconds or _excepts(limits, query):
        return None
    return Terms("success", seconds, limits.least, limits.most)


def _denial(limits: Limits, query: Query, reply: Reply) -> Terms | None:
    soa = next((record for record in reply.authority if record.type == codes.SOA), None)
    # RFC 2308 section 5: a denial without SOA is not kept, for nothing says how long.
    if soa is None or _excepts(limits, query):
        return None
    minimum = int.from_bytes(soa.data[-4:], "big")
    seconds = _within(limits, min(minimum, *(record.ttl for record in reply.records)))
    # RFC 2308 section 5: the SOA goes out with the lesser of its TTL and its minimum.
    return Terms("denial", seconds, limits.least, seconds) if seconds else None


def _within(limits: Limits, ttl: int) -> int:
    """The TTL between the limits; 0 stays 0, for such data is good for one answer only (RFC 1035 section 3.2.1)."""
    return min(max(ttl, limits.least), limits.most) if ttl else 0


def _excepts(limits: Limits, query: Query) -> bool:
    return any(names.is_under(query.name, zone) for zone in limits.never)


def _reaches(query: Query, reply: Reply) -> bool:
    """Whether the answer leads from the name asked for, along its aliases, to records of the type asked for."""
    aliases = {record.name.lower(): record.data.lower() for record in reply.answer if record.type == codes.CNAME}
    found = {record.name.lower() for record in reply.answer if query.type in (record.type, codes.ANY)}
    owner: bytes | None = query.name
    for _ in range(len(aliases) + 1):
        if owner is None or owner in found:
            break
        owner = aliases.get(owner)
    return owner in found
