"""What a plugin knows of all names in a zone, so that each need not be asked for through the chain."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, NamedTuple, TypeAlias

from pydnsk8s.keep import Stamp

Outcome: TypeAlias = bytes | None
"""What a name has of the type asked for, or one of the three below.

Of A and AAAA it is the addresses, packed, one behind the other in the order the plugin answers in; of SRV a port in two
octets and the only address there, the target being the name without its first two labels.
"""
NO_DATA: Final = b""
"""The name exists, and has nothing of this type."""
ABSENT: Final = b"\0"
"""There is no such name. Nothing else is one octet long."""
ASK: Final = None
"""There is more to it: the plugin has to be asked."""

Find: TypeAlias = Callable[[bytes, Sequence[int]], Outcome]
"""Looks a name up in data that is live, so that what it says is never out of date.

Takes the name in lower case and where in it each label left of the zone starts.
"""


class Survey(NamedTuple):
    """The names in a zone, as far as questions of one type go."""

    zone: bytes
    find: Find
    stamps: frozenset[Stamp] = frozenset()
    """Only while each of these is alive."""
