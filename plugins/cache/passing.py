"""Replies kept on their way through, where packets are passed on without a query being made of them.

Rule: what is kept, and what is passed on, is what the chain would have kept and served. Only what is plain goes this
way: one address of the name asked for, with a TTL within the limits.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from pydnsk8s import codes
from pydnsk8s.message import Query
from pydnsk8s.plugin import Later, Take, Wake
from pydnsk8s.relay import Relay
from pydnsk8s.wire import forwarded

from .flight import with_ad
from .policy import Limits
from .scopes import question_of
from .terms import success

if TYPE_CHECKING:
    from . import Cache

_TYPE_CLASS = 4  # octets that end a question
_QUESTION = b"\xc0\x0c"  # a pointer to the question's name, which starts behind the header
_TTL, _LENGTH = 6, 10  # octets of a record in front of these, its owner being a pointer


class Passing:
    """Questions that differ in nothing but names in one zone, and go the way of those behind the cache."""

    def __init__(self, cache: Cache, query: Query, limits: Limits, behind: Relay) -> None:
        """``behind`` is how they go from here."""
        self._cache = cache
        self._limits = limits
        self._behind = behind
        self._end = question_of(query)[len(query.name) :]
        """What follows the name in the key of each."""
        self.relay = behind._replace(begin=self._begin, passed_on=self._passed_on, take=self._take, keep=self._keep)
        """How they go all the way."""

    def _begin(self, question: bytes, wake: Wake) -> tuple[bytes, Any] | None:
        key = question[:-_TYPE_CLASS].lower() + self._end
        cache = self._cache
        # What is known, and what is being asked already, is for the chain to answer.
        if cache.find_at(key) is not None or key in cache.flights:
            return None
        if (to := self._behind.begin(question, wake)) is None:
            return None
        cache.flights.begin(key)
        return key, to

    def _passed_on(self, asked: tuple[bytes, Any], came: Any, seconds: float) -> None:
        key, to = asked
        self._behind.passed_on(to, came, seconds)
        # Whoever waits for the same finds it in the cache; if it did not come to that they ask for themselves.
        self._cache.flights.land(key, None)

    def _take(self, query: Query, behind: Later | None, asked: tuple[bytes, Any], begun: float) -> Take:
        key, to = asked
        assert behind is not None, "the cache has nobody answer itself"
        query = with_ad(query)
        return partial(self._cache.take, key, query, behind, self._behind.take(query, behind.behind, to, begun))

    def _keep(self, asked: tuple[bytes, Any], came: bytes, at: int) -> bytes | None:
        ttl = int.from_bytes(came[at + _TTL : at + _LENGTH], "big")
        terms = success(self._limits, ttl)
        # RFC 2181 section 8: a TTL with the top bit set is 0.
        if terms is None or not terms.least <= ttl < 0x80000000 or came[at : at + 2] != _QUESTION:
            return None
        if ttl > terms.most:
            came = came[: at + _TTL] + terms.most.to_bytes(4, "big") + came[at + _LENGTH :]
        cache, (key, _) = self._cache, asked
        reply = forwarded(came, plugin=cache.name)
        # Of options the chain keeps some, and others not.
        if reply.rcode != codes.NOERROR or reply.options:
            return None
        cache.shelve(key, terms, reply, 0)
        cache.count_miss()
        return came
