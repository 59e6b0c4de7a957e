"""A reply that came from another server: it keeps its bytes and decodes a section only when someone looks."""

from __future__ import annotations

import struct
from typing import Any

from pydnsk8s import codes
from pydnsk8s.keep import NEVER
from pydnsk8s.message import Record, Reply, Types
from pydnsk8s.wire.scan import Scan, records, scan

_TTL = struct.Struct(">I")
_QUESTION = b"\xc0\x0c"  # a pointer to the question's name, which starts behind the header
_HOP_BY_HOP = frozenset((codes.OPTION_COOKIE, codes.OPTION_KEEPALIVE, codes.OPTION_PADDING, codes.OPTION_NSID))
_SECTIONS = frozenset(("answer", "authority", "additional"))


class Forwarded(Reply):
    """A Reply over the bytes it arrived in."""

    __slots__ = ("_sections", "found", "wire")

    def __init__(self, wire: bytes, found: Scan, plugin: str) -> None:
        self.wire = wire
        self.found = found
        self._sections: tuple[tuple[Record, ...], ...] | None = None
        flags = found.flags
        self.rcode = found.rcode
        self.keep = NEVER
        self.authoritative = flags & codes.AA != 0
        self.recursive = flags & codes.RA != 0
        self.authenticated = flags & codes.AD != 0
        self.truncated = flags & codes.TC != 0
        # Cookies and the like belong to the one connection they came over (RFC 7873, RFC 7828, RFC 7830).
        self.options = found.options and tuple([held for held in found.options if held[0] not in _HOP_BY_HOP])
        self.plugin = plugin
        self.error = ""
        self.tallies = ()
        self.more = None

    @property
    def sections(self) -> tuple[tuple[Record, ...], ...]:
        """Answer, authority and additional, decoded at the first look; FormError if a name does not decode."""
        if self._sections is None:
            self._sections = records(self.wire, self.found)
        return self._sections

    @property
    def answer(self) -> tuple[Record, ...]:  # type: ignore[override]  # the base has slots, this works them out
        return self.sections[0]

    @property
    def authority(self) -> tuple[Record, ...]:  # type: ignore[override]
        return self.sections[1]

    @property
    def additional(self) -> tuple[Record, ...]:  # type: ignore[override]
        return self.sections[2]

    @property
    def types(self) -> Types:
        types, (answers, authorities, _) = self.found.types, self.found.counts
        return types[:answers], types[answers : answers + authorities], types[answers + authorities :]

    @property
    def ttls(self) -> list[int]:
        # RFC 2181 section 8: a TTL with the top bit set is 0.
        raw = [_TTL.unpack_from(self.wire, at)[0] for at in self.found.ttls]
        return [ttl if ttl < 0x80000000 else 0 for ttl in raw]

    @property
    def denied_for(self) -> int | None:
        types, (answers, authorities, _) = self.found.types, self.found.counts
        for index in range(answers, answers + authorities):
            if types[index] == codes.SOA:
                at = self.found.ttls[index]
                end = at + 6 + (self.wire[at + 4] << 8 | self.wire[at + 5])
                return int.from_bytes(self.wire[end - 4 : end], "big")
        return None

    def reaches(self, name: bytes, type: int) -> bool:
        at = self.found.question_end
        # Most answers begin with a record of the question's own name and type.
        if self.found.counts[0] and self.wire[at : at + 2] == _QUESTION and self.found.types[0] == type:
            return True
        return super().reaches(name, type)

    def bare(self, **changes: Any) -> Forwarded:
        """As ``with_``, of the bytes alone: what was decoded for somebody's look is not held on to."""
        return self._over(self.wire, None, changes)

    def with_(self, **changes: Any) -> Reply:
        if not _SECTIONS.isdisjoint(changes):
            return super().with_(**changes)
        return self._over(self.wire, self._sections, changes)

    def _over(self, wire: bytes, sections: tuple[tuple[Record, ...], ...] | None, changes: dict[str, Any]) -> Forwarded:
        """The same reply over other bytes of the same layout."""
        twin = object.__new__(Forwarded)
        twin.wire = wire
        twin.found = self.found
        twin._sections = sections
        twin.rcode = self.rcode
        twin.keep = self.keep
        twin.authoritative = self.authoritative
        twin.recursive = self.recursive
        twin.authenticated = self.authenticated
        twin.truncated = self.truncated
        twin.options = self.options
        twin.plugin = self.plugin
        twin.error = self.error
        twin.tallies = self.tallies
        twin.more = None
        for name, value in changes.items():
            setattr(twin, name, value)
        return twin

    def aged(self, seconds: int, most: int) -> Forwarded:
        """The same reply with every TTL lowered by some seconds, and not above the most."""
        patched: bytearray | None = None
        for at in self.found.ttls:
            ttl = _TTL.unpack_from(self.wire, at)[0]
            lowered = _lowered(ttl if ttl < 0x80000000 else 0, seconds, most)
            if lowered != ttl:
                patched = patched or bytearray(self.wire)
                _TTL.pack_into(patched, at, lowered)
        return self._over(bytes(patched), None, {}) if patched is not None else self


def forwarded(wire: bytes, *, plugin: str = "forward") -> Forwarded:
    """Take a reply as another server sent it; FormError if it does not hold together."""
    return Forwarded(wire, scan(wire), plugin)


def aged(reply: Reply, seconds: int, cap: int | None = None) -> Reply:
    """The same reply some seconds later: every TTL lowered by them, and not above the cap if there is one."""
    most = 0x7FFFFFFF if cap is None else cap
    if isinstance(reply, Forwarded):
        return reply.aged(seconds, most)
    return reply.with_(
        **{
            section: tuple(
                record._replace(ttl=_lowered(record.ttl, seconds, most)) for record in getattr(reply, section)
            )
            for section in _SECTIONS
        }
    )


def _lowered(ttl: int, seconds: int, most: int) -> int:
    return max(min(ttl, most) - seconds, 0)
