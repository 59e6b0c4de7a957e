"""Names in one zone, asked for in packets that differ in nothing else.

The first time one of them is asked for, its reply is made from what was learned from another; what is asked for again
gets an entry of its own.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Callable, Sequence

from pydnsk8s import codes
from pydnsk8s.gate.door import Door
from pydnsk8s.gate.entry import pair, question_end
from pydnsk8s.gate.mold import Mold, Tell, learn
from pydnsk8s.names import MAX_NAME, OUT, STEPS
from pydnsk8s.survey import ABSENT, ASK, Find, Outcome, Survey

_log = logging.getLogger("pydnsk8s.gate")
_MOST = 32  # families: three types of question in the few forms that clients give them
_HEADER = 10  # octets of flags and counts, with which a packet begins without its id
_TYPE_CLASS = 4  # octets that end a question
_PROMOTED = 1 / 16  # of those asked for again while there is no room
_SMALLEST = 512  # RFC 1035 section 4.2.1: octets that everybody takes


class Family:
    """What is known of the names, and a mold for each kind of reply learned so far."""

    __slots__ = ("_labels", "_rest", "find", "key", "molds", "other", "stamp", "tells", "zone")

    def __init__(self, survey: Survey, tail: bytes, border: int) -> None:
        """``border`` is where in the tail the zone starts."""
        self.find: Find = survey.find
        self.stamp, self.other = pair(survey.stamps)
        self.zone = len(survey.zone)
        """Octets of its name."""
        self.key = tail[:_HEADER] + tail[border:]
        """How packets begin, and how they end: with the zone and all that comes behind."""
        self._labels = border - len(tail) - _HEADER
        """What is to be added to the octets of a tail for those of the labels left of the zone."""
        self._rest = border - len(tail) + self.zone
        """Where in a tail the zone ends, from behind."""
        self.molds: dict[int, Mold] = {}
        """By the octets of what was found."""
        self.tells: list[tuple[Mold, int, Tell]] = []
        """Who is told of a mold's replies, and how many octets the packet had that it was learned from."""

    @property
    def alive(self) -> bool:
        """Whether what is known still holds."""
        return self.stamp.alive and self.other.alive

    def found(self, tail: bytes) -> Outcome:
        """What there is of the name that a packet without its id asks for; nothing is said of a malformed one."""
        name, border = tail[_HEADER : self._rest], len(tail) + self._labels
        at, starts = 0, []
        while at < border:
            starts.append(at)
            at += STEPS[name[at]] or OUT
        if at != border or len(name) > MAX_NAME:
            return None
        try:
            return self.find(name, starts)
        except Exception as error:  # noqa: BLE001 - a plugin must not end the reading of packets
            why = type(error).__name__, error
            _log.error("unexpected %s while looking a name up: %s; asking for each from now on", *why)
            self.find = _ask
            return None

    def settle(self) -> None:
        """Tell of the replies made since the last time."""
        for each, learned_from, tell in self.tells:
            for octets, number in each.made.items():
                tell(octets - learned_from, number)
            each.made.clear()


def _ask(_: bytes, __: Sequence[int]) -> Outcome:
    return ASK


class Families:
    """The families that a gate knows; bounded, the first learned is the first forgotten."""

    def __init__(self, door: Door) -> None:
        self._known: dict[bytes, Family] = {}
        """By their keys, the first learned first."""
        self._ends: set[int] = set()
        """How many octets packets end with that are the same in a family."""
        self._knows = door.knows
        self.full = False
        """Whether an entry has to go for each that comes."""

    def reply(self, packet: bytes, tail: bytes) -> bytes | None:
        """The reply for a name that is asked for the first time, if those for others tell what it is.

        ``tail`` is the packet in lower case without its id.
        """
        family = self._family(tail)
        if family is None or (found := family.found(tail)) is None:
            return None
        mold = family.molds.get(len(found))
        # What is asked for again earns an entry, which the chain has to give. When another one has to go for it, later:
        # names asked for once in a while are not to displace each other time and again.
        if mold is None or (self._knows(tail) and not (self.full and random.random() > _PROMOTED)):
            return None
        made = mold.cast(packet, found)
        if made is None or len(made) > _SMALLEST:
            return None  # it may have to be cut
        mold.made[len(packet)] += 1
        return made

    def _family(self, tail: bytes) -> Family | None:
        for octets in self._ends:
            family = self._known.get(tail[:_HEADER] + tail[-octets:])
            if family is not None:
                return family if family.stamp.alive and family.other.alive else None
        return None

    def learn(
        self,
        packet: bytes,
        tail: bytes,
        reply: bytes,
        survey: Callable[[], Survey | None],
        tell: Tell,
        *,
        turns: bool,
    ) -> None:
        """Remember what a reply looks like, if it is of a kind that the survey of its zone explains."""
        if len(reply) > _SMALLEST:
            return  # none of that length is ever made
        family = self._family(tail)
        if family is None:
            if (surveyed := survey()) is None:
                return
            family = Family(surveyed, tail, question_end(packet) - 2 - _TYPE_CLASS - len(surveyed.zone))
            self._add(family)
        found = family.found(tail)
        if found is None or ((known := family.molds.get(len(found))) and known.cast(packet, found)):
            return
        # RFC 8020 section 2, RFC 2308 section 2: the rcode tells what is not there from what is there without data.
        if (reply[3] & 15 == codes.NXDOMAIN) != (found == ABSENT):
            return
        learned = learn(packet, question_end(packet), reply, found, family.zone, turns=turns)
        if learned is not None:
            family.molds[len(found)] = learned
            family.tells.append((learned, len(packet), tell))

    def _add(self, family: Family) -> None:
        known = list(self._known.values())
        for each in [each for each in known if not each.alive] or known[: 1 - _MOST]:
            each.settle()
            del self._known[each.key]
        self._known[family.key] = family
        self._ends = {len(key) - _HEADER for key in self._known}

    def settle(self) -> None:
        """Tell of all replies made since the last time."""
        for family in self._known.values():
            family.settle()
