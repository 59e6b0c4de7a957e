"""Which upstreams a query is sent, one after the other, until one has a good answer.

Rule: it says what to do and is told what came of it; who waits for replies, with a coroutine or without, is for others.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Generator, Sequence
from typing import Any, TypeAlias

from pydnsk8s import clock, codes, metrics, subnet, wire
from pydnsk8s.message import Query, Reply
from pydnsk8s.plugins.forward import policy
from pydnsk8s.plugins.forward.messages import message_for, scoped
from pydnsk8s.plugins.forward.rules import Rules
from pydnsk8s.upstream import Message, Unanswered, Upstream

ALTOGETHER = 5.0
"""Seconds for all attempts together, or the time one upstream has if that is more."""
_PAUSE = 0.02  # seconds before upstreams that all refused at once are tried again

Attempt: TypeAlias = tuple[Upstream, Message, float, bool] | None
"""Whom to send what, for how many seconds to wait for the reply, and whether to use a stream; None for a pause."""
Attempts: TypeAlias = Generator[Attempt, Any, Reply]

_BROKEN = metrics.counter(
    "coredns_forward_healthcheck_broken_total", "Queries sent although every upstream was down."
).labels()


class Trier:
    """The upstreams of one directive, and its rules for trying them."""

    def __init__(self, upstreams: Sequence[Upstream], rules: Rules, limit: int) -> None:
        self._upstreams = upstreams
        self._rules = rules
        self._limit = limit
        self._order = policy.named(rules.policy)
        attempts = rules.attempts
        self._most: float = 2 * len(upstreams) if attempts is None else attempts or math.inf
        self._altogether = max(ALTOGETHER, rules.terms.read_timeout)

    def candidates(self) -> Sequence[Upstream]:
        """The upstreams in the order to try them: those that failed last, those that are down not at all."""
        order = self._upstreams
        if len(order) > 1:
            order = self._order(order)
        for upstream in order:
            if upstream.health.doubtful:
                break
        else:
            return order
        standing = [upstream for upstream in order if not upstream.health.down]
        if standing:
            return sorted(standing, key=lambda upstream: upstream.health.doubtful)
        if self._rules.fail_fast:
            return ()
        # More likely the checks are wrong than everything is down: try as if all were well.
        _BROKEN.add(1)
        return order

    def attempts(self, query: Query, candidates: Sequence[Upstream] = (), begun: float = 0.0) -> Attempts:
        """Try one upstream after the other until one has a good answer: yields what to do, takes what came of it.

        If the first of some ``candidates`` has been asked already, ``begun`` is when.
        """
        message = message_for(query, self._limit)
        named = subnet.of(query) if query.edns is not None and query.edns.options else None
        rules = self._rules
        timeout = rules.terms.read_timeout
        stream = query.client.transport != "udp" and not rules.prefer_udp
        now = begun or clock.now()
        end = now + self._altogether
        attempts, failure = 0, ""
        candidates = candidates or self.candidates()
        while candidates:
            reply: Reply | None = None
            for upstream in candidates:
                if attempts >= self._most or now >= end:
                    return reply or no_answer(codes.SERVFAIL, failure)
                attempts += 1
                query.labels["forward/upstream"] = upstream.__str__
                seconds = timeout if now + timeout <= end else end - now
                try:
                    packet = yield upstream, message, seconds, stream
                    if rules.prefer_udp and packet[2] & codes.TC >> 8 and not upstream.terms.stream:
                        packet = yield upstream, message, seconds, True
                    # Nothing but a header that reports an error is what servers send that could not read a question.
                    said = wire.forwarded(packet) if len(packet) > 12 else no_answer(packet[3] & 15)
                    reply = said if named is None else scoped(said, named)
                except Unanswered as error:
                    upstream.health.doubt()
                    failure = f"{upstream}: {error}"
                except wire.FormError as error:
                    failure = f"{upstream}: malformed reply: {error}"
                else:
                    upstream.took(clock.now() - now, reply.rcode)
                    if reply.rcode not in rules.failover:
                        return reply
                now = clock.now()
            if reply is not None:
                return reply
            if attempts < self._most:
                yield None
            candidates = self.candidates()
        return no_answer(codes.SERVFAIL, failure or "every upstream is down")


def advance(attempts: Attempts, came: bytes | Unanswered | None) -> Attempt | Reply:
    """What to do next, or the reply, now that this has come of the last attempt; None to begin with."""
    try:
        if isinstance(came, Unanswered):
            # One failure may be that of many questions, which should not pile their stacks up on it.
            return attempts.throw(came.with_traceback(None))
        return attempts.send(came)
    except StopIteration as end:
        reply: Reply = end.value
        return reply


async def finish(attempts: Attempts, step: Attempt | Reply) -> Reply:
    """Do what the attempts come to, until there is a reply."""
    while not isinstance(step, Reply):
        came: bytes | Unanswered | None = None
        if step is None:
            await asyncio.sleep(_PAUSE)
        else:
            upstream, message, seconds, stream = step
            try:
                came = await upstream.ask(message, seconds, stream=stream)
            except Unanswered as error:
                came = error
        step = advance(attempts, came)
    return step


def no_answer(rcode: int, error: str = "") -> Reply:
    """The reply if no upstream had a good answer, or one could not even read the question."""
    return Reply(rcode, authoritative=False, plugin="forward", error=error)
