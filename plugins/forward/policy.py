"""In which order the upstreams are tried for a query."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

from pydnsk8s.upstream import Upstream

Policy = Callable[[Sequence[Upstream]], Sequence[Upstream]]
"""Puts the upstreams into the order to try them in."""


def shuffle(upstreams: Sequence[Upstream]) -> Sequence[Upstream]:
    """A random order each time."""
    return random.sample(upstreams, len(upstreams))


def keep_order(upstreams: Sequence[Upstream]) -> Sequence[Upstream]:
    """The order of the Corefile."""
    return upstreams


class TakeTurns:
    """The order of the Corefile, begun one further each time."""

    def __init__(self) -> None:
        self._next = 0

    def __call__(self, upstreams: Sequence[Upstream]) -> Sequence[Upstream]:
        start = self._next % len(upstreams)
        self._next = start + 1
        return (*upstreams[start:], *upstreams[:start])


def named(name: str) -> Policy:
    """The policy of this name: ``random``, ``round_robin`` or ``sequential``."""
    match name:
        case "round_robin":
            return TakeTurns()
        case "sequential":
            return keep_order
        case _:
            return shuffle
