"""On which terms an upstream is asked."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from pydnsk8s import names
from pydnsk8s.metrics import Counter


@dataclass(frozen=True, slots=True)
class Terms:
    """How long to wait for an upstream, how long to stay connected to it, and how to find out that it is back."""

    read_timeout: float = 2.0
    """Seconds one attempt may take, connecting included."""
    expire: float = 10.0
    """Seconds after which an idle connection or a source port is given up."""
    max_age: float = 0.0
    """Seconds after which a connection gets no further questions; 0 for no limit."""
    max_idle: int = 0
    """Idle connections kept; 0 for no limit."""
    source: str = ""
    """The address to ask from; empty for the system's choice."""
    contexts: Mapping[str, ssl.SSLContext] = field(default_factory=dict)
    """How to prove who is who, for the schemes ``tls`` and ``https`` if they are used."""
    post: bool = True
    """Whether DNS over HTTPS sends POST rather than GET."""
    stream: bool = False
    """Whether the upstream is never asked over UDP."""
    max_fails: int = 2
    """Failed checks in a row that are still no reason to call an upstream down; 0 means that it is never down."""
    check_every: float = 0.5
    """Seconds between two checks of an upstream that has failed."""
    check_name: bytes = names.ROOT
    """Whose NS records a check asks for."""
    check_recursion: bool = True
    """Whether a check sets RD."""


class Reuse(NamedTuple):
    """Counters of questions that found an open connection or port, and of those that had to open one."""

    hits: Counter
    misses: Counter
