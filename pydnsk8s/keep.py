"""How long, and for whom, a reply's bytes may be served again.

Rule: keeps form a lattice met with ``&``. ALWAYS is the unit and NEVER allows no serving, whatever it meets.
"""

from __future__ import annotations

import math
from collections.abc import Hashable
from typing import Final
from weakref import ref


class Stamp:
    """One version of some data; whoever replaces the data retires the stamp."""

    __slots__ = ("__weakref__", "alive")

    def __init__(self) -> None:
        self.alive = True
        """Whether the data this stamp was given out with is still the current one."""

    def retire(self) -> None:
        """End every reply that is kept under this stamp."""
        self.alive = False


class Stamps:
    """The stamps of what is found, or not found, under each key of some data."""

    __slots__ = ("_held", "_room")

    _LEAST = 1024

    def __init__(self) -> None:
        # Only the replies kept under a stamp hold it, so asking for absent names fills no memory for long.
        self._held: dict[Hashable, ref[Stamp]] = {}
        self._room = self._LEAST

    def __bool__(self) -> bool:
        return bool(self._held)

    def of(self, key: Hashable) -> Stamp:
        """The stamp of what is under the key now."""
        held = self._held.get(key)
        if held is not None and (stamp := held()) is not None and stamp.alive:
            return stamp
        stamp = Stamp()
        self._held[key] = ref(stamp)
        if len(self._held) > self._room:
            self._sweep()
        return stamp

    def _sweep(self) -> None:
        """Forget the keys whose stamps nobody holds or that are retired."""
        self._held = {key: held for key, held in self._held.items() if (stamp := held()) is not None and stamp.alive}
        self._room = max(2 * len(self._held), self._LEAST)

    def retire(self, key: Hashable) -> None:
        """End every reply kept under the key's stamp: what is under the key has changed."""
        # The key stays, for who asks next: a dict that loses and gains keys grows to twice its size.
        held = self._held.get(key)
        if held is not None and (stamp := held()) is not None:
            stamp.retire()


class Keep:
    """For how long and for which clients a reply may be served again; immutable."""

    __slots__ = ("ages", "prefix4", "prefix6", "scope", "seconds", "stamps", "turns")

    seconds: Final[float]
    """No longer than this after the reply was made; 0 forbids keeping it, infinity sets no limit."""
    stamps: Final[frozenset[Stamp]]
    """Only while each of these is alive."""
    prefix4: Final[int]
    """Only for IPv4 clients that share this many leading bits with the one who asked."""
    prefix6: Final[int]
    """The same for IPv6 clients."""
    scope: Final[int]
    """Only for queries whose client subnet shares this many leading bits with that of the one answered (RFC 7871)."""
    ages: Final[bool]
    """Whether the TTLs count down while the reply is kept."""
    turns: Final[bool]
    """Whether its address records may be rotated at each serving."""

    def __init__(
        self,
        seconds: float = math.inf,
        *,
        stamps: frozenset[Stamp] = frozenset(),
        prefix4: int = 0,
        prefix6: int = 0,
        scope: int = 0,
        ages: bool = False,
        turns: bool = False,
    ) -> None:
        self.seconds = seconds
        self.stamps = stamps
        self.prefix4 = prefix4
        self.prefix6 = prefix6
        self.scope = scope
        self.ages = ages
        self.turns = turns

    @classmethod
    def while_(cls, *stamps: Stamp) -> Keep:
        """As long as all the stamps are alive."""
        return cls(stamps=frozenset(stamps))

    def __and__(self, other: Keep) -> Keep:
        if other is ALWAYS or other is self:
            return self
        if self is ALWAYS:
            return other
        if self.seconds <= 0 and not (other.stamps or other.prefix4 or other.prefix6 or other.scope):
            # Nothing is kept, and nothing is added to what it depends on.
            return self
        return Keep(
            min(self.seconds, other.seconds),
            stamps=self.stamps | other.stamps,
            prefix4=max(self.prefix4, other.prefix4),
            prefix6=max(self.prefix6, other.prefix6),
            scope=max(self.scope, other.scope),
            ages=self.ages or other.ages,
            turns=self.turns or other.turns,
        )

    @property
    def alive(self) -> bool:
        """Whether the reply may be kept at all, as things stand now."""
        return self.seconds > 0 and all(stamp.alive for stamp in self.stamps)

    @property
    def live(self) -> bool:
        """Whether only the data's own changes end it: such a reply is never stale and needs no cache."""
        return self.seconds == math.inf

    def _fields(self) -> tuple[object, ...]:
        return self.seconds, self.stamps, self.prefix4, self.prefix6, self.scope, self.ages, self.turns

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Keep) and self._fields() == other._fields()

    def __hash__(self) -> int:
        return hash(self._fields())

    def __repr__(self) -> str:
        parts = [] if self.live else [f"{self.seconds:g} s"]
        parts += [f"{len(self.stamps)} stamp{'s' * (len(self.stamps) > 1)}"] if self.stamps else []
        parts += [f"client /{self.prefix4} or /{self.prefix6}"] if self.prefix4 or self.prefix6 else []
        parts += [f"client subnet /{self.scope}"] if self.scope else []
        parts += [word for word in ("ages", "turns") if getattr(self, word)]
        return f"Keep({', '.join(parts) or 'always'})"


ALWAYS = Keep()
NEVER = Keep(0)
TURNS = Keep(turns=True)
EACH_CLIENT = Keep(prefix4=32, prefix6=128)
