"""hosts - serves names from a file in the style of /etc/hosts, and from lines in the Corefile."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Self

from pydnsk8s import background, codes, log, metrics, names
from pydnsk8s.corefile import Directive, Option
from pydnsk8s.keep import Keep
from pydnsk8s.message import Query, Record, Reply
from pydnsk8s.plugin import HAND_ON, NOWHERE, Fall, Plugin, ServerBlock, Turn

from .table import Table, lines, packed

_DEFAULT = "/etc/hosts"
_COMPLAINTS = 10  # bad lines of one reading that are logged one by one
_SIZES = {codes.A: 4, codes.AAAA: 16}
_USAGE = {
    "ADDRESS": "ADDRESS NAME...",
    "ttl": "ttl SECONDS",
    "no_reverse": "no_reverse",
    "reload": "reload DURATION",
    "fallthrough": "fallthrough [ZONES...]",
    "fallthrough_unsupported": "fallthrough_unsupported",
}
_LOG = log.plugin("hosts")
_ENTRIES = metrics.gauge("coredns_hosts_entries", "The combined number of entries in hosts and Corefile.", "hostsfile")
_READ = metrics.gauge("coredns_hosts_reload_timestamp_seconds", "The timestamp of the last reload of hosts file.")


class Hosts(Plugin):
    """Answers A, AAAA and PTR from its table; every reply is good until the table is replaced."""

    name = "hosts"
    once = True

    def __init__(self, path: Path, zones: Sequence[bytes]) -> None:
        self.path = path
        self.zones = frozenset(zones)
        self.inline: list[tuple[bytes, bytes]] = []
        """Addresses and names from the Corefile; they stand behind the file's."""
        self.ttl = 3600
        self.reverse = True
        self.reload = 5.0
        """Seconds between two looks at the file; 0 for never looking again."""
        self.falls = NOWHERE
        self.unsupported_falls = False
        """Whether known names fall through, too, when asked for other types than A and AAAA."""
        self.table = Table()
        self._mark: tuple[int, int, int] | None = None
        self._readable = True
        self._watching: asyncio.Task[None] | None = None

    @classmethod
    def setup(cls, directive: Directive, block: ServerBlock) -> Self:
        file, *zones = directive.args or (_DEFAULT,)
        hosts = cls(block.path(file), directive.zones(zones) or block.zones)
        for option in directive.options:
            hosts._read(option, block)
        if hosts.unsupported_falls and hosts.falls is NOWHERE:
            raise directive.error("hosts: fallthrough_unsupported needs fallthrough")
        hosts.table = hosts._tabulate("")
        return hosts

    def _read(self, option: Option, block: ServerBlock) -> None:
        match option.words:
            case ["ttl", seconds]:
                self.ttl = option.number(seconds, 1, 65535)
            case ["no_reverse"]:
                self.reverse = False
            case ["reload", duration]:
                self.reload = option.duration(duration, low=0)
            case ["fallthrough", *zones]:
                self.falls = Fall(option.zones(zones) or (names.ROOT,))
            case ["fallthrough_unsupported"]:
                self.unsupported_falls = True
            case [address, _, *_] if option.name not in _USAGE:
                self._read_inline(option, address, block)
            case _:
                raise option.arguments(_USAGE[option.name]) if option.name in _USAGE else option.unknown(*_USAGE)

    def _read_inline(self, option: Option, text: str, block: ServerBlock) -> None:
        try:
            address = packed(text)
        except ValueError:
            raise option.unknown(*_USAGE) from None
        if self.falls is not NOWHERE:
            raise option.error("hosts: addresses must stand before fallthrough", text)
        for token in option.tokens[1:]:
            name = option.domain(token.text)
            if self._has(name):
                self.inline.append((address, name))
            else:
                message = f"hosts: {token.text!r} is in none of the zones served here"
                block.warnings.append(token.problem(message, severity="warning"))

    async def start(self) -> None:
        await self.refresh()
        _ENTRIES.labels(str(self.path)).set(self.table.entries)
        if self.reload:
            self._watching = background.start(self._watch, _LOG, f"looking at {self.path}")

    async def stop(self) -> None:
        if self._watching is not None:
            self._watching.cancel()
            await asyncio.wait([self._watching])

    def inherit(self, old: Self) -> bool:
        """Go on with the old table, so that the replies kept under it stay good."""
        if (old.path, old.zones) == (self.path, self.zones):
            self.table, self._mark, self._readable = old.table, old._mark, old._readable
        return False  # the old one still watches the file

    def passes(self, zone: bytes) -> Keep | None:
        if names.are_apart(zone, self.zones):
            return HAND_ON
        # Reverse names are answered wherever they are.
        passes = self.falls.through(zone) and not names.is_reverse(zone) and not self.table.reaches(zone)
        return self.table.keep if passes else None

    def at_once(self, query: Query) -> Turn:
        if query.klass != codes.IN:
            return HAND_ON
        table = self.table  # one version from here on, whatever is read meanwhile
        if query.type == codes.PTR:
            owners = table.owners(query.name)
            # As CoreDNS does: reverse zones need not be listed, and what is not here always passes.
            return self._tell(query, owners, table) if owners else table.keep
        if not self._has(query.name):
            return HAND_ON
        addresses = table.addresses(query.name)
        passes = not addresses or (self.unsupported_falls and query.type not in _SIZES)
        if passes and self.falls.through(query.name):
            return table.keep
        if not addresses:
            # As CoreDNS does: a hosts file has no SOA to deny the name with, so admit failure instead.
            return Reply(codes.SERVFAIL, authoritative=False, keep=table.keep, plugin=self.name)
        size = _SIZES.get(query.type)
        return self._tell(query, [address for address in addresses if len(address) == size], table)

    def _tell(self, query: Query, data: Sequence[bytes], table: Table) -> Reply:
        records = [Record(query.name, query.type, self.ttl, each) for each in data]
        return Reply(answer=records, keep=table.keep, plugin=self.name)

    def _has(self, name: bytes) -> bool:
        """Whether the name is in one of the zones; an address prefix may stand for a hundred of them."""
        return any(suffix in self.zones for suffix in names.suffixes(name))

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(self.reload)
            await self.refresh()

    async def refresh(self) -> None:
        """Read the file if it has changed; one that cannot be read changes nothing."""
        try:
            with self.path.open("rb") as file:
                now = os.fstat(file.fileno())
                mark = now.st_mtime_ns, now.st_size, now.st_ino
                if mark == self._mark:
                    return
                text = file.read().decode("utf-8-sig", "replace")
        except OSError as error:
            if self._readable:
                _LOG.warning("cannot read %s, going on without a new version of it: %s", self.path, error.strerror)
            self._readable = False
            return
        # In a thread, because block lists of a hundred thousand names are in use.
        table = await asyncio.to_thread(self._tabulate, text)
        old, self.table = self.table, table
        old.stamp.retire()
        self._mark, self._readable = mark, True
        _ENTRIES.labels(str(self.path)).set(table.entries)
        _READ.labels().set(now.st_mtime)

    def _tabulate(self, text: str) -> Table:
        """The table of a file's text and the Corefile's lines; faulty lines are passed over with a warning."""
        table = Table()
        faults = 0
        for number, address, hosts in lines(text):
            try:
                self._enter(table, packed(address), hosts)
            except ValueError as error:
                faults += 1
                if faults <= _COMPLAINTS:
                    _LOG.warning("%s:%d: %s", self.path, number, error)
        if faults > _COMPLAINTS:
            _LOG.warning("%s: %d more lines are faulty", self.path, faults - _COMPLAINTS)
        for packed_address, name in self.inline:
            table.add(packed_address, name, reverse=self.reverse)
        return table

    def _enter(self, table: Table, address: bytes, hosts: Sequence[str]) -> None:
        for host in hosts:
            name = names.parse(host)
            if self._has(name):
                table.add(address, name, reverse=self.reverse)
