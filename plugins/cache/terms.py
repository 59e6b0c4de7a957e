"""Whether a reply may be kept, as what and for how long."""

from __future__ import annotations

import math
from typing import Literal, NamedTuple

from pydnsk8s import codes, names
from pydnsk8s.message import Query, Reply
from pydnsk8s.response import Kind, kind
from pydnsk8s.wire import Forwarded, aged

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
        ttls = reply.ttls
        if ttls and min(ttls) < self.least:
            sections = (reply.answer, reply.authority, reply.additional)
            answer, authority, additional = (
                tuple(record._replace(ttl=max(record.ttl, self.least)) for record in section) for section in sections
            )
            reply = reply.with_(answer=answer, authority=authority, additional=additional)
        return aged(reply, 0, self.most) if ttls and max(ttls) > self.most else reply


def is_for_all(reply: Reply) -> bool:
    """Whether the reply is good for other clients and transports, too."""
    return not (reply.truncated or reply.keep.prefix4 or reply.keep.prefix6)


def kept(reply: Reply, plugin: str) -> Reply:
    """Of a reply, what is kept: nothing of this one conversation, and not the records decoded for the judgement."""
    options = reply.options and tuple([option for option in reply.options if option[0] == codes.OPTION_ERROR])
    changes = {"options": options, "error": "", "plugin": plugin, "tallies": ()}
    return reply.bare(**changes) if isinstance(reply, Forwarded) else reply.with_(**changes)


def success(limits: Limits, ttl: int) -> Terms | None:
    """The terms for what was found, by its lowest TTL; None if it may not be kept."""
    seconds = _within(limits, ttl)
    return Terms("success", seconds, limits.least, limits.most) if seconds else None


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
        case Kind.NO_ERROR if reply.reaches(query.name, query.type):
            return _success(policy.success, query, reply)
        case Kind.NO_ERROR | Kind.NO_DATA | Kind.NAME_ERROR:
            return _denial(policy.denial, query, reply)
        case _:
            return None


def _success(limits: Limits, query: Query, reply: Reply) -> Terms | None:
    return None if _excepts(limits, query) else success(limits, min(reply.ttls))


def _denial(limits: Limits, query: Query, reply: Reply) -> Terms | None:
    minimum = reply.denied_for
    # RFC 2308 section 5: a denial without SOA is not kept, for nothing says how long.
    if minimum is None or _excepts(limits, query):
        return None
    seconds = _within(limits, min(minimum, *reply.ttls))
    # RFC 2308 section 5: the SOA goes out with the lesser of its TTL and its minimum.
    return Terms("denial", seconds, limits.least, seconds) if seconds else None


def _within(limits: Limits, ttl: int) -> int:
    """The TTL between the limits; 0 stays 0, for such data is good for one answer only (RFC 1035 section 3.2.1)."""
    return min(max(ttl, limits.least), limits.most) if ttl else 0


def _excepts(limits: Limits, query: Query) -> bool:
    return bool(limits.never) and any(names.is_under(query.name, zone) for zone in limits.never)
