"""From single checks to a state that does not flap."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple


class State(StrEnum):
    """What is known of a target; as long as nothing is, it counts as up."""

    UNKNOWN = "unknown"
    UP = "up"
    DOWN = "down"


class Finding(NamedTuple):
    """What one look has shown."""

    passed: bool | None
    """None if it tells nothing of what was looked at."""
    reason: str = ""
    """Why it did not pass."""
    addresses: tuple[bytes, ...] | None = None
    """The addresses it was told, None if none were."""


class Judgement:
    """A state and the results in a row that speak against it."""

    __slots__ = ("against", "state")

    def __init__(self, state: State = State.UNKNOWN) -> None:
        self.state = state
        self.against = 0

    def take(self, passed: bool, rise: int, fall: int) -> bool:
        """Take a result into account; whether the state is another one now."""
        wanted = State.UP if passed else State.DOWN
        if self.state is wanted:
            self.against = 0
            return False
        self.against += 1
        if self.against < self._needed(passed, rise, fall):
            return False
        self.state, self.against = wanted, 0
        return True

    def _needed(self, passed: bool, rise: int, fall: int) -> int:
        if not passed:
            return fall
        # What nobody knows of is answered with anyway: one good result is enough to say that it is up.
        return rise if self.state is State.DOWN else 1
