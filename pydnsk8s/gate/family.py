"""Names one label below the same parent, asked for in packets that differ in nothing else.

The first time one of them is asked for, its reply is made from what was learned from another; who is asked for again
gets an entry of its own.
"""

from __future__ import annotations

from collections.abc import Callable

from pydnsk8s import codes
from pydnsk8s.gate.door import Door
from pydnsk8s.gate.entry import pair, question_end
from pydnsk8s.gate.mold import Mold, Tell, learn
from pydnsk8s.survey import ABSENT, Survey

_MOST = 8192  # families remembered; each takes about a kilobyte
_LONGEST_LABEL = 63  # octets
_SHORTEST = 15  # octets of a packet without its id that asks for the root
_TYPE_CLASS = 4  # octets that end a question
_LONGEST_PARENT = 255 - 1 - _LONGEST_LABEL  # octets, so that no name below it is too long (RFC 1035 section 2.3.4)


class Family:
    """What is known of them, and a mold for each kind of reply learned so far."""

    __slots__ = ("find", "molds", "other", "stamp", "tells")

    def __init__(self, survey: Survey) -> None:
        self.find = survey.find
        self.stamp, self.other = pair(survey.stamps)
        self.molds: dict[int, Mold] = {}
        """By the octets of what was found: those of an address, or those of NO_DATA and ABSENT."""
        self.tells: list[tuple[Mold, int, Tell]] = []
        """Who is told of a mold's replies, and how many octets the packet had that it was learned from."""

    def settle(self) -> None:
        """Tell of the replies made since the last time."""
        for each, learned_from, tell in self.tells:
            made, each.made = each.made, {}
            for octets, number in made.items():
                tell(octets - learned_from, number)


class Families:
    """The families that a gate knows; bounded, the first learned is the first forgotten."""

    def __init__(self, door: Door) -> None:
        self._known: dict[bytes, Family] = {}
        self._door = door

    def reply(self, packet: bytes, tail: bytes) -> bytes | None:
        """The reply for a name that is asked for the first time, if those for the names beside it tell what it is.

        ``tail`` is the packet in lower case without its id.
        """
        if len(tail) < _SHORTEST:
            return None
        first = 11 + tail[10]
        family = self._known.get(tail[:10] + tail[first:])
        # What is no label may hide a name that happens to be the family's: such a packet is malformed.
        if family is None or not 0 < tail[10] <= _LONGEST_LABEL:
            return None
        if not (family.stamp.alive and family.other.alive):
            return None
        found = family.find(tail[10:first])
        if found is None or (mold := family.molds.get(len(found))) is None or self._door.knows(tail):
            return None
        octets = len(packet)
        mold.made[octets] = mold.made.get(octets, 0) + 1
        return mold.cast(packet, found)

    def learn(self, packet: bytes, tail: bytes, reply: bytes, survey: Callable[[], Survey | None], tell: Tell) -> None:
        """Remember what a reply looks like, if it is of a kind that the survey of the names there explains."""
        first = 11 + tail[10]
        key = tail[:10] + tail[first:]
        family = self._known.get(key)
        if family is None or not (family.stamp.alive and family.other.alive):
            if (surveyed := survey()) is None:
                return
            family = self._add(key, Family(surveyed))
        found = family.find(tail[10:first])
        if found is None or len(found) in family.molds:
            return
        # RFC 8020 section 2, RFC 2308 section 2: the rcode tells what is not there from what is there without data.
        if (reply[3] & 15 == codes.NXDOMAIN) != (found == ABSENT):
            return
        end = question_end(packet)
        learned = learn(packet, end, reply, found) if end - _TYPE_CLASS - first <= _LONGEST_PARENT else None
        if learned is not None:
            family.molds[len(found)] = learned
            family.tells.append((learned, len(packet), tell))

    def _add(self, key: bytes, family: Family) -> Family:
        self._forget(key)
        self._known[key] = family
        if len(self._known) > _MOST:
            self._forget(next(iter(self._known)))
        return family

    def _forget(self, key: bytes) -> None:
        family = self._known.pop(key, None)
        if family is not None:
            family.settle()

    def settle(self) -> None:
        """Tell of all replies made since the last time."""
        for family in self._known.values():
            family.settle()
