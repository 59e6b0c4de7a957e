"""One cluster of a service: what is written of it, and which of its addresses are healthy."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

from .checks import Check, Target, address_text
from .health import State
from .origins import Named, Peer
from .watch import Terms, Watch, watch


@dataclass(eq=False, slots=True)
class Cluster:
    """Addresses that stand and fall for themselves but are chosen together."""

    tag: str
    addresses: tuple[bytes, ...] = ()
    """As written; those of a name or a peer are found out."""
    origin: Named | Peer | None = None
    weight: int = 1
    """Its share where weights count; 0 drains it."""
    primary: bool = False
    location: tuple[float, float] | None = None
    """Latitude and longitude in degrees."""
    regions: frozenset[str] = frozenset()
    """Values of the database's fields whose clients belong here, in lower case."""
    targets: dict[bytes, Watch | None] = field(default_factory=dict)
    """The addresses now, and what watches over each: None for nothing."""
    source: Watch | None = None
    """Watches over the name or the peer."""
    _check: Callable[[bytes], Watch] | None = None
    _tell: Callable[[], None] = lambda: None

    def open(self, checks: tuple[Check, ...], terms: Terms, tell: Callable[[], None]) -> None:
        """Begin to watch, and tell of every change."""
        self._tell = tell
        if checks and not isinstance(self.origin, Peer):
            limits = replace(terms, retain=float("inf"))
            self._check = lambda address: watch(Target(address, checks), limits, self._changed)
        if self.origin is not None:
            # A peer has judged its addresses with patience already, and resolving a name proves nothing either way.
            self.source = watch(self.origin, replace(terms, rise=1, fall=1), self._changed)
        self._follow()

    def close(self) -> list[asyncio.Task[None]]:
        """Watch no more; what ends by that."""
        ending = [held.leave(self._changed) for held in self.watches]
        self.targets, self.source = {}, None
        return [task for task in ending if task is not None]

    @property
    def watches(self) -> list[Watch]:
        """Everything it listens to."""
        watches = [*self.targets.values(), self.source]
        return list(dict.fromkeys(held for held in watches if held is not None))

    @property
    def healthy(self) -> tuple[bytes, ...]:
        """The addresses that are not known to be down."""
        return tuple(address for address, held in self.targets.items() if held is None or held.counts)

    def recall(self, states: dict[bytes, State]) -> None:
        """Begin with the states of an earlier run, unless more is known by now."""
        if self.source is not None and states:
            peer = next(iter(states.values())) if isinstance(self.origin, Peer) else State.UNKNOWN
            self.source.recall(peer, tuple(states))
            self._follow()
        for address, held in self.targets.items():
            if held is not None and held is not self.source and address in states:
                held.recall(states[address])

    def states(self) -> Iterator[tuple[bytes, State]]:
        """Each address with what is known of it."""
        for address, held in self.targets.items():
            yield address, State.UNKNOWN if held is None else held.state

    def story(self) -> Iterator[tuple[str, bytes, str]]:
        """Each address, in text and packed, with what is known of it, for the operator."""
        for address, held in self.targets.items():
            yield address_text(address), address, "not checked" if held is None else held.story
        if not self.targets:
            yield str(self.origin), b"", "no address known" if self.source is None else self.source.story

    def _changed(self) -> None:
        self._follow()
        self._tell()

    def _follow(self) -> None:
        """Watch over the addresses there are now, and no others."""
        wanted = self.addresses if self.source is None else self.source.addresses
        if tuple(self.targets) == wanted:
            return
        before, self.targets = self.targets, {address: self._watch_over(address) for address in wanted}
        for held in set(before.values()) - set(self.targets.values()):
            if held is not None and held is not self.source:
                held.leave(self._changed)

    def _watch_over(self, address: bytes) -> Watch | None:
        if self._check is not None:
            return self._check(address)
        return self.source if isinstance(self.origin, Peer) else None
