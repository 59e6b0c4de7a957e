"""How a run of the bench goes."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path

from tests.bench.profile import profiled
from tests.bench.servers import Server


@dataclass(frozen=True, slots=True)
class Course:
    """How a run goes: where files may be written, how long and how often to ask, about which cluster, whom to tell."""

    folder: Path
    seconds: float
    tell: Callable[[str], None]
    rounds: int = 1
    tier: str = "L"
    lookups: int = 20_000
    seed: int = 53
    peers: tuple[str, ...] = ()
    profile: Path | None = None
    """Where to write a flame graph of our server."""

    def watching(self, server: Server) -> AbstractContextManager[None]:
        """Draw the flame graph, if one is wanted, of what the server does while this lasts."""
        return profiled(server, self.profile) if self.profile else nullcontext()
