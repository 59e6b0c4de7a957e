"""What a plugin knows of all names that stand one label below the same parent, so that each need not be asked for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple, TypeAlias

from pydnsk8s.keep import Stamp

Outcome: TypeAlias = bytes | None
"""What a name has of the type asked for: its only address, packed; or one of the three below."""
NO_DATA: Final = b""
"""The name exists, and has nothing of this type."""
ABSENT: Final = b"\0"
"""There is no such name, nor any below it. No address is one octet long."""
ASK: Final = None
"""There is more to it: the plugin has to be asked."""


class Survey(NamedTuple):
    """The names below one parent, as far as questions of one type go."""

    find: Callable[[bytes], Outcome]
    """What there is behind a label in lower case, its length in front. Reads live data: it is never out of date."""
    stamps: frozenset[Stamp] = frozenset()
    """Only while each of these is alive."""


def nothing(_: bytes) -> Outcome:
    """What there is below a parent that does not exist, or has nothing below it."""
    return ABSENT
