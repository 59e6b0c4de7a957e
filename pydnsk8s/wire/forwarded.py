"""A reply that came from another server: it keeps its bytes and decodes a section only when someone looks."""

from __future__ import annotations

import struct
from typing import Any

from pydnsk8s import codes
from pydnsk8s.keep import NEVER, Keep
from pydnsk8s.message import Record, Reply, Tally
from pydnsk8s.wire.scan import Scan, records, scan

_TTL = struct.Struct(">I")
_HOP_BY_HOP = frozenset((codes.OPTION_COOKIE, codes.OPTION_KEEPALIVE, codes.OPTION_PADDING, codes.OPTION_NSID))
_SECTIONS = frozenset(("answer", "authority", "additional"))


class Forwarded(Reply):
    """A Reply over the bytes it arrived in."""

    __slots__ = ("_sections", "found", "wire")

    def __init__(self, wire: bytes, found: Scan, attributes: dict[str, Any]) -> None:
        self.wire = wire
        self.found = found
        self._sections: tuple[tuple[Record, ...], ...] | None = None
        for name, value in attributes.items():
            setattr(self, name, value)

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

    def with_(self, **changes: Any) -> Reply:
        if not _SECTIONS.isdisjoint(changes):
            return super().with_(**changes)
        for name in _FIELDS:
            if name not in changes:
                changes[name] = getattr(self, name)
        twin = Forwarded(self.wire, self.found, changes)
        twin._sections = self._sections
        return twin


_FIELDS = tuple(name for name in Reply.__slots__ if name not in _SECTIONS)


def forwarded(
    wire: bytes, *, keep: Keep = NEVER, plugin: str = "forward", tallies: tuple[Tally, ...] = ()
) -> Forwarded:
    """Take a reply as another server sent it; FormError if it does not hold together."""
    found = scan(wire)
    flags = found.flags
    return Forwarded(
        wire,
        found,
        {
            "rcode": found.rcode,
            "keep": keep,
            "authoritative": bool(flags & codes.AA),
            "recursive": bool(flags & codes.RA),
            "authenticated": bool(flags & codes.AD),
            "truncated": bool(flags & codes.TC),
            # Cookies and the like belong to the one connection they came over (RFC 7873, RFC 7828, RFC 7830).
            "options": tuple(option for option in found.options if option[0] not in _HOP_BY_HOP),
            "plugin": plugin,
            "error": "",
            "tallies": tallies,
        },
    )


def aged(reply: Reply, seconds: int, cap: int | None = None) -> Reply:
    """The same reply some seconds later: every TTL lowered by them, and not above the cap if there is one."""
    most = 0x7FFFFFFF if cap is None else cap
    if isinstance(reply, Forwarded):
        patched = bytearray(reply.wire)
        for at in reply.found.ttls:
            ttl = _TTL.unpack_from(patched, at)[0]
            _TTL.pack_into(patched, at, _lowered(ttl if ttl < 0x80000000 else 0, seconds, most))
        return Forwarded(bytes(patched), reply.found, {name: getattr(reply, name) for name in _FIELDS})
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
